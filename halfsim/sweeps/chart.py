"""A picture of one number of the results for a page: means with spreads along one name of the configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from halfsim.sweeps.spelling import spelled
from halfsim.sweeps.summary import word
from halfsim.text import clipped

if TYPE_CHECKING:
    from halfsim.sweeps.results import Results

_LINES = 4  # as many as there are colours


@dataclass(frozen=True)
class Curve:
    """Means along a name, with their spreads; ``at`` are places of values among those of the name."""

    label: str
    at: tuple[int, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]


def curves(found: Results, x: str, of: str | None, by: str | None = None) -> tuple[str, list[Curve]]:
    """Which number, and its curves along ``x``: one for each value of ``by``, or one of all rows.

    Means that are not finite are left out.
    """
    summary = found.summary([by, x] if by else [x], of)
    of = of or next((group.of for group in summary if group.n), summary.groups[0].of if summary.groups else "result")
    values, told = [_key(value) for value in found.axes[x]], []
    for line in found.axes[by] if by else [None]:
        groups = [g for g in summary if g.of == of and (not by or _key(g.by[by]) == _key(line))]
        groups = [g for g in groups if g.mean is not None and math.isfinite(g.mean)]
        at = tuple(values.index(_key(g.by[x])) for g in groups)
        told.append(Curve(
            word(line) if by else "", at, tuple(g.mean or 0.0 for g in groups),
            tuple(g.std if g.std is not None and math.isfinite(g.std) else 0.0 for g in groups),
        ))  # fmt: skip
    return of, told


def _key(value: Any) -> str:
    return spelled(value, "value", ordered=True)


def chart(found: Results, x: str, of: str) -> str:
    """The figure, as SVG, of one number along ``x``: a line for each value of the first other name, if they are few."""
    other = [name for name, values in found.axes.items() if name != x and 1 < len(values) <= _LINES]
    _, told = curves(found, x, of, other[0] if other else None)
    names = [word(value) for value in found.axes[x]]
    ends = [m + sign * s for curve in told for m, s in zip(curve.means, curve.spreads, strict=True) for sign in (-1, 1)]
    if not ends:
        return ""
    low, high = min(ends), max(ends)
    low, high = (low, high) if high > low else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
    levels = [(value, f"{value:.3g}") for value in (low, (low + high) / 2, high)]
    left, right, top, bottom = 14.0 + 7.5 * max(len(level) for _, level in levels), 308.0, 10.0, 140.0

    def across(i: int) -> float:
        return left + 12 + (right - left - 24) * (i / (len(names) - 1) if len(names) > 1 else 0.5)

    def up(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    title = f"{of} along {x}" + (f", a line for each {other[0]}" if other else "")
    parts = [f'<svg viewBox="0 0 320 172" role="img" aria-label="{escape(title + _read(told, names))}">']
    for value, level in levels:
        parts.append(f'<path d="M{left} {up(value):.1f}H{right}" stroke="var(--line)"/>')
        parts.append(f'<text x="{left - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{level}</text>')
    for n, curve in enumerate(told):
        points = [(across(i), m, s) for i, m, s in zip(curve.at, curve.means, curve.spreads, strict=True)]
        colour = f"var(--c{n % _LINES})"
        bars = "".join(f"M{px:.1f} {up(m - s):.1f}V{up(m + s):.1f}" for px, m, s in points if s)
        way = "L".join(f"{px:.1f} {up(m):.1f}" for px, m, _ in points)
        dots = "".join(f'<circle cx="{px:.1f}" cy="{up(m):.1f}" r="3" fill="{colour}"/>' for px, m, _ in points)
        parts.append(
            f'<path d="M{way}{bars}" fill="none" stroke="{colour}" stroke-width="1.8"/>{dots}' if points else ""
        )
    for i in range(0, len(names), -(-len(names) // 6)):
        label = escape(clipped(names[i], 10, "start"))
        parts.append(f'<text x="{across(i):.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{right}" y="168" text-anchor="end">{escape(clipped(x, 30))}</text></svg>')
    caption = f"<figcaption>{escape(title)}; bars are standard deviations.</figcaption>"
    return f"<figure>{_legend(told)}{''.join(parts)}{caption}</figure>"


def _legend(told: Sequence[Curve]) -> str:
    spans = [
        f'<span><svg viewBox="0 0 36 12" aria-hidden="true"><path d="M0 6H36" stroke="var(--c{n % _LINES})" '
        f'stroke-width="2"/></svg> {escape(curve.label)}</span>'
        for n, curve in enumerate(told)
        if curve.label
    ]
    return f'<p class="key">{"".join(spans)}</p>' if spans else ""


def _read(told: Sequence[Curve], names: Sequence[str]) -> str:
    """The means in words, for those who do not see the picture."""
    said: list[Any] = []
    for curve in told:
        pairs = ", ".join(f"{names[i]} {m:.3g}" for i, m in zip(curve.at, curve.means, strict=True))
        said.append(f"; {curve.label + ': ' if curve.label else ''}{pairs}")
    return clipped("".join(said), 400, "start")
