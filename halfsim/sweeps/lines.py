"""The lines of a results file: a head that says which code, and a row each, all with a checksum of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any, NamedTuple

from halfsim.sweeps.attempt import Answer
from halfsim.sweeps.code import SCHEMA, Code
from halfsim.sweeps.grid import KEY, Row
from halfsim.sweeps.spelling import LARGEST
from halfsim.text import clipped

KIND = "halfsim sweep"
_SUM = 16  # characters of a checksum
_TAIL = len(',"checksum":""}') + _SUM
_START = b'{"key":"'
_FAILED = b'"error":'


class Line(NamedTuple):
    """A line where it stands: its number from 1 on, its first byte and the one after it, its bytes without line feed.

    ``state`` is "row", "head", "damaged", or "torn" for a last one without its line feed.
    """

    number: int
    offset: int
    end: int
    data: bytes
    state: str

    @property
    def key(self) -> bytes:
        """The key of a row."""
        return bytes.fromhex(self.data[len(_START) : len(_START) + 2 * KEY].decode())


def _summed(text: str) -> bytes:
    """A line of the members ``text``, with the checksum as the last."""
    data = text.encode()
    return data + b',"checksum":"' + hashlib.sha256(data).hexdigest()[:_SUM].encode() + b'"}\n'


def whole(data: bytes) -> bool:
    """Whether a line without its line feed is as it was written."""
    body, tail = data[:-_TAIL], data[-_TAIL:]
    return tail == b',"checksum":"' + hashlib.sha256(body).hexdigest()[:_SUM].encode() + b'"}'


def head(code: Code) -> bytes:
    """The first line of a file."""
    return _summed(json.dumps({"kind": KIND, **asdict(code)}, separators=(",", ":"))[:-1])


def line(row: Row, answer: Answer, tries: int, study: str) -> bytes:
    """The line of a row: what is the same wherever it runs before what is not."""
    return _summed(
        f'{{"key":"{row.key.hex()}","study":"{study}","config":{row.config},"seed":{row.seed},'
        f'"{answer.kind}":{answer.text},"tries":{tries},"duration":{answer.duration!r},'
        f'"host":{json.dumps(answer.host)},"versions":{answer.versions or "{}"},"schema":{SCHEMA}'
    )


def lines(file: IO[bytes]) -> Iterator[Line]:
    """Every line of a file from its beginning, with what it is."""
    offset = 0
    file.seek(0)
    for number in range(1, 1 << 62):
        raw = file.readline(4 * LARGEST)
        if not raw:
            return
        data, end = raw.removesuffix(b"\n"), offset + len(raw)
        if data is raw and len(raw) < 4 * LARGEST:
            yield Line(number, offset, end, data, "torn")
            return
        kind = "row" if data.startswith(_START) else "head" if number == 1 else "damaged"
        yield Line(number, offset, end, data, kind if whole(data) else "damaged")
        offset = end


def failed(data: bytes) -> bool:
    """Whether the line of a row holds an error: read from the JSON only where the bytes may say so."""
    return _FAILED in data and "error" in json.loads(data)


def code_in(path: Path, file: IO[bytes]) -> Code:
    """The code that the rows of a file are of; ``ValueError`` where it is no results file, or one of another layout."""
    first = next(lines(file), None)
    found: dict[str, Any] = {}
    if first is not None and first.state == "head":
        found = json.loads(first.data)
    if found.get("kind") != KIND:
        raise ValueError(
            f"out: {clipped(repr(str(path)), 120)} is not a results file of a sweep; allowed: one, or a new path"
        )
    if found["schema"] != SCHEMA:
        raise ValueError(f"out: {clipped(repr(str(path)), 120)} has layout {found['schema']}; allowed: layout {SCHEMA}")
    return Code(**{f.name: found[f.name] for f in fields(Code)})
