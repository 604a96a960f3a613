"""Plain text in columns, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


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


@contextmanager
def bar(label: str, total: int, unit: str = "steps") -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error if that is a terminal; it leaves nothing behind."""
    stream: Any = sys.stderr
    if stream is None or not stream.isatty():
        yield lambda done: None
        return
    shown = -1

    def progress(done: int) -> None:
        nonlocal shown
        filled = 30 * done // max(total, 1)
        if filled != shown:
            shown = filled
            stream.write(f"\r  {label:<22} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {unit} ")
            stream.flush()

    try:
        yield progress
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
