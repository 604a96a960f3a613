"""An explanation as plain text."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from halfsim.numerics.exact_rounding import Number, log2_floor, power
from halfsim.numerics.explain.expression import SYMBOLS
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import SPECIALS
from halfsim.numerics.rounding import Rounding
from halfsim.text import clipped, distinct, filled, width

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation, Operand

_CONTEXT = decimal.Context(prec=60_000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
_DIGITS = 68  # columns of digits in an alignment, at most
_WORDS = {
    Rounding.NEAREST_EVEN: "to nearest, ties to even",
    Rounding.NEAREST_AWAY: "to nearest, ties away from zero",
    Rounding.TOWARD_ZERO: "toward zero",
    Rounding.UPWARD: "upward",
    Rounding.DOWNWARD: "downward",
    Rounding.TO_ODD: "to odd",
}
_BEYOND = 43_000  # decimal exponent past which no one counts digits


# ---- numbers ---------------------------------------------------------------------------------------------------------


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


# ---- significands above each other -----------------------------------------------------------------------------------


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


# ---- the page of text ------------------------------------------------------------------------------------------------


def equation(x: Number) -> str:
    """The value from its fields: sign, significand and exponent."""
    if x.kind in ("infinity", "NaN"):
        return x.kind
    return f"{'+-'[x.sign]}{digits(x)} x 2^{x.exponent}"


_PLACES = {"last": "the largest code", "minus_zero": "the code of minus zero"}


def place(x: Number) -> str:
    """Which code an infinity or a NaN is where it is a single one: "the code of minus zero: NaN"; else nothing."""
    special = SPECIALS[x.format.specials]
    where = special.nan if x.kind == "NaN" else special.infinity
    return f"{_PLACES[where]}: {x.kind}" if x.value is None and where in _PLACES else ""


def biased(x: Number) -> str:
    """What the exponent field says: "14 - 15 = -1", or what it means where no normal number has it."""
    bias = x.format.bias
    shift = f"- {bias}" if bias >= 0 else f"+ {-bias}"
    if x.value is None:
        return "all ones: infinity or NaN"
    if x.kind == "normal":
        return f"{x.biased_exponent} {shift} = {x.exponent}"
    return "0: zero" if x.format.zero_field == "zero" else f"0: no implicit bit, 1 {shift} = {x.exponent}"


def _fields(x: Number) -> list[str]:
    """The bits, and under each field what it says."""
    sign, exponent, trailing = x.fields
    head = f"  {x.hex}   {x.binary}"
    start = len(x.hex) + 5
    if place(x):
        return [filled(head, further="     "), filled(place(x), " " * min(start, width() - 24))]
    says = f"exponent {biased(x)}"
    begin = digits(x)[:2]
    wordings = [f"significand {digits(x)}", f"significand {begin} and these bits", f"{begin} and these bits"]
    if x.value is None:
        quiet = "signaling NaN" if x.signaling else "quiet NaN" if x.kind == "NaN" else "empty: infinity"
        wordings = [f"significand {quiet}", quiet]
    if len(head.rstrip()) > width():
        signed = f"sign {sign}; " if sign else ""
        return filled(f"{x.hex}: {signed}{says}; bits of the {wordings[0]}", "  ").split("\n")
    significand = next((words for words in wordings if start + len(words) + len(exponent) + 3 <= width()), "these bits")
    before = " " * start + ("| " if sign else "")
    lines = [head.rstrip(), before + "|" + (" " * len(exponent) + "|" if trailing else "")]
    if trailing:
        lines.append(before + "|" + " " * len(exponent) + significand)
    lines += filled(says, before).split("\n")
    if sign:
        lines.append(" " * start + f"sign {sign}: {'-' if x.sign else '+'}")
    return lines


def line(e: Explanation) -> str:
    """The number line in one row of characters: o neighbours, * the chosen one, : the midpoint, x the exact value."""
    below, above = e.below, e.above
    if e.exact is None or e.midpoint is None or below is None or above is None:
        return ""
    unit = 2 * (e.midpoint - (below.value if below.value is not None else 2 * e.midpoint - (above.value or 0)))
    start = e.midpoint - unit / 2
    share = (e.exact - start) / unit
    last = min(57, width() - 9 - 2 * len(below.hex)) - 1
    if last < 8:
        return ""
    row = ["-"] * (last + 1)
    row[0], row[last] = ("*" if n.code == e.result.code else "o" for n in (below, above))
    row[last // 2] = ":"
    ends = f"{below.hex} ", f" {above.hex}"
    if not 0 <= share <= 1:
        return f"x {ends[0]}{''.join(row)}{ends[1]}" if share < 0 else f"{ends[0]}{''.join(row)}{ends[1]} x"
    at = round(share * last)
    if share not in (0, Fraction(1, 2), 1):
        at += 1 if at == 0 or (at == last // 2 and share > Fraction(1, 2)) else 0
        at -= 1 if at == last or (at == last // 2 and share < Fraction(1, 2)) else 0
    row[at] = "x"
    return f"{ends[0]}{''.join(row)}{ends[1]}"


def operand_lines(operands: Sequence[Operand]) -> list[str]:
    """Each operand: what was written, its code, its fields, its value, and whether rounding changed it."""
    texts = distinct([o.text for o in operands], width() // 3)
    wide = max(map(len, texts))
    lines, indent = [], " " * (wide + 4)
    for o, text in zip(operands, texts, strict=True):
        x = o.number
        line = f"  {text:<{wide}}  {x.hex}  {x.binary}  {equation(x)}"
        if len(line) > width():
            line = line.removesuffix(f"  {equation(x)}")
            lines += [*filled(line, further=indent).split("\n"), f"{indent}{equation(x)}"]
        else:
            lines.append(line)
        if o.changed:
            raised = f" ({flags(o)})" if o.flags & ~Flag.INEXACT else ""
            note = f"{o.text} is first rounded to {value(x, 50)}{raised}"
            lines += filled(note, indent).split("\n")
    return lines


def neighbours(e: Explanation, limit: int = 60) -> list[tuple[str, str, str]]:
    """Rows of name, code and decimal value, upwards: below, exact or result, above."""
    rows = [("below", e.below.hex, value(e.below, limit))] if e.below else []
    if e.midpoint is not None and e.exact is not None:
        inner = [(e.exact, ("exact", "", exact(e, limit))), (e.midpoint, ("midpoint", "", number(e.midpoint, limit)))]
        rows += [row for _, row in sorted(inner, key=lambda pair: pair[0])]
    elif e.exact is None or e.exact == e.result.value:
        rows.append(("result", e.result.hex, value(e.result, limit)))
    else:
        rows.append(("exact", "", exact(e, limit)))
    rows += [("above", e.above.hex, value(e.above, limit))] if e.above else []
    return rows


def errors(e: Explanation) -> str:
    """The error in three measures."""
    if e.error is None:
        return "infinite" if e.exact is not None else "none"
    if not e.error:
        return "0"
    parts = [f"{brief(e.error)} absolute"]
    if e.relative_error is not None:
        parts.append(f"{brief(e.relative_error)} relative")
    return ", ".join([*parts, f"{brief(e.ulp_error or Fraction(0))} ulp"])


def _entry(name: str, text: str) -> list[str]:
    return filled(text, f"  {name:<9} ").split("\n")


def title(e: Explanation) -> str:
    """What was asked."""
    return f"{e.expression} in {e.format}, rounded {_WORDS[e.rounding]}"


def text(e: Explanation) -> str:
    """The whole explanation."""
    lines = [filled(title(e)), ""]
    room = min(60, max(width() - 19 - len(e.result.hex), width() - 12 if width() < 60 else 8))
    if e.operation:
        lines += [*operand_lines(e.operands), ""]
    heading, drawn = alignment(e)
    if drawn:
        bits = (
            f"guard {e.guard} (the last bit kept), round {e.round} (the first dropped), sticky {e.sticky} (any after)"
        )
        lines += [filled(f"{heading}:", "  "), *drawn, filled(bits, "  "), ""]
    if e.exact is not None:
        lines += _entry("exact", exact(e, min(60, width() - 12)))
    lines += _entry("decision", e.decision)
    lines += _entry("result", value(e.result, min(60, width() - 12)))
    lines += ["", *_fields(e.result), ""]
    lines += _entry("class", e.result.kind)
    if e.result.value is not None:
        lines += _entry("", f"= {equation(e.result)}")
    around = neighbours(e, room)
    wide = max(len(code) for _, code, _ in around)
    lines += [""]
    for name, code, words in reversed(around):
        mark = "  <--" if code == e.result.hex else ""
        line_ = f"  {name:<9} {code:<{wide}}  {words}{mark}".rstrip()
        lines += [line_] if len(line_) <= width() else [f"  {name:<9} {code}{mark}", f"            {words}"]
    if line(e):
        lines += ["", f"  {line(e)}"]
        lines.append(" " * min(len(e.result.hex) + 3, width() - 31) + "x exact, : midpoint, * chosen")
    lines += ["", *_entry("error", errors(e)), *_entry("flags", flags(e))]
    return "\n".join(lines)


def facts(e: Explanation) -> dict[str, Any]:
    """The facts as JSON holds them; exact numbers as decimal strings."""

    def told(x: Number | None) -> dict[str, Any] | None:
        if x is None:
            return None
        names = ("hex", "binary", "kind", "sign", "biased_exponent", "exponent", "significand")
        return {"value": value(x, 2000), **{name: getattr(x, name) for name in names}}

    return {
        "expression": e.expression,
        "operation": e.operation or None,
        "format": e.format.name,
        "rounding": e.rounding.value,
        "operands": [
            {"text": o.text, "exact": number(o.exact, 2000) if o.exact is not None else None, **(told(o.number) or {})}
            for o in e.operands
        ],
        "exact": None if e.exact is None else exact(e, 2000),
        "result": told(e.result),
        "below": told(e.below),
        "above": told(e.above),
        "midpoint": None if e.midpoint is None else number(e.midpoint, 2000),
        "guard": e.guard,
        "round": e.round,
        "sticky": e.sticky,
        "decision": e.decision,
        "error": None if e.error is None else brief(e.error),
        "relative_error": None if e.relative_error is None else brief(e.relative_error),
        "ulp_error": None if e.ulp_error is None else brief(e.ulp_error),
        "flags": [str(f.name) for f in type(e.flags) if f in e.flags],
    }
