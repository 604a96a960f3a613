"""What becomes of numbers that rounding alone does not settle: too large, not finite, too small, without a code."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.numerics._grid import Array, Grid, Target
from halfsim.numerics.rounding import CLIPS_INFINITIES, ZEROES_NAN, outward


def settle(x: Array, y: Array, grid: Grid) -> Array:
    """Give ``y``, rounded from ``x`` with unbounded exponent, its largest numbers, infinities and NaN.

    Returns where a finite number overflowed, or an infinity that saturates.
    """
    goal, fmt = grid.target, grid.target.format
    special = ~np.isfinite(x)  # of which the kernels, which work on exponents, may have made anything
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
    if not fmt.has_special:
        return grid.max
    infinite = grid.dtype.type(np.inf if fmt.has_infinity else np.nan)
    return np.where(outward(goal.rounding, np.signbit(x), goal.overflow), infinite, grid.max)


def _absent(grid: Grid, x: Array) -> Any:
    """What ``x`` becomes where the format has nothing for it: NaN; for want of that infinity, or what is nearest 0."""
    fmt = grid.target.format
    if fmt.has_nan:
        return grid.dtype.type(np.nan)
    size = np.inf if fmt.has_infinity else 0.0 if fmt.zero_field != "normal" else fmt.smallest_normal
    return np.copysign(grid.dtype.type(size), x) if fmt.signed else grid.dtype.type(size)


def mend(x: Array, y: Array, over: Array | None, grid: Grid) -> None:
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
        np.add(y, 0, out=y)  # which makes +0 of -0, and leaves all others
    if not fmt.signed:
        negative = x < 0
        if negative.any():
            y[negative] = _absent(grid, x[negative])
            if over is not None:
                np.greater(over, negative, out=over)  # over, and not negative
