"""Rounding of float arrays onto the grid of a format: exact, in place, blocked for the cache.

The readable truth is `halfsim.numerics.exact_rounding`; this is how arrays are rounded. A number x with exponent
e = max(floor(log2 |x|), emin) lies between multiples of its ulp, 2**(e - p + 1). Scaling by a power of two is exact, so

    integer(x / 2**(e - p + 1)) * 2**(e - p + 1)

rounds once, for normal and subnormal results alike, and keeps the sign of zero; the rounding mode is in how the
scaled number becomes an integer. The exponent is read from the encoding. Where the target has the exponent range of the
container (bfloat16 in float32) the encoding itself is rounded as an integer, since there the ulp would leave
the container's range. Numbers too large, infinities and NaN are settled afterwards, in blocks that have any.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.numerics._ends import mend
from halfsim.numerics._grid import (
    BLOCK,
    CONTAINERS,
    Array,
    Grid,
    Target,
    computable,
    container,
    grid_of,
    held,
    holder,
    target,
)
from halfsim.numerics._kernels import Kernel, by_drawing, by_encoding, by_scaling, copied, flush, scratch
from halfsim.numerics._raised import invalid, lacking, observe
from halfsim.numerics.exact_rounding import round_rational
from halfsim.numerics.flags import Flag, FlagCounts, report_mask, watching
from halfsim.numerics.formats import Format, as_format, float16
from halfsim.numerics.inputs import as_floats, beyond_floats, widen
from halfsim.numerics.rounding import CLIPS_INFINITIES, Mode, Rounding, Stochastic, as_rounding, source_of

__all__ = ["BLOCK", "Array", "computable", "container", "flushed", "holder", "lacking", "round_", "round_to", "rounded"]


def _flat(x: Array) -> Array | None:
    """A one-dimensional view of ``x`` in memory order, or None where there is none."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    return x.T.reshape(-1) if x.flags.f_contiguous else None


def _row(x: Array) -> Array | None:
    """A one-dimensional view of ``x`` in C order, or None where there is none."""
    return x.reshape(-1) if x.flags.c_contiguous else None


def _round_flat(
    x: Array,
    out: Array,
    goal: Target,
    counts: FlagCounts | None,
    flags: Array | None,
    draw: Stochastic | None = None,
    overflowed: Array | None = None,
) -> None:
    """Round ``x`` into ``out``; ``overflowed``, if given, gains True where a finite number overflowed."""
    kernel, grid = _way(goal, x.dtype)
    if kernel is None:
        np.copyto(out, x)
        if flags is not None:
            flags[invalid(x, None, grid)] = Flag.INVALID
            np.multiply(out, 1, out=out)  # quiets a signaling NaN
        return
    if x.dtype != grid.dtype:
        for i in range(0, x.size, BLOCK):
            wide = widen(x[i : i + BLOCK])
            seen = [None if mask is None else mask[i : i + BLOCK] for mask in (flags, overflowed)]
            _round_flat(wide, wide, goal, counts, seen[0], draw, seen[1])
            out[i : i + BLOCK] = _narrowed(wide, x.dtype, goal, seen[0])
        return
    observed = counts is not None or flags is not None
    kept = observed or not grid.plain
    draws = None
    for i in range(0, x.size, BLOCK):
        source, end = x[i : i + BLOCK], out[i : i + BLOCK]
        if kept and np.may_share_memory(source, end):
            copy = scratch.floats[grid.dtype][2][: source.size]
            np.copyto(copy, source)
            source = copy
        if goal.flush_inputs:
            source = flush(source, scratch.floats[grid.dtype][4][: source.size], grid)
        if draw is not None and (grid.drop or kernel is by_scaling) and kernel is not copied:
            draws = draw.draw(source.size), draw.bits
        over = kernel(source, end, grid, draws)
        if overflowed is not None and over is not None:
            overflowed[i : i + BLOCK] |= over
        if goal.flush_outputs:
            flush(end, end, grid)
        if not grid.plain:
            mend(source, end, over, grid)
        if observed:
            observe(source, end, over, grid, counts, None if flags is None else flags[i : i + BLOCK])


@lru_cache(maxsize=256)
def _way(goal: Target, dtype: np.dtype[Any]) -> tuple[Kernel | None, Grid]:
    """What rounds arrays of ``dtype``, None where all their numbers stay, and in which container."""
    fmt, outer = goal.format, CONTAINERS[dtype]
    whole = fmt.contains(outer)
    if whole:
        still = goal.flush_inputs or goal.flush_outputs or goal.overflow in CLIPS_INFINITIES
        return copied if still else None, grid_of(goal, dtype)
    grid = grid_of(goal, dtype if held(fmt, outer) else np.dtype(np.float64))  # which has room for all formats
    if grid.same_range:
        return by_encoding, grid
    drawn = goal.rounding is Rounding.STOCHASTIC and grid.alone is None and grid.floor is None and grid.drop
    return by_drawing if drawn else by_scaling, grid


_TRUNCATING = Mode(Rounding.TOWARD_ZERO)


def _narrowed(wide: Array, dtype: np.dtype[Any], goal: Target, flags: Array | None) -> Array:
    """Numbers of the format as ``dtype``, which may lack the largest of them: the largest that both have instead.

    Past the range of ``dtype`` they are infinite unless overflow saturates; ``flags`` tell of the overflow.
    """
    fmt, outer = goal.format, as_format(dtype)
    ends = np.array([min(fmt.max, outer.max)])
    shared = float(rounded(ends, fmt if fmt.max > outer.max else outer, None, _TRUNCATING)[0])
    result, lost = wide.astype(dtype), np.isfinite(wide) & (np.abs(wide) > min(shared, outer.max))
    if lost.any():
        past = lost & (np.abs(wide) > outer.max)
        within = lost if goal.overflow != "infinity" else lost & ~past
        result[within] = np.copysign(dtype.type(shared), wide[within])
        if flags is not None:
            flags[past] |= np.uint8(Flag.OVERFLOW | Flag.INEXACT)
    return result


def round_(
    x: Array,
    fmt: Format,
    counts: FlagCounts | None = None,
    mode: Mode | None = None,
    over: Array | None = None,
) -> Array:
    """Round a float32 or float64 array that the caller owns; in place where its memory is one run.

    Returns ``x``, or a rounded copy where ``x`` is read-only or strided; gradients that use an operation's result find
    it as it was stored. Without ``mode``: to nearest, ties to even.
    Random numbers go to the elements in C order. ``over``, a C-contiguous array of bools of the shape of ``x``, gains
    True where a finite number overflowed.
    """
    if fmt is float16 and mode is None and counts is None and over is None and x.flags.writeable and _castable(x):
        x[...] = x.astype(_HALF)
        return x
    goal, source = _goal(fmt, mode)
    flat = (_row(x) if source is not None or over is not None else _flat(x)) if x.flags.writeable else None
    if flat is None:
        x = x.copy(order="C")
        flat = x.reshape(-1)
    if flat.size:
        _round_flat(flat, flat, goal, counts, None, source, None if over is None else over.reshape(-1))
    return x


_HALF = np.dtype(np.float16)
_SMALL = 256  # elements up to which NumPy's cast is faster than setting out for the passes of a block
_SAFE = 2.0**31  # a sum of squares below which every number lies in float16's range, and none is NaN


def _castable(x: Array) -> bool:
    """Whether NumPy's own cast to float16, nearest even too, does with ``x`` what `_round_flat` would, and sooner.

    Past the range it would warn, and of NaN it keeps but the upper bits.
    """
    return x.size <= _SMALL and x.flags.forc and bool(np.vdot(x, x) < _SAFE)


def rounded(x: Array, fmt: Format, counts: FlagCounts | None = None, mode: Mode | None = None) -> Array:
    """A new array of the dtype of ``x`` (float32 or float64) with its elements rounded to ``fmt``, as `round_` does."""
    if fmt is float16 and mode is None and counts is None and _castable(x):
        return x.astype(_HALF, "C").astype(x.dtype)
    if not (x.flags.c_contiguous and x.size):
        return round_(x.copy(order="C"), fmt, counts, mode)
    goal, source = _goal(fmt, mode)
    out = np.empty_like(x)
    _round_flat(x.reshape(-1), out.reshape(-1), goal, counts, None, source)
    return out


def is_floats(x: object) -> bool:
    """Whether NumPy has a float dtype for ``x`` as it is."""
    kind = (x if isinstance(x, (np.ndarray, np.generic)) else np.asarray(x)).dtype.kind
    return kind not in "biuOU"


def _goal(fmt: Format, mode: Mode | None) -> tuple[Target, Stochastic | None]:
    """The target of a rounding under ``mode``, and where it draws from."""
    if mode is None:
        return target(fmt), None
    results = "flush_outputs" if mode.flush_outputs else "keep"  # inputs are flushed by what reads them
    return target(fmt, as_rounding(mode.rounding), mode.overflow, results), source_of(mode.rounding)


def flushed(x: Array, fmt: Format) -> Array:
    """``x`` (float32 or float64) with the subnormal numbers of ``fmt`` as zeros of their sign."""
    small = (np.abs(x) < fmt.smallest_normal) & (x != 0)
    return np.where(small, np.copysign(x.dtype.type(0), x), x) if small.any() else x


def round_to(
    x: object,
    format: object = "float16",
    rounding: object = "nearest_even",
    *,
    overflow: str = "infinity",
    subnormals: str = "keep",
    out: Array | None = None,
    return_flags: bool = False,
) -> Any:
    """`halfsim.round_to`, whose rules stand there, for formats without blocks.

    >>> round_to([0.1, 65519.99, 65520.0, 2.0**-25], "float16")
    array([9.99755859e-02, 6.55040000e+04,            inf, 0.00000000e+00])
    """
    fmt = as_format(format)
    for argument, word in (("overflow", overflow), ("subnormals", subnormals)):
        if not isinstance(word, str):
            raise TypeError(f"{argument}: expected a string, got {type(word).__name__}")
    goal = target(fmt, as_rounding(rounding), overflow, subnormals)
    array = as_floats(x, fmt)
    shape, dtype = array.shape, array.dtype if is_floats(x) else container(fmt)
    if out is not None and (not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype):
        raise ValueError(f"out: allowed is an array of shape {shape} and dtype {dtype}")
    with np.errstate(all="ignore"):
        source = array.astype(np.float32) if dtype == np.float16 else array
        draw, beyond = source_of(rounding), beyond_floats(x, fmt)
        flat = _flat(source) if draw is None and not beyond else _row(source)  # both go by C order
        if flat is None:
            source = source.copy(order="C")
            flat = source.reshape(-1)
        aliased = out is not None and (source.ctypes.data != out.ctypes.data and np.may_share_memory(source, out))
        direct = out is not None and out.dtype == source.dtype and out.strides == source.strides and not aliased
        end = out if direct and out is not None else np.empty_like(source)
        run = _flat(end)
        assert run is not None  # laid out as `source`, whose memory is one run
        flags = np.zeros(flat.size, np.uint8) if return_flags or watching() else None
        _round_flat(flat, run, goal, None, flags, draw)
        for i, value in beyond.items():
            run[i], flag = round_rational(value, goal, draw)
            if flags is not None:
                flags[i] = flag
        result = end
        if end.dtype != dtype:
            result = np.empty_like(end, dtype)
            narrow = _flat(result)
            assert narrow is not None  # laid out as `end`
            narrow[...] = _narrowed(run, dtype, goal, flags)
        if out is not None and result is not out:
            out[...] = result
            result = out
    if flags is not None and watching():
        report_mask(flags, "round_to")
    if flags is None or not return_flags:
        return result
    return result, (flags.reshape(shape) if source.flags.c_contiguous else flags.reshape(shape[::-1]).T)
