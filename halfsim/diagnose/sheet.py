"""A few headings, paragraphs and tables as one self-contained HTML page: no script, no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6476; --line: #d8dce4; --paper: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a2abbb; --line: #3a4150; --paper: #14181f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { overflow-wrap: anywhere; } .soft { color: var(--soft); }
"""
_TABLE = """
.halfsim-scroll { overflow-x: auto; }
.halfsim-scroll table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
.halfsim-scroll th, .halfsim-scroll td { padding: .35rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.halfsim-scroll th { font-weight: 600; font-size: .85rem; }
.halfsim-scroll .word { text-align: left; }
.halfsim-scroll pre { font: .85rem/1.3 ui-monospace, monospace; }
"""


class Text(str):
    """Lines whose columns matter."""


Block = str | Sequence[Sequence[str]]


def fragment(blocks: Sequence[tuple[str, Block]], left: int = 1) -> str:
    """Headings, each with a paragraph or with a table whose first row is its head, as a notebook shows them."""
    parts = [f"<style>{_TABLE}</style>"]
    for heading, block in blocks:
        parts += [f"<h2>{html.escape(heading)}</h2>"] if heading else []
        if isinstance(block, Text):
            parts.append(f'<div class="halfsim-scroll"><pre>{html.escape(block)}</pre></div>')
        else:
            parts.append(f"<p>{html.escape(block)}</p>" if isinstance(block, str) else _table(block, left))
    return "\n".join(parts)


def page(title: str, blocks: Sequence[tuple[str, Block]], left: int = 1) -> str:
    """The same as a page of its own."""
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{html.escape(title)}</h1>\n{fragment(blocks, left)}\n</body>\n</html>\n",
        )
    )


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
    def line(tag: str, row: Sequence[str]) -> str:
        kinds = ["word" if i < left else "" for i in range(len(row))]
        cells = (f'<{tag} class="{k}">{html.escape(c)}</{tag}>' for k, c in zip(kinds, row, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(line("td", row) for row in rows[1:])
    head = line("th", rows[0])
    return f'<div class="halfsim-scroll"><table><thead>{head}</thead><tbody>\n{body}\n</tbody></table></div>'
