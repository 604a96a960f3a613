"""The skeleton of a self-contained HTML page: one style for light and dark, tables that sort, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import takewhile
from math import inf, isnan

# On light and on dark paper. Those of lines, c0 to c3, can be told apart with each kind of colour blindness.
COLOURS = {
    "ink": ("#1d2330", "#e6e9ef"), "soft": ("#5b6476", "#a2abbb"), "line": ("#d8dce4", "#3a4150"),
    "paper": ("#ffffff", "#14181f"), "band": ("#f4f6f9", "#1c222c"),
    "c0": ("#1f4ea8", "#7c9cff"), "c1": ("#cc5500", "#ff8a3d"), "c2": ("#b03a8c", "#e3b8ea"),
    "c3": ("#0b8a6a", "#22d39a"),
    "bad": ("#b3202c", "#ff7b83"), "warn": ("#8f5a00", "#f0b455"), "good": ("#1c7a43", "#6fd69a"),
}  # fmt: skip

# Everything is inside .halfsim, so that a page around it keeps its own looks; `fragment` guards it against that page's.
# Light and dark follow the reader's system, or the page around: a notebook's theme is none of the system's.
STYLE = (
    f"""
.halfsim {{ color-scheme: light dark; container-type: inline-size;
  {" ".join(f"--{name}: light-dark({light}, {dark});" for name, (light, dark) in COLOURS.items())} }}
"""
    + """
.halfsim { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; text-align: left; }
:is([data-jp-theme-light=true], .vscode-light, [theme=light], [data-theme=light], [data-md-color-scheme=default])
  .halfsim { color-scheme: light; }
:is([data-jp-theme-light=false], .vscode-dark, [theme=dark], [data-theme=dark], [data-md-color-scheme=slate])
  .halfsim { color-scheme: dark; }
.halfsim, .halfsim * { box-sizing: border-box; }
.halfsim h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; text-wrap: balance; }
.halfsim h2 { font-size: 1.1rem; line-height: 1.3; margin: 2.25rem 0 .5rem; }
.halfsim > h2:first-child { margin-top: 0; }
.halfsim p { margin: .25rem 0 .75rem; } .halfsim :is(h1, p) { overflow-wrap: anywhere; }
.halfsim .soft { color: var(--soft); }
.halfsim .scroll { overflow-x: auto; } .halfsim .scroll + :is(p, .scroll) { margin-top: .75rem; }
.halfsim .scroll:has(table) + dl { margin-top: .75rem; }
.halfsim table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; margin: 0;
  font-size: inherit; }
.halfsim :is(th, td) { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
.halfsim th { color: var(--soft); font-weight: 600; font-size: .85em; }
.halfsim th[scope=row] { color: inherit; font-weight: inherit; font-size: inherit; }
.halfsim :is(th, td).word { text-align: left; } .halfsim .prose { white-space: normal; min-width: 16rem; }
.halfsim pre { font: .85rem/1.35 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: .25rem 0 .75rem; }
.halfsim dl { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1rem; margin: 0; }
.halfsim dt { font-weight: 600; } .halfsim dd { margin: 0; overflow-wrap: anywhere; }
@container (max-width: 36rem) { .halfsim dl { grid-template-columns: 1fr; gap: .1rem; }
  .halfsim dd { margin-bottom: .6rem; } }
.halfsim dl.facts { grid-template-columns: max-content 1fr; gap: .2rem 1rem; } .halfsim dl.facts dd { margin: 0; }
@container (max-width: 48rem) { .halfsim .long { white-space: normal; min-width: 11rem; } }
.halfsim :focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; border-radius: 2px; }
"""
)

# What only whole pages have: tables that sort, charts, parts that unfold.
PAGE_STYLE = """
html:has(> body.halfsim) { color-scheme: light dark; background: light-dark(#ffffff, #14181f); }
body.halfsim { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; }
.halfsim .scroll:has(table.sort) { max-height: 42rem; overflow: auto; }
.halfsim table.sort { font-size: .9rem; } .halfsim table.sort :is(th, td) { padding: .3rem .45rem; }
.halfsim table.sort th { position: sticky; top: 0; background: var(--paper); z-index: 1; }
.halfsim table.sort th:first-child { left: 0; z-index: 2; } .halfsim table.sort th[scope=row] { z-index: 1; }
@container (max-width: 48rem) { .halfsim table.sort th[scope=row] { white-space: normal; min-width: 8.5rem;
  max-width: 8.5rem; overflow-wrap: anywhere; } }
.halfsim .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem; }
.halfsim figure { margin: 0; } .halfsim figcaption { font-size: .9rem; color: var(--soft); }
.halfsim figure svg { width: 100%; height: auto; display: block; }
.halfsim figure svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
.halfsim .key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.halfsim .key svg { width: 2.4rem; height: .9rem; display: inline-block; vertical-align: middle; }
.halfsim details { border-top: 1px solid var(--line); padding: .4rem 0; } .halfsim summary { cursor: pointer; }
.halfsim th button { all: unset; cursor: pointer; } .halfsim th button::after { content: " \\2195"; opacity: .45; }
.halfsim th[aria-sort=ascending] button::after { content: " \\2191"; opacity: 1; }
.halfsim th[aria-sort=descending] button::after { content: " \\2193"; opacity: 1; }
"""

# Columns of a table.sort are sorted by their cells' data-v, numbers from the largest down first. A notebook runs this
# once for each of its cells, a table is made to sort once.
SORTING = """
for (const table of document.querySelectorAll('.halfsim table.sort:not([data-ready])')) {
  table.dataset.ready = '';
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


def document(title: str, body: Sequence[str], style: str = "", script: str = "", lang: str = "en") -> str:
    """A whole page in the language ``lang``; browsers are told to load nothing for it."""
    return "\n".join(
        (
            f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}{PAGE_STYLE}{style}</style>\n</head>",
            '<body class="halfsim">',
            *body,
            *([f"<script>{script}</script>"] if script else []),
            "</body>\n</html>\n",
        )
    )


# In another page: its rules for tables, paragraphs and code are undone, and ours weigh more, by the weight of an id.
_GUARD = ":not(#_)"
_UNDONE = f".halfsim{_GUARD} :not(svg, svg *, style, script) {{ all: revert; }}\n"


def fragment(body: Sequence[str], style: str = "", script: str = "") -> str:
    """The page as a division of another one, a notebook's cell, kept apart from that one's looks in both directions."""
    ours = f"{STYLE}{style} div.halfsim {{ padding: .75rem 1rem; }}".replace(".halfsim", f".halfsim{_GUARD * 2}")
    run = f"<script>(() => {{{script}}})()</script>" if script else ""
    return f'<style>{_UNDONE}{ours}</style><div class="halfsim">{"".join(body)}</div>{run}'


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


def sections(blocks: Sequence[tuple[str, Block | Mapping[str, str]]], sort: bool = True) -> Iterator[str]:
    """Headings, each with a paragraph, `Lines`, facts by name, or a table whose first row is its head; it may sort."""
    for heading, block in blocks:
        if heading:
            yield f"<h2>{escape(heading)}</h2>"
        if isinstance(block, Lines):
            yield f'<div class="scroll" tabindex="0"><pre>{escape(block)}</pre></div>'
        elif isinstance(block, str):
            yield f"<p>{escape(block)}</p>" if block else ""
        elif isinstance(block, Mapping):
            yield definitions([*block.items()], "facts") if block else ""
        else:
            head, *rows = block
            first = rows[0] if rows else ()
            words = len(list(takewhile(lambda cell: not isinstance(cell, Figure), first)))
            values = [[cell.value if isinstance(cell, Figure) else None for cell in row] for row in rows]
            yield table(head, rows, words, values if sort else None, label=heading)


_LONG = 24  # characters of a cell of words that may go on in a second line on a narrow screen
_PROSE = 40  # and on any


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: int,
    values: Sequence[Sequence[float | None]] | None = None,
    label: str = "",
) -> str:
    """A table whose first ``words`` columns are to the left; the first of them names the row.

    With ``values``, a number or None for each cell, it is one whose columns sort by them.
    """

    def line(kind: str, row: Sequence[str], keys: Sequence[float | None] = ()) -> str:
        cells = []
        for i, cell in enumerate(row):
            tag = "td" if kind == "row" and (i or not words) else "th"  # the first word names its row
            scope = f' scope="{kind}"' if tag == "th" else ""
            length = " prose" if len(cell) > _PROSE else " long" if len(cell) > _LONG else ""
            names = f"{'word' * (i < words)}{length if i < words or len(cell) > _PROSE else ''}".strip()
            mark = f' class="{names}"' if names else ""
            key = keys[i] if keys else None
            sortable = values is not None and kind == "col" and cell
            inner = f'<button type="button">{escape(cell)}</button>' if sortable else escape(cell)
            cells.append(f"<{tag}{mark}{scope}{'' if key is None else f' data-v={_value(key)}'}>{inner}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    keys: Sequence[Sequence[float | None]] = values if values is not None else [()] * len(rows)
    body = "\n".join(line("row", row, key) for row, key in zip(rows, keys, strict=True))
    kind = "" if values is None else ' class="sort"'
    name = f' aria-label="{escape(label)}"' if label else ""
    focus = f' tabindex="0" role="region"{name}' if label else ""  # a region that scrolls is reached by keyboard, too
    start = f'<div class="scroll"{focus}><table{kind}><thead>{line("col", head)}</thead>'
    return f"{start}<tbody>\n{body}\n</tbody></table></div>"


def _value(key: float) -> str:
    if key in (inf, -inf):
        return "Infinity" if key > 0 else "-Infinity"
    return f"{key:g}" if key != int(key) else str(int(key))


def definitions(pairs: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Words and what they mean."""
    start = f'<dl class="{kind}">' if kind else "<dl>"
    return start + "\n".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs) + "</dl>"
