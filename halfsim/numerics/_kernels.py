"""A block of numbers onto a grid: the kernels of every rounding mode, on scaled numbers and on encodings."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from halfsim.numerics._ends import settle
from halfsim.numerics._grid import BLOCK, CONTAINERS, Array, Grid
from halfsim.numerics._modes import Draws, drawn
from halfsim.numerics.rounding import CLIPS_INFINITIES

# Rounds a block of x into out, which may be x; returns where it overflowed, None for nowhere.
Kernel = Callable[[Array, Array, Grid, Draws | None], Array | None]


class _Scratch(threading.local):
    """Five blocks of words and three of bools a thread, made once: a fresh block costs its page faults each time."""

    def __init__(self) -> None:
        words: Array = np.empty((5, BLOCK), np.int64)
        self.bools = np.empty((3, BLOCK), np.bool_)
        self.floats = {dtype: [row.view(dtype)[:BLOCK] for row in words] for dtype in CONTAINERS}
        self.ints = {dtype: [row.view(f"i{dtype.itemsize}") for row in rows] for dtype, rows in self.floats.items()}


scratch = _Scratch()


def by_scaling(x: Array, out: Array, grid: Grid, draws: Draws | None) -> Array | None:
    """Divide by the ulp, make that an integer, multiply by the ulp.

    The ulp is a power of two that is normal in the container (see `held`), so that dividing and multiplying by it is
    exact within the container's range, and the one rounding is that to an integer, in the way of the mode.
    """
    n, rows = x.size, scratch.floats[grid.dtype]
    field, ulp, w = scratch.ints[grid.dtype][0][:n], rows[0][:n], rows[3][:n]
    np.bitwise_and(x.view(grid.integer), grid.exponent, out=field)
    large = np.maximum.reduce(field) >= grid.top
    small = None if grid.alone is None else np.less(field, grid.lowest)
    # All subnormal numbers are multiples of one ulp; of infinities and NaN no power of two could be made.
    field.clip(grid.lowest, grid.beyond, out=field)
    if small is not None:
        np.copyto(field, grid.alone, where=small)
    np.subtract(field, grid.ulp, out=field)  # the bits of the ulp, which `ulp` shows as a float
    t = rows[1][:n] if large else out  # which may be x, and that is looked at again
    np.divide(x if grid.floor is None else _lifted(x, grid), ulp, out=t)
    if draws is None:
        grid.make_integer(t, w)
    else:
        drawn(t, w, draws)
    np.multiply(t, ulp, out=t)
    if not large:  # no exponent from which rounding could carry past the range, so that nothing is left to settle
        return None
    over = settle(x, t, grid)  # which reads x: out may be the same array, and is written after it
    np.copyto(out, t)
    return over


def _lifted(x: Array, grid: Grid) -> Array:
    """``x`` with numbers so small that scaling them down would give zero made larger, but rounding the same way."""
    small = (np.abs(x) < grid.floor) & (x != 0)
    return np.where(small, np.copysign(grid.floor, x), x)


# Encodings: something is added to the magnitude, and what the target has no digits for is cut off. Read as an integer,
# the bits of a magnitude grow with it, across exponents too; so a carry out of the digits that stay is a rounding up.


def by_encoding(x: Array, out: Array, grid: Grid, draws: Draws | None) -> Array | None:
    """Where the target has the container's exponents, as bfloat16 has float32's.

    There the ulp of a small number is subnormal in the container, so that `by_scaling` cannot divide by it. What is
    added before the cut makes the mode: for nearest even half an ulp less the last bit, and that bit too where the last
    digit that stays is odd; for directed modes nothing, or an ulp less the last bit, by sign.
    """
    n, rows = x.size, scratch.ints[grid.dtype]
    code, more, field = x.view(grid.integer), rows[0][:n], rows[1][:n]
    even, odd_step, sign_step = grid.increment
    if draws is not None:
        _shifted(draws, grid.drop, more)
    elif odd_step:
        np.right_shift(code, grid.drop, out=more)
        if grid.single:  # with one digit every number but zero is odd, and of a tie the larger is taken (clause 4.3.1)
            np.minimum(np.bitwise_and(more, grid.single, out=more), 1, out=more)
        np.bitwise_and(more, 1, out=more)
        if odd_step != 1:
            np.multiply(more, odd_step, out=more)
        np.add(more, even, out=more)
    elif sign_step:
        np.right_shift(code, 8 * code.itemsize - 1, out=more)  # -1 for negative numbers
        np.multiply(more, -sign_step, out=more)
        np.add(more, even, out=more)
    np.add(code, more if draws is not None or odd_step or sign_step else even, out=more)
    np.bitwise_and(code, grid.exponent, out=field)
    return _finished(x, more, out, grid, np.maximum.reduce(field) >= grid.top)


def _finished(x: Array, more: Array, out: Array, grid: Grid, large: bool) -> Array | None:
    """Cut off what is too fine, and settle what is too large."""
    # A carry out of the significand went into the exponent, which is right: 1.11...1 rounds up to 10.0.
    if not large:
        np.bitwise_and(more, grid.kept, out=out.view(grid.integer))
        return None
    y = np.bitwise_and(more, grid.kept, out=more).view(grid.dtype)
    over = settle(x, y, grid)
    np.copyto(out, y)
    return over


def _shifted(draws: Draws, drop: int, out: Array) -> int:
    """The leading ``drop`` bits of what was drawn; returns how many of these were not drawn and are zero."""
    words, bits = draws
    if out.dtype == np.int32:
        out = out.view(np.uint32)
    np.copyto(out, words)
    (np.left_shift if drop > bits else np.right_shift)(out, abs(drop - bits), out=out)
    return max(drop - bits, 0)


def by_drawing(x: Array, out: Array, grid: Grid, draws: Draws | None) -> Array | None:
    """What `by_scaling` draws, on the encodings of normal numbers; the few that are not are scaled.

    There a number goes up if the bits below its ulp, counted from the integer below, are more than the bits drawn. From
    zero that is a carry of their sum with the complement of what was drawn, or for a negative number with that itself.
    """
    assert draws is not None
    n, rows = x.size, scratch.ints[grid.dtype]
    code, more, sign = x.view(grid.integer), rows[0][:n], rows[1][:n]
    np.bitwise_and(code, grid.exponent, out=more)
    large, tiny = np.maximum.reduce(more) >= grid.top, None
    if np.minimum.reduce(more) < grid.lowest:
        small = np.less(more, grid.lowest, out=scratch.bools[0][:n])
        np.logical_and(small, np.not_equal(x, 0, out=scratch.bools[1][:n]), out=small)
        if np.count_nonzero(small) > n // 16:
            return by_scaling(x, out, grid, draws)
        tiny = small.nonzero()[0]
    few = None if tiny is None else x[tiny]
    missing = _shifted(draws, grid.drop, more)
    if missing:  # with ones there, digits of the number that are finer than what was drawn never decide
        np.bitwise_or(more, (1 << missing) - 1, out=more)
    np.right_shift(code, 8 * code.itemsize - 1, out=sign)
    np.bitwise_xor(more, sign, out=more)
    np.bitwise_and(more, ~grid.kept, out=more)
    np.subtract(code, more, out=more)
    np.add(more, ~grid.kept, out=more)
    over = _finished(x, more, out, grid, large)
    if few is not None and few.size:
        by_scaling(few, few, grid, (draws[0][tiny], draws[1]))
        out[tiny] = few
    return over


def copied(x: Array, out: Array, grid: Grid, draws: Draws | None) -> Array | None:
    """All numbers of the container as they are, but for infinities that saturate."""
    np.copyto(out, x)
    if grid.target.overflow in CLIPS_INFINITIES and not np.isfinite(x).all():
        return settle(x, out, grid)
    return np.zeros(x.size, np.bool_)


def flush(x: Array, out: Array, grid: Grid) -> Array:
    """``x`` with subnormal numbers of the target as zeros of their sign, in ``out``."""
    room = scratch.floats[grid.dtype][3][: x.size]
    small = np.less(np.abs(x, out=room), grid.normal, out=scratch.bools[2][: x.size])
    if out is x:
        return np.multiply(x, np.logical_not(small, out=small), out=out) if small.any() else x
    np.copyto(out, x)
    np.logical_and(small, x, out=small)
    if small.any():  # without arithmetic, which would quiet a signaling NaN before it is seen
        out[small] = np.copysign(grid.dtype.type(0), out[small])
    return out
