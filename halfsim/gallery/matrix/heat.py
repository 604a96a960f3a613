"""The matrix as a heat map in HTML: a row for each remedy, a column for each problem, colour and text in each cell."""

from __future__ import annotations

from html import escape
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halfsim.gallery.matrix.result import Remedies

LEVELS = 4

STYLE = """
.halfsim table.matrix { width: auto; border-collapse: separate; border-spacing: 2px; font-size: .85rem; }
.halfsim table.matrix :is(th, td) { border: 0; padding: .3rem .4rem; text-align: center; }
.halfsim table.matrix th { background: var(--paper); color: var(--soft); vertical-align: bottom; }
.halfsim table.matrix thead th { white-space: normal; min-width: 4.6rem; max-width: 6.5rem; }
.halfsim table.matrix th[scope=row] { position: sticky; left: 0; text-align: left; font-size: 1em; }
.halfsim table.matrix td { min-width: 4.2rem; border-radius: 3px; color: var(--soft); background: var(--band); }
.halfsim table.matrix td.helps { color: var(--ink);
  background: color-mix(in srgb, var(--good) calc(var(--level) * 12%), var(--paper)); }
.halfsim table.matrix td.harms { color: var(--ink); font-weight: 600;
  background: color-mix(in srgb, var(--bad) calc(var(--level) * 12%), var(--paper)); }
.halfsim table.matrix td.helps::before { content: "\\2713\\00a0"; }
.halfsim table.matrix td.harms::before { content: "\\2717\\00a0"; }
@container (max-width: 36rem) { .halfsim table.matrix th[scope=row] { white-space: normal; max-width: 6.5rem; } }
.halfsim .claim { border-left: 3px solid var(--line); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; max-width: 62rem; }
.halfsim .claim p { margin: .2rem 0; } .halfsim .holds { color: var(--good); } .halfsim .fails { color: var(--bad); }
.halfsim details dl { max-width: 62rem; }
"""


def drawn(found: Remedies) -> str:
    """The table; each cell has its sentence as a title."""
    head, *rows = found.matrix()
    heads = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    lines = []
    for remedy, (name, *marks) in zip(found.remedies, rows, strict=True):
        cells = []
        for problem, mark in zip(found.problems, marks, strict=True):
            cell = found.cell(problem, remedy)
            level = ceil(abs(cell.strength) * LEVELS)
            style = f' style="--level:{level}"' if level else ""
            cells.append(f'<td class="{cell.verdict}"{style} title="{escape(cell.why)}">{escape(mark)}</td>')
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    label = escape(found.title)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="matrix"><thead><tr>{heads}'
        f"</tr></thead><tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )
