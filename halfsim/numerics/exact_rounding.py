"""Rounding in exact fractions, one number at a time: slow, readable, and what the fast ways are held to.

A number is cut to units of its last place, and `halfsim.numerics.rounding.AWAY` decides whether the cut number goes one
unit up. Codes of one sign are consecutive, so that a carry out of the significand moves into the exponent by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from halfsim.card import Record
from halfsim.numerics._grid import Target
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format
from halfsim.numerics.layout import layout
from halfsim.numerics.rounding import AWAY, Rounding, Stochastic, outward

HALF = Fraction(1, 2)


def power(exponent: int) -> Fraction:
    """2**exponent, exactly."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def log2_floor(x: Fraction) -> int:
    """The exponent of a positive number: the largest e with 2**e <= x."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if power(e) <= x else e - 1


def value_of(fmt: Format, magnitude: int) -> Fraction:
    """The number of a magnitude, as if the format had no special values and its exponents no end."""
    biased, trailing = divmod(magnitude, 1 << fmt.nmant)
    implicit = magnitude >= layout(fmt).normal
    return (trailing + (implicit << fmt.nmant)) * power(max(biased - fmt.bias, fmt.emin) - fmt.nmant)


@dataclass(frozen=True)
class Number(Record):
    """One code of a format, read as sign, exponent and significand (IEEE 754-2019 clause 3.4)."""

    format: Format
    code: int

    @property
    def sign(self) -> int:
        """The sign bit, 1 for negative; 0 in a format without."""
        return int(layout(self.format).parts(self.code)[1])

    @cached_property
    def magnitude(self) -> int:
        """The code without its sign; see `halfsim.numerics.layout.Layout`."""
        return int(layout(self.format).parts(self.code)[0])

    @property
    def biased_exponent(self) -> int:
        """The exponent field as an unsigned integer."""
        return (self.code >> self.format.nmant) & ((1 << self.format.nexp) - 1)

    @property
    def trailing(self) -> int:
        """The trailing significand field as an unsigned integer."""
        return self.code & ((1 << self.format.nmant) - 1)

    @property
    def kind(self) -> str:
        """One of "normal", "subnormal", "zero", "infinity", "NaN"."""
        lay = layout(self.format)
        if self.magnitude > lay.largest:
            return "infinity" if self.magnitude == lay.infinity else "NaN"
        if self.magnitude >= lay.normal:
            return "normal"
        return "subnormal" if self.magnitude else "zero"

    @property
    def signaling(self) -> bool:
        """Whether this is a NaN with a quiet bit of 0."""
        quiet = layout(self.format).quiet
        return bool(quiet) and self.kind == "NaN" and not self.code & quiet

    @property
    def quieted(self) -> Number:
        """The number itself; of a signaling NaN the quiet one."""
        return Number(self.format, self.code | layout(self.format).quiet) if self.kind == "NaN" else self

    @property
    def exponent(self) -> int:
        """The unbiased exponent; that of the smallest normal number for subnormals and zeros."""
        return max(self.biased_exponent - self.format.bias, self.format.emin)

    @property
    def significand(self) -> int:
        """The significand with its implicit bit, as an integer below 2**precision."""
        return self.trailing | ((self.magnitude >= layout(self.format).normal) << self.format.nmant)

    @cached_property
    def value(self) -> Fraction | None:
        """The number itself; None for infinities and NaN. Both zeros are 0."""
        if self.kind in ("infinity", "NaN"):
            return None
        number = value_of(self.format, self.magnitude)
        return -number if self.sign else number

    @property
    def fields(self) -> tuple[str, str, str]:
        """Sign (nothing in a format without), exponent and trailing significand in binary."""
        digits, sign = f"{self.code:0{self.format.bits}b}", int(self.format.signed)
        return digits[:sign], digits[sign : sign + self.format.nexp], digits[sign + self.format.nexp :]

    @property
    def binary(self) -> str:
        """The code in binary, its fields apart."""
        return " ".join(field for field in self.fields if field)

    @property
    def hex(self) -> str:
        """The code in hexadecimal, all its digits."""
        return f"0x{self.code:0{-(-self.format.bits // 4)}x}"


def number(fmt: Format, magnitude: int, negative: bool = False) -> Number:
    """The number of that magnitude and sign."""
    return Number(fmt, int(layout(fmt).code(magnitude, int(negative))))


def not_a_number(fmt: Format, negative: bool = False) -> Number:
    """The default NaN: quiet, with an empty payload; for want of one infinity, or the smallest number (Arm's rule)."""
    return number(fmt, layout(fmt).nan, negative)


def infinity(fmt: Format, negative: bool = False) -> Number:
    """The infinity of that sign; for want of one NaN, or the largest number (Arm's rule)."""
    return not_a_number(fmt) if negative and not fmt.signed else number(fmt, layout(fmt).beyond, negative)


def zero(fmt: Format, negative: bool = False) -> Number:
    """The zero of that sign, or the only one; NaN, or the smallest number, where there is none."""
    return number(fmt, 0, negative) if layout(fmt).zeros else not_a_number(fmt, negative)


@dataclass(frozen=True)
class Step(Record):
    """One rounding: ``kept`` units of 2**``unit``, and ``rest`` of a unit (0 <= rest < 1) dropped or rounded up."""

    number: Number
    unit: int
    kept: int
    rest: Fraction
    up: bool
    flags: Flag

    @property
    def guard(self) -> int:
        """The last bit kept."""
        return self.kept & 1

    @property
    def round(self) -> int:
        """The first bit dropped."""
        return int(self.rest >= HALF)

    @property
    def sticky(self) -> int:
        """Whether any bit after the first one dropped is 1."""
        return int(self.rest not in (0, HALF))


def _cut(magnitude: Fraction, unit: int) -> tuple[int, Fraction]:
    scaled = magnitude / power(unit)
    kept = scaled.numerator // scaled.denominator
    return kept, scaled - kept


def _goes_up(kept: int, rest: Fraction, negative: bool, mode: Rounding) -> bool:
    case = 8 * negative + 4 * (kept & 1) + 2 * (rest >= HALF) + (rest not in (0, HALF))
    return bool(AWAY[mode][case])


def round_exact(
    magnitude: Fraction,
    negative: bool,
    fmt: Format,
    mode: Rounding,
    overflow: str = "infinity",
    draw: Stochastic | None = None,
) -> Step:
    """Round a magnitude and a sign once to ``fmt``; ``draw`` makes it stochastic.

    Overflow is judged with unbounded exponent (clause 7), underflow after rounding, or before it with ``draw``. What
    has no code at all, as a negative number where there is no sign, becomes `not_a_number` and is invalid.
    """
    lay, unit = layout(fmt), fmt.emin - fmt.nmant
    if not magnitude:
        return Step(zero(fmt, negative), unit, 0, Fraction(0), False, Flag(0) if lay.zeros else Flag.INVALID)
    if negative and not fmt.signed:
        return Step(not_a_number(fmt), unit, 0, Fraction(0), False, Flag.INVALID)
    own = log2_floor(magnitude)
    alone = own < fmt.emin and fmt.zero_field != "subnormals"  # between zero and the smallest normal number
    unit = fmt.emin if alone else max(own, fmt.emin) - fmt.nmant
    kept, rest = _cut(magnitude, unit)
    up = int(rest * 2**draw.bits) > int(draw.draw(1)[0]) if draw else _goes_up(kept, rest, negative, mode)
    if alone:
        code = lay.normal if kept + up or not lay.zeros else 0
    else:
        code = ((unit + fmt.nmant - fmt.emin - 1) << fmt.nmant) + kept + up + lay.normal
    flags = Flag.INEXACT if rest else Flag(0)
    if rest and own < fmt.emin:
        full, left = _cut(magnitude, own - fmt.nmant)
        full += draw is None and _goes_up(full, left, negative, mode)
        if draw is not None or full * power(own - fmt.nmant) < power(fmt.emin):
            flags |= Flag.UNDERFLOW
    if code > lay.largest:
        flags = flags | Flag(lay.overflow) if fmt.has_special else Flag(lay.overflow)
        away = outward(Rounding.STOCHASTIC if draw else mode, negative, overflow)
        code = lay.beyond if away else lay.largest
    return Step(number(fmt, code, negative), unit, kept, rest, up, flags)


def round_rational(value: Fraction, goal: Target, source: Stochastic | None) -> tuple[float, int]:
    """``value``, not zero, rounded as ``goal`` says, and the flags; the same rules as `halfsim.round_to`'s."""
    fmt, negative, normal = goal.format, value < 0, power(goal.format.emin)
    flushes = bool(layout(fmt).zeros)
    if goal.flush_inputs and flushes and abs(value) < normal:
        return _float(zero(fmt, negative)), 0
    step = round_exact(abs(value), negative, fmt, goal.rounding, goal.overflow, source)
    result = step.number
    if goal.flush_outputs and flushes and result.kind in ("subnormal", "zero"):
        return _float(zero(fmt, negative)), int(Flag.INEXACT | Flag.UNDERFLOW)
    return _float(result), int(step.flags)


def _float(x: Number) -> float:
    if x.value is None:
        return math.copysign(math.inf if x.kind == "infinity" else math.nan, -1 if x.sign else 1)
    return math.copysign(float(x.value), -1 if x.sign else 1)
