"""Significands above each other, in columns of one weight each, with the place where the rounding falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from halfsim.numerics.exact_rounding import Number, log2_floor, power
from halfsim.numerics.explain.numerals import digits
from halfsim.text import clipped, width

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation

_DIGITS = 68  # columns of digits in an alignment, at most


@dataclass(frozen=True)
class Row:
    """A line of digits: label, sign, magnitude, and the weight of its last digit (None: all there are)."""

    label: str
    sign: str
    magnitude: Fraction
    low: int | None = None
    high: int = -(10**9)  # zeros are written from this weight on, and from the point on
    rule: bool = False  # drawn under a line


def _own_low(x: Fraction, unit: int) -> tuple[int, bool]:
    """The weight of the last digit to show of a result, and whether more would follow."""
    d = x.denominator
    if d & (d - 1) == 0:
        low = 1 - d.bit_length() if d > 1 else (x.numerator & -x.numerator).bit_length() - 1 if x else unit
        return min(low, unit - 1), False
    return min(unit - 14, log2_floor(abs(x)) - 2), True


def _weights(lines: Sequence[_Digits], point: int, low: int) -> list[int | tuple[int, int]]:
    """Columns by weight; a long run of columns without a 1 in any row is one pair (first, last)."""
    top = max([point] + [line.row.high for line in lines] + [line.top for line in lines])
    most = _digits_shown()
    columns: list[int | tuple[int, int]] = []
    run: list[int] = []
    for weight in range(top, low - 2, -1):
        if len(columns) > most:
            break
        if low <= weight < point - 1 and all(line.at(weight, point) in " 0" for line in lines):
            run.append(weight)
            continue
        columns += [*run[:2], (run[2], run[-3]), *run[-2:]] if len(run) > 24 else run
        run = []
        if weight >= low:
            columns.append(weight)
    return columns


def _digits_shown() -> int:
    """How many columns of digits an alignment has room for."""
    return min(_DIGITS, width() - 28)


class _Digits:
    """The binary digits of a row down to a weight."""

    def __init__(self, row: Row, low: int) -> None:
        scaled = row.magnitude / power(low)
        self.row, self.low, self.whole = row, low, scaled.numerator // scaled.denominator
        self.top = low + self.whole.bit_length() - 1

    def at(self, weight: int, point: int) -> str:
        if self.row.low is not None and weight < self.row.low:
            return " "
        if weight > max(point, self.row.high, self.top):
            return " "
        return str(self.whole >> (weight - self.low) & 1)


def aligned(rows: Sequence[Row], point: int, unit: int, endless: bool) -> list[str]:
    """Rows of digits whose columns have one weight each; a bar after the last bit kept; guard, round, sticky below."""
    low = min([unit - 1] + [r.low for r in rows if r.low is not None])
    digits = [_Digits(row, low) for row in rows]
    columns = _weights(digits, point, low)
    cells = [_cell(c, digits, point, unit) for c in columns]
    while sum(len(texts[-1]) for texts in cells) > _digits_shown() + 4:
        cells.pop()
        endless = True
    lines = []
    for i, row in enumerate(rows):
        line = "".join(texts[i] for texts in cells)
        if row.rule:
            lines.append(" " * 18 + "-" * (len(line) + 2))
        more = "..." if row is rows[-1] and endless else ""
        lines.append(f"{clipped(row.label, 16):>16}  {row.sign} {line}{more}".rstrip())
    return [*lines, (" " * 20 + "".join(texts[-1] for texts in cells)).rstrip()]


def _cell(column: int | tuple[int, int], digits: Sequence[_Digits], point: int, unit: int) -> list[str]:
    """What a column holds in each row, and below: G, R or S, with the point and the bar after it where they belong."""
    first, last = column if isinstance(column, tuple) else (column, column)
    mark = "S" if first < unit - 1 else "R" if first == unit - 1 else "G" if first == unit else " "
    texts = [line.at(first, point) for line in digits]
    if first > last:
        filler = f"..{first - last + 1} zeros.."
        texts = [filler if text == "0" else " " * len(filler) for text in texts]
        mark = (mark if mark == "S" else " ") * len(filler)
    point_here, bar_here = last <= point <= first, last <= unit <= first
    after = ("." if point_here else "") + ("|" if bar_here else "")
    return [text + after for text in texts] + [mark + " " * len(after)]


def _operand_row(label: str, x: Number, sign: str = "") -> Row:
    assert x.value is not None
    return Row(label, sign or "+-"[x.sign], abs(x.value), x.exponent - x.format.nmant)


def alignment(e: Explanation) -> tuple[str, list[str]]:
    """A heading and the lines of digits that show where the rounding falls; no lines where nothing is finite."""
    if e.step is None or e.exact is None:
        return "", []
    numbers, texts = [o.number for o in e.operands], [o.text for o in e.operands]
    low, endless = _own_low(e.exact, e.step.unit)
    endless = endless or e.irrational
    low = max(low, e.step.unit - 14) if endless else low
    shown = Row("exact", "+-"[e.exact < 0], abs(e.exact), low)
    rows: list[Row] = []
    heading = "The exact value in binary"
    if e.operation in ("add", "sub"):
        flip = e.operation == "sub"
        rows = [_operand_row(texts[0], numbers[0]), _operand_row(texts[1], numbers[1], "+-"[numbers[1].sign ^ flip])]
        heading = "Align the significands by their exponents and add"
    elif e.operation == "fma" and numbers[0].value is not None and numbers[1].value is not None:
        product = numbers[0].value * numbers[1].value
        bottom = sum(x.exponent - x.format.nmant for x in numbers[:2])
        rows = [Row("exact product", "+-"[product < 0], abs(product), bottom), _operand_row(texts[2], numbers[2])]
        heading = "Add to the exact product, which is never rounded"
    rows = [r for r in rows if r.low is not None]
    if rows:
        low = min([low] + [r.low for r in rows if r.low is not None])
    last = Row("exact", shown.sign, shown.magnitude, max(low, shown.low or low) if endless else low, e.step.unit)
    if e.operation == "mul" and e.exact:
        return _multiplied(e, last, endless)
    rows.append(replace(last, rule=bool(rows)))
    point = e.step.unit + e.format.nmant
    if e.operation in ("add", "sub"):
        point = max(x.exponent for x in numbers)
    elif e.operation == "fma" and len(rows) == 3:
        point = max([log2_floor(r.magnitude) for r in rows[:2] if r.magnitude] or [point])
    return f"{heading} (times 2^{point})", aligned(rows, point, e.step.unit, endless)


def _multiplied(e: Explanation, last: Row, endless: bool) -> tuple[str, list[str]]:
    """The significands of both factors above their product, whose exponent is the sum of theirs."""
    assert e.step is not None
    first, second = (o.number.exponent for o in e.operands)
    lines = aligned([last], first + second, e.step.unit, endless)
    before = lines[0][20:].partition(".")[0]
    above = [
        f"{clipped(o.text, 16):>16}  {sign} {' ' * (len(before) - 1)}{digits(o.number)}"
        for sign, o in zip(" x", e.operands, strict=True)
    ]
    rule = " " * 18 + "-" * (max(map(len, [*above, *lines])) - 18)
    return f"Multiply the significands; the exponents add, {first} + {second} = {first + second}", [
        *above,
        rule,
        *lines,
    ]
