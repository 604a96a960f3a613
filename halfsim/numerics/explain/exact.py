"""One operation in exact fractions, and its one rounding: what a sheet of paper and patience would give."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import isqrt

from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format
from halfsim.numerics.rounding import Rounding

HALF = Fraction(1, 2)


def power(exponent: int) -> Fraction:
    """2**exponent, exactly."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def log2_floor(x: Fraction) -> int:
    """The exponent of a positive number: the largest e with 2**e <= x."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if power(e) <= x else e - 1


def past_largest(fmt: Format) -> int:
    """The code after that of the largest finite number: of infinity, of NaN, or of nothing."""
    if fmt.specials == "ieee":
        return ((1 << fmt.nexp) - 1) << fmt.nmant
    return (1 << (fmt.bits - 1)) - (fmt.specials == "nan")


def value_of(fmt: Format, code: int) -> Fraction:
    """The magnitude of a code, as if the format had no special values and its exponents no end."""
    biased, trailing = divmod(code, 1 << fmt.nmant)
    return (trailing + (1 << fmt.nmant if biased else 0)) * power(max(biased, 1) - fmt.bias - fmt.nmant)


@dataclass(frozen=True)
class Number:
    """One code of a format, read as sign, exponent and significand (IEEE 754-2019 clause 3.4)."""

    format: Format
    code: int

    @property
    def sign(self) -> int:
        """The sign bit, 1 for negative."""
        return self.code >> (self.format.bits - 1)

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
        if self.code & ((1 << (self.format.bits - 1)) - 1) >= past_largest(self.format):
            return "infinity" if self.trailing == 0 and self.format.specials == "ieee" else "NaN"
        if self.biased_exponent:
            return "normal"
        return "subnormal" if self.trailing else "zero"

    @property
    def signaling(self) -> bool:
        """Whether this is a NaN with a quiet bit of 0."""
        return self.kind == "NaN" and not self.trailing >> (self.format.nmant - 1)

    @property
    def exponent(self) -> int:
        """The unbiased exponent; that of the smallest normal number for subnormals and zeros."""
        return max(self.biased_exponent, 1) - self.format.bias

    @property
    def significand(self) -> int:
        """The significand with its implicit bit, as an integer below 2**precision."""
        return self.trailing | (1 << self.format.nmant if self.biased_exponent else 0)

    @cached_property
    def value(self) -> Fraction | None:
        """The number itself; None for infinities and NaN. Both zeros are 0."""
        if self.kind in ("infinity", "NaN"):
            return None
        magnitude = value_of(self.format, self.code & ((1 << (self.format.bits - 1)) - 1))
        return -magnitude if self.sign else magnitude

    @property
    def fields(self) -> tuple[str, str, str]:
        """Sign, exponent and trailing significand in binary."""
        digits = f"{self.code:0{self.format.bits}b}"
        return digits[0], digits[1 : 1 + self.format.nexp], digits[1 + self.format.nexp :]

    @property
    def binary(self) -> str:
        """The code in binary, its fields apart."""
        return " ".join(field for field in self.fields if field)

    @property
    def hex(self) -> str:
        """The code in hexadecimal, all its digits."""
        return f"0x{self.code:0{-(-self.format.bits // 4)}x}"


def infinity(fmt: Format, negative: bool = False) -> Number:
    """The infinity of that sign; for want of one NaN, or the largest number (Arm's rule)."""
    return Number(fmt, (negative << (fmt.bits - 1)) | past_largest(fmt) - (fmt.specials == "none"))


def not_a_number(fmt: Format, negative: bool = False) -> Number:
    """The default NaN: quiet, with an empty payload; zero for want of one (Arm's rule)."""
    sign = negative << (fmt.bits - 1)
    if fmt.specials != "ieee":
        return Number(fmt, sign | (past_largest(fmt) if fmt.specials == "nan" else 0))
    return Number(fmt, sign | past_largest(fmt) | 1 << max(fmt.nmant - 1, 0))


def zero(fmt: Format, negative: bool = False) -> Number:
    """The zero of that sign."""
    return Number(fmt, negative << (fmt.bits - 1))


def neighbour(x: Number, upward: bool) -> Number | None:
    """The next number above or below ``x``; None past the infinities and for NaN (clause 5.3.1, one zero)."""
    if x.kind == "NaN" or (x.kind == "infinity" and bool(x.sign) != upward):
        return None
    if x.kind == "zero":
        return Number(x.format, (0 if upward else 1 << (x.format.bits - 1)) | 1)
    away = bool(x.sign) != upward
    if away and x.value is not None and x.format.specials != "ieee" and abs(x.value) == x.format.max:
        return None
    return Number(x.format, x.code + (1 if away else -1))


@dataclass(frozen=True)
class Exact:
    """A finite result before it is rounded.

    ``value`` is exact where ``irrational`` is false; else it is so near the true one that both have the same
    neighbours and midpoints below and above them. ``negative`` also gives a zero its sign.
    """

    value: Fraction
    negative: bool
    irrational: bool = False


@dataclass(frozen=True)
class Special:
    """A result that no rounding makes: an infinity, a NaN, or what these operands give by definition."""

    number: Number
    flags: Flag
    why: str


@dataclass(frozen=True)
class Step:
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


_UP: dict[Rounding, Callable[[Fraction, bool, bool], bool]] = {  # of (rest, whether kept is odd, negative)
    Rounding.NEAREST_EVEN: lambda rest, odd, negative: rest > HALF or (rest == HALF and odd),
    Rounding.NEAREST_AWAY: lambda rest, odd, negative: rest >= HALF,
    Rounding.TOWARD_ZERO: lambda rest, odd, negative: False,
    Rounding.UPWARD: lambda rest, odd, negative: rest > 0 and not negative,
    Rounding.DOWNWARD: lambda rest, odd, negative: rest > 0 and negative,
    Rounding.TO_ODD: lambda rest, odd, negative: rest > 0 and not odd,
}
MODES = tuple(_UP)
_TO_LARGEST: dict[Rounding, Callable[[bool], bool]] = {  # on overflow, of the sign; else infinity (clause 7.4)
    Rounding.TOWARD_ZERO: lambda negative: True,
    Rounding.TO_ODD: lambda negative: True,
    Rounding.UPWARD: lambda negative: negative,
    Rounding.DOWNWARD: lambda negative: not negative,
}


def _cut(magnitude: Fraction, unit: int) -> tuple[int, Fraction]:
    scaled = magnitude / power(unit)
    kept = scaled.numerator // scaled.denominator
    return kept, scaled - kept


def round_exact(exact: Exact, fmt: Format, mode: Rounding) -> Step:
    """Round once to ``fmt``; underflow is judged after rounding, overflow with unbounded exponent (clause 7)."""
    negative, magnitude = exact.negative, abs(exact.value)
    if not magnitude:
        return Step(zero(fmt, negative), fmt.emin - fmt.nmant, 0, Fraction(0), False, Flag(0))
    own = log2_floor(magnitude)
    exponent = max(own, fmt.emin)
    unit = exponent - fmt.nmant
    kept, rest = _cut(magnitude, unit)
    up = _UP[mode](rest, bool(kept & 1), negative)
    # Codes of one sign are consecutive: a carry out of the significand moves into the exponent by itself.
    code = ((exponent - fmt.emin) << fmt.nmant) + kept + up
    flags = Flag.INEXACT if rest else Flag(0)
    if rest and own < fmt.emin:
        full, left = _cut(magnitude, own - fmt.nmant)
        full += _UP[mode](left, bool(full & 1), negative)
        if full * power(own - fmt.nmant) < power(fmt.emin):
            flags |= Flag.UNDERFLOW
    top = past_largest(fmt)
    if code >= top:
        # Without infinities and NaN, what is too large is invalid, and becomes the largest number (Arm's rule).
        flags = Flag.INVALID if fmt.specials == "none" else flags | Flag.OVERFLOW | Flag.INEXACT
        inward = fmt.specials == "none" or (mode in _TO_LARGEST and _TO_LARGEST[mode](negative))
        code = top - inward
    return Step(Number(fmt, code | negative << (fmt.bits - 1)), unit, kept, rest, up, flags)


# ---- operations: operands of one format in, the exact result or a special one out ------------------------------------

Outcome = Exact | Special


def _is(x: Number, kind: str) -> bool:
    return x.kind == kind


def _finite(x: Number) -> Fraction:
    assert x.value is not None
    return x.value


def _invalid(fmt: Format, why: str) -> Special:
    return Special(not_a_number(fmt), Flag.INVALID, f"{why}: an invalid operation, and the result is NaN.")


def _infinite(fmt: Format, negative: bool, why: str = "Infinity stays infinity; nothing is rounded.") -> Special:
    return Special(infinity(fmt, negative), Flag(0), why)


def _sum(x: Fraction, x_negative: bool, y: Number, mode: Rounding) -> Exact:
    total = x + _finite(y)
    if total:
        return Exact(total, total < 0)
    same = x_negative == bool(y.sign)  # zeros of one sign keep it; else +0, or -0 rounding downward (clause 6.3)
    return Exact(total, x_negative if same and not x and not _finite(y) else mode is Rounding.DOWNWARD)


def _add(mode: Rounding, a: Number, b: Number) -> Outcome:
    if _is(a, "infinity") and _is(b, "infinity") and a.sign != b.sign:
        return _invalid(a.format, "Infinities of opposite signs have no sum")
    if _is(a, "infinity") or _is(b, "infinity"):
        return _infinite(a.format, bool((a if _is(a, "infinity") else b).sign))
    return _sum(_finite(a), bool(a.sign), b, mode)


def _negated(x: Number) -> Number:
    return Number(x.format, x.code ^ 1 << (x.format.bits - 1))


def _sub(mode: Rounding, a: Number, b: Number) -> Outcome:
    return _add(mode, a, _negated(b))


def _mul(mode: Rounding, a: Number, b: Number) -> Outcome:
    negative = a.sign != b.sign
    if "infinity" in (a.kind, b.kind):
        if "zero" in (a.kind, b.kind):
            return _invalid(a.format, "Zero times infinity has no value")
        return _infinite(a.format, negative)
    return Exact(_finite(a) * _finite(b), negative)


def _div(mode: Rounding, a: Number, b: Number) -> Outcome:
    negative = a.sign != b.sign
    if a.kind == b.kind and a.kind in ("zero", "infinity"):
        return _invalid(a.format, f"{a.kind.capitalize()} divided by {a.kind} has no value")
    if _is(a, "infinity"):
        return _infinite(a.format, negative)
    if _is(b, "zero"):
        return Special(infinity(a.format, negative), Flag.DIVIDE_BY_ZERO, "Division by zero gives an exact infinity.")
    if _is(b, "infinity"):
        return Special(zero(a.format, negative), Flag(0), "A finite number divided by infinity is exactly zero.")
    return Exact(_finite(a) / _finite(b), negative)


def _fma(mode: Rounding, a: Number, b: Number, c: Number) -> Outcome:
    product = _mul(mode, a, b)
    if isinstance(product, Exact):
        if _is(c, "infinity"):
            return _infinite(a.format, bool(c.sign))
        return _sum(product.value, product.negative, c, mode)
    if product.flags or not _is(c, "infinity") or c.sign == product.number.sign:
        return product
    return _invalid(a.format, "Infinities of opposite signs have no sum")


def _sqrt(mode: Rounding, a: Number) -> Outcome:
    if _is(a, "zero"):
        return Special(a, Flag(0), "The square root of a zero is that zero, with its sign.")
    if a.sign:
        return _invalid(a.format, "A negative number has no square root")
    if _is(a, "infinity"):
        return _infinite(a.format, False)
    x = _finite(a)
    shift = 400 + max(0, -2 * (log2_floor(x) // 2))  # an even number of bits, at least 200 of them significant
    scaled = x * power(shift)
    root = isqrt(scaled.numerator // scaled.denominator)
    irrational = root * root != scaled
    return Exact((root + (HALF if irrational else 0)) / power(shift // 2), False, irrational)


def _context(digits: int) -> decimal.Context:
    return decimal.Context(prec=digits, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def _decimal(x: Fraction) -> decimal.Decimal:
    return _context(2500).divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator))


def _exponential(x: Fraction, order: int) -> Fraction:
    """e**x to 60 digits, and ``order`` times as many more as a small x has zeros after its point."""
    x = max(min(x, Fraction(10**5)), Fraction(-(10**5)))  # far outside of every format, without a million digits
    argument = _decimal(x)
    return Fraction(_context(60 + order * max(0, -argument.adjusted())).exp(argument))


def _tanh(x: Fraction) -> Fraction:
    e = _exponential(2 * max(min(x, Fraction(1000)), Fraction(-1000)), 3)
    return (e - 1) / (e + 1)


def _log(x: Fraction) -> Fraction:
    return Fraction(_context(60).ln(_decimal(x)))


# name: the function of a finite number, its values at -inf, -0, +0, +inf (None: a NaN or a pole)
_ELEMENTARY: dict[str, tuple[Callable[[Fraction], Fraction], tuple[str, str, str, str]]] = {
    "exp": (lambda x: _exponential(x, 1), ("0", "1", "1", "inf")),
    "log": (_log, ("nan", "pole", "pole", "inf")),
    "tanh": (_tanh, ("-1", "-0", "0", "1")),
    "sigmoid": (lambda x: 1 / (1 + _exponential(-x, 1)), ("0", "0.5", "0.5", "1")),
}


def _elementary(name: str) -> Callable[[Rounding, Number], Outcome]:
    function, limits = _ELEMENTARY[name]

    def operation(mode: Rounding, a: Number) -> Outcome:
        if name == "log" and a.sign and not _is(a, "zero"):
            return _invalid(a.format, "A negative number has no logarithm")
        if name == "log" and a.value == 1:
            return Exact(Fraction(0), False)
        if a.kind not in ("infinity", "zero"):
            value = function(_finite(a))
            return Exact(value, value < 0, irrational=True)
        limit = limits[(2 if _is(a, "zero") else 3) if not a.sign else (1 if _is(a, "zero") else 0)]
        if limit == "pole":
            return Special(infinity(a.format, True), Flag.DIVIDE_BY_ZERO, "log has a pole at zero: minus infinity.")
        if limit == "inf":
            return _infinite(a.format, False)
        return Exact(Fraction(limit), limit.startswith("-"))

    return operation


OPERATIONS: dict[str, tuple[int, Callable[..., Outcome]]] = {
    "add": (2, _add),
    "sub": (2, _sub),
    "mul": (2, _mul),
    "div": (2, _div),
    "fma": (3, _fma),
    "sqrt": (1, _sqrt),
    **{name: (1, _elementary(name)) for name in _ELEMENTARY},
}
ELEMENTARY = tuple(_ELEMENTARY)


def operate(name: str, mode: Rounding, operands: Sequence[Number]) -> Outcome:
    """The exact result of an operation; the first NaN among the operands wins, quieted."""
    nans = [x for x in operands if _is(x, "NaN")]
    operation = OPERATIONS[name][1]
    if not nans:
        outcome: Outcome = operation(mode, *operands)
        return outcome
    first = nans[0]
    flags = Flag.INVALID if any(x.signaling for x in nans) else Flag(0)
    if name == "fma" and {operands[0].kind, operands[1].kind} == {"zero", "infinity"}:
        flags = Flag.INVALID
    why = "An operand is NaN, and so is the result."
    if flags:
        why = (
            "A signaling NaN is invalid; it comes out quiet." if first.signaling else f"{why} The operation is invalid."
        )
    return Special(Number(first.format, first.code | 1 << max(first.format.nmant - 1, 0)), flags, why)
