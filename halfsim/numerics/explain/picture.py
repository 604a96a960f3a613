"""An explanation as SVG, and as HTML that reads on light and on dark paper, wide and narrow."""

from __future__ import annotations

import html as _html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from halfsim.markup import Lines, definitions, document, fragment, sections, table
from halfsim.numerics.exact_rounding import Number
from halfsim.numerics.explain import drawing, numerals
from halfsim.numerics.explain.alignment import alignment

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation

_MINUS = "\N{MINUS SIGN}"
_COLOURS = {"sign": "#f2a3a0", "exponent": "#a5d8a0", "significand": "#a9c8f5"}  # dark digits read on each of them
_INK, _PAPER, _CHOSEN, _EXACT = "#1d2330", "#ffffff", "#2f7de1", "#d9622b"
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True)
class _Room:
    """How wide a picture is, where the two neighbours stand in it, and how many characters a value has."""

    width: int
    left: int
    right: int
    digits: int
    margin: int


_WIDE, _NARROW = _Room(860, 150, 710, 36, 30), _Room(360, 62, 298, 15, 6)
_MOST = 20  # boxes for bits that a narrow picture holds


def _text(x: float, y: float, words: str, anchor: str = "middle", size: float = 13, extra: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="currentColor"{extra}>'
        f"{_html.escape(words)}</text>"
    )


def _boxes(x: Number, top: float, room: _Room) -> Iterator[str]:
    """A box for each bit, coloured by field; under each field its name and what it says."""
    side = min(34.0, (room.width - 2 * room.margin) / x.format.bits)
    left = (room.width - side * x.format.bits) / 2
    exponent = drawing.place(x) or drawing.biased(x).replace(": infinity or NaN", "").replace("no implicit bit, ", "")
    exponent = exponent.replace("-", _MINUS)
    clear = left + x.format.signed * (side + 18) + 4.2 * len(exponent)  # beyond the sign, where boxes are narrow
    says = {"sign": _MINUS if x.sign else "+", "exponent": exponent, "significand": _significand(x)}
    for (name, colour), field in zip(_COLOURS.items(), x.fields, strict=True):
        middle = max(left + side * len(field) / 2, clear if name == "exponent" else 0)
        for bit in field:
            yield (
                f'<rect x="{left:.1f}" y="{top}" width="{side:.1f}" height="34" rx="3" fill="{colour}" '
                f'stroke="{_PAPER}" stroke-width="1.5"/>'
                f'<text x="{left + side / 2:.1f}" y="{top + 23}" text-anchor="middle" '
                f'font-size="{min(17.0, side):.1f}" fill="{_INK}" font-family="{_MONO}">{bit}</text>'
            )
            left += side
        if field:
            yield _text(middle, top + 54, name, size=12, extra=' opacity="0.7"')
            yield _text(middle, top + 73, says[name], size=14, extra=' font-weight="600"')


def _significand(x: Number) -> str:
    if x.value is None:
        if drawing.place(x):
            return ""
        return "signaling NaN" if x.signaling else "quiet NaN" if x.kind == "NaN" else "empty: infinity"
    return numerals.digits(x)


def _value_text(x: Number, room: _Room) -> str:
    return numerals.value(x, room.digits).replace("inf", "∞")


def _dot(x: float, y: float, chosen: bool) -> str:
    fill = _CHOSEN if chosen else _PAPER
    stroke = _CHOSEN if chosen else "currentColor"
    return f'<circle cx="{x:.1f}" cy="{y}" r="{8 if chosen else 6}" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'


def _label(x: float, y: float, number: Number, chosen: bool, room: _Room) -> str:
    weight = ' font-weight="700"' if chosen else ""
    return _text(x, y + 28, number.hex, size=13, extra=f' font-family="{_MONO}"{weight}') + _text(
        x, y + 46, _value_text(number, room), size=12.5, extra=weight
    )


def _share(e: Explanation) -> float | None:
    """Where the exact value lies between the neighbours, 0 to 1; outside of that where it lies beyond them."""
    if e.exact is None or e.midpoint is None or e.below is None or e.above is None:
        return None
    half = abs(e.midpoint - (e.below.value if e.below.value is not None else e.above.value or 0))
    return float(max(min((e.exact - e.midpoint) / (2 * half) + Fraction(1, 2), Fraction(2)), Fraction(-1)))


def _number_line(e: Explanation, y: float, room: _Room) -> Iterator[str]:
    share, left, right = _share(e), room.left, room.right
    digits = min(36, room.digits + 6)
    axis = f'd="M{room.margin} {y}H{room.width - room.margin}" stroke="currentColor"'
    yield f'<path {axis} stroke-width="1.5" opacity="0.6"/>'
    if share is None:
        places = ((e.below, left), (e.result, (left + right) // 2), (e.above, right))
        for number, x in places:
            if number is not None:
                yield _dot(x, y, number is e.result) + _label(x, y, number, number is e.result, room)
        rounded = e.exact != e.result.value
        words = f"exact {numerals.exact(e, digits)}, off the line" if rounded else "exact: nothing is rounded"
        yield _text((left + right) / 2, y - 18, words if e.exact is not None else numerals.value(e.result))
        return
    middle = (left + right) / 2
    at = min(max(left + share * (right - left), room.margin + 15.0), room.width - room.margin - 15.0)
    chosen = left if e.below is not None and e.below.code == e.result.code else right
    yield f'<path d="M{middle} {y - 13}V{y + 13}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3"/>'
    assert e.midpoint is not None
    midpoint = f"midpoint {numerals.number(e.midpoint, digits)}"
    yield _text(middle, y + 70, midpoint, size=12, extra=' opacity="0.75"')
    yield f'<path d="M{middle} {y + 16}V{y + 57}" stroke="currentColor" opacity="0.3"/>'
    if abs(chosen - at) > 14:
        yield (
            f'<path d="M{at:.1f} {y - 8}Q{(at + chosen) / 2:.1f} {y - 46} {chosen} {y - 11}" fill="none" '
            f'stroke="{_CHOSEN}" stroke-width="2"/>{_tip(at, chosen, y)}'
        )
    for number, x in ((e.below, left), (e.above, right)):
        assert number is not None
        yield _dot(x, y, x == chosen) + _label(x, y, number, x == chosen, room)
    yield (
        f'<path d="M{at:.1f} {y - 8}L{at + 7:.1f} {y}L{at:.1f} {y + 8}L{at - 7:.1f} {y}Z" '
        f'fill="{_EXACT}" stroke="{_PAPER}" stroke-width="1"/>'
    )
    words = f"exact {numerals.exact(e, digits)}" + (", off the line" if not 0 <= share <= 1 else "")
    half = 4.3 * len(words)
    yield _text(min(max(at, half + 8), room.width - half - 8), y - 44, words, size=13.5, extra=' font-weight="600"')


def _tip(at: float, chosen: float, y: float) -> str:
    """The point of the arrow from the exact value to the chosen one, as it bends."""
    angle = math.degrees(math.atan2(35, (chosen - at) / 2))
    return f'<path d="M2 0L-10 -5V5Z" fill="{_CHOSEN}" transform="translate({chosen} {y - 11}) rotate({angle:.1f})"/>'


def _drawn(e: Explanation, room: _Room = _WIDE, card: bool = False, kind: str = "") -> str:
    """The picture; as a ``card`` with a heading, on white paper, whole in itself."""
    colour, top, width = (f"color:{_INK};", 30, room.width) if card else ("", 0, room.width)
    kinds = f'class="{kind}" ' if kind else ""
    value = f"{e.result.hex} = {_value_text(e.result, room)}"
    value += f", {e.result.kind}" if e.result.value is not None else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {kinds}viewBox="0 {30 - top} {width} {300 + top}" width="{width}" '
        f'role="img" aria-label="{_html.escape(f"{drawing.title(e)}: {value}. {e.decision}")}" '
        f'style="{colour}max-width:100%;height:auto;font-family:system-ui,sans-serif">',
        f'<rect width="{width}" height="330" rx="8" fill="{_PAPER}"/>' if card else "",
        _text(width / 2, 28, drawing.title(e), size=16, extra=' font-weight="600"') if card else "",
        *_boxes(e.result, 46, room),
        _text(width / 2, 150, value, size=15 if room is _WIDE else 13, extra=f' font-family="{_MONO}"'),
        *_number_line(e, 232, room),
        "</svg>",
    ]
    return "".join(parts)


def svg(e: Explanation) -> str:
    """A picture on its own white card, whole in itself."""
    return _drawn(e, card=True)


_STYLE = """
.halfsim .picture { overflow-x: auto; max-width: 54rem; } .halfsim .picture svg { display: block; font-size: 13px; }
.halfsim .narrow { display: none !important; } .halfsim .bits { background: var(--band); padding: .6rem .8rem;
  border-radius: 6px; max-width: 54rem; margin-bottom: .75rem; } .halfsim .bits pre { margin: 0; }
@container (max-width: 40rem) { .halfsim .wide { display: none !important; }
  .halfsim .narrow { display: block !important; } .halfsim .only { min-width: 40rem; } }
"""


def _body(e: Explanation) -> Iterator[str]:
    """Picture, operands, alignment, decision and error."""
    fits = e.format.bits <= _MOST
    pictures = _drawn(e, kind="wide" if fits else "only") + (_drawn(e, _NARROW, kind="narrow") if fits else "")
    yield f'<div class="picture" tabindex="0">{pictures}</div>'
    if e.operation:
        rows = []
        for o in e.operands:
            note = f"first rounded to {numerals.value(o.number)}" if o.changed else ""
            rows.append((o.text, o.number.hex, o.number.binary, drawing.equation(o.number), note))
        yield table(("operand", "code", "bits", "value", ""), rows, words=5, label="Operands")
    heading, lines = alignment(e)
    if lines:
        yield f"<p>{_html.escape(heading)}:</p>"
        yield f'<div class="bits">{"".join(sections([("", Lines(chr(10).join(lines)))]))}</div>'
    facts: list[tuple[str, str]] = [("decision", e.decision)]
    if e.step is not None:
        facts.append(("bits", f"guard {e.guard} (last kept), round {e.round} (first dropped), sticky {e.sticky}"))
    if e.exact is not None:
        facts.append(("exact", numerals.exact(e)))
    facts += [
        ("result", f"{numerals.value(e.result)} ({e.result.hex}, {e.result.kind})"),
        ("error", drawing.errors(e)),
        ("flags", numerals.flags(e)),
    ]
    yield definitions(facts, "facts")


def html(e: Explanation) -> str:
    """Heading, picture, operands, alignment, decision and error, for a notebook."""
    return fragment([f"<p><strong>{_html.escape(drawing.title(e))}</strong></p>", *_body(e)], _STYLE)


def page(e: Explanation) -> str:
    """The picture as a page of its own."""
    title = drawing.title(e)
    return document(title, [f"<h1>{_html.escape(title)}</h1>", *_body(e)], _STYLE)
