"""The demo's story as one self-contained HTML page: no script, no network."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from halfsim.demo.report import HEAD, cells, first_trouble, reference, title
from halfsim.demo.training import Run, Settings
from halfsim.markup import definitions, document, table
from halfsim.text import size

# A colour, a width and dashes for each line: those drawn later are thinner, so that where lines lie upon each other
# every one is seen, the wide ones beside the thin ones and through their gaps.
_LINES = (("var(--c0)", 9.0, ""), ("var(--c1)", 5.5, ""), ("var(--c2)", 2.5, ""), ("var(--c3)", 2.5, "5 5"))

_COLUMNS = (
    "phase",
    "module or parameter",
    "operation",
    "tensor",
    "values",
    "NaN",
    "overflow",
    "div by 0",
    "flushed",
    "swamped",
)


def page(runs: Sequence[Run], settings: Settings) -> str:
    """The whole page: table, first troubles, advice, curves by epoch, and every place that lost something."""
    base = reference(runs)
    return document(
        "halfsim demo",
        (
            "<h1>One classifier, four kinds of arithmetic</h1>",
            f'<p class="soft">{html.escape(title(settings, runs))}</p>',
            table(HEAD, [cells(run) for run in runs], words=1),
            "<h2>First trouble</h2>",
            definitions([(run.recipe.name, first_trouble(run)) for run in runs]),
            "<h2>Advice</h2>",
            definitions([(run.recipe.name, run.advice(base)) for run in runs]),
            "<h2>Memory, in the simulated formats</h2>",
            table(_BYTES, [_bytes(run) for run in runs], words=1),
            "<h2>By epoch</h2>",
            _key(runs),
            '<p class="soft">The lines of the first recipes are wider, so that all are seen where they agree.</p>',
            '<div class="charts">',
            _chart(runs, [run.losses for run in runs], "Training loss (logarithmic)", log=True),
            _chart(runs, [run.lost_by_epoch for run in runs], "Share of weight updates lost"),
            _chart(runs, [run.flushed_by_epoch for run in runs], "Share of gradients flushed to zero"),
            "</div>",
            "<h2>Every place that lost something</h2>",
            "\n".join(_places(run) for run in runs),
            "<h2>What the words mean</h2>",
            definitions([(run.recipe.name, run.recipe.meaning) for run in runs] + _WORDS),
        ),
    )


_WORDS = [
    ("upd lost", "of all weights with a nonzero update, those it left unchanged"),
    ("live lost", "the same among weights whose gradient is not zero, without momentum that is dying out"),
    ("grad flushed", "of all gradients, activations' too, that were not zero before rounding, those that were after"),
    ("overflows", "values that became infinite, by division by zero too"),
    ("NaN", "values made NaN from numbers"),
    ("memory", "weights, optimizer state, and what one batch leaves on the tape for its backward pass"),
    ("underflow", "as first trouble: more than 5 % of an operation's nonzero results, or a constant, became zero"),
    ("swamping", "as first trouble: most nonzero addends changed nothing, and a sum or a weight stood still"),
]
_BYTES = ("recipe", "weights", "optimizer state", "activations", "together")


def _bytes(run: Run) -> tuple[str, ...]:
    parts = (run.parameter_bytes, run.optimizer_bytes, run.activation_bytes, run.bytes)
    return (run.recipe.name, *map(size, parts))


def _stroke(i: int) -> str:
    colour, width, dashes = _LINES[i % len(_LINES)]
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'fill="none" stroke="{colour}" stroke-width="{width:g}"{dash} stroke-linejoin="round"'


def _key(runs: Sequence[Run]) -> str:
    items = (
        f'<span><svg viewBox="0 0 36 12" aria-hidden="true"><path d="M0 6H36" {_stroke(i)}/></svg>'
        f" {run.recipe.name}</span>"
        for i, run in enumerate(runs)
    )
    return f'<p class="key">{"".join(items)}</p>'


def _chart(runs: Sequence[Run], series: Sequence[Sequence[float]], caption: str, log: bool = False) -> str:
    """Lines over epochs, of shares or (logarithmically) of losses; values that are not finite are left out."""

    def height(value: float) -> float:
        return math.log10(value) if log else value

    heights = [[height(v) if math.isfinite(v) and (v > 0 or not log) else math.nan for v in line] for line in series]
    finite = [v for line in heights for v in line if math.isfinite(v)] or [0.0]
    ticks = _ticks(min(finite), max(finite)) if log else _ticks(0.0, max(finite) or 0.01)
    low, high = ticks[0], ticks[-1]
    count = max(len(line) for line in series)
    left, right, top, bottom = 44, 312, 8, 150

    def x(i: int) -> float:
        return left + (right - left) * (i / (count - 1) if count > 1 else 0.5)

    def y(v: float) -> float:
        return bottom - (bottom - top) * (v - low) / (high - low)

    last = ", ".join(f"{run.recipe.name} {line[-1]:.3g}" for run, line in zip(runs, series, strict=True) if line)
    label = html.escape(f"{caption} by epoch; at the end {last}")
    parts = [f'<svg viewBox="0 0 320 178" role="img" aria-label="{label}">']
    for v in ticks:
        label = f"{10**v:.2g}" if log else f"{v:.{0 if high > 0.04 else 1 if high > 0.004 else 2}%}"
        parts.append(f'<path d="M{left} {y(v):.1f}H{right}" stroke="var(--line)"/>')
        parts.append(f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{label}</text>')
    for i, line in enumerate(heights):
        points = [f"{x(n):.1f} {y(v):.1f}" for n, v in enumerate(line) if math.isfinite(v)]
        if points:
            parts.append(f'<path d="M{"L".join(points)}" {_stroke(i)}/>')
    parts.append(
        f'<text x="{left}" y="170">epoch 1</text><text x="{right}" y="170" text-anchor="end">{count}</text></svg>'
    )
    gone = [run.recipe.name for run, line in zip(runs, series, strict=True) if not all(map(math.isfinite, line))]
    note = f" Not a number: {', '.join(gone)}." if gone else ""
    return f"<figure>{''.join(parts)}<figcaption>{html.escape(caption)}.{note}</figcaption></figure>"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from below ``low`` to above ``high``, four to eight of them."""
    span = max(high - low, 1e-6)
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * k for k in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if span / (unit * k) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * k for k in range(first, max(last, first + 1) + 1)]


def _places(run: Run) -> str:
    rows = []
    for place, c in run.trace.totals.items():
        counts = (c.invalid, c.overflow, c.divide_by_zero, c.flushed, c.swamped)
        if any(counts):
            rows.append((*(word or "-" for word in place), *(f"{n:,}" for n in (c.size, *counts))))
    body = table(_COLUMNS, rows, words=4) if rows else "<p>Nothing was lost.</p>"
    return f"<details><summary>{run.recipe.name}: {len(rows)} places</summary>{body}</details>"
