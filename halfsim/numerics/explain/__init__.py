"""A value or an operation worked by hand: fields, alignment, guard, round and sticky bits, neighbours, error."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, overload

from halfsim.card import Record
from halfsim.numerics.blocks import BlockFormat, find
from halfsim.numerics.exact_rounding import HALF, Number, Step, infinity, not_a_number, number, power, value_of
from halfsim.numerics.explain import drawing, numerals, picture
from halfsim.numerics.explain.block import BlockExplanation, explain_block
from halfsim.numerics.explain.exact import MODES, Exact, Special, neighbour, operate, round_exact, settled
from halfsim.numerics.explain.expression import Literal as Written
from halfsim.numerics.explain.expression import parse
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.layout import layout
from halfsim.numerics.rounding import Rounding, as_rounding
from halfsim.text import clipped


@dataclass(frozen=True)
class Operand(Record):
    """An operand as it was written, exactly, and as the number of the format that takes part."""

    text: str
    exact: Fraction | None
    number: Number
    flags: Flag

    @property
    def changed(self) -> bool:
        """Whether rounding to the format changed it."""
        return self.exact is not None and self.exact != self.number.value


@dataclass(frozen=True, repr=False)
class Explanation:
    """The facts behind one rounding; ``str()`` and ``print`` tell them as text, notebooks as a picture.

    ``exact`` is the result before rounding (None for infinities and NaN; where ``irrational`` is true, right to at
    least 55 digits) and ``result`` the number it became, with ``sign``, ``biased_exponent``, ``exponent``,
    ``significand``, ``kind``, ``value``, ``hex`` and ``binary``. ``below`` and ``above`` are the two numbers around
    ``exact`` and ``midpoint`` lies between them; where nothing was rounded they are the two next to ``result``, and
    ``midpoint`` is None. ``guard`` is the last bit kept, ``round`` the first one dropped and ``sticky`` whether any bit
    after that is 1. Errors are ``result`` minus ``exact``, as Fractions: absolute, relative, and in ulp, the distance
    of neighbours around ``exact``; None where one of the two is not finite. ``flags`` are those of the last rounding.
    """

    expression: str
    operation: str
    format: Format
    rounding: Rounding
    operands: tuple[Operand, ...]
    exact: Fraction | None
    irrational: bool
    result: Number
    below: Number | None
    above: Number | None
    midpoint: Fraction | None
    step: Step | None
    flags: Flag
    decision: str

    @property
    def guard(self) -> int | None:
        return None if self.step is None else self.step.guard

    @property
    def round(self) -> int | None:
        return None if self.step is None else self.step.round

    @property
    def sticky(self) -> int | None:
        return None if self.step is None else self.step.sticky

    @property
    def error(self) -> Fraction | None:
        """``result`` minus ``exact``."""
        if self.exact is None or self.result.value is None:
            return None
        return self.result.value - self.exact

    @property
    def relative_error(self) -> Fraction | None:
        """``error`` divided by the magnitude of ``exact``; None at zero."""
        return None if self.error is None or not self.exact else self.error / abs(self.exact)

    @property
    def ulp_error(self) -> Fraction | None:
        """``error`` in units in the last place of ``exact``."""
        return None if self.error is None or self.step is None else self.error / power(self.step.unit)

    def to_dict(self) -> dict[str, Any]:
        """The facts as strings and numbers that JSON can hold."""
        return drawing.facts(self)

    as_dict = to_dict  # its name before

    def __str__(self) -> str:
        return drawing.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return picture.html(self)

    def svg(self) -> str:
        """The bit fields as coloured boxes, and the number line: exact value, neighbours, midpoint, choice."""
        return picture.svg(self)

    def page(self) -> str:
        """What a notebook shows, as an HTML page of its own: no script, no network."""
        return picture.page(self)


_Named: TypeAlias = Literal[
    "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8", "nvfp4"
]  # fmt: skip


@overload
def explain(  # type: ignore[overload-overlap]
    x: object, format: BlockFormat | _Named, *, rounding: object = "nearest_even", bits: bool = False
) -> BlockExplanation: ...
@overload
def explain(
    x: object, format: object = "float16", *, rounding: object = "nearest_even", bits: bool = False
) -> Explanation: ...
def explain(
    x: object, format: object = "float16", *, rounding: object = "nearest_even", bits: bool = False
) -> Explanation | BlockExplanation:
    """A value, or one operation in ``format``, worked by hand.

    ``x`` is a real number or a str: a number ("0.1", "0x1.8p3", "inf", "nan"), or one operation on numbers: ``a + b``,
    ``a - b``, ``a * b``, ``a / b``, ``fma(a, b, c)``, and sqrt, exp, log, tanh, sigmoid of one. With ``bits`` an
    integer is a bit pattern: 15360, "15360", "0x3c00", "0b11110000000000" are all 1.0. Operands are rounded to
    ``format`` first. The result is an `Explanation`; all of its arithmetic is exact. Infinities, NaN, both zeros,
    subnormals and the flags follow IEEE 754-2019 clauses 4.3, 6 and 7, tininess after rounding; the first NaN operand
    wins, quieted, and an invalid operation gives the default NaN. ``rounding`` is any mode but stochastic.
    With a block format ("mxfp4", a `BlockFormat`) ``x`` is one block, numbers in a list or as "[1, 2.5, 7, 0.1]", and
    the result tells its largest magnitude, the scale by its rule, and what each number becomes.
    ``ValueError`` for other text, an unknown format or mode, ``TypeError`` for objects that are not real numbers.

    >>> e = explain("2048 + 1")
    >>> print(e.decision)
    Round bit 1, sticky 0: a tie; the last kept bit is 0 (even), so round down.
    >>> e.result.hex, e.ulp_error
    ('0x6800', Fraction(-1, 2))
    >>> print(explain("[1, 2.5, 7]", "mxfp4").decision)
    floor: the powers of two of 7 and of the largest element, 2^2 / 2^2
    """
    mode = as_rounding(rounding)
    if mode not in MODES:
        raise unknown("rounding", rounding, [m.value for m in MODES])
    shared = find(format)
    if shared is not None:
        if bits:
            raise ValueError(f"bits: True is not allowed with {shared}; allowed: numbers")
        return explain_block(x, shared, mode)
    fmt = as_format(format)
    parsed = parse(x, bits)
    operands, outcomes, steps = [], [], []
    for literal in parsed.operands:
        outcome = settled(_read(literal, fmt), fmt)
        step = round_exact(outcome, fmt, mode) if isinstance(outcome, Exact) else None
        given = step.number if step else outcome.number  # type: ignore[union-attr]
        exact = outcome.value if isinstance(outcome, Exact) else None
        operands.append(Operand(clipped(literal.text, 28), exact, given, step.flags if step else Flag(0)))
        outcomes.append(outcome)
        steps.append(step)
    name = parsed.operation
    outcome = operate(name, mode, [o.number for o in operands]) if name else outcomes[0]
    step = round_exact(outcome, fmt, mode) if isinstance(outcome, Exact) else None
    return _explained(name, fmt, mode, tuple(operands), outcome, step)


def _read(literal: Written, fmt: Format) -> Exact | Special:
    """The exact value of a literal, or the number it names."""
    if literal.value is not None:
        return Exact(literal.value, literal.negative)
    lost = Flag(0)
    if literal.code is None:
        nan = literal.special == "nan"
        found = (not_a_number if nan else infinity)(fmt, literal.negative)
        there = found.kind == "NaN" if nan else found.kind == "infinity" and bool(found.sign) == literal.negative
        lost = Flag(0) if there else Flag.INVALID
    elif literal.code >> fmt.bits:
        raise ValueError(f"x: the bit pattern {literal.text} is not allowed; allowed: 0x0 to {2**fmt.bits - 1:#x}")
    else:
        found = Number(fmt, literal.code)
    if found.value is not None and not lost:
        return Exact(found.value, bool(found.sign))
    if lost:
        return Special(found, lost, f"{fmt} has no {literal.text}: invalid, and {numerals.value(found)} instead.")
    return Special(found, lost, f"{'NaN' if found.kind == 'NaN' else 'Infinity'}: nothing is rounded.")


def _explained(
    name: str, fmt: Format, mode: Rounding, operands: tuple[Operand, ...], outcome: Exact | Special, step: Step | None
) -> Explanation:
    exact, midpoint, irrational = None, None, False
    result = outcome.number if isinstance(outcome, Special) else not_a_number(fmt)
    if isinstance(outcome, Exact) and step is not None:
        exact, irrational, result = outcome.value, outcome.irrational, step.number
    below, above = neighbour(result, False), neighbour(result, True)
    if exact is not None and step is not None and exact != result.value:
        below, above, midpoint = _around(exact, fmt, step)
    flags = outcome.flags if isinstance(outcome, Special) else step.flags if step else Flag(0)
    decision = outcome.why if isinstance(outcome, Special) else _decision(outcome, step, mode, fmt) if step else ""
    expression = numerals.expression(name, [o.text for o in operands])
    return Explanation(
        expression, name, fmt, mode, operands, exact, irrational, result, below, above, midpoint, step, flags, decision
    )


def _around(exact: Fraction, fmt: Format, step: Step) -> tuple[Number | None, Number | None, Fraction | None]:
    """The numbers below and above, and their midpoint, in which infinity counts as the number it stands next to.

    Below the smallest number of a format without zero the other one is that of the other sign, if there are signs.
    """
    lay, negative = layout(fmt), exact < 0
    far: Number | None
    if abs(exact) < power(fmt.emin) and fmt.zero_field != "subnormals":
        far = number(fmt, lay.normal, negative)
        if lay.zeros:
            near, midpoint = number(fmt, 0, negative), power(fmt.emin) / 2
        elif fmt.signed:
            near, midpoint = number(fmt, lay.normal, not negative), Fraction(0)
        else:
            return None, far, None
    else:
        code = ((step.unit + fmt.nmant - fmt.emin - 1) << fmt.nmant) + step.kept + lay.normal
        inner = min(code, lay.largest)
        near, midpoint = number(fmt, inner, negative), (value_of(fmt, inner) + value_of(fmt, inner + 1)) / 2
        far = number(fmt, inner + 1 if inner < lay.largest else lay.beyond, negative)
        if inner == lay.largest == lay.beyond:
            far = None
    return (far, near, -midpoint) if negative else (near, far, midpoint)


_REASONS: dict[Rounding, str] = {
    Rounding.TOWARD_ZERO: "toward zero: whatever is dropped is dropped, so {act}",
    Rounding.UPWARD: "upward: the value is {side} and not exact, so {act}",
    Rounding.DOWNWARD: "downward: the value is {side} and not exact, so {act}",
    Rounding.TO_ODD: "to odd: the last kept bit is {bit} and something is dropped, so {act}",
}


def _decision(exact: Exact, step: Step, mode: Rounding, fmt: Format) -> str:
    """The rounding in one sentence, and what range and distance add to it."""
    what = "The exact value is"
    beyond = bool(step.flags & (Flag.OVERFLOW | Flag.INVALID))
    sentence = _sentence(exact, step, mode) if step.rest else f"{what} a number of {fmt}: nothing to round."
    if beyond and not step.rest:
        sentence = "No bit is dropped."
    if beyond:
        end = step.number.kind if step.number.value is None else "the largest finite number"
        name = "overflow" if step.flags & Flag.OVERFLOW else "invalid, for want of infinity"
        sentence += f" The magnitude is then beyond {numerals.number(Fraction(fmt.max))}: {name}, giving {end}."
    elif step.rest and abs(exact.value) < power(fmt.emin):
        sentence += {
            "subnormals": f" The exponent stops at {fmt.emin}, so fewer than {fmt.precision} digits are kept.",
            "zero": f" Without subnormal numbers there is nothing between 0 and 2^{fmt.emin}.",
            "normal": f" Without a zero, what is too small becomes the smallest number, 2^{fmt.emin}.",
        }[fmt.zero_field]
    if exact.irrational and step.rest and not beyond:
        points = (0, 1) if mode in _REASONS else (HALF,)
        distance = min(abs(step.rest - p) for p in points)
        name = "nearest number" if mode in _REASONS else "midpoint"
        near = "far enough to be sure" if distance > Fraction(1, 10**12) else "a hard case, decided by 60 digits"
        sentence += f" The {name} is {numerals.brief(distance)} ulp away: {near}."
    return sentence


def _sentence(exact: Exact, step: Step, mode: Rounding) -> str:
    direction = "up" if step.up else "down"
    act = f"round {direction}" + (" in magnitude" if exact.negative else "")
    bits = f"Round bit {step.round}, sticky {step.sticky}"
    if mode in _REASONS:
        side = "negative" if exact.negative else "positive"
        return f"{bits}; {_REASONS[mode].format(side=side, bit=step.guard, act=act)}."
    if step.rest != HALF:
        return f"{bits}: {'above' if step.round else 'below'} the midpoint, so {act}."
    if mode is Rounding.NEAREST_AWAY:
        return f"{bits}: a tie, which this mode rounds away from zero, so {act}."
    return f"{bits}: a tie; the last kept bit is {step.guard} ({'odd' if step.guard else 'even'}), so {act}."


__all__ = ["MODES", "BlockExplanation", "Explanation", "Operand", "explain"]
