"""The code of a case as its file has it: a function, and all of the file that it is made of."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

LINES = 15  # what a reader takes in at a glance


def code(function: Callable[..., Any], precision: str, name: str = "observed", without: str = "") -> str:
    """What to type to get the value of ``function``, as ``name``, after ``import numpy as np, halfsim as hs``.

    Definitions stand as in the file; those that the code in ``without`` has are left out.
    """
    parts = [part for part in parts_of(function) if part not in without]
    scope = f'with hs.precision("{precision}"):\n    {name} = {function.__name__}()'
    roomy = "".join(f"{part}{_gap(part)}" for part in parts) + scope
    return roomy if len(roomy.splitlines()) <= LINES else "\n".join([*parts, scope])


def _gap(part: str) -> str:
    return "\n\n" if part.startswith(("def ", "class ")) else "\n"


def parts_of(function: Callable[..., Any]) -> list[str]:
    """The definitions and constants of its file that a function is made of, itself among them, in their order."""
    module = inspect.getmodule(function)
    assert module is not None
    defined = _defined(module)
    wanted: dict[str, str] = {}

    def want(name: str) -> None:
        if name in wanted or name not in defined:
            return
        text, uses = defined[name]
        wanted[name] = text
        for used in uses:
            want(used)

    want(function.__name__)
    return list(dict.fromkeys(text for name, (text, _) in defined.items() if name in wanted))


@cache
def _defined(module: ModuleType) -> dict[str, tuple[str, frozenset[str]]]:
    """By name, what a file defines at its top: the text, and the names that it uses."""
    source = inspect.getsource(module)
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for node in ast.parse(source).body:
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        text = ast.get_source_segment(source, node) or ""
        uses = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name)) - _own(node) - {*names}
        for name in names:
            before, used = found.get(name, ("", frozenset()))
            found[name] = (f"{before}\n{text}" if before else text, used | uses)
    return found


def _own(node: ast.AST) -> set[str]:
    """The names that a function binds itself, so that one of the file that is spelled alike is none of its parts."""
    if not isinstance(node, ast.FunctionDef):
        return set()
    bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return bound | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
