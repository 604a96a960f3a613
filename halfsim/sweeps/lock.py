"""One driver a file: a lock that its holder's end, however it comes, undoes."""

from __future__ import annotations

import errno
import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from halfsim.text import clipped

_POSIX = os.name == "posix"  # elsewhere a file that is open cannot be deleted, which is a lock too


class Lock:
    """The lock of ``path``, a file beside it that says who holds it; ``ValueError`` where another process does.

    The system lets go of it when the process ends, so that a dead driver's lock is none. On a network file system it
    holds as far as that one's locks do, and ``OSError`` says where it has none.
    """

    def __init__(self, path: Path) -> None:
        self.path = _beside(path)
        try:
            self._handle = self._taken()
        except (BlockingIOError, PermissionError, FileExistsError) as error:
            if isinstance(error, PermissionError) and _POSIX:
                raise
            raise ValueError(f"out: {_named(path)} is being written by {holder(path) or 'another process'}; allowed: "
                             "another file, or this one once that is done") from None  # fmt: skip
        who = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now().isoformat(" ", "seconds")}
        os.ftruncate(self._handle, 0)
        os.write(self._handle, json.dumps(who).encode())

    def _taken(self) -> int:
        if not _POSIX:
            self.path.unlink(missing_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        import fcntl

        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self.path.exists() and os.path.samestat(os.fstat(handle), self.path.stat()):
                    return handle
            except OSError as error:
                os.close(handle)
                if error.errno in (errno.ENOLCK, errno.ENOTSUP):
                    raise OSError(error.errno, "the file system has no locks", str(self.path)) from None
                raise
            os.close(handle)  # its holder has just let go of it and taken the file away

    def release(self) -> None:
        """Let go of it, and take its file away."""
        if _POSIX:
            self.path.unlink(missing_ok=True)  # while it is held: another's is another file
        os.close(self._handle)
        if not _POSIX:
            self.path.unlink(missing_ok=True)


def holder(path: Path) -> str:
    """Who holds the lock of a results file, in words; "" where nobody does."""
    beside = _beside(path)
    if not beside.exists():
        return ""
    if _POSIX:
        import fcntl

        with open(beside, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return ""
            except BlockingIOError:
                pass
    try:
        who: dict[str, Any] = json.loads(beside.read_bytes())
        return f"process {who['process']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError):  # it is about to say so
        return "another process"


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _named(path: Path) -> str:
    return clipped(repr(str(path)), 120)
