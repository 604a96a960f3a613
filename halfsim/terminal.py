"""What commands write beside their words: files, all at once, and a progress bar."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def writer(path: str, option: str = "--html") -> Callable[[str], None]:
    """A function that writes the file all at once; ``ValueError`` right away where it cannot be written."""
    target = Path(os.path.realpath(path))

    def replacement() -> str:
        descriptor, name = tempfile.mkstemp(prefix=".halfsim-", dir=target.parent)
        os.close(descriptor)
        return name

    def write(content: str) -> None:
        name = replacement()
        try:
            Path(name).write_text(content, encoding="utf-8")
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~mask)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise

    try:
        wrong = "is not the path of a file" if path in ("", "-") or path.endswith(os.sep) else ""
        if target.exists() and not wrong:
            wrong = "" if target.is_file() else "is a directory" if target.is_dir() else "is not a regular file"
            wrong = wrong or ("" if os.access(target, os.W_OK) else "permission denied")
        if not wrong:
            os.unlink(replacement())  # the directory takes new files
    except OSError as error:
        wrong = (error.strerror or str(error)).lower()
    if wrong:
        raise ValueError(f"{option}: {path!r}: {wrong}; allowed: the path of a file that can be written")
    return write


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
        filled = 30 * done // total
        if filled != shown:
            shown = filled
            stream.write(f"\r  {label:<22} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {unit} ")
            stream.flush()

    try:
        yield progress
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
