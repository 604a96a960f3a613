"""A number or one operation, written by a person: a parser small enough to trust with any input."""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from halfsim.numerics.exact_rounding import power
from halfsim.numerics.explain.exact import OPERATIONS
from halfsim.numerics.formats import shortened

ALLOWED = (
    "a number (0.1, 1e-8, 0x1.8p3, inf, nan; with bits=True patterns: 0x2e66, 0b0011, 15360), "
    "one operation of two of these (+ - * /), fma(a, b, c), "
    + ", ".join(f"{name}(x)" for name, (arity, _) in OPERATIONS.items() if arity == 1)
)
INFIX = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
SYMBOLS = {name: symbol for symbol, name in INFIX.items()}
_PATTERN = 66  # characters of a bit pattern
_LIMIT = 5000  # decimal digits before or after the point: far outside of every format

_TOKEN = re.compile(
    r"\s*(?:(?P<hex>0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]{1,6})?)(?![0-9A-Za-z_.])"
    r"|(?P<bin>0[bB][01]+)(?![0-9A-Za-z_.])"
    r"|(?P<number>(?:[0-9]+(?:_[0-9]+)*\.?(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z_.])"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>[-+*/(),]))\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Literal:
    """A number as it was written: ``value`` finite and exact, or else ``special``, or else a ``code``."""

    text: str
    negative: bool
    value: Fraction | None = None
    special: str = ""
    code: int | None = None


@dataclass(frozen=True)
class Expression:
    """An operation (empty for a lone number) and its operands."""

    operation: str
    operands: tuple[Literal, ...]


def _wrong(text: str) -> ValueError:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return ValueError(f"x: {shown!r} is not allowed; allowed: {ALLOWED}")


def _decimal(text: str, whole: str) -> Fraction:
    number = decimal.Context(prec=1, Emax=10**17, Emin=-(10**17), traps=[]).create_decimal(text.replace("_", ""))
    if number.is_finite() and abs(number.adjusted()) <= 2 * _LIMIT:
        number = decimal.Decimal(text.replace("_", ""))
    if not number.is_finite() or (number and abs(number.adjusted()) > _LIMIT) or len(text) > _LIMIT:
        raise ValueError(f"x: the exponent of {whole[:60]!r} is not allowed; allowed: 1e-{_LIMIT} to 1e{_LIMIT}")
    return Fraction(number) if number else Fraction(0)  # zero with a large exponent is still small


def _hexadecimal(text: str, whole: str) -> Fraction:
    digits, _, exponent = text[2:].lower().partition("p")
    before, _, after = digits.partition(".")
    scale = int(exponent or 0)
    if abs(scale) > 3 * _LIMIT or len(digits) > _LIMIT:
        raise ValueError(f"x: the exponent of {whole[:60]!r} is not allowed; allowed: p-{3 * _LIMIT} to p{3 * _LIMIT}")
    return int(before + after, 16) * power(scale - 4 * len(after))


def _tokens(text: str) -> list[tuple[str, str]]:
    plain = text.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "*")
    plain = plain.replace("\N{DIVISION SIGN}", "/").replace("\N{INFINITY}", "inf")
    position, found = 0, []
    while position < len(plain):
        match = _TOKEN.match(plain, position)
        if match is None or match.lastgroup is None:
            raise _wrong(text)
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Reader:
    """Takes tokens from the left."""

    def __init__(self, text: str, bits: bool) -> None:
        self.text, self.bits, self.tokens = text, bits, [*_tokens(text), ("end", "")]

    def take(self, *words: str) -> str:
        kind, word = self.tokens[0]
        if kind not in ("sign", "end") or word not in words:
            raise _wrong(self.text)
        self.tokens.pop(0)
        return word

    def literal(self) -> Literal:
        negative, sign = False, ""
        if self.tokens[0][1] in ("-", "+"):
            sign = self.take("-", "+")
            negative = sign == "-"
        kind, word = self.tokens.pop(0)
        shown = ("-" if negative else "") + word
        plain = {"bin": True, "number": word.isdigit(), "hex": not {*"pP."} & {*word}}
        if self.bits and plain.get(kind):
            if sign or len(word) > _PATTERN:
                raise _wrong(self.text)
            code = int(word, 10 if kind == "number" else 0)
            return Literal(hex(code) if kind == "number" else word, False, code=code)
        if kind == "number":
            value = _decimal(word, self.text)
            return Literal(shown, negative, -value if negative else value)
        if kind == "hex":
            value = _hexadecimal(word, self.text)
            return Literal(shown, negative, -value if negative else value)
        if kind == "name" and word.lower() in ("inf", "infinity", "nan"):
            return Literal(shown, negative, special="nan" if word.lower() == "nan" else "inf")
        raise _wrong(self.text)

    def expression(self) -> Expression:
        kind, name = self.tokens[0]
        if kind == "name" and name in OPERATIONS and OPERATIONS[name][0] != 2:
            self.tokens.pop(0)
            operands = []
            for i in range(OPERATIONS[name][0]):
                self.take("," if i else "(")
                operands.append(self.literal())
            self.take(")")
            self.take("")
            return Expression(name, tuple(operands))
        first = self.literal()
        sign = self.take("", *INFIX)
        if not sign:
            return Expression("", (first,))
        second = self.literal()
        self.take("")
        return Expression(INFIX[sign], (first, second))


def parse(x: object, bits: bool = False) -> Expression:
    """What a str says, or any real number; ``ValueError`` for other text, ``TypeError`` for other objects.

    With ``bits`` an integer, plain or written as 0x... or 0b..., is a bit pattern, and there has to be one.
    """
    if isinstance(x, str):
        if len(x) > 4 * _LIMIT:
            raise _wrong(x)
        found = _Reader(x, bits).expression()
        if bits and all(operand.code is None for operand in found.operands):
            raise ValueError(
                f"x: {shortened(x)} is not allowed; allowed: with bits=True patterns: 0x2e66, 0b0011, 15360"
            )
        return found
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x[()]
    if bits:
        if isinstance(x, bool) or not isinstance(x, (int, np.integer)):
            raise TypeError(f"x: {type(x).__name__} is not allowed; allowed: with bits=True an int or a str")
        if not 0 <= x < 1 << 64:
            raise ValueError(f"x: the bit pattern {hex(x)[:40]} is not allowed; allowed: integers from 0, below 2**64")
        return Expression("", (Literal(hex(x), False, code=int(x)),))
    return Expression("", (_number(x),))


def _number(x: Any) -> Literal:
    if isinstance(x, np.integer):
        x = int(x)
    if isinstance(x, bool) or not isinstance(x, (int, float, Fraction, decimal.Decimal, np.floating)):
        raise TypeError(f"x: {type(x).__name__} is not allowed; allowed: str, int, float, Fraction, Decimal")
    if isinstance(x, (int, Fraction)):
        if max(abs(x.numerator), x.denominator).bit_length() > 3 * _LIMIT:
            raise ValueError(f"x: a number of more than {3 * _LIMIT} bits is not allowed")
        return Literal(str(x), x < 0, Fraction(x))
    if isinstance(x, decimal.Decimal):
        if x.is_finite():
            return Literal(str(x), x.is_signed(), (-1) ** x.is_signed() * _decimal(str(x.copy_abs()), str(x)))
        return Literal(str(x).lower(), x.is_signed(), special="nan" if x.is_nan() else "inf")
    negative = bool(np.signbit(x))
    if np.isfinite(x):
        return Literal(str(x), negative, Fraction(*x.as_integer_ratio()))
    return Literal(str(x), negative, special="nan" if np.isnan(x) else "inf")
