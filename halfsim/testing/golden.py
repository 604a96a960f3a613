"""Golden bits: the results of a test, kept as hexadecimal codes in a text file beside it, and compared bit by bit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsim.atomic import write_text
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.codec import decode
from halfsim.numerics.formats import Integer, as_dtype, shortened
from halfsim.testing.assertions import distance, ulps
from halfsim.text import counted

_HEAD = "# Golden bits of halfsim: a name, its format and shape, then its codes in hexadecimal, row by row.\n"
_ENTRY = re.compile(r"(?P<format>.+) \[(?P<shape>[\d, ]*)\] (?P<name>.+)")
_A_LINE = 16  # codes
_SHOWN = 8  # elements of an array that a failure shows
_LONGEST = 100  # characters of a file's name


@dataclass(frozen=True, eq=False)
class Bits:
    """An array as its codes."""

    format: str
    codes: NDArray[Any]

    @classmethod
    def of(cls, name: str, value: object) -> Bits:
        """Those of a tensor, or of an array of floats, integers, bools or a dtype of ml_dtypes, as they are."""
        if isinstance(value, Tensor):
            dtype: Any = value.format
            return cls(getattr(dtype, "spelled", dtype.name), value.bits())
        array = np.asarray(value)
        try:
            dtype = as_dtype(array.dtype)
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}: dtype {array.dtype} is not allowed; allowed: tensors, floats, integers, bools"
            ) from None
        return cls(dtype.name, np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape))

    def lines(self, name: str) -> Iterator[str]:
        """The entry of a file."""
        yield f"{self.format} {[*self.codes.shape]} {name}"
        digits, width = -(-_bits(self.format) // 4), self.codes.shape[-1] if self.codes.ndim else 1
        for row in self.codes.reshape(-1, width) if self.codes.size else ():
            for i in range(0, width, _A_LINE):
                yield " ".join(f"{int(code):0{digits}x}" for code in row[i : i + _A_LINE])

    def different(self, kept: Bits) -> list[str]:
        """How these differ from ``kept``, in lines; none where they do not."""
        if (self.format, self.codes.shape) != (kept.format, kept.codes.shape):
            ours, theirs = (f"{b.format} {[*b.codes.shape]}" for b in (self, kept))
            return [f"is {ours}, was {theirs}"]
        where = np.argwhere(self.codes != kept.codes)
        if not len(where):
            return []
        lines = [f"{len(where)} of {counted(self.codes.size, 'element differs', 'elements differ')}"]
        for place in where[:_SHOWN]:
            now, was = (int(b.codes[tuple(place)]) for b in (self, kept))
            apart = _apart(now, was, self.format)
            lines.append(f"  {place.tolist()}: {_told(now, self.format)}, was {_told(was, self.format)}{apart}")
        return lines + ([f"  and {len(where) - _SHOWN} more"] if len(where) > _SHOWN else [])


def _bits(format: str) -> int:
    return max(as_dtype(format).bits, 4)


def _value(code: int, format: str) -> Any:
    dtype = as_dtype(format)
    if isinstance(dtype, Integer):
        return code - (1 << dtype.bits) * (dtype.signed and code >> (dtype.bits - 1))
    return float(decode([code], dtype)[0])


def _told(code: int, format: str) -> str:
    return f"{code:0{-(-_bits(format) // 4)}x} ({_value(code, format)})"


def _apart(now: int, was: int, format: str) -> str:
    """How far a number is from what it was; nothing for integers, and where one of them is NaN."""
    dtype = as_dtype(format)
    if isinstance(dtype, Integer):
        return ""
    given, wanted = (np.array(_value(code, format)) for code in (now, was))
    return "" if np.isnan(given) or np.isnan(wanted) else f": {ulps(float(distance(given, wanted, dtype)))}"


def dumped(entries: Mapping[str, Bits]) -> str:
    """The text of a file.

    >>> print(dumped({"x": Bits.of("x", np.array([1.0, -2.0], np.float16))}), end="")
    # Golden bits of halfsim: a name, its format and shape, then its codes in hexadecimal, row by row.
    float16 [2] x
    3c00 c000
    """
    return _HEAD + "".join(f"{line}\n" for name, bits in entries.items() for line in bits.lines(name))


def loaded(text: str) -> dict[str, Bits]:
    """What a file says; ``ValueError`` in one line where it is none of these."""
    found: dict[str, Bits] = {}
    entry: re.Match[str] | None = None
    codes: list[str] = []
    for line in [*text.splitlines(), ""]:
        start = _ENTRY.fullmatch(line)
        if start or not line:
            if entry is not None:
                shape = [int(n) for n in entry["shape"].split(",") if n.strip()]
                try:
                    array = np.array([int(code, 16) for code in codes], np.uint64).reshape(shape)
                except ValueError:
                    raise ValueError(f"golden bits: the codes of {shortened(entry['name'])} are damaged") from None
                found[entry["name"]] = Bits(entry["format"], array)
            entry, codes = start, []
        elif not line.startswith("#"):
            if entry is None:
                raise ValueError(f"golden bits: {shortened(line)} is not allowed; allowed: a format, a shape, a name")
            codes += line.split()
    return found


@dataclass
class GoldenBits:
    """The fixture ``halfsim_bits``: compares what a test computes with the bits in a file of the test's own.

    The file of ``test_layers.py::test_norm[3]`` is ``test_layers/test_norm[3].bits``, which belongs to the repository.
    ``pytest --halfsim-bits-update`` writes it.
    """

    folder: Path
    name: str
    update: bool
    root: Path  # from which a path is told
    written: Callable[[str], object]  # told of each file that is written
    _checked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, request: pytest.FixtureRequest) -> GoldenBits:
        """That of the test of ``request``."""
        path, update = Path(request.path), request.config.getoption("--halfsim-bits-update")
        name = request.node.nodeid.partition("::")[2].replace("::", ".") or request.node.name
        properties = request.node.user_properties  # which xdist carries to the one who sums up

        def written(file: str) -> None:
            properties.append(("halfsim_bits", file))

        return cls(path.parent / path.stem, name, bool(update), request.config.rootpath, written)

    def check(self, values: object, basename: str | None = None) -> None:
        """Fail unless every bit of ``values``, an array, a tensor or a dict of them, is the one in the file.

        NaN with different payloads differ, as do the zeros. ``basename`` names the file, by default the test does; a
        test that checks twice gives it. Formats and shapes are compared too. ``TypeError`` for what has no bits,
        ``ValueError`` for a name of several lines and for a file that was checked already.
        """
        __tracebackhide__ = True
        entries = {name: Bits.of(name, value) for name, value in _named(values).items()}
        path = self._path(basename)
        if self.update:
            text = dumped(entries)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, text)
                self.written(self._shown(path))
            return
        if not path.exists():
            pytest.fail(
                f"no golden bits yet: {self._shown(path)}; pytest --halfsim-bits-update writes them", pytrace=False
            )
        kept = loaded(path.read_text(encoding="utf-8"))
        told = []
        for name in {**kept, **entries}:
            if name in kept and name in entries:
                lines = entries[name].different(kept[name])
            else:
                lines = ["is new"] if name in entries else ["is gone"]
            told += [f"{name}: {lines[0]}", *lines[1:]] if lines else []
        if told:
            pytest.fail(
                "\n".join([*told, f"golden bits: {self._shown(path)}; --halfsim-bits-update accepts these"]),
                pytrace=False,
            )

    def _shown(self, path: Path) -> str:
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def _path(self, basename: str | None) -> Path:
        name = quote(self.name if basename is None else basename, safe="[]=,+@ ")  # a different one for each test
        if len(name) > _LONGEST:
            name = f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        if name in self._checked:
            raise ValueError(f"basename: {shortened(basename)} is not allowed twice in a test; allowed: one a check")
        self._checked.add(name)
        return self.folder / f"{name}.bits"


def _named(values: object) -> dict[str, object]:
    if not isinstance(values, Mapping):
        return {"values": values}
    for name in values:
        if not isinstance(name, str) or not name or len(name.splitlines()) > 1 or name != name.strip():
            raise ValueError(f"values: the name {shortened(name)} is not allowed; allowed: strings of one line")
    return dict(values)
