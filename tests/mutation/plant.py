"""Where a line can be broken, and how: operators, constants, dropped lines and swapped branches, by the syntax."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.MatMult: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one file: ``before`` from byte ``start`` to ``end`` becomes ``after``."""

    file: str
    line: int
    function: str
    kind: str
    before: str
    after: str
    start: int
    end: int

    def planted(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]

    @property
    def name(self) -> tuple[str, str, str, str]:
        """What stays as it is when lines above are added or go."""
        return self.file, self.function, self.before, self.after


class _Sites(ast.NodeVisitor):
    def __init__(self, file: str, source: bytes):
        self._file, self._source, self.found = file, source, list[Mutant]()
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._within: list[str] = []

    def _add(self, node: ast.expr | ast.stmt, kind: str, after: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        before = self._source[start:end].decode()
        self.found.append(Mutant(self._file, node.lineno, ".".join(self._within), kind, before, after, start, end))

    def _changed(self, node: ast.expr | ast.stmt, kind: str, **fields: object) -> None:
        kept = {name: getattr(node, name) for name in node._fields}
        text = ast.unparse(ast.copy_location(type(node)(**{**kept, **fields}), node))
        self._add(node, kind, f"({text})" if isinstance(node, ast.expr) else text)

    def _named(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self._within.append(node.name)
        for child in [*node.decorator_list, *([node.args] if isinstance(node, ast.FunctionDef) else []), *node.body]:
            self.visit(child)
        self._within.pop()

    visit_FunctionDef = visit_ClassDef = _named

    def visit_arg(self, node: ast.arg) -> None:
        """No annotation is mutated: mypy holds these."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Python 3.11 does not say where an expression of an f-string stands."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if ast.unparse(node.targets[0]) != "__all__":
            if isinstance(node.targets[0], ast.Attribute | ast.Subscript):  # a name not set is a NameError at once
                self._add(node, "dropped line", "pass")
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._add(node, "dropped line", "pass")
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "dropped line", "pass")

    def _dropped(self, node: ast.Continue | ast.Break) -> None:
        self._add(node, "dropped line", "pass")

    visit_Continue = visit_Break = _dropped

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "dropped line", "pass")
        self._changed(node, "arithmetic", op=_COMPUTED[type(node.op)]())
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._changed(node, "arithmetic", op=_COMPUTED[type(node.op)]())
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._changed(node, "comparison", op=_COMPUTED[type(node.op)]())
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for i, op in enumerate(node.ops):
            other = _COMPARED[type(op)]()
            self._changed(node, "comparison", ops=[*node.ops[:i], other, *node.ops[i + 1 :]])
        self.generic_visit(node)

    def _branch(self, node: ast.If | ast.IfExp) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._add(node.test, "swapped branches", f"(not ({ast.unparse(node.test)}))")
        self.generic_visit(node)

    visit_If = visit_IfExp = _branch

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, "constant", str(not node.value))
        elif isinstance(node.value, int):
            self._add(node, "constant", str(node.value + 1))
        elif isinstance(node.value, float):
            self._add(node, "constant", repr(2.0 * node.value or 1.0))


def mutants(file: str, source: bytes) -> list[Mutant]:
    """Every change of ``source`` that is known here, from the first line to the last."""
    sites = _Sites(file, source)
    sites.visit(ast.parse(source))
    return sites.found


def room(file: str) -> str:
    """The folder under halfsim/ that a file is in, as one says it: ``"autograd"``, or ``"top level"``."""
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else "top level"


@cache
def _by_room(root: Path) -> dict[str, list[Mutant]]:
    rooms: dict[str, list[Mutant]] = {}
    for path in sorted((root / "halfsim").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        rooms.setdefault(room(file), []).extend(mutants(file, path.read_bytes()))
    return rooms


def sample(root: Path, number: int, seed: int) -> list[Mutant]:
    """``number`` mutants of all rooms, in proportion to what can be changed in each; the same for the same seed."""
    rooms = _by_room(root)
    return [
        mutant
        for name, share in _shares({name: len(found) for name, found in rooms.items()}, number)
        for mutant in random.Random(f"{seed}/{name}").sample(rooms[name], share)
    ]


def _shares(sizes: dict[str, int], number: int) -> Iterator[tuple[str, int]]:
    """How many each gets, by largest remainders; every room at least one."""
    total = sum(sizes.values())
    exact = {name: max(1.0, number * size / total) for name, size in sizes.items()}
    left = number - sum(map(int, exact.values()))
    ahead = sorted(exact, key=lambda name: exact[name] % 1, reverse=True)[: max(left, 0)]
    for name, share in exact.items():
        yield name, int(share) + (name in ahead)
