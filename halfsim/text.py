"""Plain text that fits its terminal: paragraphs, tables, and numbers, shares and names in few characters."""

from __future__ import annotations

import itertools
import os
import sys
import textwrap
from collections.abc import Sequence
from math import isfinite, isinf

WIDE = 100  # columns where nobody says how many there are: files, pipes, notebooks
_NARROW = 24  # fewer hold no table
_WORD = 14  # what a column of words may be cut to before a table is folded


def width() -> int:
    """How many columns a text may have: COLUMNS if set, else those of the terminal, else, and at most, 100.

    >>> 24 <= width() <= 100
    True
    """
    given = os.environ.get("COLUMNS", "")
    found = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    if not found:
        try:
            found = os.get_terminal_size(sys.stdout.fileno()).columns
        except (AttributeError, ValueError, OSError):  # no terminal, or a stream without a file
            found = 0
    return min(max(found, _NARROW), WIDE) if found else WIDE


def filled(text: str, indent: str = "", further: str | None = None, whole: bool = False) -> str:
    """A paragraph in lines that fit `width`, the first after ``indent``, the others after ``further`` or as far in.

    A word longer than a line is cut, but with ``whole``, which keeps addresses and names of options together.

    >>> print(filled("halfsim report: 1 step", "- "))
    - halfsim report: 1 step
    """
    further = " " * len(indent) if further is None else further
    if cells(text) > len(text):
        return _folded(text, indent, further)
    cut = not whole
    return textwrap.fill(
        text, width(), initial_indent=indent, subsequent_indent=further, break_long_words=cut, break_on_hyphens=cut
    )


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese character takes two.

    >>> cells("half"), cells("\u534a\u7cbe\u5ea6")
    (4, 6)
    """
    return len(text) if text.isascii() else sum(1 + _is_wide(c) for c in text)


def _is_wide(c: str) -> bool:
    from unicodedata import east_asian_width  # which English text has no need of

    return east_asian_width(c) in "WF"


# What begins no line, and what ends none: Chinese closing and opening marks beside the usual ones.
_CLOSING = ",.;:?!)]%\uff0c\u3002\u3001\uff1b\uff1a\uff1f\uff01\uff09\u300b\u201d\u2019"
_OPENING = "([\uff08\u300a\u201c\u2018"


def _folded(text: str, indent: str, further: str) -> str:
    """A paragraph with wide characters, which may be broken between any two of them, in lines that fit `width`."""
    parts: list[str] = []
    for c in " ".join(text.split()):
        last = parts[-1][-1] if parts else " "
        joined = not (_is_wide(last) or _is_wide(c)) or c in _CLOSING or last in _OPENING
        if " " not in (last, c) and joined:
            parts[-1] += c
        else:
            parts.append(c)
    lines, line = [], indent
    for part in parts:
        if cells(line) + cells(part) > width() and line.strip():
            lines.append(line.rstrip())
            line = further
        if part != " " or line.strip():
            line += part
    return "\n".join([*lines, line.rstrip()])


def columns(rows: Sequence[Sequence[str]], left: int = 1, room: int | None = None) -> str:
    """Rows of equal length as aligned lines, the first ``left`` columns to the left, the others to the right.

    No line is longer than ``room``, by default `width`: words are cut where there is no place for them, rows that
    differ still differing; where that is not enough, the other columns stand in blocks, one below the other, beside the
    words that tell the rows apart.

    >>> print(columns([("name", "bits"), ("float16", "16")]))
    name     bits
    float16    16
    >>> print(columns([("name", "bits", "max"), ("float16", "16", "65504")], room=16))
    name     bits
    float16    16
    <BLANKLINE>
    name       max
    float16  65504
    """
    room = width() if room is None else room
    table = [list(column) for column in zip(*rows, strict=True)]
    fitting = _cut(table, left, room, _WORD)
    if _across(fitting) <= room:
        return _drawn(fitting, left)
    keys = next((n for n in range(1, left) if len({*zip(*table[:n], strict=True)}) == len(rows)), max(1, left))
    widest = max((cells(cell) for column in table[keys:] for cell in column), default=0)
    block = heads = _cut(table[:keys], keys, max(room - widest - 2, room // 2), _WORD // 2)
    blocks = []
    for i, column in enumerate(table[keys:], keys):
        part = distinct(column, max(_WORD // 2, room - _across(heads) - 2)) if i < left else column
        if len(block) > keys and _across([*block, part]) > room:
            blocks.append(_drawn(block, keys))
            block = heads
        block = [*block, part]
    return "\n\n".join([*blocks, _drawn(block, keys)])


def _across(table: Sequence[Sequence[str]]) -> int:
    """The columns that a table needs."""
    return sum(max(map(cells, column), default=0) for column in table) + 2 * (len(table) - 1)


def _cut(table: list[list[str]], left: int, room: int, least: int) -> list[list[str]]:
    """The table with its columns of words, the widest first, cut as far as needed, and not below ``least``."""
    while (over := _across(table) - room) > 0:
        wide = [max(map(cells, column), default=0) for column in table[:left]]
        most = max(wide, default=0)
        if most <= least:
            break
        i = wide.index(most)
        second = max([n for j, n in enumerate(wide) if j != i], default=0)
        to = max(least, most - over, min(second, most - 1))
        table = [*table[:i], distinct(table[i], to), *table[i + 1 :]]
        if max(map(cells, table[i])) >= most:  # names that are told apart by more than there is room for
            break
    return table


def _drawn(table: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(map(cells, column)) for column in table]
    return "\n".join(
        "  ".join(
            cell + " " * (width - cells(cell)) if i < left else " " * (width - cells(cell)) + cell
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in zip(*table, strict=True)
    )


def distinct(texts: Sequence[str], width: int, keep: str = "middle") -> list[str]:
    """Texts of at most ``width`` characters, as `clipped` cuts them; those that would look the same, elsewhere.

    >>> distinct(["layers.0.attention.out", "layers.1.attention.out", "head"], 12)
    ['...0.atte...', '...1.atte...', 'head']
    """
    found = {text: clipped(text, width, keep) for text in texts}
    groups: dict[str, list[str]] = {}
    for text, cut in found.items():
        groups.setdefault(cut, []).append(text)
    for group in groups.values():
        if len(group) > 1:
            found |= zip(group, _apart(group, width, set(found.values())), strict=True)
    return [found[text] for text in texts]


def _apart(texts: Sequence[str], width: int, taken: set[str]) -> list[str]:
    """Texts that look the same where they are cut: cut where they do not, or else numbered."""
    ends = zip(min(texts), max(texts), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    for part in range(max(0, width - 2)):
        for cut in (
            [f"{text[:part]}...{text[len(text) - (width - 3 - part) :]}" for text in texts],
            [f"...{text[max(0, shared - part) :][: width - 6]}..." for text in texts],
        ):
            if len({*cut} - taken) == len(texts):
                return cut
    numbers = [f"~{i}" for i in range(1, len(texts) + 1)]
    return [f"{text[: max(0, width - len(number))]}{number}" for text, number in zip(texts, numbers, strict=True)]


def size(count: float) -> str:
    """A number of bytes in the unit that leaves it short.

    >>> size(9640)
    '9.4 KiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def clipped(text: str, width: int | None, keep: str = "middle") -> str:
    """A text of at most ``width`` characters, with dots for what is left out; None leaves it whole.

    ``keep`` says what stays: "start", "end", or with "middle" both ends and more of the end, where a module's path has
    its name.

    >>> clipped("linear in encoder.layers.11.self_attn.out_proj", 30)
    'linear in...self_attn.out_proj'
    >>> clipped("encoder.layers.11", 10, "end"), clipped("raised an error", 10, "start")
    ('...yers.11', 'raised ...')
    >>> clipped("\u534a\u7cbe\u5ea6\u6570", 7, "start")
    '\u534a\u7cbe...'
    """
    if width is None or cells(text) <= width:
        return text
    if cells(text) > len(text):  # as many characters as take no more columns
        cuts = (_clipped(text, n, keep) for n in range(min(len(text), width), 3, -1))
        return next((cut for cut in cuts if cells(cut) <= width), text[: width // 2])
    return _clipped(text, width, keep)


def _clipped(text: str, width: int, keep: str) -> str:
    if len(text) <= width:
        return text
    end = {"start": 0, "end": width - 3}.get(keep, (width - 3) * 2 // 3)
    if keep == "middle" and len(text) - end <= width // 4:
        end = width - 3
    start = width - 3 - end
    return f"{text[:start]}...{text[len(text) - end :]}"


def counted(n: int, one: str, many: str = "") -> str:
    """How many there are of something, in the right number; ``many`` where an "s" is not enough.

    >>> counted(1, "bit"), counted(2000, "bit"), counted(1, "result was", "results were")
    ('1 bit', '2,000 bits', '1 result was')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def place_name(op: str, path: str, tensor: str = "") -> str:
    """Where something happened: the operation, its module, and the tensor that was written.

    >>> place_name("addcmul", "0.weight", "exp_avg_sq"), place_name("add", "")
    ('addcmul in 0.weight (exp_avg_sq)', 'add')
    """
    return f"{op}{f' in {path}' if path else ''}{f' ({tensor})' if tensor else ''}"


def located(step: int, phase: str, place: str, where: str = "") -> str:
    """When and where something happened; ``place`` as `place_name` gives it, ``where`` the line of code if known.

    >>> located(3, "forward", "exp in head", "train.py:41"), located(1, "backward", "add")
    ('step 3, forward, exp in head, train.py:41', 'step 1, backward, add')
    """
    return f"step {step}, {phase}, {place}{f', {where}' if where else ''}"


def share(part: float, whole: float) -> float:
    """``part / whole``, 0 where there is nothing; never above 1."""
    return min(1.0, part / whole) if whole else 0.0


def percent(part: float, whole: float = 1.0) -> str:
    """A share as a percentage; "-" of nothing, and never 0 % of something or 100 % of less than all.

    >>> percent(0, 5), percent(1, 10**9), percent(1, 3), percent(5, 5), percent(0, 0)
    ('0 %', '<.01 %', '33.3 %', '100 %', '-')
    """
    if not whole:
        return "-"
    value = 100 * share(part, whole)
    if value in (0, 100):
        return f"{value:.0f} %"
    if value < 0.01:
        return "<.01 %"
    return f"{value:.2f} %" if value < 0.995 else f"{min(value, 99.9):.1f} %"


def short(n: float) -> str:
    """A count in at most six characters.

    >>> short(0), short(1234), short(56789), short(1.5e9), short(2e12)
    ('0', '1,234', '56.8k', '1.5G', '2T')
    """
    if isinf(n):
        return str(n)
    if n < 10_000:
        return f"{n:,.0f}" if n == int(n) else f"{n:.3g}"
    for unit in ("k", "M", "G", "T"):
        n /= 1000
        if n < 999.5:
            return f"{n:.3g}{unit}"
    return f"{n * 1e12:.1e}"


def number(x: float | None) -> str:
    """A measured number in few columns, whole ones below a million in full; "-" for None.

    >>> number(None), number(1234.0), number(0.12345), number(float("inf"))
    ('-', '1,234', '0.123', 'inf')
    """
    if x is None:
        return "-"
    if isfinite(x) and x == int(x) and abs(x) < 1e6:
        return f"{int(x):,}"
    return f"{x:.3g}"


def si(value: float, unit: str) -> str:
    """A physical quantity with the prefix, down to nano, that leaves its number short.

    >>> si(0.0125, "s"), si(3.2e-8, "J"), si(0.0, "s")
    ('12.5 ms', '32 nJ', '0 ns')
    """
    for prefix, scale in (("", 1.0), ("m", 1e-3), ("u", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value / 1e-9:.3g} n{unit}"
