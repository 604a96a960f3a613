"""Kernels that only optimizers run, and what they tell the trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import follow
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.counting import finite
from halfsim.autograd.follow import note
from halfsim.autograd.kernel import private
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace import LostConstant, active
from halfsim.numerics.flags import Flag, FlagCounts
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, container, round_to
from halfsim.numerics.rounding import Stochastic


@private
def maximum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The larger of two values; NaN where either is."""
    return np.maximum(a, b), ()


@private
def sign(fp: Arithmetic, x: Array, /) -> Any:
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return np.where(np.isnan(x), x.dtype.type(0), np.sign(x)), ()


def narrowed(x: Tensor, fmt: Format, source: Stochastic, label: str) -> Tensor:
    """``x`` rounded to ``fmt`` stochastically, once, in the sight of the trace."""
    y, flags = round_to(x.data, fmt, source, return_flags=True)
    trace = active()
    if trace is not None:
        counts = FlagCounts(size=x.size, nonzero=int(np.count_nonzero(x.data)))
        for flag in (Flag.INEXACT, Flag.UNDERFLOW, Flag.OVERFLOW):
            setattr(counts, str(flag.name).lower(), int(np.count_nonzero(flags & flag)))
        counts.flushed = int(np.count_nonzero((y == 0) & (x.data != 0)))
        note("round_to", label, x.shape, counts, format=fmt)
    return Tensor(y.astype(container(fmt), copy=False), fmt)


def count_lost(p: Tensor, same: Array, direction: Tensor) -> None:
    """Tell the trace how many finite weights a nonzero direction left as they were, with a gradient and in all."""
    trace = active()
    if trace is None or p.grad is None:
        return
    meant = direction.data != 0
    if not finite(p.data):
        meant &= np.isfinite(p.data)
    same &= meant
    counts = FlagCounts(size=p.size, updates=int(np.count_nonzero(meant)), lost=int(np.count_nonzero(same)))
    if direction.data is p.grad.data:
        counts.addends, counts.swamped = counts.updates, counts.lost
    else:
        live = p.grad.data != 0
        counts.addends, counts.swamped = int(np.count_nonzero(meant & live)), int(np.count_nonzero(same & live))
    counts.stalled = counts.swamped
    note("update", "", p.shape, counts, format=p.format, origin=follow.origin([p.grad], trace))


def count_idle(op: str, before: Tensor, after: Tensor) -> None:
    """Tell the trace how many finite nonzero weights a step that shrinks them all left as they were."""
    if active() is not None:
        meant = (before.data != 0) & np.isfinite(before.data)
        counts = FlagCounts(size=before.size, addends=int(np.count_nonzero(meant)))
        counts.swamped = counts.stalled = int(np.count_nonzero(meant & (before.data == after.data)))
        note(op, "", before.shape, counts, format=after.format)


def watch_constant(op: str, name: str, value: float, fmt: Format) -> None:
    """Tell the trace if ``fmt`` makes zero or infinity of a hyper-parameter."""
    trace = active()
    small, large = 0 < value <= fmt.smallest_subnormal / 2, fmt.max * (1 + fmt.epsneg / 2) <= value
    if trace is not None and (small or large):
        counts = FlagCounts(size=1, nonzero=1, inexact=1)
        counts.underflow = counts.flushed = int(small)
        counts.overflow = int(large)
        lost = LostConstant(f"{name} =", float(value), fmt)
        note(op, name, (), counts, lost=lost, format=fmt)
