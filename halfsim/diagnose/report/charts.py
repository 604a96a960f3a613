"""The pictures of a report's page as SVG: exponents, loss scales, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from halfsim.diagnose.report.facts import Facts, Place
from halfsim.diagnose.report.text import decades, region, span
from halfsim.numerics.formats import Format
from halfsim.text import percent


def _text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def _power(e: int) -> str:
    return f"2{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(d)] if d.isdigit() else '⁻' for d in str(e))}"


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    start = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return f"{start}{''.join(parts)}</svg>"


def histogram(
    exponents: Mapping[int, int], fmt: Format, flushed: float, caption: str, size: tuple[int, int] = (360, 216)
) -> str:
    """How many numbers have which exponent, against the format's range; zeros and infinities stand beside it.

    The shares stand on a logarithmic axis, so that a few numbers are seen beside many. ``flushed`` is the share of the
    zeros that were not zero before rounding.
    """
    numbers = {e: n for e, n in exponents.items() if -127 < e < 128}
    zeros, special, whole = exponents.get(-127, 0), exponents.get(128, 0), sum(exponents.values())
    low, high, step = span(numbers, fmt, 80, spare=3)
    if fmt.emax - fmt.emin < 64:  # the whole range, and what lies beside it
        low, high = min(low, fmt.lowest - 4), max(high, fmt.emax + 4)
    width, height = size
    left, right, top, bottom = 86.0, width - 36.0, 24.0, height - 32.0
    shares = {b: sum(n for e, n in numbers.items() if b <= e < b + step) / whole for b in range(low, high + 1, step)}
    gone = zeros / whole * flushed
    foot, head = decades([*shares.values(), zeros / whole, special / whole, gone])

    def x(e: float) -> float:
        return left + (right - left) * (e - low) / (high + 1 - low)

    def y(share: float) -> float:
        return bottom - (bottom - top) * (math.log10(share) - foot) / (head - foot)

    def bar(at: float, wide: float, part: float, kind: str, words: str) -> str:
        return (
            f'<rect class="{kind}" x="{at:.1f}" y="{y(part):.1f}" width="{wide:.1f}" height="{bottom - y(part):.1f}">'
            f"<title>{escape(words)}: {percent(part, 1)}</title></rect>"
            if part > 0
            else ""
        )

    parts = list(_regions(fmt, low, high, x, top, bottom))
    for e in range(head, foot, -math.ceil((head - foot) / 5)):
        parts.append(f'<path class="rule" d="M48 {y(10.0**e):.1f}H{width - 4}"/>')
        parts.append(_text(45, y(10.0**e) + 4, f"{10.0 ** (e + 2):g} %" if e > -5 else f"10{_power(e)[1:]}", "end"))
    wide = max((right - left) * step / (high + 1 - low) - 1, 1.5)
    for b, part in shares.items():
        name = _power(b) if step == 1 else f"{_power(b)} to {_power(b + step - 1)}"
        parts.append(bar(x(b) + 0.5, wide, part, f"b-{region(b, fmt)}", f"{name}, {region(b, fmt)}"))
    parts.append(bar(54, 20, zeros / whole, "b-zero", "zero"))
    parts.append(bar(54, 20, gone, "b-underflow", "zero, made from nonzero"))
    parts.append(bar(width - 28, 20, special / whole, "b-overflow", "infinite or NaN"))
    parts.append(
        f'<path class="axis" d="M50 {bottom}H78M{left - 2} {bottom}H{right + 2}M{width - 32} {bottom}H{width - 4}"/>'
    )
    parts += [_text(64, bottom + 15, "0"), _text(width - 18, bottom + 15, "∞ NaN", kind="tight")]
    every = next(n for n in (1, 2, 4, 8, 16, 32, 64) if (high - low) / n <= 7)
    ticks = [e for e in range(-(-low // every) * every, high + 1, every) if left + 8 < x(e) < right - 20]
    parts += [_text(x(e + 0.5), bottom + 15, _power(e)) for e in ticks]
    told = f"{_peak(shares, whole)}{percent(zeros, whole)} zero, {percent(special, whole)} infinite or NaN"
    label = f"{caption}: shares of values by exponent, logarithmic, against the range of {fmt}; {told}"
    return f"<figure>{_svg(width, height - 8, label, parts)}<figcaption>{escape(caption)}</figcaption></figure>"


def _peak(shares: Mapping[int, float], whole: int) -> str:
    """The commonest exponent, for those who do not see the chart."""
    most = max(shares, key=lambda b: shares[b], default=0)
    return f"most at {_power(most)}, {percent(shares[most], 1)}; " if whole and shares.get(most) else ""


def _regions(fmt: Format, low: int, high: int, x: Any, top: float, bottom: float) -> Iterator[str]:
    """The format's subnormal and normal range and what lies outside, shaded and named."""
    edges = [
        (-9999, "underflow"),
        (fmt.lowest, "subnormal"),
        (fmt.emin, "normal"),
        (fmt.emax + 1, "overflow"),
    ]
    for (start, name), (end, _) in pairwise([*edges, (9999, "")]):
        a, b = max(start, low), min(end, high + 1)
        if a < b:
            yield f'<rect class="r-{name}" x="{x(a):.1f}" y="{top}" width="{x(b) - x(a):.1f}" height="{bottom - top}"/>'
            if name in _BESIDE:
                yield _text(x(a) - 6 if name == "underflow" else x(b) + 4, top - 6, *_BESIDE[name], "tight")
            elif x(b) - x(a) > 5.5 * len(name):
                yield _text((x(a) + x(b)) / 2 + 2, top - 6, name, kind="tight")


_BESIDE = {"underflow": ("\u2192 0", "start"), "overflow": ("\u2192 \u221e", "end")}


def grouped(report: Facts) -> Iterator[tuple[str, Format, dict[int, int], float]]:
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


def scales(report: Facts) -> str:
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
    label = f"Loss scale by step, logarithmic, at the end {report.scales[-1][1]:g}"
    return f'<figure class="wide">{_svg(width, height, label, parts)}</figure>'


def errors(report: Facts) -> str:
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
    ends = " and ".join(f"{v:.1g}" for v in values[-1])
    label = f"Relative error along the graph, logarithmic; at its end {ends} (made there, and together)"
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
    return f'<figure class="wide scroll" tabindex="0">{_svg(width, height, label, parts)}</figure>'


def _dot(x: float, y: float, value: float, kind: str) -> str:
    if math.isinf(value):
        return f'<path class="cross" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"/>'
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 if kind == "local" else 3.5}"/>' if value else ""
