"""An explanation as SVG, and as a snippet of HTML that reads on light and on dark paper."""

from __future__ import annotations

import html as _html
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from halfsim.numerics.exact_rounding import Number
from halfsim.numerics.explain import drawing

if TYPE_CHECKING:
    from halfsim.numerics.explain import Explanation

_WIDTH = 860
_MINUS = "\N{MINUS SIGN}"
_LEFT, _RIGHT = 150, 710  # where the two neighbours stand
_COLOURS = {"sign": "#f2a3a0", "exponent": "#a5d8a0", "significand": "#a9c8f5"}  # dark digits read on each of them
_INK, _PAPER, _CHOSEN, _EXACT = "#1d2330", "#ffffff", "#2f7de1", "#d9622b"
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def _text(x: float, y: float, words: str, anchor: str = "middle", size: float = 13, extra: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="currentColor"{extra}>'
        f"{_html.escape(words)}</text>"
    )


def _boxes(x: Number, top: float) -> Iterator[str]:
    """A box for each bit, coloured by field; under each field its name and what it says."""
    side = min(34.0, (_WIDTH - 60) / x.format.bits)
    left = (_WIDTH - side * x.format.bits) / 2
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
    return drawing.digits(x)


def _value_text(x: Number) -> str:
    return drawing.value(x, 36).replace("inf", "∞")


def _dot(x: float, y: float, chosen: bool) -> str:
    fill = _CHOSEN if chosen else _PAPER
    stroke = _CHOSEN if chosen else "currentColor"
    return f'<circle cx="{x:.1f}" cy="{y}" r="{8 if chosen else 6}" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'


def _label(x: float, y: float, number: Number, chosen: bool) -> str:
    weight = ' font-weight="700"' if chosen else ""
    return _text(x, y + 28, number.hex, size=13, extra=f' font-family="{_MONO}"{weight}') + _text(
        x, y + 46, _value_text(number), size=12.5, extra=weight
    )


def _share(e: Explanation) -> float | None:
    """Where the exact value lies between the neighbours, 0 to 1; outside of that where it lies beyond them."""
    if e.exact is None or e.midpoint is None or e.below is None or e.above is None:
        return None
    half = abs(e.midpoint - (e.below.value if e.below.value is not None else e.above.value or 0))
    return float(max(min((e.exact - e.midpoint) / (2 * half) + Fraction(1, 2), Fraction(2)), Fraction(-1)))


def _number_line(e: Explanation, y: float) -> Iterator[str]:
    share = _share(e)
    yield f'<path d="M20 {y}H{_WIDTH - 20}" stroke="currentColor" stroke-width="1.5" opacity="0.6"/>'
    if share is None:
        places = ((e.below, _LEFT), (e.result, (_LEFT + _RIGHT) // 2), (e.above, _RIGHT))
        for number, x in places:
            if number is not None:
                yield _dot(x, y, number is e.result) + _label(x, y, number, number is e.result)
        rounded = e.exact != e.result.value
        words = f"exact {drawing.exact(e, 36)}, off the line" if rounded else "exact: nothing is rounded"
        yield _text((_LEFT + _RIGHT) / 2, y - 18, words if e.exact is not None else drawing.value(e.result))
        return
    middle = (_LEFT + _RIGHT) / 2
    at = min(max(_LEFT + share * (_RIGHT - _LEFT), 45.0), _WIDTH - 45.0)
    chosen = _LEFT if e.below is not None and e.below.code == e.result.code else _RIGHT
    yield f'<path d="M{middle} {y - 13}V{y + 13}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3"/>'
    assert e.midpoint is not None
    midpoint = f"midpoint {drawing.number(e.midpoint, 36)}"
    yield _text(middle, y + 70, midpoint, size=12, extra=' opacity="0.75"')
    yield f'<path d="M{middle} {y + 16}V{y + 57}" stroke="currentColor" opacity="0.3"/>'
    if abs(chosen - at) > 14:
        yield (
            f'<path d="M{at:.1f} {y - 8}Q{(at + chosen) / 2:.1f} {y - 46} {chosen} {y - 11}" fill="none" '
            f'stroke="{_CHOSEN}" stroke-width="2" marker-end="url(#halfsim-tip)"/>'
        )
    for number, x in ((e.below, _LEFT), (e.above, _RIGHT)):
        assert number is not None
        yield _dot(x, y, x == chosen) + _label(x, y, number, x == chosen)
    yield (
        f'<path d="M{at:.1f} {y - 8}L{at + 7:.1f} {y}L{at:.1f} {y + 8}L{at - 7:.1f} {y}Z" '
        f'fill="{_EXACT}" stroke="{_PAPER}" stroke-width="1"/>'
    )
    words = f"exact {drawing.exact(e, 36)}" + (", off the line" if not 0 <= share <= 1 else "")
    half = 4.3 * len(words)
    yield _text(min(max(at, half + 8), _WIDTH - half - 8), y - 44, words, size=13.5, extra=' font-weight="600"')


def _drawn(e: Explanation, card: bool) -> str:
    colour = f"color:{_INK};" if card else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} 330" width="{_WIDTH}" role="img" '
        f'aria-label="{_html.escape(drawing.title(e))}" '
        f'style="{colour}max-width:100%;height:auto;font-family:system-ui,sans-serif">'
        '<defs><marker id="halfsim-tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L10 5L0 10z" fill="{_CHOSEN}"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="330" rx="8" fill="{_PAPER}"/>' if card else "",
        _text(_WIDTH / 2, 28, drawing.title(e), size=16, extra=' font-weight="600"'),
        *_boxes(e.result, 46),
        _text(
            _WIDTH / 2,
            150,
            f"{e.result.hex} = {_value_text(e.result)}" + (f", {e.result.kind}" if e.result.value is not None else ""),
            size=15,
            extra=f' font-family="{_MONO}"',
        ),
        *_number_line(e, 232),
        "</svg>",
    ]
    return "".join(parts)


def svg(e: Explanation) -> str:
    """A picture on its own white card, whole in itself."""
    return _drawn(e, card=True)


def _lines(e: Explanation) -> str:
    """The aligned significands; the bits dropped in the colour of the exact value."""
    _, lines = drawing.alignment(e)
    inner = "\n".join(_html.escape(line) for line in lines)
    return (
        f'<pre style="font:13px/1.45 {_MONO};overflow-x:auto;margin:.3em 0;padding:.6em .8em;border-radius:6px;'
        f'color:inherit;background:rgba(127,127,127,.12)">{inner}</pre>'
    )


def _table(rows: list[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    cell = "padding:.15em 1em .15em 0;text-align:left;vertical-align:top;border:0;background:none;color:inherit;"
    parts = ["".join(f'<th style="{cell}opacity:.7;font-weight:600">{_html.escape(c)}</th>' for c in head)]
    for first, *rest in rows:
        line = f'<th style="{cell}font-weight:600;white-space:nowrap">{_html.escape(first)}</th>'
        line += "".join(f'<td style="{cell}overflow-wrap:anywhere">{_html.escape(c)}</td>' for c in rest)
        parts.append(line)
    body = "".join(f'<tr style="background:none">{part}</tr>' for part in parts if part)
    return f'<table style="border-collapse:collapse;font-size:14px;margin:.3em 0;color:inherit">{body}</table>'


def html(e: Explanation) -> str:
    """Picture, operands, alignment, decision and error; styles inline, colours inherited from the page."""
    parts = [
        f'<div style="max-width:{_WIDTH}px;color:inherit;font:14px/1.5 system-ui,sans-serif">',
        _drawn(e, card=False),
    ]
    if e.operation:
        rows: list[tuple[str, ...]] = []
        for o in e.operands:
            note = f"first rounded to {drawing.value(o.number)}" if o.changed else ""
            rows.append((o.text, o.number.hex, o.number.binary, drawing.equation(o.number), note))
        parts.append(_table(rows, ("operand", "code", "bits", "value", "")))
    heading, lines = drawing.alignment(e)
    if lines:
        parts.append(f'<div style="margin-top:.6em;opacity:.8">{_html.escape(heading)}</div>{_lines(e)}')
    facts: list[tuple[str, ...]] = [("decision", e.decision)]
    if e.step is not None:
        facts.append(("bits", f"guard {e.guard} (last kept), round {e.round} (first dropped), sticky {e.sticky}"))
    if e.exact is not None:
        facts.append(("exact", drawing.exact(e)))
    facts += [
        ("result", f"{drawing.value(e.result)} ({e.result.hex}, {e.result.kind})"),
        ("error", drawing.errors(e)),
        ("flags", drawing.flags(e)),
    ]
    return "".join([*parts, _table(facts), "</div>"])


def page(e: Explanation) -> str:
    """The snippet as a page of its own."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_html.escape(drawing.title(e))}</title>\n"
        "<style>:root { color-scheme: light dark } body { margin: 1.5rem auto; max-width: 56rem; padding: 0 1rem }"
        f"</style>\n</head>\n<body>\n{html(e)}\n</body>\n</html>\n"
    )
