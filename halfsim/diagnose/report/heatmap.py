"""Modules by steps, as HTML and SVG that a script lets one read cell by cell."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from halfsim.diagnose.report.facts import Facts, Layer
from halfsim.document import json_text
from halfsim.numerics.quantize import Array
from halfsim.text import percent, short

LEVELS = 5
_ROWS = 40


def heatmap(report: Facts, what: str, caption: str, hue: str) -> str:
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
        f'<script type="application/json">{_cells(texts)}</script></figure>'
    )


def _chosen(rows: list[Layer], values: Array, what: str) -> tuple[list[Layer], Array, int]:
    """The rows worth a line: of overflows those that have some; and never more than forty."""
    weight = np.nansum(np.where(np.isinf(values), 1e30, values), axis=1) if values.size else np.zeros(len(rows))
    keep = weight > 0 if what != "gradient_norm" else weight >= 0
    worth = int(keep.sum())
    if worth > _ROWS:
        keep &= weight >= np.sort(weight[keep])[-_ROWS]
    index = np.flatnonzero(keep)[:_ROWS]
    return [rows[i] for i in index], values[index], worth - len(index)


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


def _cells(texts: list[list[str]]) -> str:
    """Rows of cells, joined, as most cells are empty; they are numbers, so there is no markup in them."""
    return json_text([",".join(cell.replace(",", "\u2009") for cell in row) for row in texts]).rstrip()


_BROKEN = f' &nbsp; <i class="l{LEVELS}"></i> not finite'


def _legend(what: str, low: float, high: float, log: bool) -> str:
    edges = [low * (high / low) ** (n / LEVELS) if log else low + (high - low) * n / LEVELS for n in range(LEVELS + 1)]
    if log and low == high:
        return f'<i class="l{LEVELS - 1}"></i> {_cell(high, what)}'
    ends = (_cell(edges[0], what) or "0 %", _cell(edges[-1], what))
    swatches = "".join(f'<i class="l{n}"></i>' for n in range(LEVELS))
    return f"{ends[0]} {swatches} {ends[1]}" + (" (logarithmic)" if log else "")
