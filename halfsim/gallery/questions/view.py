"""What a page of answers shows, as blocks: headings, each with a paragraph or a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

from halfsim.costs.energy import SOURCE
from halfsim.costs.energy import memory as kind_of_memory
from halfsim.gallery.questions import compared
from halfsim.gallery.questions.texts import texts, told
from halfsim.hardware.devices import Figure as Stated
from halfsim.hardware.devices import device
from halfsim.markup import Figure, sections
from halfsim.text import columns, filled, si

if TYPE_CHECKING:
    from halfsim.gallery.questions.result import Answered

Table = list[tuple[str, ...]]

STYLE = """
.halfsim .scroll:has(table.sort) { max-height: none; }
.halfsim .verdict { font-weight: 600; white-space: nowrap; }
.halfsim .verdict.right { color: var(--good); } .halfsim .verdict.condition { color: var(--warn); }
.halfsim .verdict.wrong { color: var(--bad); } .halfsim .verdict.omitted { color: var(--c2); }
.halfsim .claim { border-left: 3px solid var(--line); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; max-width: 62rem; }
.halfsim .claim p { margin: .2rem 0; } .halfsim .claim code { font-size: .85em; overflow-wrap: anywhere; }
.halfsim .short { max-width: 62rem; }
"""


def comparison(lang: str) -> list[tuple[str, Table, str]]:
    """Heading, table and note of each comparison."""
    words = texts(lang)
    heads = words["words"]
    chip = [name for name in compared.DEVICES if kind_of_memory(device(name))[0] == "SRAM"]
    facts = {"batch": compared.BATCH, "device": compared.MEMORY_OF, "source": SOURCE, "chip": chip}
    tables = {"formats": _formats, "memory": _memory, "peaks": _peaks, "bandwidth": _bandwidth, "energy": _energy}
    return [(heads[name], table(words[name]), told(words[name]["note"], facts, lang)) for name, table in tables.items()]


def _number(value: float, text: str) -> Figure:
    return Figure(text, value)


def _formats(words: dict[str, Any]) -> Table:
    each = [asdict(compared.traits(fmt)) for fmt in compared.FORMATS]
    rows = [(words["head"], *(traits["format"] for traits in each))]
    names = (name for name in each[0] if name != "format")
    return [*rows, *((words[name], *(_number(t[name], _plain(t[name])) for t in each)) for name in names)]


def _plain(value: float) -> str:
    if value == int(value) and value < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _memory(words: dict[str, Any]) -> Table:
    rows: Table = [tuple(words["head"])]
    for m in compared.memory():
        each = (m.weights, m.gradients, m.state, m.weights + m.gradients + m.state)
        shares = (_number(share, f"{share:.0%}") for share in (m.activations, m.peak))
        largest = _number(m.largest, f"{m.largest / 1e9:.3g}e9")
        rows.append((m.recipe, *(_number(n, f"{n:.3g}") for n in each), *shares, largest))
    return rows


def _peaks(words: dict[str, Any]) -> Table:
    rows: Table = [tuple(words["head"])]
    for name in compared.DEVICES:
        s = compared.speed(name)
        peaks = (_stated(f) for f in (s.fp32, s.vector, s.matrix, s.brain))
        rows.append((name, s.device.vendor, words[s.float16], *peaks, _number(s.gain, f"{s.gain:.3g}")))
    return rows


def _bandwidth(words: dict[str, Any]) -> Table:
    rows: Table = [tuple(words["head"])]
    for name in compared.DEVICES:
        s = compared.speed(name)
        each = s.device.bandwidth
        passed = (_number(each.value / size, f"{each.value / size:.4g}") for size in (4, 2))
        times = (_number(s.times[r], f"{s.times[r]:.2f}") if r != "bf16" or s.bfloat16 else _number(0, "-")
                 for r in compared.RECIPES[1:])  # fmt: skip
        joules = (_number(j, f"{j * 1e3:.3g}") for j in (s.joules["fp32"], s.joules["fp16"]))
        rows.append((name, _stated(each), *passed, *times, *joules))
    return rows


def _stated(figure: Stated | None) -> Figure:
    return Figure("-", None) if figure is None else Figure(f"{figure.value:.4g}{figure.sign}", figure.value)


def _energy(words: dict[str, Any]) -> Table:
    rows: Table = [tuple(words["head"])]
    for name, wide, half in compared.energies():
        each = (_number(x, f"{x:.3g} pJ" if x < 1e3 else si(x * 1e-12, "J")) for x in (wide, half))
        rows.append((words[name], *each, _number(half / wide, f"{half / wide:.2f}")))
    return rows


# ---- text ------------------------------------------------------------------------------------------------------------


def overview(lang: str, heading: str, intro: str, shorts: Sequence[tuple[int, str, str]], tally: str) -> str:
    """The tables and a short answer to each question, for a terminal."""
    words = texts(lang)["words"]
    parts = [filled(heading), filled(intro)]
    for head, table, note in comparison(lang):
        parts += [head, columns(table, left=_left(table)), filled(note)]
    parts.append(words["questions"])
    parts += [f"{filled(question, f'{n}. ')}\n{filled(short, '   ')}" for n, question, short in shorts]
    return "\n\n".join([*parts, filled(tally), filled(words["hint"])])


def detail(lang: str, n: int, question: str, short: str, answers: Sequence[Answered]) -> str:
    """A question with its claims one by one, for a terminal."""
    words = texts(lang)["words"]
    parts = [f"{filled(question, f'{n}. ')}\n{filled(short, '   ')}"]
    for a in answers:
        lines = [filled(f"{a.claim} [{words[a.verdict]}]", "   - "), filled(a.text, "     ")]
        if a.command:
            lines.append(filled(words["more"].format(command=a.command), "     ", whole=True))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _left(table: Table) -> int:
    """How many columns of a table are words."""
    return next((i for i, cell in enumerate(table[1]) if isinstance(cell, Figure)), len(table[1]))


# ---- page ------------------------------------------------------------------------------------------------------------


def compared_body(lang: str) -> Iterator[str]:
    """The comparisons, as HTML."""
    for head, table, note in comparison(lang):
        yield from sections([(head, table), ("", note)])


def question_body(lang: str, n: int, question: str, short: str, answers: Sequence[Answered]) -> Iterator[str]:
    """A question with its claims, as HTML."""
    words = texts(lang)["words"]
    yield f'<h2 id="q{n}">{n}. {escape(question)}</h2><p class="short">{escape(short)}</p>'
    for a in answers:
        more = words["more"].format(command=f"<code>{escape(a.command)}</code>") if a.command else ""
        yield (
            f'<div class="claim"><p><q>{escape(a.claim)}</q> '
            f'<span class="verdict {a.verdict}">{escape(words[a.verdict])}</span></p>'
            f"<p>{escape(a.text)}</p>{more and f'<p class=soft>{more}</p>'}</div>"
        )
