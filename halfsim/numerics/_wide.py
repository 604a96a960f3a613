"""Rounding of exact rationals one by one, for the few formats that float64 cannot stand in for."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from halfsim.numerics._grid import Target
from halfsim.numerics.flags import Flag
from halfsim.numerics.rounding import Rounding, Stochastic

_HALF = Fraction(1, 2)

# Whether to increment the magnitude n, of which `rest` was cut off.
_UP: dict[Rounding, Callable[[int, Fraction, bool], bool]] = {
    Rounding.NEAREST_EVEN: lambda n, rest, negative: rest > _HALF or (rest == _HALF and n % 2 == 1),
    Rounding.NEAREST_AWAY: lambda n, rest, negative: rest >= _HALF,
    Rounding.TOWARD_ZERO: lambda n, rest, negative: False,
    Rounding.UPWARD: lambda n, rest, negative: rest > 0 and not negative,
    Rounding.DOWNWARD: lambda n, rest, negative: rest > 0 and negative,
    Rounding.TO_ODD: lambda n, rest, negative: rest > 0 and n % 2 == 0,
}


def round_rational(value: Fraction, goal: Target, source: Stochastic | None) -> tuple[float, int]:
    """``value``, not zero, rounded as ``goal`` says, and the flags; the same rules as `round_to`'s."""
    fmt, negative, magnitude = goal.format, value < 0, abs(value)
    sign = -1.0 if negative else 1.0
    normal = Fraction(2) ** fmt.emin
    if goal.flush_inputs and magnitude < normal:
        return math.copysign(0.0, sign), 0

    def integral(power: int) -> tuple[int, bool]:
        n, rest = divmod(magnitude / Fraction(2) ** power, 1)
        if source is not None:
            return n + (int(rest * 2**source.bits) > int(source.draw(1)[0])), rest > 0
        odd = n or 0 if fmt.precision > 1 else int(n > 0)  # with one digit every number but zero is odd
        return n + _UP[goal.rounding](odd, rest, negative), rest > 0

    exponent = _exponent(magnitude)
    power = max(exponent, fmt.emin) - fmt.precision + 1
    n, inexact = integral(power)
    result = n * Fraction(2) ** power
    flags = Flag.INEXACT if inexact else Flag(0)
    if result > Fraction(fmt.max):
        return math.copysign(_overflow(goal, negative), sign), int(Flag.OVERFLOW | Flag.INEXACT)
    if inexact and magnitude < normal:
        free = exponent - fmt.precision + 1
        tiny = source is not None or integral(free)[0] * Fraction(2) ** free < normal
        flags |= Flag.UNDERFLOW if tiny else Flag(0)
    if goal.flush_outputs and result < normal:
        result, flags = Fraction(0), Flag.INEXACT | Flag.UNDERFLOW
    return math.copysign(float(result), sign), int(flags)


def _exponent(magnitude: Fraction) -> int:
    guess = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return guess if magnitude >= Fraction(2) ** guess else guess - 1


def _overflow(goal: Target, negative: bool) -> float:
    inward = {Rounding.UPWARD: negative, Rounding.DOWNWARD: not negative}.get(goal.rounding, False)
    truncating = goal.rounding in (Rounding.TOWARD_ZERO, Rounding.TO_ODD)
    if goal.saturate or truncating or inward or goal.format.specials == "none":
        return goal.format.max
    return math.inf if goal.format.specials == "ieee" else math.nan
