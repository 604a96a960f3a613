"""What commands write beside their words: files, all at once, and a progress bar."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from halfsim.atomic import write_text
from halfsim.text import clipped, width


def writer(path: str, option: str = "--html") -> Callable[[str], None]:
    """A function that writes the file all at once; ``ValueError`` right away where it cannot be written."""
    target = Path(os.path.realpath(path))
    try:
        wrong = "is not the path of a file" if path in ("", "-") or path.endswith(os.sep) else ""
        if target.exists() and not wrong:
            wrong = "" if target.is_file() else "is a directory" if target.is_dir() else "is not a regular file"
            wrong = wrong or ("" if os.access(target, os.W_OK) else "permission denied")
        if not wrong:
            with tempfile.TemporaryFile(dir=target.parent):  # the directory takes new files
                pass
    except OSError as error:
        wrong = (error.strerror or str(error)).lower()
    if wrong:
        raise ValueError(
            f"{option}: {clipped(repr(path), 120)}: {wrong}; allowed: the path of a file that can be written"
        )
    return lambda content: write_text(target, content)


@contextlib.contextmanager
def bar(label: str, total: int, unit: str = "steps") -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error if that is a terminal; it leaves nothing behind."""
    stream: Any = sys.stderr
    if stream is None or not stream.isatty():
        yield lambda done: None
        return
    shown = -1

    def progress(done: int) -> None:
        nonlocal shown
        count = f"{done}/{total} {unit}"
        room = max(4, min(30, width() - 29 - len(f"{total}/{total} {unit}")))
        filled = room * done // total
        if filled != shown:
            shown = filled
            stream.write(f"\r  {clipped(label, 22):<22} [{'#' * filled}{'.' * (room - filled)}] {count} ")
            stream.flush()

    try:
        yield progress
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
