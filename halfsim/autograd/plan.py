"""Plan: what a precision decides for every operation alike, worked out once and not at each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import container, holder

_Made = TypeVar("_Made")
_KNOWN = 256  # objects of which something is kept


def by_identity(make: Callable[[Any], _Made]) -> Callable[[Any], _Made]:
    """``make``, a function of one object, with its results kept by the identity of the object.

    Not by equality: equal precisions with stochastic rounding each draw from a stream of their own. And looking an
    identity up is quicker than a precision's hash, on a path that every operation takes.
    """
    known: dict[int, tuple[Any, _Made]] = {}  # each holds its object, so that no other takes its id

    def find(x: Any) -> _Made:
        found = known.get(id(x))
        if found is None:
            if len(known) >= _KNOWN:
                known.clear()
            found = known[id(x)] = x, make(x)
        return found[1]

    return find


class Plan:
    """Where an operation in one `Precision` rounds, and the dtypes that it computes and stores in.

    >>> from halfsim.numerics.formats import float16, float32
    >>> from halfsim.numerics.precision import FP16, PURE_FP16
    >>> plan = Plan(FP16)
    >>> plan.exact_store, plan.grids(float16), [fmt.name for fmt in plan.grids(float32)]
    (False, (), ['float16'])
    >>> Plan(PURE_FP16).exact_store
    True
    """

    __slots__ = (
        "_grids", "directed", "dtype", "exact_move", "exact_store", "exact_sums", "flushes", "holder", "loads", "mode",
        "narrow_operands", "native", "precision",
    )  # fmt: skip

    def __init__(self, precision: Precision) -> None:
        storage, compute, mode = precision.storage, precision.compute, precision.mode
        self.precision, self.mode = precision, mode
        self.flushes = mode is not None and mode.flush_inputs
        self.directed = mode is not None and not mode.nearest
        self.dtype = container(compute)
        if mode is not None and compute == float32 and (self.directed or mode.clips):
            self.dtype = np.dtype(np.float64)  # in float32 the host would round to nearest, and overflow to infinity
        self.native = mode is None and compute in (float32, float64)  # the container's arithmetic rounds
        self.holder = holder(storage)
        # Without a minus zero an exact result, as -x, may be a number that the format lacks.
        self.exact_store = storage.minus_zero and storage.contains(compute)
        self.exact_move = storage.minus_zero and compute.contains(storage)
        self.exact_sums = mode is None and compute.contains(precision.accumulate.format)
        operands = precision.operands
        self.narrow_operands = isinstance(operands, BlockFormat) or not operands.contains(storage)
        self._grids: dict[Format, tuple[Format, ...]] = {}
        self.loads = self.grids(storage)  # for the usual operand, an earlier result in the same storage

    def grids(self, fmt: Format) -> tuple[Format, ...]:
        """The formats that an operand of ``fmt`` is rounded to one after another as it is read; () where it fits.

        First storage, as if it had been written to memory, then compute, each only where it cannot hold what comes in.
        """
        found = self._grids.get(fmt)
        if found is None:
            given, grids = fmt, []
            for grid in (self.precision.storage, self.precision.compute):
                if not grid.contains(given):
                    grids.append(grid)
                    given = grid
            found = self._grids[fmt] = tuple(grids)
        return found


plan_of = by_identity(Plan)
