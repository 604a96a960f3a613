"""Plain text: columns, and numbers, shares and names in few characters."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isinf


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of equal length as aligned lines, the first ``left`` columns to the left, the others to the right.

    >>> print(columns([("name", "bits"), ("float16", "16")]))
    name     bits
    float16    16
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


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
    'linear i...self_attn.out_proj'
    >>> clipped("encoder.layers.11", 10, "end"), clipped("raised an error", 10, "start")
    ('...yers.11', 'raised ...')
    """
    if width is None or len(text) <= width:
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
