"""What conversion does to weights, and what each node does to the user's data: the evidence for what must stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from halfsim.autograd.observer import observing
from halfsim.card import Record
from halfsim.diagnose.trace import Trace
from halfsim.nn.conversion import Conversion, ConversionRow, conversion_report
from halfsim.numerics.precision import FP64
from halfsim.onnx.conversion.converted import Converted, Keep, Outputs
from halfsim.onnx.values import is_float

Element = tuple[str, str]  # "tensor" or "node", and its name


@dataclass(frozen=True)
class NodeRow(Record):
    """What one node did over all samples that were traced.

    ``made`` is the largest relative error that it made of its operands as they were, ``total`` that of its results,
    both against float64 and as norms; ``overflow`` numbers became infinite, ``flushed`` of ``nonzero`` ones zero, and
    ``cancelled`` differences have few leading bits left. ``largest`` is the largest finite magnitude of its results in
    float32. ``kept`` says why it is in float32: "node", "tensor" that it reads, "file" (its operator has no half
    form, or it computes lengths), or "" where it is not.
    """

    path: str
    op_type: str
    made: float = 0.0
    total: float = 0.0
    overflow: int = 0
    flushed: int = 0
    nonzero: int = 0
    cancelled: int = 0
    largest: float = 0.0
    kept: str = ""


def weights(model: Converted) -> Conversion:
    """What storing the weights in the target does to each."""
    report = conversion_report(model.model, model.target.storage)
    return Conversion(report.format, tuple(row for row in report.rows if row.name in model.tensors))


class Evidence:
    """Gathers what nodes do, sample by sample; of the samples nothing is kept."""

    def __init__(self, model: Converted) -> None:
        self.model, self.trace = model, Trace(FP64, frames=0)
        self.largest: dict[str, float] = {}  # by node, of its results in float32
        self.hot: set[str] = set()  # values that are past the target's largest number somewhere
        self.traced = 0

    def wide(self, feeds: Mapping[str, Any]) -> Outputs:
        """The outputs in float32, with a look at the size of every value on the way."""
        return self.model.run(feeds, None, [self.model.hooked(self._seen)])

    def _seen(self, path: str, results: Any) -> None:
        limit = self.model.target.storage.max
        for name, x in zip(self.model.nodes[path].outputs, results, strict=False):
            if not is_float(x):
                continue
            size = np.abs(x.array)
            most = float(size.max(initial=0))
            if not isfinite(most):
                most = float(size[np.isfinite(size)].max(initial=0))
            self.largest[path] = max(self.largest.get(path, 0.0), most)
            if most > limit:
                self.hot.add(name)

    def narrow(self, feeds: Mapping[str, Any], keep: Keep) -> None:
        """Trace a run in the target; what it raises is no matter here."""
        self.traced += 1
        try:
            self.model.run(feeds, keep, [observing(self.trace)], whole=True)
        except (ValueError, TypeError, ArithmeticError, IndexError):
            return

    def rows(self) -> list[NodeRow]:
        """What each node did, in the order of the file; those that rounded nothing are left out."""
        rows: dict[str, NodeRow] = {}
        for (_, path, _, _), total in self.trace.places.items():
            if path in self.model.nodes:
                op, c = self.model.nodes[path].op_type, total.counts
                known = rows.get(path) or NodeRow(path, op, largest=self.largest.get(path, 0.0))
                rows[path] = replace(
                    known,
                    made=max(known.made, 0.0 if total.local is None else total.local.relative),
                    total=max(known.total, 0.0 if total.total is None else total.total.relative),
                    overflow=known.overflow + c.overflow + c.divide_by_zero,
                    flushed=known.flushed + c.flushed,
                    nonzero=known.nonzero + c.nonzero,
                    cancelled=known.cancelled + c.cancelled + c.annulled,
                )
        return [rows[path] for path in self.model.nodes if path in rows]

    def near_hot(self) -> list[str]:
        """The nodes that make or read a value past the target's largest number, in the order of the file."""
        nodes = self.model.nodes.items()
        return [path for path, node in nodes if not self.hot.isdisjoint((*node.outputs, *node.inputs))]


def lossy(rows: Iterable[ConversionRow], past: bool = False) -> list[str]:
    """The tensors that lost numbers, worst first; with ``past`` only those with numbers past the largest one."""
    worst = sorted(
        (r for r in rows if (r.to_infinity if past else r.lost)),
        key=lambda r: (-(r.to_infinity > 0), *(-_share(n, r) for n in (r.to_infinity, r.to_zero, r.to_subnormal))),
    )
    return [row.name for row in worst]


def _share(n: int, row: ConversionRow) -> float:
    return n / row.nonzero if row.nonzero else 0.0


def by_error(rows: Sequence[NodeRow]) -> list[str]:
    """The nodes, first those that overflowed, then by the error that they made."""
    return [r.path for r in sorted(rows, key=lambda r: (-(r.overflow > 0), -(r.made if isfinite(r.made) else inf)))]


def elements_of(kind: str, names: Iterable[str]) -> list[Element]:
    """Names of one kind, "tensor" or "node"."""
    return [(kind, name) for name in names]


def names_of(elements: Iterable[Element]) -> tuple[str, ...]:
    """The names alone."""
    return tuple(name for _, name in elements)


def keep_of(elements: Iterable[Element]) -> Keep:
    """What stays in float32 where ``elements`` do."""
    given = list(elements)
    return Keep(*(frozenset(name for kind, name in given if kind == wanted) for wanted in ("node", "tensor")))
