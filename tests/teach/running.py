"""Cells of a notebook run without a kernel: in one namespace, and what they print and end with is kept."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from collections.abc import Sequence

from halfsim.teach.notebook import Cell

NAMESPACE = "__main__"


def run(cell: Cell, names: dict[str, object]) -> str:
    """What a cell prints, and the text of the value that it ends with, as a notebook shows it."""
    tree = ast.parse(cell.source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                print(value)
                html = getattr(value, "_repr_html_", None)
                assert html is None or html() is not None
    return out.getvalue()


def run_all(cells: Sequence[Cell]) -> list[str]:
    """What each cell gives; "" for texts. An exercise and its solution run one after the other."""
    import matplotlib as mpl

    mpl.use("Agg")
    names: dict[str, object] = {"__name__": NAMESPACE}
    found = [run(cell, names) if cell.kind == "code" else "" for cell in cells]
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    return found


def numbers(text: str) -> list[str]:
    """The numbers in a text, in no order: another language may tell them in another."""
    return sorted(re.findall(r"\d(?:[\d.,]*\d)?(?:e[+-]?\d+)?", text))


def assigned(source: str) -> set[str]:
    """The names that a cell gives values to, at its outermost level."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        else:
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found


def used(source: str) -> set[str]:
    """The names that a cell reads."""
    return {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
