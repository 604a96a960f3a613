"""The devices by name: what each does in half precision, how fast it is said to be, and how far that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from halfsim.card import Card
from halfsim.hardware.accumulators import named
from halfsim.hardware.catalogue import ARITHMETIC, DOCUMENTS, QUOTED, ROWS, UNREAD, Document, Row
from halfsim.hardware.matrix_unit import matmul
from halfsim.hardware.names import Names
from halfsim.hardware.units import INSTRUCTIONS, Unit, rows
from halfsim.numerics.formats import as_format, unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class
from halfsim.text import columns, filled

INPUTS = {"float16": "fp16", "bfloat16": "bf16", "tfloat32": "tf32", "float8_e4m3fn": "fp8_e4m3",
          "float8_e5m2": "fp8_e5m2"}  # fmt: skip
_SUMS = {"float32": "fp32", "float16": "fp16"}
_FP16_CORES = ("avx512_fp16", "arm_fp16")  # whose vector instructions round every step to float16
_BYTES = {"KiB": 2**10, "MB": 10**6, "GiB": 2**30, "TiB": 2**40}
_SIGNS = {"derived": "*", "quoted": '"', "unverified": "?", "conflicting": "?"}


@dataclass(frozen=True)
class Figure(Card):
    """A number with its unit, where it stands, and a mark where that is worth less: "" if it is not.

    ``source`` names the document by publisher, title, edition and address, and the place in it; ``documents`` are the
    same as data. A mark begins with what it is: "derived" (computed, and how), "quoted" (read in a text that quotes the
    document), "unverified" (and why), "conflicting" (and with what); any other is a remark. ``stated`` is what the
    document says where ``value`` is in another unit. ``ceiling`` is False where the device may pass that rate.
    """

    value: float
    unit: str
    source: str
    mark: str = ""
    stated: str = ""
    ceiling: bool = True
    documents: tuple[Document, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the figure stands in what was read for it, or follows from it, and no other text contradicts it."""
        return not self.mark.startswith(("unverified", "conflicting"))

    @property
    def sign(self) -> str:
        """The mark in one character, as tables show it: ``*`` derived, ``"`` quoted, ``?`` unverified."""
        return _SIGNS.get(self.mark.partition(":")[0], "")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {"value": self.value, "source": self.source, "mark": self.mark, "verified": self.verified,
                "stated": self.stated, "ceiling": self.ceiling}  # fmt: skip

    def __str__(self) -> str:
        words = "; ".join(part for part in (self.stated and f"stated as {self.stated}", self.mark) if part)
        return f"{self.value:.6g} {self.unit}{f' ({words})' if words else ''}".replace("  ", " ")


@dataclass(frozen=True)
class Device(Card):
    """A named processor: what it does in half precision, its peak rates, and the evidence for its arithmetic.

    ``support`` says for each format "convert" (stored, computed in float32), "vector" or "matrix"; a format that is not
    there is not known to the device. ``rounds``, ``subnormals`` and ``accumulates`` say in words what the rows of
    ``units`` say in numbers, ``architecture`` being the first of them; without units nobody has described the bits.
    ``peaks`` are dense TFLOP/s by format and kind of unit: "fp16" of the vector units, "fp16 matrix" of matrix units,
    "fp16 matrix fp16" where these sum in float16 at a rate of their own. ``bandwidth`` is in GB/s, ``memory`` in GB of
    10**9 bytes. ``product`` says what the figures are of where the name is that of a family or a core. Of a card that
    software sees as several devices (``devices_seen``) the figures are the whole card's, and `seen` is one of them.
    ``evidence`` says how the arithmetic is known.

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
    product: str = ""
    devices_seen: int = 1
    announced: Figure = field(default_factory=lambda: Figure(0, "", ""))  # ``year`` with its source
    roles: Mapping[str, str] = field(default_factory=dict)  # of a Precision, where modes are described and no unit is
    described: tuple[Document, ...] = ()  # what tells of its modes

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure by name: the year, the peaks, the bandwidth and the memory.

        >>> print(device("L4").figures["fp16 matrix"].mark)
        derived: half of what is stated with sparsity
        """
        return {"year": self.announced, **self.peaks, "bandwidth": self.bandwidth, "memory": self.memory}

    @property
    def ceiling(self) -> bool:
        """Whether no peak can be passed, so that a time computed from them is a bound."""
        return all(figure.ceiling for figure in self.peaks.values())

    @property
    def seen(self) -> Device:
        """What one process gets: of a card of several devices one, with its share of rates and memory; else itself.

        >>> device("MI250X").seen.peaks["fp16 matrix"].value
        191.5
        """
        if self.devices_seen == 1:
            return self
        share = f"one of {self.devices_seen} devices of {self.name}"

        def part(figure: Figure) -> Figure:
            mark = f"{figure.mark}; {share}" if figure.mark else f"derived: {share}"
            return replace(figure, value=figure.value / self.devices_seen, mark=mark)

        peaks = MappingProxyType({key: part(figure) for key, figure in self.peaks.items()})
        return replace(self, name=f"{self.name} (1 of {self.devices_seen})", peaks=peaks, devices_seen=1,
                       bandwidth=part(self.bandwidth), memory=part(self.memory))  # fmt: skip

    def unit(self, inputs: object = "fp16", accumulate: object = None, instruction: str | None = None) -> Unit:
        """The row of numbers by which the device multiplies ``inputs``; ``accumulate`` None is its own choice.

        ``instruction`` None is the device's own; "mma" the older one, which multiplies 8-bit numbers in another way on
        H100, H200 and B200. ``ValueError`` where it has no such unit or instruction, or none is described.
        """
        key = INPUTS.get(as_format(inputs, "inputs").name, str(inputs))
        sums = None if accumulate is None else _SUMS.get(as_format(accumulate, "accumulate").name, str(accumulate))
        names = self.units
        if instruction is not None:
            known = INSTRUCTIONS.get(self.architecture, {})
            if instruction not in known:
                raise unknown(f"{self.name}: instruction", instruction, known or ["None"])
            names = (known[instruction], *names)
        found = [row for name in names for row in rows(name).values()]
        for row in found:
            if row.inputs == key and sums in (None, row.accumulate):
                return row
        asked = key if sums is None else f"{key} to {sums}"
        if not found:
            raise ValueError(f"{self.name}: no unit takes {asked}, for nobody has described the bits of its sums; "
                             "allowed: devices with units, as 'A100'")  # fmt: skip
        allowed = ", ".join(dict.fromkeys(f"{row.inputs} to {row.accumulate}" for row in found))
        raise ValueError(f"{self.name}: no unit takes {asked}; allowed: {allowed}")

    def matmul(
        self,
        a: Any,
        b: Any,
        c: Any = None,
        inputs: object = "fp16",
        accumulate: object = None,
        instruction: str | None = None,
    ) -> Array:
        """``a @ b + c`` with the bits of this device: values (..., M, K), (..., K, N), (..., M, N) in, (..., M, N) out.

        ``inputs`` is "fp16", "bf16", "tf32", "fp8_e4m3" or "fp8_e5m2"; ``accumulate`` "fp32", "fp16", or None for the
        device's own: float32 where its unit has that. ``instruction`` "mma" asks for the older instruction of H100,
        H200 and B200, which multiplies 8-bit numbers as halves and then adds ``c``. The result is a float32 or float16
        array. ``ValueError`` where the device has no such unit.

        >>> H100, tiny = device("H100"), 2.0**-7
        >>> [H100.matmul([1, tiny], [1, tiny], 1.0, "fp8_e4m3", instruction=i).item() for i in (None, "mma")]
        [2.0, 2.00006103515625]
        """
        return matmul(self.unit(inputs, accumulate, instruction), a, b, c)

    def precision(
        self, inputs: object = "fp16", accumulate: object = None, instruction: str | None = None
    ) -> Precision:
        """The `halfsim.Precision` of a model on this device: its unit for matrix products and sums.

        Storage is ``inputs``; for "tf32" float32, for 8 bits bfloat16, of which the unit takes narrower operands.
        Elementary steps are those of a framework's kernels, in float32, but on cores that have float16 arithmetic
        of their own. Cores that only convert multiply and add in float32, fused. ``instruction`` is as in `matmul`. A
        device without units whose modes are described has these, and sums of float32: Ascend 910A's overflow gives the
        largest number, and NaN becomes 0. ``ValueError`` where the device has no such unit.

        >>> str(device("Cortex-A76").precision().compute), device("Ascend 910A").precision().overflow
        ('float16', 'saturate_nan')
        """
        if self.roles and not self.units and instruction is None:
            given = INPUTS.get(as_format(inputs, "inputs").name, str(inputs))
            if given in self.support and accumulate in (None, "fp32", "float32"):
                return Precision(**{**self.roles, "storage": given})
        row = self.unit(inputs, accumulate, instruction)
        word = row.architecture if row.architecture in self.units else f"{self.architecture}:{instruction}"
        roles: dict[str, object] = {"storage": row.inputs, "accumulate": named(word, row)}
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

        Where it has none for ``fmt``, values are converted and the float32 rate holds. ``ValueError`` where no rate is
        known for that either, and for a word that is no format.
        """
        if fmt not in self.peaks and f"{fmt} matrix" not in self.peaks:
            as_format(fmt, "fmt")
        for key in (*([f"{fmt} matrix"] if matrix else []), fmt, *(["fp32 matrix"] if matrix else []), "fp32"):
            if key in self.peaks:
                return key if " " in key else f"{key} vector", self.peaks[key].value * 1e12
        raise ValueError(f"{self.name}: no rate is known for {fmt}; allowed: {', '.join(self.peaks)}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        figures = {"bandwidth_gb_per_s": self.bandwidth, "memory_gb": self.memory, "announced": self.announced}
        return {
            "name": self.name, "vendor": self.vendor, "architecture": self.architecture, "year": self.year,
            "product": self.product, "devices_seen": self.devices_seen,
            "support": dict(self.support), "rounds": self.rounds, "subnormals": self.subnormals,
            "accumulates": self.accumulates, "evidence": self.evidence, "units": list(self.units),
            "aliases": list(self.aliases), "note": self.note,
            "described": [str(document) for document in self.described],
            "peak_tflops": {key: figure.to_dict() for key, figure in self.peaks.items()},
        } | {key: figure.to_dict() for key, figure in figures.items()}  # fmt: skip

    as_dict = to_dict  # its name before

    def __str__(self) -> str:
        told = {**{f"peak {key}": figure for key, figure in self.peaks.items()}, "bandwidth": self.bandwidth,
                "memory": self.memory, "announced": self.announced}  # fmt: skip
        numbers = {source: f"[{i}]" for i, source in enumerate(dict.fromkeys(f.source for f in told.values()), 1)}
        marks: dict[str, list[str]] = {}
        for name, figure in told.items():
            for part in (figure.mark, "" if figure.ceiling else "no ceiling: the device may pass it"):
                marks.setdefault(part, []).append(name)
        marks.pop("", None)
        support = ", ".join(f"{fmt} {kind}" for fmt, kind in self.support.items())
        lines = [
            ("half precision", support), ("rounds", self.rounds), ("subnormals", self.subnormals),
            ("accumulates", self.accumulates), ("evidence", self.evidence),
            *((name, f"{_shown(figure)} {numbers[figure.source]}") for name, figure in told.items()),
            *(("mark", f"{'all figures' if len(names) == len(told) else ', '.join(names)}: {mark}")
              for mark, names in marks.items()),
        ]  # fmt: skip
        if self.devices_seen > 1:
            lines.append(("seen as", f"{self.devices_seen} devices, each with its share of these figures"))
        if self.note:
            lines.append(("note", self.note))
        lines += [("described in", str(document)) for document in self.described]
        lines += [(number, source) for source, number in numbers.items()]
        room = max(len(name) for name, _ in lines) + 2
        of = f"; figures of {self.product}" if self.product else ""
        text = [filled(f"{self.name}: {self.vendor}, {self.architecture}, {self.year}{of}")]
        text += [filled(words, f"{name:<{room}}", whole=True) for name, words in lines]  # addresses stay whole
        return "\n".join(text)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: dict(v) if isinstance(v := getattr(self, f.name), Mapping) else v for f in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)


guarded_class(Device, ["matmul", "peak", "precision", "unit"])


class Catalogue(Card, tuple[Device, ...]):
    """Devices, vendor by vendor and, of one kind, oldest first; printing them shows a table."""

    __slots__ = ()

    def __str__(self) -> str:
        lines: list[tuple[str, ...]] = [
            ("device", "year", "fp16 is", "fp32", "fp16", "matrix", "GB/s", "GiB", "evidence")
        ]
        for d in self:
            peaks = [_marked(d.peaks.get(key)) for key in ("fp32", "fp16", "fp16 matrix")]
            kind = d.support.get("fp16", "-")
            lines.append((d.name, str(d.year), {"convert": "converted"}.get(kind, kind), *peaks, _marked(d.bandwidth),
                          _marked(d.memory, 1e9 / 2**30), d.evidence.split(":")[0]))  # fmt: skip
        notes = (
            "fp32, fp16, matrix: dense peaks in TFLOP/s of the vector units, and of matrix units that take fp16.",
            '? unverified or conflicting, * derived, " quoted. The evidence is that of the arithmetic. A device '
            "by its name has all of it, with the documents; --sources lists every figure with its own.",
        )
        return "\n".join((columns(lines), "", *map(filled, notes)))

    def sources(self) -> str:
        """Every figure of every device with its mark and the document that states it, as text.

        >>> print(devices().sources().split(chr(10))[5].strip())
        memory             16 GiB [p100-wp, v100-news]
        """
        lines = []
        used: dict[str, Document] = {}
        for d in self:
            used |= {_KEYS[document]: document for document in d.described}
            lines.append(f"{d.name}, {d.vendor}{f': {d.product}' if d.product else ''}")
            for name, figure in d.figures.items():
                keys = [_KEYS[document] for document in figure.documents]
                used |= dict(zip(keys, figure.documents, strict=True))
                text = f"  {name:<18} {_shown(figure)} [{', '.join(keys)}]"
                lines.append(f"{text}  {figure.mark}" if figure.mark else text)
        lines += ["", "Documents", *(f"  [{key}] {document}" for key, document in sorted(used.items()))]
        return "\n".join(lines)

    def to_dict(self) -> list[dict[str, Any]]:
        """Everything as plain data."""
        return [d.to_dict() for d in self]

    as_dict = to_dict  # its name before


_KEYS = {document: key for key, document in DOCUMENTS.items()}


def _shown(figure: Figure) -> str:
    """A figure in the words of its document."""
    return figure.stated or f"{figure.value:.6g} {figure.unit}".rstrip()


def _marked(figure: Figure | None, scale: float = 1.0) -> str:
    return "-" if figure is None else f"{figure.value * scale:.{5 if figure.value > 1e-3 else 3}g}{figure.sign}"


def _of(table: Mapping[str, str], key: str) -> str | None:
    """The entry for ``key``, whose name stands in a list of names or is one of "*"."""
    for names, value in table.items():
        if key in names.split(", "):
            return value
    return table.get("*")


def _figure(row: Row, key: str) -> Figure:
    given = row.figures[key]
    parts = [part.partition(": ") for part in (_of(row.sources, key) or "").split("; ")]
    documents = tuple(DOCUMENTS[name] for name, _, _ in parts)
    read = {document.read for document in documents}
    default = "" if "text" in read else QUOTED if "quoted" in read else UNREAD
    mark = _of(row.marks, key) or default
    source = "; read in ".join(f"{document}{place and f' ({place})'}"
                               for document, (_, _, place) in zip(documents, parts, strict=True))  # fmt: skip
    if isinstance(given, str):  # memory
        count, unit = given.split()
        return Figure(float(count) * _BYTES[unit] / 1e9, "GB", source, mark, given, True, documents)
    unit = {"year": "", "bandwidth": "GB/s"}.get(key, "TFLOP/s")
    return Figure(given, unit, source, mark, "", key not in row.low, documents)


def _built(row: Row) -> Device:
    architecture = row.arithmetic or row.units[0]
    words = ARITHMETIC[architecture]
    figures = {key: _figure(row, key) for key in row.figures}
    year, bandwidth, memory = (figures.pop(key) for key in ("year", "bandwidth", "memory"))
    figures = dict(sorted(figures.items(), key=lambda pair: " " in pair[0]))  # vector units first
    return Device(
        row.name, row.vendor, architecture, int(year.value),
        MappingProxyType(dict(pair.split() for pair in row.support.split(", "))),
        words.rounds, words.subnormals, words.accumulates, MappingProxyType(figures), bandwidth, memory,
        row.evidence, row.units, row.aliases, row.note, row.product, row.seen, year, MappingProxyType(dict(row.roles)),
        (DOCUMENTS[row.described],) if row.described else (),
    )  # fmt: skip


_DEVICES = Catalogue(_built(row) for row in ROWS)
_NAMES = Names({name: d.name for d in _DEVICES for name in (d.name, *d.aliases)})
_BY_NAME = {d.name: d for d in _DEVICES}


def devices() -> Catalogue:
    """Every device of the catalogue; printed, a table.

    >>> [d.name for d in devices()][:3]
    ['P100', 'P100 PCIe', 'V100']
    """
    return _DEVICES


def device(name: object) -> Device:
    """The device of that name or alias, in any case, with or without spaces, hyphens and the maker's name.

    The names that drivers report are understood too, as "NVIDIA A100-SXM4-40GB". ``ValueError`` names the nearest for a
    typo, and for the name of a family its products; ``TypeError`` for anything but a string.

    >>> device("rtx4090").name
    'RTX 4090'
    """
    if isinstance(name, Device):
        return name
    if not isinstance(name, str):
        raise TypeError(f"device: expected a name such as 'A100', got {type(name).__name__}")
    return _BY_NAME[_NAMES.find(name)]
