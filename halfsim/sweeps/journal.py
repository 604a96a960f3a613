"""The results file as its driver writes it: a line a row, appended whole, never changed; what was torn is cut off."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsim.atomic import failed as told
from halfsim.atomic import replacing
from halfsim.frames import level
from halfsim.sweeps.attempt import Answer
from halfsim.sweeps.code import Code
from halfsim.sweeps.grid import KEY, Row
from halfsim.sweeps.lines import code_in, failed, head, line, lines
from halfsim.sweeps.lock import Lock
from halfsim.text import clipped, counted

Words = NDArray[np.uint64]
FLUSH = 0.5  # seconds that a row may be in the hands of the system before it is made to last on the disk


class Journal:
    """A results file, open for one driver. `append` writes each line in one call, so that a killed driver tears at most
    the last, which the next one cuts off; the disk is made to keep them every half second and at the end, so that a
    power cut costs the rows of that time.

    ``ValueError`` where another driver holds the file, where it is none of ours, or of other code (``fresh`` begins it
    anew); ``OSError`` where it cannot be written.
    """

    def __init__(self, path: Path, code: Code, fresh: bool = False) -> None:
        self.path = Path(os.path.realpath(path))
        self._shown = path
        self.code = code
        try:
            self._lock = Lock(self.path)
        except OSError as error:
            raise told(error, path) from None
        try:
            self._file = self._opened(fresh)
            self._end = self._read()
        except BaseException:
            self._lock.release()
            raise
        self._due = 0.0  # when the disk is to be flushed, 0 where nothing waits

    def _opened(self, fresh: bool) -> io.FileIO:
        if fresh and self.path.exists() and self.path.stat().st_size:
            with open(self.path, "rb") as whole:
                code_in(self._shown, whole)  # only what is ours is begun anew
        if fresh or not self.path.exists() or not self.path.stat().st_size:
            with replacing(self.path) as new:
                new.write(head(self.code))
        with open(self.path, "rb") as whole:
            change = code_in(self._shown, whole).change(self.code)
        if change:
            raise ValueError(f"out: {clipped(repr(str(self._shown)), 120)} has rows of other code: {change}; allowed: "
                             "the code of before, another file, fresh=True")  # fmt: skip
        return io.FileIO(self.path, "r+b")

    def _read(self) -> int:
        """Take in what is there; returns where the next line goes."""
        keys, self.failed, damaged, end = bytearray(), dict[bytes, int](), list[int](), 0
        with open(self.path, "rb") as whole:
            for one in lines(whole):
                if one.state == "torn":
                    os.ftruncate(self._file.fileno(), one.offset)
                    break
                end = one.end
                if one.state == "damaged":
                    damaged.append(one.number)
                elif one.state == "row":
                    keys += one.key
                    self.failed.pop(one.key, None)
                    if failed(one.data):
                        self.failed[one.key] = _tries(one.data)
        self._first, self._second = _sorted(keys)
        if damaged:
            numbers = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
            what = counted(len(damaged), "line is damaged and left out", "lines are damaged and left out")
            warnings.warn(f"{self._shown}: {what} ({numbers}); the rows that they held run again", stacklevel=level())
        return end

    def __len__(self) -> int:
        """How many rows were there when it was opened."""
        return len(self._first)

    def __contains__(self, key: bytes) -> bool:
        """Whether the row of that key was there when it was opened."""
        first, second = (np.uint64(half) for half in struct.unpack(">QQ", key))
        at = int(np.searchsorted(self._first, first))
        while at < len(self._first) and self._first[at] == first:
            if self._second[at] == second:
                return True
            at += 1
        return False

    def append(self, row: Row, answer: Answer, tries: int) -> None:
        """Write the line of a row; where there is no room for all of it, none of it stays."""
        data = line(row, answer, tries, self.code.digest)
        try:
            os.lseek(self._file.fileno(), self._end, os.SEEK_SET)
            if os.write(self._file.fileno(), data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._end)
            raise told(error, self._shown) from None
        self._end += len(data)
        self.flush(wait=True)

    def flush(self, wait: bool = False) -> None:
        """Make the disk keep what was written; with ``wait`` only where the oldest of it has waited long enough."""
        now = time.monotonic()
        if wait and not self._due:
            self._due = now + FLUSH
        if self._due and (not wait or now >= self._due):
            self._due = 0.0
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise told(error, self._shown) from None

    def close(self) -> None:
        """Flush, and let another driver have it."""
        try:
            self.flush()
        finally:
            self._file.close()
            self._lock.release()


def _sorted(keys: bytes | bytearray) -> tuple[Words, Words]:
    """The halves of keys, sorted, each key once: 16 bytes a row is all that a million of them take."""
    words = np.frombuffer(keys, ">u8").reshape(-1, KEY // 8).astype(np.uint64)
    words = words[np.lexsort((words[:, 1], words[:, 0]))]
    new = np.ones(len(words), bool)
    new[1:] = (words[1:] != words[:-1]).any(1)
    return np.ascontiguousarray(words[new, 0]), np.ascontiguousarray(words[new, 1])


def _tries(data: bytes) -> int:
    return int(json.loads(data)["tries"])
