"""Numbers and what goes with them as a person writes them: decimal without rounding, binary significands, flags."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from halfsim.numerics.exact_rounding import Number
from halfsim.numerics.explain.expression import SYMBOLS
from halfsim.numerics.formats import SPECIALS

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation, Operand

_CONTEXT = decimal.Context(prec=60_000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
_BEYOND = 43_000  # decimal exponent past which no one counts digits


def _twos_and_fives(n: int) -> tuple[int, int, int]:
    twos = (n & -n).bit_length() - 1
    rest, fives = n >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return twos, fives, rest


def _exact_decimal(x: Fraction) -> decimal.Decimal | None:
    """All the digits of a number, where they end."""
    twos, fives, rest = _twos_and_fives(x.denominator)
    if rest != 1:
        return None
    places = max(twos, fives)
    scaled = x.numerator * 10**places // x.denominator
    return _CONTEXT.scaleb(decimal.Decimal(scaled), -places)


def _written(value: decimal.Decimal, limit: int, endless: bool = False) -> str:
    """Positional from 1e-7 to 1e24, else with an exponent; where digits are left out, it shows."""
    if not value:
        return "0"
    sign, digits, _ = value.as_tuple()
    text, exponent = "".join(map(str, digits)).rstrip("0"), value.adjusted()
    scale = "" if -7 <= exponent < 24 else f"e{exponent:+d}"
    if scale:
        text = f"{text[0]}.{text[1:]}"
    elif exponent < 0:
        text = f"0.{'0' * (-exponent - 1)}{text}"
    else:
        text = text.ljust(exponent + 1, "0")
        text = f"{text[: exponent + 1]}.{text[exponent + 1 :]}"
    room = limit - len(scale) - 1
    if endless:
        text = f"{text[: max(room - 2, 5)]}..."
    else:
        text = text.removesuffix(".")
        text = _elided(text, room) if len(text) > room else text
    return f"{'-' if sign else ''}{text}{scale}"


def _elided(text: str, room: int) -> str:
    """Digits left out of the middle and counted, or out of the end where there is no room for that."""
    if room < 48:
        return f"{text[: room - 3]}..."
    keep = (room - 26) * 2 // 3
    end = room - 26 - keep
    return f"{text[:keep]}...({len(text) - keep - end} more digits)...{text[-end:]}"


def number(x: Fraction | None, limit: int = 60, endless: bool = False) -> str:
    """``x`` in decimal: all of its digits, or as many as fit and an ellipsis; never rounded."""
    if x is None:
        return "none"
    if not endless and (exact := _exact_decimal(x)) is not None:
        return _written(exact, limit)
    context = decimal.Context(prec=21, rounding=decimal.ROUND_DOWN, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    cut = context.divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator))
    if abs(cut.adjusted()) > _BEYOND:
        return f"more than 10^{_BEYOND}" if cut.adjusted() > 0 else f"less than 10^-{_BEYOND}"
    return _written(cut, limit, endless=True)


def brief(x: Fraction) -> str:
    """``x`` to 6 significant digits, with a ~ where that is not exact."""
    context = decimal.Context(prec=6, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    rounded = context.divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator))
    return ("" if Fraction(rounded) == x else "~") + _written(rounded, 40)


def value(x: Number, limit: int = 60) -> str:
    """The number as a person writes it: exact decimal, -0, inf or nan."""
    sign = "-" if x.sign and not (x.kind == "NaN" and SPECIALS[x.format.specials].nan == "minus_zero") else ""
    if x.value is None:
        return f"{sign}inf" if x.kind == "infinity" else f"{sign}nan"
    return number(x.value, limit) if x.value else f"{sign}0"


def exact(e: Explanation, limit: int = 60) -> str:
    """The value before rounding, in decimal."""
    if e.exact is None:
        return value(e.result, limit)
    minus = "-" if e.operands[0].exact == 0 and not e.operation and e.result.sign else ""
    return minus + number(e.exact, limit, endless=e.irrational)


def digits(x: Number) -> str:
    """The significand in binary with its point, as 1.1001100110."""
    text = f"{x.significand:0{x.format.precision}b}"
    return f"{text[0]}.{text[1:]}" if len(text) > 1 else text


def flags(e: Explanation | Operand) -> str:
    """The names of the flags, or none."""
    return ", ".join(str(f.name).lower().replace("_", " ") for f in type(e.flags) if f in e.flags) or "none"


def expression(name: str, texts: Sequence[str]) -> str:
    """The operation as it is written."""
    if name in SYMBOLS:
        return f" {SYMBOLS[name]} ".join(texts)
    return f"{name}({', '.join(texts)})" if name else texts[0]
