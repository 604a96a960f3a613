"""A block of a block format worked by hand, in exact fractions: its scale by the rule, what its numbers become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

import numpy as np

from halfsim.card import Card, Record
from halfsim.markup import Block, document, sections
from halfsim.numerics.blocks import DIRECTIONS, INT8, BlockFormat
from halfsim.numerics.exact_rounding import Number, log2_floor, not_a_number, power, round_exact, zero
from halfsim.numerics.explain import drawing, numerals
from halfsim.numerics.explain.expression import Literal, parse
from halfsim.numerics.formats import shortened
from halfsim.numerics.rounding import Rounding
from halfsim.text import clipped, columns, counted, filled

_DIGITS = 14  # characters of a number in the table


@dataclass(frozen=True)
class Element(Record):
    """A number of a block, and what it became.

    ``scaled`` is ``value`` over the scales, which lies between ``below`` and ``above`` (None where nothing was
    rounded, or nothing is above), ``element`` the one chosen and ``code`` its code; ``result`` is what that stands for,
    times the scales. ``clipped`` says whether ``scaled`` is past the largest element. Where there is no number, as in
    a block whose scale is NaN, it is None.
    """

    text: str
    value: Fraction | None
    scaled: Fraction | None
    below: Fraction | None
    above: Fraction | None
    element: Fraction
    code: int
    clipped: bool
    result: Fraction | None

    @property
    def tie(self) -> bool:
        """Whether ``scaled`` lies in the middle."""
        ends = (self.scaled, self.below, self.above)
        return None not in ends and 2 * self.scaled == self.below + self.above  # type: ignore[operator]

    @property
    def error(self) -> Fraction | None:
        """``result`` minus ``value``."""
        return None if self.result is None or self.value is None else self.result - self.value


@dataclass(frozen=True, repr=False)
class BlockExplanation(Card):
    """The facts behind one block; ``str()`` and ``print`` tell them as text, notebooks as tables.

    ``amax`` is the largest magnitude (None where one is infinite or NaN), ``scale`` the scale as a number of its
    format, with ``hex`` and ``value``, ``second_scale`` that of the whole array, which is this block (None where the
    format has none), ``decision`` how the scale follows from ``amax``, and ``elements`` the numbers in their order.
    """

    format: BlockFormat
    rounding: Rounding
    amax: Fraction | None
    scale: Number
    second_scale: Fraction | None
    decision: str
    elements: tuple[Element, ...]

    @property
    def clipped(self) -> int:
        """How many numbers were clipped."""
        return sum(e.clipped for e in self.elements)

    @property
    def title(self) -> str:
        """What was asked."""
        texts = clipped(", ".join(e.text for e in self.elements), 40)
        return f"[{texts}] in {self.format}, elements rounded {drawing.WORDS[self.rounding]}"

    def to_dict(self) -> dict[str, Any]:
        """The facts as strings and numbers that JSON can hold."""

        def told(x: object) -> object:
            return numerals.number(x, 2000) if isinstance(x, Fraction) else x

        names = ("text", "value", "scaled", "below", "above", "element", "code", "clipped", "result", "error")
        return {
            "format": str(self.format),
            "rounding": self.rounding.value,
            "amax": told(self.amax),
            "scale": numerals.value(self.scale, 2000),
            "scale_code": self.scale.hex,
            "second_scale": told(self.second_scale),
            "decision": self.decision,
            "elements": [{name: told(getattr(e, name)) for name in names} for e in self.elements],
        }

    def _facts(self) -> list[tuple[str, str]]:
        size = f"in {counted(len(self.elements), 'number')}, of up to {self.format.block} that share a scale"
        facts = [("largest", f"{'none' if self.amax is None else numerals.number(self.amax, 40)} {size}")]
        if self.second_scale is not None:
            facts.append(("of all", f"{numerals.number(self.second_scale, 40)}, the scale of the whole array"))
        x = self.scale
        power_of_two = f" = 2^{log2_floor(x.value)}" if x.value and self.format.scale.precision == 1 else ""
        said = f"{numerals.value(x, 40)}{power_of_two} ({x.hex} in {self.format.scale})"
        return [*facts, ("rule", self.decision), ("scale", said)]

    def _table(self) -> list[tuple[str, ...]]:
        digits = -(-self.format.element_bits // 4)
        rows: list[tuple[str, ...]] = [("number", "over scale", "between", "element", "code", "stands for", "error")]
        for e in self.elements:
            result = "nan" if self.scale.value is None else _short(e.result)
            error = "-" if e.error is None else numerals.brief(e.error)
            code = f"0x{e.code:0{digits}x}"
            rows += [(clipped(e.text, _DIGITS), _short(e.scaled), _between(e), _short(e.element), code, result, error)]
        return rows

    def __str__(self) -> str:
        facts = [line for name, said in self._facts() for line in filled(said, f"  {name:<8} ").split("\n")]
        return "\n".join([filled(self.title), "", *facts, "", columns(self._table(), left=1)])

    __repr__ = __str__

    def _card(self) -> Sequence[tuple[str, Block | Mapping[str, object]]]:
        return [(self.title, dict(self._facts())), ("", self._table())]

    def page(self) -> str:
        """What a notebook shows, as an HTML page of its own: no script, no network."""
        blocks: list[tuple[str, Any]] = [("", block) for _, block in self._card()]
        return document(self.title, [f"<h1>{escape(self.title)}</h1>", *sections(blocks, sort=False)])


def explain_block(x: object, fmt: BlockFormat, mode: Rounding) -> BlockExplanation:
    """The numbers of ``x`` as one block; errors as in `halfsim.explain`."""
    if fmt.hadamard:
        raise ValueError(f"format: {fmt} is not allowed; allowed: block formats that do not turn their numbers")
    literals = _literals(x, fmt)
    amax, second = None, None
    if all(found.value is not None for found in literals):
        amax = max(abs(found.value) for found in literals if found.value is not None)
    if fmt.second_scale is not None:
        second = _second(amax or Fraction(0), fmt)
    scale, why = _scale(amax, fmt, second or Fraction(1))
    by = None if scale.value is None else scale.value * (second or 1)
    return BlockExplanation(fmt, mode, amax, scale, second, why, tuple(_element(f, by, fmt, mode) for f in literals))


def _literals(x: object, fmt: BlockFormat) -> list[Literal]:
    given: list[object] = [x]
    if isinstance(x, str):
        inside = x.strip()
        given = list((inside[1:-1] if inside[:1] + inside[-1:] == "[]" else inside).split(","))
    elif isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim == 1):
        given = list(x)
    if not 1 <= len(given) <= fmt.block:
        raise ValueError(
            f"x: {counted(len(given), 'number')} {'is' if len(given) == 1 else 'are'} not allowed; "
            f"allowed: 1 to {fmt.block}, a block of {fmt}"
        )
    found = []
    for part in given:
        read = parse(part)
        if read.operation:
            raise ValueError(f"x: {shortened(part)} is not allowed; allowed: numbers, as '[1, 2.5, 7, 0.1]'")
        found.append(read.operands[0])
    return found


def _second(amax: Fraction, fmt: BlockFormat) -> Fraction:
    """The scale of an array that is this block."""
    assert fmt.second_scale is not None
    made = round_exact(
        amax / (Fraction(fmt.largest) * Fraction(fmt.scale.max)),
        False, fmt.second_scale, Rounding.NEAREST_EVEN, "saturate",
    ).number  # fmt: skip
    if not amax:
        return Fraction(1)
    return made.value or Fraction(fmt.second_scale.smallest_subnormal)


def _scale(amax: Fraction | None, fmt: BlockFormat, second: Fraction) -> tuple[Number, str]:
    """The scale by the rule, in the words of the sources that `halfsim.BlockFormat` names."""
    if amax is None:
        return not_a_number(fmt.scale), "a block with an infinity or a NaN has the scale NaN, and is NaN as a whole"
    if not amax:
        return Number(fmt.scale, 0), "a block of zeros has the smallest scale"
    largest, rule = Fraction(fmt.largest), fmt.rule
    told = numerals.number(amax, 40)
    if rule in DIRECTIONS:
        exact = amax / largest / second
        over = f"{numerals.number(largest)}" + (f" / {numerals.number(second, 24)}" if fmt.second_scale else "")
        way = "up to a number" if rule == "ceil" else "to the nearest number"
        why = f"{rule}: {told} / {over} = {numerals.number(exact, 24)}, rounded {way} of {fmt.scale}"
        mode = DIRECTIONS[rule]
    else:
        why, mode = f"{rule}: ", Rounding.NEAREST_EVEN
        if rule == "even":
            unit = power(log2_floor(amax) - fmt.element.precision + 1)
            amax = round(amax / unit) * unit
            why += f"{told} in {counted(fmt.element.precision, 'digit')} is {numerals.number(amax, 40)}; "
        top, own = log2_floor(amax), log2_floor(largest)
        exact = power(top - own)
        why += f"the powers of two of {numerals.number(amax, 40)} and of the largest element, 2^{top} / 2^{own}"
    least, most = (Fraction(end) for end in (fmt.scale.smallest_subnormal, fmt.scale.max))
    step = round_exact(exact, False, fmt.scale, mode, "saturate")
    if exact > most:
        why += f"; the largest scale is {numerals.number(most, 24)}"
    elif exact < least:
        why += f"; the smallest scale is {numerals.number(least, 24)}"
    return step.number, why


def _element(found: Literal, by: Fraction | None, fmt: BlockFormat, mode: Rounding) -> Element:
    """A number over the scales ``by``, rounded; None is a scale that is NaN."""
    text, value = clipped(found.text.strip(), 28), found.value
    if value is None or not by:
        return Element(
            text, value, None, None, None, Fraction(0), zero(fmt.element).code, False, None if by is None else by
        )
    scaled, largest = value / by, Fraction(fmt.largest)
    sign = -1 if found.negative else 1
    past = abs(scaled) > largest
    step = round_exact(min(abs(scaled), largest), found.negative, fmt.element, mode, "saturate")
    below = above = None
    if past:
        below, above = (largest, None) if sign > 0 else (None, -largest)
    elif step.rest:
        low, high = step.kept * power(step.unit), (step.kept + 1) * power(step.unit)
        below, above = (low, high) if sign > 0 else (-high, -low)
    element = step.number.value
    assert element is not None
    code = int(element * 64) & 0xFF if fmt.element == INT8 else step.number.code
    return Element(text, value, scaled, below, above, element, code, past, element * by)


def _short(x: Fraction | None) -> str:
    return "-" if x is None else numerals.number(x, _DIGITS)


def _between(e: Element) -> str:
    if e.clipped:
        return f"past {_short(e.above if e.below is None else e.below)}: clipped"
    if e.below is None or e.above is None:
        return "-" if e.scaled is None else "exact"
    return f"{_short(e.below)}, {_short(e.above)}{': a tie' if e.tie else ''}"


__all__ = ["BlockExplanation", "Element", "explain_block"]
