"""An explanation as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from halfsim.numerics.exact_rounding import Number
from halfsim.numerics.explain.alignment import alignment
from halfsim.numerics.explain.numerals import brief, digits, exact, flags, number, value
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import SPECIALS
from halfsim.numerics.rounding import Rounding
from halfsim.text import distinct, filled, width

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation, Operand

WORDS = {
    Rounding.NEAREST_EVEN: "to nearest, ties to even",
    Rounding.NEAREST_AWAY: "to nearest, ties away from zero",
    Rounding.TOWARD_ZERO: "toward zero",
    Rounding.UPWARD: "upward",
    Rounding.DOWNWARD: "downward",
    Rounding.TO_ODD: "to odd",
}


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
    return f"{e.expression} in {e.format}, rounded {WORDS[e.rounding]}"


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
