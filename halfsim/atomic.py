"""Writing a file that is at every moment the old one or the new one, whole."""

from __future__ import annotations

import glob
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_LONGEST = 200  # characters of a path that an error repeats
_POSIX = os.name == "posix"  # elsewhere no open file can be renamed or deleted, and none needs a lock


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends, and vanishes when the block fails.

    It is written beside ``path`` under another name, flushed to the disk and renamed; it keeps the permissions of the
    file that it replaces. What a killed process left there
    is taken away by the next save. Pipes and devices, which nothing may replace, are written into as they are.
    ``OSError`` names ``path``.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            whole = io.BytesIO()
            yield whole
            with open(target, "wb") as device:
                device.write(whole.getvalue())
            return
        _sweep(target)
        temporary, file = _opened(target)
        try:
            with file:
                yield file
                file.flush()
                with suppress(OSError):  # a new file, or a file system without permissions
                    os.chmod(temporary, target.stat().st_mode & 0o777)
                os.fsync(file.fileno())
                if _POSIX:  # while it is locked
                    os.replace(temporary, target)
            if not _POSIX:
                os.replace(temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
        _flush_directory(target.parent)
    except OSError as error:
        raise failed(error, path) from error


def failed(error: OSError, path: Path) -> OSError:
    """The error of a file at ``path``, of which it repeats the beginning."""
    return OSError(error.errno, error.strerror or str(error), str(path)[:_LONGEST])


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 to ``path``, all at once; ``OSError`` where it cannot be written.

    Of a name that is no text, its bytes are written as escapes.
    """
    with replacing(Path(path)) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _opened(target: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside ``target``, locked for as long as it is open."""
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        file = open(temporary, "x+b")  # noqa: SIM115  # the caller closes it
        with suppress(OSError):  # a file system without locks
            _lock(file)
        if temporary.exists():
            return temporary, file
        file.close()  # somebody swept it away between the opening and the lock


def _sweep(target: Path) -> None:
    """Delete the temporaries of ``target`` that nobody writes any more."""
    for stale in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):
            with open(stale, "rb") as file:
                _lock(file, wait=False)
                if _POSIX:
                    stale.unlink()
            if not _POSIX:
                stale.unlink()


def _lock(file: IO[bytes], wait: bool = True) -> None:
    """Lock ``file`` until it is closed; ``OSError`` if another has, unless ``wait``."""
    if _POSIX:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _flush_directory(directory: Path) -> None:
    """Make the renaming itself last; where directories cannot be opened or flushed, it lasts when the system says."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
