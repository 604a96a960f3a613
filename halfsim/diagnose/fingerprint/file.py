"""A fingerprint: a header and a row an operation, as a text file of one JSON value a line."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.diagnose.fingerprint.bits import HASH, Print
from halfsim.text import clipped, place_name

SCHEMA = 1
_KIND = "halfsim fingerprint"
INPUT = "input"  # the phase of numbers that come from outside of the trace
_LARGEST = 1 << 31  # bytes of a file that is read


@dataclass(frozen=True, slots=True)
class Row(Record):
    """One operation's result, or, of phase "input", numbers from outside, where an operation first read them.

    Of an input ``path`` is the tensor's own name, ``op`` what reads it and ``tensor`` the module of that. ``reads`` is
    a hash of what the operation read, numbers and options; "" where it is not known.
    """

    number: int
    step: int
    phase: str  # "input", "forward", "backward", "optimizer"; "" where a log of PyTorch's does not say
    path: str
    op: str
    tensor: str
    format: str
    shape: tuple[int, ...]
    where: str  # "train.py:9", or ""
    reads: str
    print: Print
    inner: str = ""  # of a log of PyTorch's, the kernel's own name

    @property
    def place(self) -> str:
        """Where in the program: "matmul in encoder.0"."""
        if self.phase == INPUT:
            return f"{self.path or 'a tensor'}, as {place_name(self.op, self.tensor)} reads it"
        return place_name(self.inner or self.op, self.path, self.tensor)


@dataclass(frozen=True)
class Fingerprint:
    """What was read of a file: where it was, the header, and the rows in the order in which they happened."""

    name: str
    header: Mapping[str, Any]
    rows: tuple[Row, ...]
    torch: bool = False  # whether it is a log of PyTorch's DebugMode
    notes: tuple[str, ...] = field(default=())


def machine() -> dict[str, Any]:
    """What a result may depend on beside the program."""
    blas: Mapping[str, Any] = {}
    shown: Any = np.show_config(mode="dicts")
    if isinstance(shown, Mapping):
        blas = shown.get("Build Dependencies", {}).get("blas", {})
    return {
        "halfsim": sys.modules["halfsim"].__version__,
        "numpy": np.__version__,
        "blas": " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def line(row: tuple[Any, ...], kept: Print) -> str:
    """A row as it is written: its number, what says where it is, and what is kept of its bits."""
    sums = None if kept.sums is None else [f"{x:x}" for x in kept.sums]
    end = [kept.hash, kept.numbers, kept.nan, kept.sample, sums]
    if kept.norm is not None:
        end += [kept.norm if math.isfinite(kept.norm) else str(kept.norm), f"{kept.xor or 0:x}"]
    return json.dumps([*row, *end], separators=(",", ":"))


def text(header: Mapping[str, Any], lines: Iterable[str]) -> str:
    """A fingerprint as it is written: the header, a line for each row, and a last one that says that this is all."""
    body = [json.dumps({_KIND: SCHEMA, "hash": HASH, **header}), *lines]
    whole = "\n".join(body) + "\n"
    end = json.dumps({"operations": len(body) - 1, "whole": sha256(whole.encode()).hexdigest()[:16]})
    return f"{whole}{end}\n"


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a file; ``OSError`` where it cannot be read, ``ValueError`` where it is none."""
    name = clipped(repr(os.fspath(path)), 120)
    if Path(path).is_file() and Path(path).stat().st_size > _LARGEST:
        raise ValueError(f"{name}: {Path(path).stat().st_size:,} bytes are too many; allowed: up to 2 GiB")
    data = Path(path).read_bytes()
    if not data.strip():
        raise ValueError(f"{name} is empty; allowed: what t.fingerprint(path) wrote, or a log of PyTorch's DebugMode")
    with suppress(UnicodeDecodeError):
        if b"\0" not in data:
            return data.decode("utf-8-sig").replace("\r\n", "\n")
    raise ValueError(f"{name} is no text; allowed: what t.fingerprint(path) wrote, or a log of PyTorch's DebugMode")


def is_fingerprint(given: str) -> bool:
    """Whether a text begins as a fingerprint does."""
    return given.lstrip().startswith(f'{{"{_KIND}"')


def parse(given: str, name: str) -> Fingerprint:
    """The fingerprint that a text is; ``ValueError``, in one line, where it is cut off, changed, or of a newer kind."""
    shown, lines = clipped(repr(name), 120), given.split("\n")
    if lines[-1] == "":
        lines.pop()
    try:
        header = json.loads(lines[0])
        schema = header[_KIND]
    except (ValueError, LookupError, TypeError):
        raise ValueError(f"{shown} is cut off in its first line; allowed: what t.fingerprint(path) wrote") from None
    if schema != SCHEMA or header.get("hash") != HASH:
        told = f"schema {schema!r}, hash {header.get('hash')!r}"
        raise ValueError(f"{shown}: {told} is not allowed; allowed: schema {SCHEMA}, hash {HASH}: a newer halfsim may")
    end: Any = None
    with suppress(ValueError):
        end = json.loads(lines[-1])
    if not isinstance(end, dict) or "whole" not in end:
        raise ValueError(f"{shown} is cut off after {len(lines) - 1:,} lines; allowed: the whole file")
    body = "\n".join(lines[:-1]) + "\n"
    if end.get("operations") != len(lines) - 2 or end["whole"] != sha256(body.encode()).hexdigest()[:16]:
        raise ValueError(f"{shown} was changed after it was written; allowed: what t.fingerprint(path) wrote")
    try:
        rows = tuple(_row(i, json.loads(one)) for i, one in enumerate(lines[1:-1], 1))
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{shown} is not as t.fingerprint(path) writes it: {clipped(str(error), 80)}") from None
    return Fingerprint(name, header, rows)


def _row(number: int, given: list[Any]) -> Row:
    step, phase, path, op, tensor, fmt, shape, where, reads, whole, numbers, nan, sample, sums, *rest = given
    norm, xor = (float(rest[0]), int(rest[1], 16)) if rest else (None, None)
    pair = None if sums is None else (int(sums[0], 16), int(sums[1], 16))
    kept = Print(whole, numbers, nan, sample, pair, norm, xor)
    return Row(number, step, phase, path, op, tensor, fmt, tuple(shape), where, reads, kept)
