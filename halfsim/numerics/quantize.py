"""Rounding of float arrays onto the grid of a format: exact, in place, blocked for the cache.

This is the one place where values are rounded. A number x with exponent e = max(floor(log2 |x|), emin)
lies between multiples of its ulp, 2**(e - p + 1). Scaling by a power of two is exact, so

    integer(x * 2**(p - 1 - e)) * 2**(e - p + 1)

rounds once, for normal and subnormal results alike, and keeps the sign of zero; the rounding mode is in how the
scaled number becomes an integer. The exponent is read from the encoding. Where the target has the exponent range of the
container (bfloat16 in float32) the encoding itself is rounded as an integer, since there the scale factor would leave
the container's range. Numbers too large, infinities and NaN are settled afterwards, in blocks that have any.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

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
from halfsim.numerics._modes import INCREMENT, SCALED
from halfsim.numerics.exact_rounding import round_rational
from halfsim.numerics.flags import Flag, FlagCounts, report_mask, watching
from halfsim.numerics.formats import Format, as_format
from halfsim.numerics.inputs import as_floats, beyond_floats, widen
from halfsim.numerics.rounding import (
    CLIPS_INFINITIES,
    ZEROES_NAN,
    Mode,
    Rounding,
    Stochastic,
    as_rounding,
    outward,
    source_of,
)

__all__ = ["BLOCK", "Array", "computable", "container", "flushed", "holder", "lacking", "round_", "round_to", "rounded"]


class _Scratch(threading.local):
    """Five blocks of words and three of bools a thread, made once: a fresh block costs its page faults each time."""

    def __init__(self) -> None:
        words: Array = np.empty((5, BLOCK), np.int64)
        self.bools = np.empty((3, BLOCK), np.bool_)
        self._rows = {
            dtype: tuple((row.view(np.dtype(f"i{dtype.itemsize}"))[:BLOCK], row.view(dtype)[:BLOCK]) for row in words)
            for dtype in CONTAINERS
        }

    def ints(self, row: int, grid: Grid, n: int) -> Array:
        return self._rows[grid.dtype][row][0][:n]

    def floats(self, row: int, grid: Grid, n: int) -> Array:
        return self._rows[grid.dtype][row][1][:n]


_scratch = _Scratch()


def _round_scaled(x: Array, out: Array, grid: Grid, source: Stochastic | None) -> Array | None:
    """Round a block; returns where it overflowed, None for nowhere."""
    n = x.size
    field, scale = _scratch.ints(0, grid, n), _scratch.ints(1, grid, n)
    ulp, work = _scratch.floats(0, grid, n), _scratch.floats(1, grid, n)
    np.bitwise_and(x.view(grid.integer), grid.exponent, out=field)
    large = field.max() >= grid.top
    if large:  # infinities and NaN have the field of all ones, from which no power of two could be made
        np.minimum(field, grid.beyond, out=field)
    if grid.alone is not None:
        np.copyto(field, grid.alone, where=np.less(field, grid.lowest[:n], out=_scratch.bools[0][:n]))
    np.maximum(field, grid.lowest[:n], out=field)  # all subnormal numbers are multiples of one ulp
    np.subtract(grid.pivot, field, out=scale)  # the bits of 2**(p - 1 - e), which `work` shows as a float
    np.multiply(x if grid.floor is None else _lifted(x, grid), work, out=work)
    SCALED[grid.target.rounding](work, _scratch.floats(3, grid, n), source)
    np.subtract(field, grid.ulp, out=field)  # the bits of the ulp, which `ulp` shows as a float
    if not large:
        np.multiply(work, ulp, out=out)
        return None
    np.multiply(work, ulp, out=work)
    over = _settle(x, work, grid)  # which reads x: out may be the same array, and is written after it
    np.copyto(out, work)
    return over


def _lifted(x: Array, grid: Grid) -> Array:
    """``x`` with numbers so small that scaling them down would give zero made larger, but rounding the same way."""
    small = (np.abs(x) < grid.floor) & (x != 0)
    return np.where(small, np.copysign(grid.floor, x), x)


def _round_encoding(x: Array, out: Array, grid: Grid, source: Stochastic | None) -> Array | None:
    """The same on the encoding."""
    code, odd = x.view(grid.integer), _scratch.ints(0, grid, x.size)
    np.right_shift(code, grid.drop, out=odd)
    if grid.single:  # with one digit every number but zero is odd, and of a tie the larger is taken (clause 4.3.1)
        np.minimum(np.bitwise_and(odd, grid.single, out=odd), 1, out=odd)
    np.bitwise_and(odd, 1, out=odd)
    more = INCREMENT[grid.target.rounding](code, odd, grid.drop, source) if grid.drop else 0
    np.add(more, code, out=odd)
    # A carry out of the significand goes into the exponent, which is right: 1.11...1 rounds up to 10.0.
    np.bitwise_and(odd, ~((1 << grid.drop) - 1), out=odd)
    y, over = odd.view(grid.dtype), None
    if np.bitwise_and(code, grid.exponent, out=_scratch.ints(1, grid, x.size)).max() >= grid.top:
        over = _settle(x, y, grid)
    np.copyto(out, y)
    return over


def _settle(x: Array, y: Array, grid: Grid) -> Array:
    """Give ``y``, rounded from ``x`` with unbounded exponent, its largest numbers, infinities and NaN.

    Returns where a finite number overflowed, or an infinity that saturates.
    """
    goal, fmt = grid.target, grid.target.format
    special = ~np.isfinite(x)
    over = ~(np.abs(y) <= grid.max) & ~special  # a NaN here is a number that scaling took out of the container
    if over.any():
        y[over] = np.copysign(_beyond(goal, x[over], grid), x[over])
    if special.any():
        given = x[special]
        infinite, nan = np.isinf(given), _absent(grid, given)
        if fmt.has_nan:
            nan = given * grid.dtype.type(1)  # quiets a signaling NaN, keeps its sign and payload
        clipped = not fmt.has_special or goal.overflow in CLIPS_INFINITIES
        if goal.overflow in ZEROES_NAN and fmt.zero_field != "normal":
            nan = np.zeros_like(given)
        ends = grid.max if clipped else grid.dtype.type(np.inf if fmt.has_infinity else np.nan)
        y[special] = np.where(infinite, np.copysign(ends, given), nan)
        if fmt.has_special and clipped:
            over[special] = infinite
    return over


def _beyond(goal: Target, x: Array, grid: Grid) -> Any:
    """The magnitude that numbers ``x`` past the largest finite one become."""
    fmt = goal.format
    if goal.overflow != "infinity" or not fmt.has_special:
        return grid.max
    infinite = grid.dtype.type(np.inf if fmt.has_infinity else np.nan)
    return np.where(outward(goal.rounding, np.signbit(x)), infinite, grid.max)


def _absent(grid: Grid, x: Array) -> Any:
    """What ``x`` becomes where the format has nothing for it: NaN; for want of that infinity, or what is nearest 0."""
    fmt = grid.target.format
    if fmt.has_nan:
        return grid.dtype.type(np.nan)
    size = np.inf if fmt.has_infinity else 0.0 if fmt.zero_field != "normal" else fmt.smallest_normal
    return np.copysign(grid.dtype.type(size), x) if fmt.signed else grid.dtype.type(size)


def _mend(x: Array, y: Array, over: Array | None, grid: Grid) -> None:
    """Give ``y``, rounded from ``x`` as if all had codes, what stands for -0, zero and negative numbers that have none.

    Where there is no zero, numbers too small become the smallest one. No negative number is ``over`` the largest.
    """
    fmt = grid.target.format
    if fmt.zero_field == "normal":
        zero = y == 0
        if zero.any():
            given = x[zero]
            y[zero] = np.where(given == 0, _absent(grid, given), np.copysign(grid.normal, given))
    elif not fmt.minus_zero:
        np.add(y, 0, out=y)  # of -0
    if not fmt.signed:
        negative = x < 0
        if negative.any():
            y[negative] = _absent(grid, x[negative])
            if over is not None:
                np.greater(over, negative, out=over)


def _flush(x: Array, out: Array, grid: Grid) -> Array:
    """``x`` with subnormal numbers of the target as zeros of their sign, in ``out``."""
    small = np.less(np.abs(x, out=_scratch.floats(3, grid, x.size)), grid.normal, out=_scratch.bools[2][: x.size])
    if out is x:
        return np.multiply(x, np.logical_not(small, out=small), out=out) if small.any() else x
    np.copyto(out, x)
    np.logical_and(small, x, out=small)
    if small.any():  # without arithmetic, which would quiet a signaling NaN before it is seen
        out[small] = np.copysign(grid.dtype.type(0), out[small])
    return out


def _observe(
    x: Array, y: Array, over: Array | None, grid: Grid, counts: FlagCounts | None, flags: Array | None
) -> None:
    """Flags of rounding ``x`` to ``y``: tininess after rounding; ``over`` is where it overflowed."""
    inexact, tiny, work = (row[: x.size] for row in _scratch.bools)
    np.not_equal(x, y, out=inexact)
    magnitude = np.abs(x, out=_scratch.floats(0, grid, x.size))
    nan = over is not None and bool(np.isnan(magnitude.max()))  # past the largest number's exponent alone
    if nan:  # a NaN is not inexact
        np.greater(inexact, np.isnan(x, out=work), out=inexact)
    if not grid.plain:
        np.greater(inexact, lacking(x, grid.target.format, out=work), out=inexact)
        if counts is not None:
            counts.invalid += int(np.count_nonzero(work))
    if flags is None and counts is not None and magnitude.view(grid.integer).min() >= grid.lowest[0]:  # none is tiny
        counts.inexact += int(np.count_nonzero(inexact))
        counts.overflow += 0 if over is None else int(np.count_nonzero(over))
        return
    np.less(magnitude, grid.tiny[0], out=tiny)
    if grid.tiny[0] != grid.tiny[1]:
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
            flags[_invalid(x, over, grid)] = Flag.INVALID


def _invalid(x: Array, over: Array | None, grid: Grid) -> Array:
    """Where ``x`` is a signaling NaN, or is something that the target has no encoding for."""
    fmt = grid.target.format
    if not fmt.has_special:
        bad = ~np.isfinite(x) | (False if over is None else over)
    else:
        quiet = grid.integer.type(1) << (CONTAINERS[grid.dtype].nmant - 1)
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
    fmt, outer = goal.format, CONTAINERS[x.dtype]
    whole, clips = fmt.contains(outer), goal.overflow in CLIPS_INFINITIES
    if whole and not (goal.flush_inputs or goal.flush_outputs or clips):
        np.copyto(out, x)
        if flags is not None:
            flags[_invalid(x, None, grid_of(goal, x.dtype))] = Flag.INVALID
            np.multiply(out, 1, out=out)  # quiets a signaling NaN
        return
    if not whole and not held(fmt, outer):
        for i in range(0, x.size, BLOCK):  # float64 has room for all formats
            wide = widen(x[i : i + BLOCK])
            seen = [None if mask is None else mask[i : i + BLOCK] for mask in (flags, overflowed)]
            _round_flat(wide, wide, goal, counts, seen[0], draw, seen[1])
            out[i : i + BLOCK] = _narrowed(wide, x.dtype, goal, seen[0])
        return
    grid = grid_of(goal, x.dtype)
    rounding = _copy if whole else _round_encoding if grid.same_range else _round_scaled
    observed = counts is not None or flags is not None
    kept = observed or not grid.plain
    for i in range(0, x.size, BLOCK):
        source, end = x[i : i + BLOCK], out[i : i + BLOCK]
        if kept and np.may_share_memory(source, end):
            copy = _scratch.floats(2, grid, source.size)  # rounded in place, the operand is wanted again afterwards
            np.copyto(copy, source)
            source = copy
        if goal.flush_inputs:
            source = _flush(source, _scratch.floats(4, grid, source.size), grid)
        over = rounding(source, end, grid, draw)
        if overflowed is not None and over is not None:
            overflowed[i : i + BLOCK] |= over
        if goal.flush_outputs:
            _flush(end, end, grid)
        if not grid.plain:
            _mend(source, end, over, grid)
        if observed:
            _observe(source, end, over, grid, counts, None if flags is None else flags[i : i + BLOCK])


def _copy(x: Array, out: Array, grid: Grid, source: Stochastic | None) -> Array | None:
    np.copyto(out, x)
    if grid.target.overflow in CLIPS_INFINITIES and not np.isfinite(x).all():
        return _settle(x, out, grid)
    return np.zeros(x.size, np.bool_)


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

    Returns ``x``, or a rounded copy where ``x`` is read-only or strided. Without ``mode``: to nearest, ties to even.
    Random numbers go to the elements in C order. ``over``, a C-contiguous array of bools of the shape of ``x``, gains
    True where a finite number overflowed.
    """
    goal, source = _goal(fmt, mode)
    flat = (_row(x) if source is not None or over is not None else _flat(x)) if x.flags.writeable else None
    if flat is None:
        x = x.copy(order="C")
        flat = x.reshape(-1)
    if flat.size:
        _round_flat(flat, flat, goal, counts, None, source, None if over is None else over.reshape(-1))
    return x


def rounded(x: Array, fmt: Format, counts: FlagCounts | None = None, mode: Mode | None = None) -> Array:
    """A new array of the dtype of ``x`` (float32 or float64) with its elements rounded to ``fmt``, as `round_` does."""
    if not (x.flags.c_contiguous and x.size):
        return round_(x.copy(order="C"), fmt, counts, mode)
    goal, source = _goal(fmt, mode)
    out = np.empty_like(x)
    _round_flat(x.reshape(-1), out.reshape(-1), goal, counts, None, source)
    return out


def _is_floats(x: object) -> bool:
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
    """Round every element of ``x`` to a number of ``format``, once.

    ``x`` is an array-like of any shape; float16, float32 and float64 keep their dtype (a result past its range is
    infinite, or where overflow saturates the largest number that it has too), as do Python's floats, which are float64.
    What has no such dtype (integers, str, Decimal, Fraction) gives the one that carries ``format`` in a tensor: float32
    for float16, the 8-bit formats and float32, float64 for bfloat16 and what is wider. A longdouble gives float64.
    ``rounding`` is a `Rounding`, its name, or a `Stochastic`. NaN stays NaN with its sign and payload (a signaling one
    is quieted), infinities and both zeros stay, and a result that rounds to zero keeps its sign. Past the overflow
    threshold a number becomes infinity or, where the mode rounds it inward, the largest finite number, as it always
    does with ``overflow="saturate"``; with "saturate_inf" infinities become that too, and count as overflows, and with
    "saturate_nan", the mode of Ascend 910, NaN becomes 0 besides, and is invalid. Formats without infinities have NaN
    in their place; those without NaN either take the largest number for infinity and zero for NaN. What a format has
    nothing near for, a negative number without a sign or a zero where there is none, is NaN (for want of one the
    smallest number); where there is one zero, -0 is 0. ``subnormals`` is "keep", or flushes those of ``format`` to
    zeros of their sign: "flush_inputs" before rounding (unflagged), "flush_outputs" after it, "flush" both. Random
    numbers go to the elements in C order, whatever the memory layout of ``x``.
    ``out``, which may be ``x``, is an array of the result's shape and dtype. With ``return_flags`` the result is
    ``(y, flags)``, the latter a uint8 mask of `Flag` for each element, tininess judged after rounding (before it
    for stochastic rounding). ``ValueError`` for unknown words and a mismatched ``out``, ``TypeError`` for what is
    no real number. The rules are those of IEEE 754-2019 clauses 4.3 and 7.

    >>> round_to([0.1, 65519.99, 65520.0, 2.0**-25], "float16")
    array([9.99755859e-02, 6.55040000e+04,            inf, 0.00000000e+00])
    >>> round_to([0.1, -0.1, 1e9], "float16", "upward")
    array([ 0.10003662, -0.09997559,         inf])
    """
    fmt = as_format(format)
    for argument, word in (("overflow", overflow), ("subnormals", subnormals)):
        if not isinstance(word, str):
            raise TypeError(f"{argument}: expected a string, got {type(word).__name__}")
    goal = target(fmt, as_rounding(rounding), overflow, subnormals)
    array = as_floats(x, fmt)
    shape, dtype = array.shape, array.dtype if _is_floats(x) else container(fmt)
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
