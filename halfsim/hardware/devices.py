"""The catalogue of devices: what each does in half precision, how fast it is said to be, and how far that is known."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from halfsim.hardware._catalogue import ARITHMETIC, ROWS, Row
from halfsim.hardware.accumulators import named
from halfsim.hardware.matrix_unit import matmul
from halfsim.hardware.units import Unit, rows
from halfsim.numerics.formats import as_format, unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.text import columns

INPUTS = {"float16": "fp16", "bfloat16": "bf16", "tfloat32": "tf32", "float8_e4m3fn": "fp8_e4m3",
          "float8_e5m2": "fp8_e5m2"}  # fmt: skip
_SUMS = {"float32": "fp32", "float16": "fp16"}
_FP16_CORES = ("avx512_fp16", "arm_fp16")  # whose vector instructions round every step to float16


@dataclass(frozen=True)
class Figure:
    """A number with its unit, the document that states it, and a mark where that is worth less: "" if it is not."""

    value: float
    unit: str
    source: str
    mark: str = ""

    @property
    def verified(self) -> bool:
        """Whether the figure stands in a document that was read for it; "derived" ones were computed from such."""
        return not self.mark.startswith("unverified")

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}{f' ({self.mark})' if self.mark else ''}"


@dataclass(frozen=True)
class Device:
    """A named processor: what it does in half precision, its peak rates, and the evidence for its arithmetic.

    ``support`` says for each format "convert" (stored, computed in float32), "vector" or "matrix"; a format that is not
    there is not known to the device. ``rounds``, ``subnormals`` and ``accumulates`` say in words what the rows of
    ``units`` say in numbers, ``architecture`` being the first of them. ``peaks`` are dense TFLOP/s by format and kind
    of unit: "fp16" of the vector units, "fp16 matrix" of matrix units, "fp16 matrix fp16" where these sum in float16
    at a rate of their own. ``bandwidth`` is in GB/s, ``memory`` in GB. ``evidence`` says how the arithmetic is known.

    >>> V100 = device("tesla v100")
    >>> V100.architecture, V100.support["fp16"], V100.peaks["fp16 matrix"].value
    ('volta', 'matrix', 125)
    """

    name: str
    vendor: str
    architecture: str
    year: int
    support: Mapping[str, str]
    rounds: str
    subnormals: str
    accumulates: str
    peaks: Mapping[str, Figure]
    bandwidth: Figure
    memory: Figure
    evidence: str
    units: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    note: str = ""

    def unit(self, inputs: object = "fp16", accumulate: object = None) -> Unit:
        """The row of numbers by which the device multiplies ``inputs``; ``accumulate`` None is its own choice.

        ``ValueError`` where it has no such unit.
        """
        key = INPUTS.get(as_format(inputs, "inputs").name, str(inputs))
        sums = None if accumulate is None else _SUMS.get(as_format(accumulate, "accumulate").name, str(accumulate))
        found = [row for name in self.units for row in rows(name).values()]
        for row in found:
            if row.inputs == key and sums in (None, row.accumulate):
                return row
        allowed = ", ".join(dict.fromkeys(f"{row.inputs} to {row.accumulate}" for row in found))
        asked = key if sums is None else f"{key} to {sums}"
        raise ValueError(f"{self.name}: no unit takes {asked}; allowed: {allowed}")

    def matmul(self, a: Any, b: Any, c: Any = None, inputs: object = "fp16", accumulate: object = None) -> Array:
        """``a @ b + c`` with the bits of this device: values (..., M, K), (..., K, N), (..., M, N) in, (..., M, N) out.

        ``inputs`` is "fp16", "bf16", "tf32", "fp8_e4m3" or "fp8_e5m2"; ``accumulate`` "fp32", "fp16", or None for the
        device's own: float32 where its unit has that. The result is a float32 or float16 array. ``ValueError`` where
        the device has no such unit.

        >>> device("V100").matmul([[1, 2.0**-24]], [[1], [1]]).dtype
        dtype('float32')
        """
        return matmul(self.unit(inputs, accumulate), a, b, c)

    def precision(self, inputs: object = "fp16", accumulate: object = None) -> Precision:
        """The `halfsim.Precision` of a model on this device: its unit for matrix products and sums.

        Storage is ``inputs``; for "tf32" float32, for 8 bits bfloat16, of which the unit takes narrower operands.
        Elementary steps are those of a framework's kernels, in float32, but on cores that have float16 arithmetic
        of their own. Cores that only convert multiply and add in float32, fused. ``ValueError`` where the device has
        no such unit.

        >>> str(device("Cortex-A76").precision().compute)
        'float16'
        """
        row = self.unit(inputs, accumulate)
        roles: dict[str, object] = {"storage": row.inputs, "accumulate": named(row.architecture, row)}
        if row.architecture == "f16c":
            roles["accumulate"] = "fp32:sequential+fma"
        elif row.inputs == "tf32":  # the unit itself drops bits of float32
            roles["storage"] = "fp32"
        elif row.inputs.startswith("fp8"):
            roles |= {"storage": "bf16", "operands": row.input_format}
        elif row.architecture in _FP16_CORES and row.accumulate == "fp16":
            roles["compute"] = "fp16"
        return Precision(**roles)

    def peak(self, fmt: str, matrix: bool) -> tuple[str, float]:
        """The name and the FLOP/s of the fastest unit for results in ``fmt`` ("fp16"), of products if ``matrix``.

        Where it has none for ``fmt``, values are converted and the float32 rate holds.
        """
        for key in (*([f"{fmt} matrix"] if matrix else []), fmt, *(["fp32 matrix"] if matrix else []), "fp32"):
            if key in self.peaks:
                return key if " " in key else f"{key} vector", self.peaks[key].value * 1e12
        raise AssertionError(self.name)  # each has a rate for fp32

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        figures = {"bandwidth_gb_per_s": self.bandwidth, "memory_gb": self.memory}
        return {
            "name": self.name, "vendor": self.vendor, "architecture": self.architecture, "year": self.year,
            "support": dict(self.support), "rounds": self.rounds, "subnormals": self.subnormals,
            "accumulates": self.accumulates, "evidence": self.evidence, "units": list(self.units),
            "aliases": list(self.aliases), "note": self.note,
            "peak_tflops": {key: _plain(figure) for key, figure in self.peaks.items()},
        } | {key: _plain(figure) for key, figure in figures.items()}  # fmt: skip

    as_dict = to_dict  # its name before

    def __str__(self) -> str:
        support = ", ".join(f"{fmt} {kind}" for fmt, kind in self.support.items())
        figures = [*((f"peak {key}", f) for key, f in self.peaks.items()), ("bandwidth", self.bandwidth),
                   ("memory", self.memory)]  # fmt: skip
        marks = {f.mark: [n for n, g in figures if g.mark == f.mark] for _, f in figures if f.mark}
        lines = [
            ("half precision", support), ("rounds", self.rounds), ("subnormals", self.subnormals),
            ("accumulates", self.accumulates), ("evidence", self.evidence),
            *((name, f"{f.value:g} {f.unit}") for name, f in figures), ("source", self.bandwidth.source),
            *(("mark", f"{'all figures' if len(names) == len(figures) else ', '.join(names)}: {mark}")
              for mark, names in marks.items()),
        ]  # fmt: skip
        if self.note:
            lines.append(("note", self.note))
        wrapped = [(name if i == 0 else "", part) for name, words in lines
                   for i, part in enumerate(textwrap.wrap(words, 76))]  # fmt: skip
        return f"{self.name}: {self.vendor}, {self.architecture}, {self.year}\n" + columns(wrapped, left=2)


class Catalogue(tuple[Device, ...]):
    """Devices, oldest of each vendor first; printing them shows a table."""

    __slots__ = ()

    def __str__(self) -> str:
        lines: list[tuple[str, ...]] = [
            ("device", "year", "fp16 is", "fp32", "fp16", "matrix", "GB/s", "GB", "evidence")
        ]
        for d in self:
            figures = [*(d.peaks.get(key) for key in ("fp32", "fp16", "fp16 matrix")), d.bandwidth, d.memory]
            kind, evidence = (
                {"convert": "converted"}.get(d.support["fp16"], d.support["fp16"]),
                d.evidence.split(":")[0],
            )
            lines.append((d.name, str(d.year), kind, *map(_marked, figures), evidence))
        return columns(lines) + (
            "\n\nfp32, fp16, matrix: dense peaks in TFLOP/s of the vector units, and of matrix units that take fp16."
            "\n? unverified, * derived. The evidence is that of the arithmetic; a device by its name has it whole."
        )

    def to_dict(self) -> list[dict[str, Any]]:
        """Everything as plain data."""
        return [d.to_dict() for d in self]

    as_dict = to_dict  # its name before


def _marked(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:g}{'*' if figure.mark.startswith('derived') else '' if figure.verified else '?'}"


def _plain(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "source": figure.source, "mark": figure.mark, "verified": figure.verified}


def _built(row: Row) -> Device:
    def figure(key: str, value: float, unit: str) -> Figure:
        return Figure(value, unit, row.source, row.marks.get(key, row.marks.get("*", "")))

    words = ARITHMETIC[row.arithmetic or row.units[0]]
    return Device(
        row.name, row.vendor, row.arithmetic or row.units[0], row.year,
        MappingProxyType(dict(pair.split() for pair in row.support.split(", "))),
        words.rounds, words.subnormals, words.accumulates,
        MappingProxyType({key: figure(key, value, "TFLOP/s") for key, value in row.peaks.items()}),
        figure("bandwidth", row.bandwidth, "GB/s"), figure("memory", row.memory, "GB"),
        row.evidence, row.units, row.aliases, row.note,
    )  # fmt: skip


_DEVICES = Catalogue(_built(row) for row in ROWS)


def _key(name: str) -> str:
    return re.sub(r"[\s_\-]|^(nvidia|amd|intel|arm)\s", "", name.strip().lower())


_BY_KEY = {_key(name): d for d in _DEVICES for name in (d.name, *d.aliases)}


def devices() -> Catalogue:
    """Every device of the catalogue; printed, a table.

    >>> [d.name for d in devices()][:3]
    ['P100', 'V100', 'T4']
    """
    return _DEVICES


def device(name: object) -> Device:
    """The device of that name or alias, in any case, with or without spaces, hyphens and the maker's name.

    ``ValueError`` names the nearest for a typo; ``TypeError`` for what is no string.

    >>> device("rtx4090").name
    'RTX 4090'
    """
    if isinstance(name, Device):
        return name
    if not isinstance(name, str):
        raise TypeError(f"device: expected a name such as 'A100', got {type(name).__name__}")
    found = _BY_KEY.get(_key(name))
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> ValueError:
    """Near names are sought in the letters that `device` compares."""
    near = difflib.get_close_matches(_key(name), _BY_KEY, n=1)
    names: Sequence[str] = [d.name for d in _DEVICES]
    error = unknown("device", name, names, [])
    if near and "did you mean" not in str(error):
        hint = f" (did you mean {_BY_KEY[near[0]].name!r}?)"
        return ValueError(str(error).replace(" is not allowed", f" is not allowed{hint}", 1))
    return error
