"""One operation in exact fractions, and its one rounding: what a sheet of paper and patience would give."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from halfsim.numerics.exact_rounding import HALF, Number, Step, infinity, log2_floor, not_a_number, number, power, zero
from halfsim.numerics.exact_rounding import round_exact as round_magnitude
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format
from halfsim.numerics.layout import layout
from halfsim.numerics.rounding import AWAY, Rounding, cancels_below

MODES = tuple(AWAY)


def neighbour(x: Number, upward: bool) -> Number | None:
    """The next number above or below ``x``; None past the infinities and for NaN (clause 5.3.1, one zero)."""
    if x.kind == "NaN" or (x.kind == "infinity" and bool(x.sign) != upward):
        return None
    lay, fmt = layout(x.format), x.format
    if x.kind == "zero":
        return number(fmt, lay.least, not upward) if upward or fmt.signed else None
    away = bool(x.sign) != upward
    if not away and x.magnitude == lay.least:
        if lay.zeros:
            return zero(fmt, bool(x.sign))
        return number(fmt, lay.least, not x.sign) if fmt.signed else None
    if away and x.magnitude == lay.largest:
        return infinity(fmt, bool(x.sign)) if fmt.has_infinity else None
    return number(fmt, x.magnitude + (1 if away else -1), bool(x.sign))


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


def round_exact(exact: Exact, fmt: Format, mode: Rounding) -> Step:
    """Round once to ``fmt``; underflow is judged after rounding, overflow with unbounded exponent (clause 7)."""
    return round_magnitude(abs(exact.value), exact.negative, fmt, mode)


# ---- operations: operands of one format in, the exact result or a special one out ------------------------------------

Outcome = Exact | Special


def _is(x: Number, kind: str) -> bool:
    return x.kind == kind


def _finite(x: Number) -> Fraction:
    assert x.value is not None
    return x.value


def _invalid(fmt: Format, why: str) -> Special:
    instead = not_a_number(fmt)
    result = "NaN" if instead.kind == "NaN" else f"{instead.hex} ({instead.kind}), for want of NaN"
    return Special(instead, Flag.INVALID, f"{why}: an invalid operation, and the result is {result}.")


def _infinite(
    fmt: Format, negative: bool, why: str = "Infinity stays infinity; nothing is rounded.", flags: int = 0
) -> Special:
    if negative and not fmt.signed:
        return Special(not_a_number(fmt), Flag.INVALID, _lack(fmt, "negative numbers", not_a_number(fmt)))
    return Special(infinity(fmt, negative), Flag(flags), why)


def _lack(fmt: Format, what: str, instead: Number) -> str:
    return f"{fmt} has no {what}: invalid, and {instead.hex} ({instead.kind}) instead."


def settled(outcome: Exact | Special, fmt: Format) -> Exact | Special:
    """``outcome``, but what stands for it where the format has no code for it: no zero, or no sign."""
    if isinstance(outcome, Special):
        return outcome
    none_negative = outcome.value < 0 and not fmt.signed
    if not none_negative and (outcome.value or layout(fmt).zeros):
        return outcome
    instead = not_a_number(fmt, outcome.negative)
    return Special(instead, Flag.INVALID, _lack(fmt, "negative numbers" if none_negative else "zero", instead))


def _sum(x: Fraction, x_negative: bool, y: Fraction, y_negative: bool, mode: Rounding) -> Exact:
    total = x + y
    if total:
        return Exact(total, total < 0)
    same = x_negative == y_negative  # zeros of one sign keep it; else +0, or -0 rounding downward (clause 6.3)
    return Exact(total, x_negative if same and not x and not y else cancels_below(mode))


def _add(mode: Rounding, a: Number, b: Number, turned: bool = False) -> Outcome:
    """A + b, or a - b where the second one is ``turned``."""
    sign = bool(b.sign) != turned
    if _is(a, "infinity") and _is(b, "infinity") and bool(a.sign) != sign:
        return _invalid(a.format, "Infinities of opposite signs have no sum")
    if _is(a, "infinity") or _is(b, "infinity"):
        return _infinite(a.format, bool(a.sign) if _is(a, "infinity") else sign)
    return _sum(_finite(a), bool(a.sign), -_finite(b) if turned else _finite(b), sign, mode)


def _sub(mode: Rounding, a: Number, b: Number) -> Outcome:
    return _add(mode, a, b, turned=True)


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
        return _infinite(a.format, negative, "Division by zero gives an exact infinity.", Flag.DIVIDE_BY_ZERO)
    if _is(b, "infinity"):
        exactly = Exact(Fraction(0), negative)
        return (
            Special(zero(a.format, negative), Flag(0), "A finite number divided by infinity is exactly zero.")
            if layout(a.format).zeros
            else exactly
        )
    return Exact(_finite(a) / _finite(b), negative)


def _fma(mode: Rounding, a: Number, b: Number, c: Number) -> Outcome:
    product = _mul(mode, a, b)
    if isinstance(product, Exact):
        if _is(c, "infinity"):
            return _infinite(a.format, bool(c.sign))
        return _sum(product.value, product.negative, _finite(c), bool(c.sign), mode)
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
            return _infinite(a.format, True, "log has a pole at zero: minus infinity.", Flag.DIVIDE_BY_ZERO)
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


def operate(name: str, mode: Rounding, operands: Sequence[Number]) -> Outcome:
    """The exact result of an operation; the first NaN among the operands wins, quieted."""
    nans = [x for x in operands if _is(x, "NaN")]
    operation = OPERATIONS[name][1]
    if not nans:
        return settled(operation(mode, *operands), operands[0].format)
    first = nans[0]
    flags = Flag.INVALID if any(x.signaling for x in nans) else Flag(0)
    if name == "fma" and {operands[0].kind, operands[1].kind} == {"zero", "infinity"}:
        flags = Flag.INVALID
    why = "An operand is NaN, and so is the result."
    if flags:
        why = (
            "A signaling NaN is invalid; it comes out quiet." if first.signaling else f"{why} The operation is invalid."
        )
    return Special(first.quieted, flags, why)
