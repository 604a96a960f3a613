"""The pictures of a report's page as SVG: exponents, heat maps, loss scales, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from halfsim.diagnose.report import Layer, Place, Report
from halfsim.diagnose.story import percent, region, short, span
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array

_MINUS = "\N{MINUS SIGN}"
LEVELS = 5
_ROWS = 40  # of a heat map


def _text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def _power(e: int) -> str:
    return f"2{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(d)] if d.isdigit() else '⁻' for d in str(e))}"


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    start = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return f"{start}{''.join(parts)}</svg>"


# ---- exponents -------------------------------------------------------------------------------------------------------


def histogram(
    exponents: Mapping[int, int], fmt: Format, flushed: float, caption: str, size: tuple[int, int] = (400, 196)
) -> str:
    """How many numbers have which exponent, against the format's range; zeros and infinities stand beside it.

    ``flushed`` is the share of the zeros that were not zero before rounding.
    """
    numbers = {e: n for e, n in exponents.items() if -127 < e < 128}
    zeros, special, whole = exponents.get(-127, 0), exponents.get(128, 0), sum(exponents.values())
    low, high, step = span(numbers, fmt, 80, spare=3)
    if fmt.emax - fmt.emin < 64:  # the whole range, and what lies beside it
        low, high = min(low, fmt.emin - fmt.nmant - 4), max(high, fmt.emax + 4)
    width, height = size
    left, right, top, bottom = 46.0, width - 42.0, 22.0, height - 32.0
    shares = {b: sum(n for e, n in numbers.items() if b <= e < b + step) / whole for b in range(low, high + 1, step)}
    most = max(*shares.values(), zeros / whole, special / whole, 1e-9)

    def x(e: float) -> float:
        return left + (right - left) * (e - low) / (high + 1 - low)

    def bar(at: float, wide: float, part: float, kind: str, words: str) -> str:
        tall = (bottom - top) * part / most
        return (
            f'<rect class="{kind}" x="{at:.1f}" y="{bottom - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}">'
            f"<title>{escape(words)}: {percent(part, 1)}</title></rect>"
            if part
            else ""
        )

    parts = list(_regions(fmt, low, high, x, top, bottom))
    wide = max((right - left) * step / (high + 1 - low) - 1, 1.5)
    for b, part in shares.items():
        name = _power(b) if step == 1 else f"{_power(b)} to {_power(b + step - 1)}"
        parts.append(bar(x(b) + 0.5, wide, part, f"b-{region(b, fmt)}", f"{name}, {region(b, fmt)}"))
    gone = zeros / whole * flushed
    parts.append(bar(10, 22, zeros / whole, "b-zero", "zero"))
    parts.append(bar(10, 22, gone, "b-underflow", "zero, made from nonzero"))
    parts.append(bar(width - 32, 22, special / whole, "b-overflow", "infinite or NaN"))
    parts.append(
        f'<path class="axis" d="M4 {bottom}H36M{left - 4} {bottom}H{right + 4}M{width - 36} {bottom}H{width - 4}"/>'
    )
    parts += [_text(21, bottom + 14, "0"), _text(width - 21, bottom + 14, "∞ NaN")]
    every = next(n for n in (1, 2, 4, 8, 16, 32, 64) if (high - low) / n <= 9)
    ticks = [e for e in range(-(-low // every) * every, high + 1, every) if left + 8 < x(e) < right - 16]
    parts += [_text(x(e + 0.5), bottom + 14, _power(e)) for e in ticks]
    label = f"{caption}: exponents against the range of {fmt}"
    words = f"{escape(caption)} <span>(tallest bar: {percent(most, 1)})</span>"
    return f"<figure>{_svg(width, height - 8, label, parts)}<figcaption>{words}</figcaption></figure>"


def _regions(fmt: Format, low: int, high: int, x: Any, top: float, bottom: float) -> Iterator[str]:
    """The format's subnormal and normal range and what lies outside, shaded and named."""
    edges = [
        (-9999, "underflow"),
        (fmt.emin - fmt.nmant, "subnormal"),
        (fmt.emin, "normal"),
        (fmt.emax + 1, "overflow"),
    ]
    for (start, name), end in zip(edges, [e for e, _ in edges[1:]] + [9999], strict=True):
        a, b = max(start, low), min(end, high + 1)
        if a < b:
            yield f'<rect class="r-{name}" x="{x(a):.1f}" y="{top}" width="{x(b) - x(a):.1f}" height="{bottom - top}"/>'
            if name in _BESIDE:
                yield _text(x(a) - 4 if name == "underflow" else x(b) + 4, top - 6, *_BESIDE[name])
            elif x(b) - x(a) > 5.5 * len(name):
                yield _text((x(a) + x(b)) / 2, top - 6, name)


_BESIDE = {"underflow": ("\u2192 0", "start"), "overflow": ("\u2192 \u221e", "end")}


def grouped(report: Report) -> Iterator[tuple[str, Format, dict[int, int], float]]:
    """For each phase and format: all exponents together, and the share of zeros that were flushed."""
    groups: dict[tuple[str, Format], list[Place]] = {}
    for place in report.places:
        if place.exponents:
            groups.setdefault((place.phase, place.format), []).append(place)
    for (phase, fmt), places in groups.items():
        total: dict[int, int] = {}
        for place in places:
            for e, n in place.exponents.items():
                total[e] = total.get(e, 0) + n
        zeros = sum(flushed_share(place) * place.exponents.get(-127, 0) for place in places)
        yield phase, fmt, total, zeros / total[-127] if total.get(-127) else 0.0


def flushed_share(place: Place) -> float:
    """Of a place's zeros, the share that was not zero before rounding; zeros are counted of a sample."""
    c = place.counts
    zeros = c.size - c.nonzero + c.flushed
    return min(1.0, c.flushed / zeros) if zeros > 0 else 0.0


# ---- heat maps -------------------------------------------------------------------------------------------------------


def heat(report: Report, what: str, caption: str, hue: str) -> str:
    """A heat map as HTML: a row for each module, a column for each step or several; "" where nothing happened."""
    rows, values = report.heat(what)
    rows, values, left_out = _chosen(rows, values, what)
    shown = values[np.isfinite(values) & (values > 0)]
    if not rows or not (values > 0).any():
        return ""
    log = what in ("overflow", "gradient_norm")
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (1.0, 1.0)
    if not log:
        low, high = 0.0, 1.0
    level = levels(values, low, high, log)
    paths = "".join(f'<path class="l{n}" d="{runs}"/>' for n in range(LEVELS + 1) if (runs := _runs(level == n + 1)))
    tags = [f"<span>{escape(row.phase)}</span> " if len({r.phase for r in rows}) > 1 else "" for row in rows]
    items = (f"<li>{tag}{escape(row.path) or '(no module)'}</li>" for tag, row in zip(tags, rows, strict=True))
    names = "".join(items)
    texts = [[_cell(v, what) for v in row] for row in values]
    note = f" {left_out} quieter rows are left out." if left_out else ""
    return (
        f'<figure class="heat" style="--hue:var({hue})" data-start="{report.start}" data-stride="{report.stride}">'
        f"<figcaption><b>{escape(caption[0].upper() + caption[1:])}</b>{note}</figcaption>"
        f'<div class="map"><ol>{names}</ol><div class="grid"><svg viewBox="0 0 {report.columns} {len(rows)}" '
        f'preserveAspectRatio="none" style="height:{1.25 * len(rows):g}rem" role="img" '
        f'aria-label="{escape(caption)}, by module and step">{paths}</svg>'
        f'<div class="foot"><span>step {report.start}</span><output></output><span>{report.steps:,}</span></div>'
        "</div></div>"
        f'<div class="legend">{_legend(what, low, high, log)}{_BROKEN if np.isinf(values).any() else ""}</div>'
        f'<script type="application/json">{_json(texts)}</script></figure>'
    )


def _chosen(rows: list[Layer], values: Array, what: str) -> tuple[list[Layer], Array, int]:
    """The rows worth a line: of overflows those that have some; and never more than forty."""
    weight = np.nansum(np.where(np.isinf(values), 1e30, values), axis=1) if values.size else np.zeros(len(rows))
    keep = weight > 0 if what != "gradient_norm" else weight >= 0
    if keep.sum() > _ROWS:
        keep &= weight >= np.sort(weight[keep])[-_ROWS]
    index = np.flatnonzero(keep)[:_ROWS]
    return [rows[i] for i in index], values[index], len(rows) - len(index) if keep.sum() > len(index) else 0


def levels(values: Array, low: float, high: float, log: bool) -> Array:
    """0 where nothing happened, 1 to 5 from ``low`` to ``high``, 6 for what is not finite."""
    with np.errstate(all="ignore"):
        finite = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if log:
            part = (
                (np.log(finite) - math.log(low)) / (math.log(high) - math.log(low)) if low < high else finite / finite
            )
        else:
            part = (finite - low) / (high - low)
    found = np.where(np.isnan(part), 0, np.clip(np.nan_to_num(part) * LEVELS, 0, LEVELS - 1e-9).astype(int) + 1)
    return np.where(np.isinf(values), LEVELS + 1, found)


def _runs(mask: Array) -> str:
    """The cells of a mask as rectangles, neighbours of a row as one."""
    parts = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], row, [False])).astype(np.int8)))
        parts += [f"M{a} {y}.06h{b - a}v.88h{a - b}z" for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return "".join(parts)


def _cell(v: float, what: str) -> str:
    if math.isnan(v) or v == 0:
        return ""
    if what in ("flushed", "lost"):
        return percent(v, 1)
    return "not finite" if math.isinf(v) else short(v) if what == "overflow" else f"{v:.2g}"


def _json(texts: list[list[str]]) -> str:
    """Rows of cells as JSON that no browser takes for markup: rows are joined, as most cells are empty."""
    import json

    return json.dumps([",".join(cell.replace(",", "\u2009") for cell in row) for row in texts]).replace("<", "\\u003c")


_BROKEN = f' &nbsp; <i class="l{LEVELS}"></i> not finite'


def _legend(what: str, low: float, high: float, log: bool) -> str:
    edges = [low * (high / low) ** (n / LEVELS) if log else low + (high - low) * n / LEVELS for n in range(LEVELS + 1)]
    if log and low == high:
        return f'<i class="l{LEVELS - 1}"></i> {_cell(high, what)}'
    ends = (_cell(edges[0], what) or "0 %", _cell(edges[-1], what))
    swatches = "".join(f'<i class="l{n}"></i>' for n in range(LEVELS))
    return f"{ends[0]} {swatches} {ends[1]}" + (" (logarithmic)" if log else "")


# ---- lines -----------------------------------------------------------------------------------------------------------


def scales(report: Report) -> str:
    """The loss scale by step, a cross where a step was skipped."""
    steps = [step for step, _, _ in report.scales]
    heights = [math.log2(scale) if 0 < scale < math.inf else 0.0 for _, scale, _ in report.scales]
    width, height, left, right, top, bottom = 480, 190, 46.0, 470.0, 12.0, 160.0
    low, high = math.floor(min(heights)) - 1, math.ceil(max(heights)) + 1
    first, last = min(steps), max(max(steps), min(steps) + 1)

    def x(step: float) -> float:
        return left + (right - left) * (step - first) / (last - first)

    def y(e: float) -> float:
        return bottom - (bottom - top) * (e - low) / (high - low)

    every = next(n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if (high - low) / n <= 6)
    ticks = range(-(-low // every) * every, high + 1, every)
    parts = [
        f'<path class="rule" d="M{left} {y(e):.1f}H{right}"/>' + _text(left - 6, y(e) + 4, _power(e), "end")
        for e in ticks
    ]
    points = [f"{x(steps[0]):.1f} {y(heights[0]):.1f}"]
    for step, e in zip(steps[1:], heights[1:], strict=True):
        points.append(f"H{x(step):.1f}V{y(e):.1f}")
    parts.append(f'<path class="line" d="M{"".join(points)}"/>')
    for (step, scale, skipped), e in zip(report.scales, heights, strict=True):
        if skipped:
            parts.append(
                f'<path class="cross" d="M{x(step) - 4:.1f} {y(e) - 4:.1f}l8 8m0 -8l-8 8"><title>step {step}: skipped, '
                f"scale {scale:g} was too large</title></path>"
            )
    parts += [_text(left, height - 10, f"step {first}", "start"), _text(right, height - 10, f"{last:,}", "end")]
    return f'<figure class="wide">{_svg(width, height, "Loss scale by step", parts)}</figure>'


def errors(report: Report) -> str:
    """Along the graph, the relative error that each operation made and what has come together, logarithmically."""
    places = [p for p in report.places if p.total is not None]
    values = [(p.local.relative if p.local else 0.0, p.total.relative if p.total else 0.0) for p in places]
    finite = [math.log10(v) for pair in values for v in pair if 0 < v < math.inf]
    if len(places) < 2 or not finite:
        return ""
    low, high = math.floor(min(finite)), math.ceil(max(finite) + 1e-9)
    width, height, left, right, top, bottom = 720, 220, 46.0, 706.0, 22.0, 196.0

    def x(i: float) -> float:
        return left + (right - left) * (i + 0.5) / len(places)

    def y(v: float) -> float:
        v = math.log10(v) if 0 < v < math.inf else (high if v else low)
        return bottom - (bottom - top) * (v - low) / (high - low)

    every = -(-(high - low) // 6)
    parts = [
        f'<path class="rule" d="M{left} {y(10.0**e):.1f}H{right}"/>'
        + _text(left - 6, y(10.0**e) + 4, f"10{_power(e)[1:]}", "end")
        for e in range(high, low - 1, -every)
    ]
    starts = [i for i, p in enumerate(places) if i == 0 or p.phase != places[i - 1].phase]
    for i in starts:
        edge = x(i - 0.5)
        parts.append(
            f'<path class="axis" d="M{edge:.1f} {top - 14}V{bottom}"/>'
            + _text(edge + 4, top - 6, places[i].phase, "start")
        )
    for i, (p, (local, total)) in enumerate(zip(places, values, strict=True)):
        words = f"{p.phase}, {p.name}: made {local:.2g}, together {total:.2g}"
        parts.append(
            f'<g><title>{escape(words)}</title><path class="stem" d="M{x(i):.1f} {bottom}V{y(total):.1f}"/>'
            + "".join(_dot(x(i), y(v), v, kind) for v, kind in ((local, "local"), (total, "total")))
            + "</g>"
        )
    return f'<figure class="wide">{_svg(width, height, "Relative error along the graph", parts)}</figure>'


def _dot(x: float, y: float, value: float, kind: str) -> str:
    if math.isinf(value):
        return f'<path class="cross" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"/>'
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 if kind == "local" else 3.5}"/>' if value else ""
