"""docs/tour.md quotes the source: an excerpt begins with a line that names it, and is printed from the file.

PYTHONPATH=$PWD python -m tests.tour --write      after a change of what it quotes
"""

from __future__ import annotations

import argparse
import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour.md"
# `halfsim/a/b.py`, `name`:  and the block below it
QUOTED = re.compile(r"(`(halfsim/[\w/]+\.py)`, `([\w.]+)`:\n\n```python\n)(.*?)(```)", re.S)


def excerpt(file: str, name: str) -> str:
    """A function or class of a file, by its name (``Class.method`` too), as it stands there without its docstring."""
    source = (ROOT / file).read_text("utf-8")
    found: list[ast.stmt] = ast.parse(source).body
    for part in name.split("."):
        nodes = [node for node in found if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        if not nodes:
            raise LookupError(f"docs/tour.md: {name} is not in {file} any more")
        found = nodes[0].body
    node, lines = nodes[0], source.split("\n")
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    hidden: range = range(0)
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        last = node.body[0].end_lineno or 0
        hidden = range(node.body[0].lineno, last + 1 + (not lines[last].strip()))
    assert node.end_lineno is not None
    kept = [lines[i - 1] for i in range(first, node.end_lineno + 1) if i not in hidden]
    return textwrap.dedent("\n".join(kept)) + "\n"


def text() -> str:
    """The page with today's source in it."""
    return QUOTED.sub(lambda m: f"{m[1]}{excerpt(m[2], m[3])}{m[5]}", TOUR.read_text("utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.tour", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        TOUR.write_text(text(), "utf-8")
    else:
        print("as the source" if text() == TOUR.read_text("utf-8") else "the source has changed; see --write")
