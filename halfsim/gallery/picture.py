"""A case as a picture: what happened, what should have and what comes out mended, as bars on one scale."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from halfsim.gallery.case import flat
from halfsim.gallery.words import labelled, said

Array = np.ndarray[Any, np.dtype[np.float64]]

FEW = 3  # numbers, which a caption has as they are
_BARS = 40
_KEY = "Red: off by more than a hundredth of the largest number; the line is where it should end."
_WIDE, _HIGH, _TOP = 240, 96, 8

SVG_STYLE = """
.halfsim .three { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(11rem, 100%), 1fr)); gap: 1rem;
  margin: .75rem 0; }
.halfsim figure { margin: 0; } .halfsim figcaption { font-size: .9rem; color: var(--soft); }
.halfsim figure svg { width: 100%; height: auto; display: block; }
.halfsim .three rect { fill: var(--c0); } .halfsim .three rect.bad { fill: var(--bad); opacity: .75; }
.halfsim .three line { stroke: var(--soft); stroke-width: 1; }
.halfsim .three line.due { stroke: var(--ink); stroke-width: 2; }
.halfsim a { color: var(--c0); }
.halfsim h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.halfsim code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
"""


def picture(observed: Any, reference: Any, fixed: Any, lang: str = "en") -> str:
    """Three figures side by side, of at most 40 of the numbers, all on the scale of the two that are right.

    A bar is red where it is off by more than a hundredth of the largest number of the reference, with a line where it
    should end; what is infinite or NaN goes from top to bottom.
    """
    three = [flat(x) for x in (observed, reference, fixed)]
    places = np.unique(np.linspace(0, three[0].size - 1, min(_BARS, three[0].size)).astype(int))
    three = [x[places] for x in three]
    right = np.concatenate(three[1:])
    low, high = min(0.0, float(right.min())), max(0.0, float(right.max()))
    if low == high:
        high = 1.0
    names = ("what happened", "reference", "fixed")
    figures = (
        _figure(x, three[1], low, high, labelled(name, _told(x), lang)) for x, name in zip(three, names, strict=True)
    )
    drawn = "".join(figures)
    key = f'<p class="soft">{said(_KEY, lang)}</p>' if 'class="due"' in drawn else ""
    return f'<div class="three">{drawn}</div>{key}'


def _figure(x: Array, right: Array, low: float, high: float, label: str) -> str:
    step = _WIDE / x.size
    width = max(1.0, min(step * 0.8, 40.0))
    scale = (_HIGH - 2 * _TOP) / (high - low)
    zero = _TOP + high * scale
    much = float(np.abs(right).max()) / 100
    bars = []
    for i, (value, due) in enumerate(zip(x.tolist(), right.tolist(), strict=True)):
        left = i * step + (step - width) / 2
        if not np.isfinite(value):
            bars.append(_bar(left, 0, width, _HIGH, str(value), True))
            continue
        end = min(max(_TOP + (high - value) * scale, 0.0), float(_HIGH))
        wrong = not abs(value - due) <= much
        bars.append(_bar(left, min(end, zero), width, max(abs(end - zero), 1.0), f"{value:.6g}", wrong))
        if wrong:
            at = _TOP + (high - due) * scale
            bars.append(f'<line class="due" x1="{left:.1f}" x2="{left + width:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
    axis = f'<line x1="0" x2="{_WIDE}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
    return (f'<figure><svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(label)}">{axis}{"".join(bars)}'
            f"</svg><figcaption>{escape(label)}</figcaption></figure>")  # fmt: skip


def _bar(left: float, top: float, width: float, tall: float, title: str, bad: bool) -> str:
    mark = ' class="bad"' if bad else ""
    return (f'<rect{mark} x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}">'
            f"<title>{escape(title)}</title></rect>")  # fmt: skip


def _told(x: Array) -> str:
    """Few numbers as they are, many as the range of the finite ones; infinities and NaN are counted."""
    if x.size <= FEW:
        return ", ".join(f"{value:.4g}" for value in x.tolist())
    finite = x[np.isfinite(x)]
    words = [f"{finite.min():.4g} ... {finite.max():.4g}"] if finite.size else []
    words += [f"{n} {kind}" for kind, n in (("inf", int(np.isinf(x).sum())), ("NaN", int(np.isnan(x).sum()))) if n]
    return ", ".join(words)
