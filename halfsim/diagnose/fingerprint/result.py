"""What two fingerprints tell of two runs, as text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from halfsim.card import Record
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, sections
from halfsim.text import clipped, columns, counted, filled, located

LINES = 12
_KINDS = {  # of one operation, and of several
    "bits": ("has other bits", "have other bits"),
    "signs": ("differs in signs of zeros or NaN alone", "differ in signs of zeros or NaN alone"),
    "shape": ("has another shape", "have other shapes"),
    "format": ("has another format", "have other formats"),
    "missing": ("more is in the first run alone", "more are in the first run alone"),
    "extra": ("more is in the second run alone", "more are in the second run alone"),
}
_READS = {
    "same": "It read the same numbers and options in both runs: what differs is the operation itself, as its "
            "precision, its order of sums, its unit, its library or its random numbers.",
    "other": "It read other numbers or options, which no operation before it made.",
}  # fmt: skip


@dataclass(frozen=True)
class Difference(Record):
    """One operation that is not the same in two runs.

    ``kind`` is "bits", "signs" (of zeros, or signs and payloads of NaN, and nothing else), "shape", "format", "missing"
    (in the first run alone) or "extra". ``ulp`` is the largest distance of two elements, in steps from one number of
    the format to the next, if ``exact``; else it is at least that; None where nothing tells. ``element`` is where, if
    known; ``place`` says in words what the fields do. ``reads`` says whether the operation read the "same" numbers and
    options in both, "other", or "unknown".
    """

    kind: str
    number_a: int | None
    number_b: int | None
    step: int
    phase: str
    path: str
    op: str
    tensor: str
    format: str
    shape: tuple[int, ...]
    where: str
    place: str = ""
    reads: str = "unknown"
    ulp: int | None = None
    exact: bool = False
    element: tuple[int, ...] | None = None
    detail: str = ""

    def __str__(self) -> str:
        told = _KINDS[self.kind][0].removeprefix("more ")
        at = located(self.step, self.phase or "run", self.place, self.where)
        return f"{at}: {told}" + (f", {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class FingerprintComparison(Document):
    """Where two runs part: printed, the first operation that differs, and what else does.

    ``names`` are the two files, ``operations`` how many results each has, ``matched`` how many of them stand at one
    place in both. ``differences`` are all that differ, in their order, up to 10,000; ``counts`` has their numbers by
    kind, and ``steps`` the steps they are in. ``headers`` has what the files say otherwise of machine, versions,
    precision and seed: name, first, second.
    """

    title = "halfsim: two runs compared by their fingerprints"

    names: tuple[str, str]
    operations: tuple[int, int]
    matched: int
    differences: tuple[Difference, ...]
    counts: dict[str, int]
    steps: tuple[int, ...]
    headers: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether no operation differs."""
        return not self.counts

    @property
    def first(self) -> Difference | None:
        """The first operation that differs; None where none does."""
        return self.differences[0] if self.differences else None

    @property
    def first_bits(self) -> Difference | None:
        """The first operation that is in both runs and has other bits."""
        return next((one for one in self.differences if one.kind in ("bits", "signs")), None)

    def _lead(self) -> list[str]:
        """Paragraphs: the first difference, what it means, and how much else differs."""
        first, lines = self.first, []
        if first is None:
            same = f"All {counted(self.matched, 'result')} are the same in both runs."
            lines.append(same if self.matched else "Neither run has a result: nothing was compared.")
        else:
            lines.append(f"First difference: {first}.")
            if first.kind == "bits" and first.phase == "input":
                lines.append("These numbers came from outside of the trace.")
            elif first.kind in ("bits", "signs") and first.reads in _READS:
                lines.append(_READS[first.reads])
            bits = self.first_bits
            if bits is not None and bits is not first:
                lines.append(f"First other bits: {bits}.")
            lines.append(self._count())
        lines += [f"{name}: {a} in the first run, {b} in the second." for name, a, b in self.headers]
        return [*lines, *(f"Note: {note}." for note in self.notes)]

    def _count(self) -> str:
        told = [f"{n:,} {_KINDS[kind][n != 1]}" for kind, n in self.counts.items()]
        return f"{counted(self.matched, 'result is', 'results are')} in both runs: {', '.join(told)}. " \
               f"Steps: {_ranges(self.steps)}."  # fmt: skip

    def table(self) -> str:
        """A line for each of the first differences."""
        return columns(self._rows(), left=5)

    def _rows(self) -> list[tuple[str, ...]]:
        head = ("step", "phase", "operation", "where", "difference", "a", "b", "ulp")
        return [head, *(
            (
                str(d.step), d.phase, clipped(d.place, 40), d.where, d.kind,
                _number(d.number_a), _number(d.number_b), _ulp(d),
            )
            for d in self.differences[:LINES]
        )]  # fmt: skip

    def __str__(self) -> str:
        lines = [filled(line) for line in self._lead()]
        if len(self.differences) > 1:
            more = sum(self.counts.values()) - LINES
            lines += ["", self.table(), *([f"and {more:,} more"] if more > 0 else [])]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        facts = attributes(self, "differences", "headers")
        headers = {name: [a, b] for name, a, b in self.headers}
        return jsonable({
            "schema": 1, "kind": "fingerprint comparison", "equal": self.equal, **facts, "headers": headers,
            "differences": [asdict(one) for one in self.differences],
        })  # fmt: skip

    def _body(self) -> Iterator[str]:
        blocks: list[tuple[str, Block]] = [("", f"{self.names[0]} against {self.names[1]}")]
        blocks += [("", line) for line in self._lead()]
        if self.differences:
            blocks.append(("The first differences", self._rows()))
        yield from sections(blocks)


def _number(x: int | None) -> str:
    return Figure("-" if x is None else str(x), x)


def _ulp(one: Difference) -> str:
    if one.ulp is None:
        return Figure("-", None)
    return Figure(f"{one.ulp:,}" if one.exact else f"{one.ulp:,} or more", one.ulp)


def _ranges(steps: tuple[int, ...]) -> str:
    """Numbers in order, neighbours as ranges: "1 to 3, 7".

    >>> _ranges((1, 2, 3, 7))
    '1 to 3, 7'
    """
    found: list[list[int]] = []
    for step in steps:
        if found and step == found[-1][-1] + 1:
            found[-1] = [found[-1][0], step]
        else:
            found.append([step])
    told = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in found]
    return ", ".join(told[:LINES]) + (", ..." if len(told) > LINES else "")
