"""What commands write beside their words: files, all at once, and a progress bar."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
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
def bar(label: str, total: int, unit: str = "steps") -> Iterator[Callable[..., None]]:
    """A progress bar on standard error if that is a terminal; it leaves nothing behind.

    It is told how much is done, and how much of that was so before; from the rest it reckons the time that is left,
    which it shows once a second has passed.
    """
    stream: Any = sys.stderr
    if stream is None or not stream.isatty():
        yield lambda done, before=0: None
        return
    shown, start = (-1, 0), time.monotonic()

    def progress(done: int, before: int = 0) -> None:
        nonlocal shown
        passed = time.monotonic() - start
        count = f"{done}/{total} {unit}"
        room = max(4, min(30, width() - 29 - len(f"{total}/{total} {unit}, 99 min left")))
        filled = room * done // total
        if (filled, int(passed)) != shown:
            shown = filled, int(passed)
            left = f", {_rough(passed / (done - before) * (total - done))} left" if passed > 1 and done > before else ""
            stream.write(f"\r  {clipped(label, 22):<22} [{'#' * filled}{'.' * (room - filled)}] {count}{left} \x1b[K")
            stream.flush()

    try:
        yield progress
    finally:
        stream.write("\r\x1b[K")
        stream.flush()


def _rough(seconds: float) -> str:
    """A time in few characters.

    >>> _rough(8.3), _rough(400), _rough(9000), _rough(400_000)
    ('8 s', '7 min', '2.5 h', '4.6 days')
    """
    for most, unit, size in ((90, "s", 1), (5400, "min", 60), (172_800, "h", 3600)):
        if seconds < most:
            return f"{seconds / size:.{1 if size == 3600 else 0}f} {unit}"
    return f"{seconds / 86_400:.1f} days"
