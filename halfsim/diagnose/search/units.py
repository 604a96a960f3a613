"""Where operations run, as the patterns of a policy name it: modules, and operations within them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Unit: TypeAlias = tuple[str, str]  # an operation and the module that ran it, by path: ("encoder.0", "add")
Units: TypeAlias = frozenset[Unit]

DEFAULT: Unit = ("", "")  # the tensors that an experiment makes itself, which take the format of a policy's default


class Hierarchy:
    """All units of an experiment, in the order in which they first ran, by module; and how sets of them are named."""

    def __init__(self, units: Iterable[Unit] = ()) -> None:
        self.units = list(dict.fromkeys(units))
        self.all: Units = frozenset(self.units)
        self.paths = list(dict.fromkeys(path for path, _ in self.units if path))

    def blocks(self) -> list[Units]:
        """The outermost modules, and the operations outside all modules."""
        return self._parts("", self.units)

    def by_op(self) -> list[Units]:
        """The units of each operation, wherever they are."""
        ops = dict.fromkeys(op for _, op in self.units)
        return [frozenset(unit for unit in self.units if unit[1] == op) for op in ops]

    def finer(self, element: Units, down_to_ops: bool) -> list[Units]:
        """The parts of an element: of a module its modules and what it computes itself, and of that the operations.

        Without ``down_to_ops`` that is for operations outside all modules, which have no other name.
        """
        ordered = [unit for unit in self.units if unit in element]
        paths = {path for path, _ in ordered}
        if len(paths) > 1:
            return self._parts(_common(paths), ordered)
        return [frozenset([unit]) for unit in ordered] if down_to_ops or paths == {""} else [element]

    def modules(self, elements: list[Units]) -> list[Units]:
        """The ``elements`` as whole modules: where one computes something itself, that is with all modules inside."""
        found: list[Units] = []
        for element in elements:
            path = next(iter(element))[0]
            inside = frozenset(unit for unit in self.units if path and f"{unit[0]}.".startswith(f"{path}."))
            found.append(inside or element)
        return [one for i, one in enumerate(found) if not any(one < other for other in found)]

    def rules(self, kept: Units, by_op: bool = False) -> dict[str, bool]:
        """The patterns of a policy that keeps exactly ``kept``, and whether each is for what is kept."""
        default = DEFAULT in kept
        if by_op:
            ops = {f"@{op}": (path, op) in kept for path, op in self.units}
            return {"default": default, **{name: keep for name, keep in ops.items() if keep is not default}}
        found = {"default": default}
        self._rules(found, kept, "", self.units, default, {})
        return found

    def _rules(
        self, found: dict[str, bool], kept: Units, path: str, units: list[Unit], module: bool, ops: Mapping[str, bool]
    ) -> None:
        """The rules for ``units``, all of the module at ``path``, where the rules around say ``module`` and ``ops``."""
        if path and all((unit in kept) is not module for unit in units):
            module = found[path] = not module
        for op in (op for where, op in units if where == path):
            keep = (path, op) in kept
            if keep is not ops.get(op, module):
                found[f"{path}@{op}"] = keep
                ops = {**ops, op: keep}
        for child, inner in self._children(path, units).items():
            self._rules(found, kept, child, inner, module, ops)

    def names(self, kept: Units, by_op: bool = False) -> dict[str, Units]:
        """The shortest list of names of what is kept, each with its units."""
        found: dict[str, Units] = {"default": frozenset([DEFAULT])} if DEFAULT in kept else {}
        if by_op:
            found |= {
                f"@{op}": frozenset(u for u in kept if u[1] == op) for path, op in self.units if (path, op) in kept
            }
        else:
            self._names(found, kept, "", self.units)
        return found

    def _names(self, found: dict[str, Units], kept: Units, path: str, units: list[Unit]) -> None:
        if path and kept.issuperset(units):
            found[path] = frozenset(units)
            return
        for unit in units:
            if unit[0] == path and unit in kept:
                found[f"{path}@{unit[1]}"] = frozenset([unit])
        for child, inner in self._children(path, units).items():
            self._names(found, kept, child, inner)

    def _parts(self, path: str, units: list[Unit]) -> list[Units]:
        own = [unit for unit in units if unit[0] == path]
        parts = [frozenset(inner) for inner in self._children(path, units).values()]
        return [frozenset(own), *parts] if own else parts

    def _children(self, path: str, units: list[Unit]) -> dict[str, list[Unit]]:
        """The units inside ``path`` by the module, one level down, that they are in."""
        found: dict[str, list[Unit]] = {}
        start = len(path) + 1 if path else 0
        for unit in units:
            if unit[0] != path:
                found.setdefault(unit[0][:start] + unit[0][start:].partition(".")[0], []).append(unit)
        return found


def _common(paths: Iterable[str]) -> str:
    """The path of the innermost module that has all of ``paths`` in it."""
    split = [path.split(".") if path else [] for path in paths]
    shared = []
    for names in zip(*split, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)
