"""The parts of a report's page, with their style and script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import inf

from halfsim.diagnose.finding import Finding
from halfsim.diagnose.report import charts
from halfsim.diagnose.report.facts import Facts, Place, gravity, infinite
from halfsim.diagnose.report.heatmap import heatmap
from halfsim.diagnose.report.text import LEFT_OUT, advice, error_of, in_words, operands, sentence, summary, title
from halfsim.markup import SORTING, definitions, table
from halfsim.text import clipped, percent, share, short

STYLE = """
.halfsim .verdict { border-left: 4px solid var(--mark); background: var(--band); padding: .9rem 1.1rem;
  margin: 1rem 0; border-radius: 0 8px 8px 0; overflow-wrap: anywhere; }
.halfsim .verdict p { margin: .35rem 0 0; }
.halfsim .verdict strong { color: var(--mark); } .halfsim .verdict .where { font-weight: 600; }
.halfsim .grave { --mark: var(--bad); } .halfsim .mild { --mark: var(--warn); } .halfsim .fine { --mark: var(--good); }
.halfsim .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.halfsim .tiles div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .75rem; }
.halfsim .tiles b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.halfsim .tiles span { color: var(--soft); font-size: .85rem; line-height: 1.3; display: block; }
.halfsim .b-normal { fill: var(--c0); } .halfsim .b-subnormal { fill: var(--c1); }
.halfsim .b-zero { fill: var(--soft); opacity: .45; }
.halfsim .b-underflow, .halfsim .b-overflow { fill: var(--bad); }
.halfsim .r-normal { fill: var(--c0); opacity: .07; } .halfsim .r-subnormal { fill: var(--c1); opacity: .13; }
.halfsim .r-underflow, .halfsim .r-overflow { fill: var(--bad); opacity: .13; }
.halfsim .axis { stroke: var(--soft); fill: none; } .halfsim .rule { stroke: var(--line); fill: none; }
.halfsim .line { stroke: var(--c0); fill: none; stroke-width: 2; } .halfsim .stem { stroke: var(--line); }
.halfsim .cross { stroke: var(--bad); fill: none; stroke-width: 2.2; stroke-linecap: round; }
.halfsim circle.total { fill: var(--c0); } .halfsim circle.local { fill: var(--c1); }
.halfsim .heat { margin: 1.25rem 0 2rem; } .halfsim .heat figcaption b { color: var(--ink); }
.halfsim .map { display: grid; grid-template-columns: minmax(6rem, 11rem) 1fr; gap: .5rem; margin: .4rem 0 .2rem; }
.halfsim .map ol { list-style: none; margin: 0; padding: 0; font-size: .8rem; min-width: 0; }
.halfsim .map li { height: 1.25rem; line-height: 1.25rem; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; margin: 0; padding: 0; }
.halfsim .map li span { color: var(--soft); } .halfsim .grid { min-width: 0; }
.halfsim .grid svg { cursor: crosshair; background: var(--band); }
.halfsim .l0, .halfsim .l1, .halfsim .l2, .halfsim .l3, .halfsim .l4 { fill: var(--hue); }
.halfsim .l0 { opacity: .2; } .halfsim .l1 { opacity: .4; } .halfsim .l2 { opacity: .6; } .halfsim .l3 { opacity: .8; }
.halfsim .l5 { fill: var(--bad); } .halfsim .legend .l5 { background: var(--bad); }
.halfsim .foot { display: flex; justify-content: space-between; gap: 1rem; font-size: .8rem; color: var(--soft);
  min-height: 1.5rem; margin-top: .15rem; }
.halfsim .foot output { color: var(--ink); text-align: center; }
.halfsim .legend { font-size: .8rem; color: var(--soft); }
.halfsim .legend i { display: inline-block; width: 1.4rem; height: .7rem; background: var(--hue);
  vertical-align: -1px; }
.halfsim figcaption span { white-space: nowrap; }
.halfsim .swatch { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; vertical-align: -1px; }
.halfsim ul { margin: .25rem 0; padding-left: 1.2rem; } .halfsim li { margin: .2rem 0; overflow-wrap: anywhere; }
.halfsim .wide { max-width: 44rem; }
.halfsim figure svg text.tight { font-size: 10.5px; }
@container (max-width: 36rem) { .halfsim .map { grid-template-columns: 6.5rem 1fr; }
  .halfsim .wide.scroll svg { min-width: 36rem; } .halfsim figure.wide svg text { font-size: 15px; } }
"""

# Tables that sort, and what is under the pointer in a heat map, in words.
SCRIPT = (
    SORTING
    + """
for (const figure of document.querySelectorAll('.halfsim .heat:not([data-ready])')) {
  figure.dataset.ready = '';
  const cells = JSON.parse(figure.querySelector('script').textContent).map((row) => row.split(','));
  const names = [...figure.querySelectorAll('li')], svg = figure.querySelector('svg');
  const out = figure.querySelector('output'), { start, stride } = figure.dataset;
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const i = Math.floor((event.clientY - box.top) / box.height * cells.length);
    const j = Math.floor((event.clientX - box.left) / box.width * cells[0].length);
    if (!cells[i] || cells[i][j] === undefined) return;
    const first = Number(start) + j * stride, last = first + Number(stride) - 1;
    out.textContent = `${names[i].textContent}, step ${first}${last > first ? ' to ' + last : ''}: `
      + (cells[i][j] || 'none');
  });
  svg.addEventListener('pointerleave', () => { out.textContent = ''; });
}
"""
)

_ALL_MOVED = "Every update moved its weight."
_MAPS = (
    ("overflow", "values past the largest number, and NaN", "--bad", "No value was too large, and none NaN."),
    ("flushed", "share of nonzero results that became zero", "--c1", "No result became zero."),
    ("lost", "share of updates that moved no weight", "--c2", _ALL_MOVED),
    ("gradient_norm", "norm of the gradients of a module's parameters", "--c0", "No parameter took a gradient."),
)


def body(report: Facts) -> Iterator[str]:
    """The parts of the page, as HTML."""
    yield f'<h1>Where the numbers went</h1><p class="soft">{escape(title(report))}</p>'
    if report.raised is not None:
        later = "<p>What follows was computed until then.</p>" if report.places else ""
        yield f'<div class="verdict grave"><strong>{escape(str(report.raised))}.</strong>{later}</div>'
    if not report.places:
        yield "<p>Nothing was computed while the trace was open.</p>"
        return
    yield _verdict(report)
    tiles = "".join(f"<div><b>{escape(n)}</b><span>{escape(what)}</span></div>" for what, n in summary(report))
    yield f'<div class="tiles">{tiles}</div>'
    yield from _advice(report)
    yield from _evidence(report)
    yield from _exponents(report)
    yield from _maps(report)
    if report.scales:
        skipped = sum(s for _, _, s in report.scales)
        yield "<h2>Loss scale</h2>" + charts.scales(report)
        cross = f"A cross marks a step that was skipped ({skipped:,})." if skipped else "No step was skipped."
        yield f'<p class="soft">The scale of each step. {cross}</p>'
    if drawn := charts.errors(report):
        yield f"<h2>Error along the graph</h2>{drawn}"
        yield (
            '<p class="key soft"><span><i class="swatch" style="background:var(--c1)"></i> made by the operation</span>'
            '<span><i class="swatch" style="background:var(--c0)"></i> come together so far</span>'
            f"<span>relative to {escape(report.reference or '')}, in norm; operations as they first ran</span></p>"
        )
    yield _places(report)
    yield "<h2>What the words mean</h2>" + definitions(_WORDS)


_GRAVE = gravity("eps lost")  # from here on results are lost, not only digits


def _verdict(report: Facts) -> str:
    v = report.verdict
    if v is None:
        return '<div class="verdict fine"><strong>Exact</strong><p>Nothing was rounded.</p></div>'
    lines = _items(report.others, klass=True)
    also = f"<p>Other trouble, gravest first:</p>{lines}" if lines else ""
    klass, message = (escape(text[:1].upper() + text[1:]) for text in (v.klass, v.message))
    grave = gravity(v.klass)
    shade = "grave" if grave >= _GRAVE else "mild" if grave else "fine"
    line = f", {escape(v.where)}" if v.where else ""
    left = f"<p>{LEFT_OUT}.</p>{_items(report.left_out)}" if report.left_out else ""
    return (
        f'<div class="verdict {shade}"><strong>{klass}</strong> '
        f'<span class="where">in step {v.step}, {escape(v.phase)}, {escape(v.place)}{line}</span>'
        f"<p>{message}.</p>{also}{left}</div>"
    )


def _items(findings: Sequence[Finding], klass: bool = False) -> str:
    """A list with a line for each finding; "" for none."""
    lines = [f"<li>{escape(f'{f.klass}: ' * klass + sentence(f))}</li>" for f in findings]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _advice(report: Facts) -> Iterator[str]:
    lines = advice(report)
    if lines:
        yield "<h2>Advice</h2>" + definitions([(a, b) for a, _, b in (line.partition(": ") for line in lines)])


def _evidence(report: Facts) -> Iterator[str]:
    v = report.verdict
    if v is None:
        return
    yield "<h2>Evidence</h2>"
    numbers = [(name.replace("_", " "), in_words(x)) for name, x in v.values.items() if not isinstance(x, dict)]
    yield definitions(numbers, "facts")
    head, *rows = operands(v.values) or [()]
    if rows:
        yield "<p>In its first frame, magnitudes of the finite numbers but zero:</p>"
        yield table(head, rows, words=2, label="Operands")
    if report.before:
        lines = "".join(f"<li>{escape(line)}</li>" for line in report.before)
        yield f"<details><summary>What went before it</summary><ul>{lines}</ul></details>"


def _exponents(report: Facts) -> Iterator[str]:
    drawn = []
    place = next((p for p in report.places if report.accused(p) and p.exponents), None)
    if place is not None:
        caption = f"{place.phase}, {place.name}: {place.format}"
        drawn.append(charts.histogram(place.exponents, place.format, charts.flushed_share(place), caption))
    for phase, fmt, exponents, flushed in charts.grouped(report):
        drawn.append(charts.histogram(exponents, fmt, flushed, f"All {phase} results in {fmt}"))
    if drawn:
        yield f'<h2>Exponents against the range of the format</h2><div class="charts">{"".join(drawn)}</div>'
        yield (
            '<p class="soft">The share of values by floor(log<sub>2</sub> |x|), after rounding, on a logarithmic axis, '
            "on which a bar of a few values is seen beside one of many. Zeros stand to the left, in red those that "
            "were not zero before; infinities and NaN to the right.</p>"
        )


def _maps(report: Facts) -> Iterator[str]:
    found = [(heatmap(report, what, caption, hue), none) for what, caption, hue, none in _MAPS]
    if not report.count().updates:
        found = [(drawn, none) for drawn, none in found if none != _ALL_MOVED]  # of none there is nothing to say
    yield "<h2>Modules by steps</h2>"
    if report.stride > 1:
        yield f'<p class="soft">{report.stride} steps in a column.</p>'
    yield from (drawn for drawn, _ in found if drawn)
    if quiet := [none for drawn, none in found if not drawn]:
        yield f"<p>{' '.join(quiet)}</p>"


def _places(report: Facts) -> str:
    error = any(p.total is not None for p in report.places)
    head = ("place", "phase", *("error", "error (ulp)") * error, "NaN", "infinite", "flushed", "lost", "swamped")
    head = (*head, "cancelled", "values", "format")
    cells = [_cells(p, error) for p in report.worst]
    rows, keys = [[text for text, _ in row] for row in cells], [[key for _, key in row] for row in cells]
    drawn = table(head, rows, words=2, values=keys, label="Places")
    return f'<h2>Every place, gravest first</h2><p class="soft">A heading sorts by its column.</p>{drawn}'


def _cells(p: Place, error: bool) -> list[tuple[str, float | None]]:
    """A line of the table: words, and what they are sorted by."""
    c = p.counts
    cells: list[tuple[str, float | None]] = [(word, None) for word in (clipped(p.name, 56), p.phase)]
    if error:
        t = p.total
        if t is None:
            cells += [("-", -1.0)] * 2
        elif not p.comparable:
            cells += [(error_of(p), inf)] * 2
        else:
            largest = round(t.largest) if 1000 <= t.largest < inf else t.largest
            cells += [(error_of(p), t.relative), (short(largest), t.largest)]
    cells += [(short(n), n) for n in (c.invalid, infinite(c))]
    parts = [(c.flushed, c.nonzero), (c.lost, c.updates), (c.swamped, c.addends), (c.cancelled, c.sums)]
    cells += [(percent(n, of), share(n, of) if of else -1.0) for n, of in parts]
    return [*cells, (short(c.size), c.size), (p.format.name, None)]


_WORDS = [
    (
        "infinite",
        "values that became infinite from finite ones (NaN where the format has no infinity), by division by zero too; "
        "not those clipped",
    ),
    ("NaN", "values made NaN from numbers"),
    ("flushed", "of the results that were not zero before rounding, those that were after"),
    ("lost", "of the weights with a nonzero update, those it left unchanged"),
    ("swamped", "of the nonzero addends (in an update: of the weights with a gradient), those that changed nothing"),
    ("cancelled", "of the differences, those with at most four of their operands' leading bits left"),
    ("error", "of all that has come together: relative in norm, and the largest in ulp of the result, where the trace "
     "has a reference; the largest over all steps, inf/NaN where not all numbers were finite"),
    ("norm of the gradients", "as the backward pass left them, loss scale included"),
]  # fmt: skip
