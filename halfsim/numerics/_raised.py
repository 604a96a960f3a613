"""The flags that rounding a block raises."""

from __future__ import annotations

import numpy as np

from halfsim.numerics._grid import CONTAINERS, Array, Grid
from halfsim.numerics._kernels import scratch
from halfsim.numerics.flags import Flag, FlagCounts
from halfsim.numerics.formats import Format
from halfsim.numerics.rounding import CLIPS_INFINITIES, ZEROES_NAN


def observe(x: Array, y: Array, over: Array | None, grid: Grid, counts: FlagCounts | None, flags: Array | None) -> None:
    """Flags of rounding ``x`` to ``y``: tininess after rounding; ``over`` is where it overflowed."""
    inexact, tiny, work = (row[: x.size] for row in scratch.bools)
    np.not_equal(x, y, out=inexact)
    magnitude = np.abs(x, out=scratch.floats[grid.dtype][0][: x.size])
    # A kernel gives None for `over` if it has met no exponent as large as the largest number's: then there is no NaN.
    nan = over is not None and bool(np.isnan(magnitude.max()))
    if nan:  # which is unequal to itself, but not inexact; of bools `greater` is "and not"
        np.greater(inexact, np.isnan(x, out=work), out=inexact)
    if not grid.plain:
        np.greater(inexact, lacking(x, grid.target.format, out=work), out=inexact)
        if counts is not None:
            counts.invalid += int(np.count_nonzero(work))
    if flags is None and counts is not None and magnitude.view(grid.integer).min() >= grid.lowest:  # none is tiny
        counts.inexact += int(np.count_nonzero(inexact))
        counts.overflow += 0 if over is None else int(np.count_nonzero(over))
        return
    np.less(magnitude, grid.tiny[0], out=tiny)
    if grid.tiny[0] != grid.tiny[1]:  # in directed modes, which round the two signs differently
        np.copyto(tiny, magnitude < grid.tiny[1], where=np.signbit(x))
    underflow = np.logical_and(tiny, inexact, out=tiny)
    if counts is not None:
        counts.inexact += int(np.count_nonzero(inexact))
        counts.overflow += 0 if over is None else int(np.count_nonzero(over))
        small = int(np.count_nonzero(underflow))
        counts.underflow += small
        if small:
            np.logical_and(np.equal(y, 0, out=work), underflow, out=work)
            counts.flushed += int(np.count_nonzero(work))
    if flags is not None:
        flags |= inexact * np.uint8(Flag.INEXACT) | underflow * np.uint8(Flag.UNDERFLOW)
        if over is not None:
            flags |= over * np.uint8(Flag.OVERFLOW)
        if nan or not (grid.plain and grid.target.format.has_infinity):
            flags[invalid(x, over, grid)] = Flag.INVALID


def invalid(x: Array, over: Array | None, grid: Grid) -> Array:
    """Where ``x`` is a signaling NaN, or is something that the target has no encoding for."""
    fmt = grid.target.format
    if not fmt.has_special:
        bad = ~np.isfinite(x) | (False if over is None else over)
    else:
        quiet = grid.integer.type(1) << (CONTAINERS[grid.dtype].nmant - 1)  # 0 in a signaling NaN (clause 6.2.1)
        bad = np.isnan(x)
        if fmt.has_nan:
            bad &= x.view(grid.integer) & quiet == 0
        if grid.target.overflow in ZEROES_NAN:
            bad = np.isnan(x)
        if not fmt.has_infinity and grid.target.overflow not in CLIPS_INFINITIES:
            bad |= np.isinf(x)
    if not grid.plain:
        bad |= lacking(x, fmt)
    return bad


def lacking(x: Array, fmt: Format, out: Array | None = None) -> Array:
    """Where a number ``x`` has nothing near it in the format: a zero where there is none, or one below zero."""
    return np.logical_or((x == 0) & (fmt.zero_field == "normal"), (x < 0) & (not fmt.signed), out=out)
