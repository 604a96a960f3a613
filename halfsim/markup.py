"""The skeleton of a self-contained HTML page: one style for light and dark, tables that sort, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import takewhile
from math import inf, isnan

# Everything is inside .halfsim, so that a notebook around it keeps its own looks.
STYLE = """
.halfsim { color-scheme: light dark; --ink: #1d2330; --soft: #5b6476; --line: #d8dce4; --paper: #ffffff;
  --band: #f4f6f9; --c0: #0b62a8; --c1: #b84700; --c2: #8a2a86; --c3: #1c7a43; --bad: #b3202c; --warn: #8f5a00;
  --good: #1c7a43; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .halfsim { --ink: #e6e9ef; --soft: #a2abbb; --line: #3a4150; --paper: #14181f;
  --band: #1c222c; --c0: #6cb6ff; --c1: #ff9d5c; --c2: #e08ade; --c3: #6fd69a; --bad: #ff7b83; --warn: #f0b455;
  --good: #6fd69a; } }
.halfsim, .halfsim * { box-sizing: border-box; }
body.halfsim { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; }
.halfsim h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; text-wrap: balance; }
.halfsim h2 { font-size: 1.1rem; line-height: 1.3; margin: 2.25rem 0 .5rem; }
.halfsim p { margin: .25rem 0 .75rem; } .halfsim :is(h1, p) { overflow-wrap: anywhere; }
.halfsim .soft { color: var(--soft); }
.halfsim .scroll { overflow-x: auto; } .halfsim .scroll + :is(p, .scroll) { margin-top: .75rem; }
.halfsim table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; margin: 0; }
.halfsim tr { background: none; }
.halfsim th, .halfsim td { padding: .35rem .6rem; text-align: right; border: 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
.halfsim th { color: var(--soft); font-weight: 600; font-size: .85rem; }
.halfsim th.word, .halfsim td.word { text-align: left; }
@media (max-width: 48rem) { .halfsim td.long { white-space: normal; min-width: 11rem; } }
.halfsim .scroll:has(table.sort) { max-height: 42rem; overflow: auto; }
.halfsim table.sort { font-size: .9rem; } .halfsim table.sort :is(th, td) { padding: .3rem .45rem; }
.halfsim table.sort th { position: sticky; top: 0; background: var(--paper); }
.halfsim pre { font: .85rem/1.3 ui-monospace, monospace; margin: .25rem 0 .75rem; }
.halfsim dl { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1rem; margin: 0; }
.halfsim dt { font-weight: 600; } .halfsim dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) { .halfsim dl { grid-template-columns: 1fr; gap: .1rem; }
  .halfsim dd { margin-bottom: .6rem; } }
.halfsim .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.25rem; }
.halfsim figure { margin: 0; } .halfsim figcaption { font-size: .9rem; color: var(--soft); }
.halfsim svg { width: 100%; height: auto; display: block; }
.halfsim svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.halfsim .key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.halfsim .key svg { width: 2.2rem; height: .8rem; display: inline-block; vertical-align: middle; }
.halfsim details { border-top: 1px solid var(--line); padding: .4rem 0; } .halfsim summary { cursor: pointer; }
.halfsim th button { all: unset; cursor: pointer; } .halfsim th button::after { content: " \\2195"; opacity: .45; }
.halfsim th[aria-sort=ascending] button::after { content: " \\2191"; opacity: 1; }
.halfsim th[aria-sort=descending] button::after { content: " \\2193"; opacity: 1; }
.halfsim :focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; border-radius: 2px; }
"""

# Columns of a table.sort are sorted by their cells' data-v, numbers from the largest down first.
SORTING = """
for (const table of document.querySelectorAll('.halfsim table.sort')) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => head.firstElementChild?.addEventListener('click', () => {
    const value = (row) => row.cells[i].dataset.v ?? row.cells[i].textContent;
    const numbers = row => 'v' in row.cells[i].dataset;
    const first = body.rows.length && numbers(body.rows[0]) ? 'descending' : 'ascending';
    const next = { ascending: 'descending', descending: 'ascending' }[head.ariaSort] ?? first;
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', next);
    const sign = next === 'ascending' ? 1 : -1;
    const compare = (a, b) => numbers(a) ? value(a) - value(b) : value(a).localeCompare(value(b));
    body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
  }));
}
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def document(title: str, body: Sequence[str], style: str = "", script: str = "") -> str:
    """A whole page; browsers are told to load nothing for it."""
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f'<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body class="halfsim">',
            *body,
            *([f"<script>{script}</script>"] if script else []),
            "</body>\n</html>\n",
        )
    )


def fragment(body: Sequence[str], style: str = "", script: str = "") -> str:
    """The same inside a division with its own style and script, for a notebook."""
    styled = f"<style>{STYLE}{style} div.halfsim {{ padding: 1rem; }}</style>"
    run = f"<script>(() => {{{script}}})()</script>" if script else ""
    return f'{styled}<div class="halfsim">{"".join(body)}</div>{run}'


class Lines(str):
    """Text whose columns matter."""


class Figure(str):
    """A number as a table shows it; its column sorts by the ``value``, None below all others and NaN above."""

    value: float

    def __new__(cls, text: str, value: float | None) -> Figure:
        """The text, and what it stands for."""
        figure = super().__new__(cls, text)
        figure.value = -inf if value is None else inf if isnan(value) else float(value)
        return figure


Block = str | Sequence[Sequence[str]]


def sections(blocks: Sequence[tuple[str, Block]]) -> Iterator[str]:
    """Headings, each with a paragraph, with `Lines`, or with a table whose first row is its head and which sorts."""
    for heading, block in blocks:
        if heading:
            yield f"<h2>{escape(heading)}</h2>"
        if isinstance(block, Lines):
            yield f'<div class="scroll" tabindex="0"><pre>{escape(block)}</pre></div>'
        elif isinstance(block, str):
            yield f"<p>{escape(block)}</p>"
        else:
            head, *rows = block
            first = rows[0] if rows else ()
            words = len(list(takewhile(lambda cell: not isinstance(cell, Figure), first)))
            values = [[cell.value if isinstance(cell, Figure) else None for cell in row] for row in rows]
            yield table(head, rows, words, values, label=heading)


_LONG = 24  # characters of a cell of words that may go on in a second line on a narrow screen


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: int,
    values: Sequence[Sequence[float | None]] | None = None,
    label: str = "",
) -> str:
    """A table whose first ``words`` columns are to the left.

    With ``values``, a number or None for each cell, it is one whose columns sort by them.
    """

    def line(tag: str, row: Sequence[str], keys: Sequence[float | None] = ()) -> str:
        cells = []
        for i, cell in enumerate(row):
            mark = f' class="word{" long" * (len(cell) > _LONG)}"' if i < words else ""
            key = keys[i] if keys else None
            sortable = values is not None and tag == "th" and cell
            inner = f'<button type="button">{escape(cell)}</button>' if sortable else escape(cell)
            scope = ' scope="col"' if tag == "th" else ""
            cells.append(f"<{tag}{mark}{scope}{'' if key is None else f' data-v={_value(key)}'}>{inner}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    keys: Sequence[Sequence[float | None]] = values if values is not None else [()] * len(rows)
    body = "\n".join(line("td", row, key) for row, key in zip(rows, keys, strict=True))
    kind = "" if values is None else ' class="sort"'
    name = f' aria-label="{escape(label)}"' if label else ""
    focus = f' tabindex="0" role="region"{name}' if label else ""  # a region that scrolls is reached by keyboard, too
    start = f'<div class="scroll"{focus}><table{kind}><thead>{line("th", head)}</thead>'
    return f"{start}<tbody>\n{body}\n</tbody></table></div>"


def _value(key: float) -> str:
    if key in (inf, -inf):
        return "Infinity" if key > 0 else "-Infinity"
    return f"{key:g}" if key != int(key) else str(int(key))


def definitions(pairs: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Words and what they mean."""
    start = f'<dl class="{kind}">' if kind else "<dl>"
    return start + "\n".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs) + "</dl>"
