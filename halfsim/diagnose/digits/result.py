"""How many digits are left of each result and in each module, as text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from halfsim.card import Record, Text
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, sections
from halfsim.numerics.formats import unknown
from halfsim.text import columns, counted, filled, place_name

_LINES = 12  # of each table in the text
_DECIMAL = log10(2)


@dataclass(frozen=True)
class DigitsRow(Record):
    """How many bits are left of one result of the run, or in one module; never more than its format has.

    ``bits`` are those of the spread of the runs under random rounding. In the first ``lower`` of them a further such
    run agrees with their mean, with the probability and the confidence of the whole, if they are of a normal law. In
    the first ``held`` all of them agreed with the run as it is, whatever their law. In the first ``measured`` the run
    as it is agrees with the reference; None where there is nothing to compare. Of an array they are those of its norm,
    and ``worst`` those of the element, at ``worst_at``, whose spread is widest. `decimal` makes digits of bits. A row
    without a finite number has none left.
    """

    name: str  # of the result, or the path of the module
    op: str  # of a module, the operation with the fewest digits, "" of what was returned; its
    phase: str
    tensor: str
    step: int
    size: int  # how many numbers it is made of
    bits: float
    lower: float
    held: float
    measured: float | None
    worst: float
    worst_at: tuple[int, ...]
    run: float | None  # the number itself, in the run as it is; None where it is not one number
    mean: float | None  # of the runs under random rounding
    reference: float | None
    reason: str  # why ``measured`` is not what random rounding says, in a word; "" where the two agree
    why: str  # and in a sentence
    where: str  # the line of the caller's code

    @property
    def digits(self) -> float:
        """The decimal digits of ``lower``: those that may be relied on."""
        return decimal(self.lower)

    @property
    def least(self) -> float:
        """The fewest bits that either side tells of: ``lower`` or ``measured``."""
        return self.lower if self.measured is None else min(self.lower, self.measured)

    @property
    def place(self) -> str:
        """What the row is of, in words."""
        if not self.op:
            return self.name
        found = place_name(self.op, self.name, self.tensor)
        return found if self.phase == "forward" else f"{found}, {self.phase}"


def decimal(bits: float) -> float:
    """Bits as decimal digits.

    >>> round(decimal(11), 2)
    3.31
    """
    return bits * _DECIMAL


@dataclass(frozen=True)
class SignificantDigits(Document):
    """How many digits are left, result by result and module by module; see `halfsim.significant_digits`.

    ``results`` has a `DigitsRow` for each number or array that the run returned, ``modules`` one for each phase and
    module path, the one of its results that has fewest digits. ``found[name]`` is the row of a result, or of a module's
    forward pass. ``held_probability`` is how probable ``held`` is at least, with the same ``confidence``. ``notes`` say
    what was not rounded at random, and what the runs did differently. It is plain data.
    """

    precision: str
    reference: str
    runs: int
    seed: int
    probability: float
    confidence: float
    held_probability: float
    results: tuple[DigitsRow, ...]
    modules: tuple[DigitsRow, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Of what, and how often it ran."""
        return f"halfsim: digits left in {self.precision}, {self.runs} runs under random rounding"

    def __getitem__(self, name: str) -> DigitsRow:
        rows = (*self.results, *sorted(self.modules, key=lambda row: row.phase != "forward"))
        for row in rows:
            if row.name == name:
                return row
        raise unknown("name", name, list(dict.fromkeys(row.name for row in rows)))

    def table(self) -> str:
        """One line for each result, and one for each module and phase."""
        return Text("\n\n".join(columns(rows, left) for _, rows, left in self._tables() if len(rows) > 1))

    def _tables(self) -> list[tuple[str, list[tuple[str, ...]], int]]:
        """Of results and of modules: the heading, the lines, and how many columns at their left are words."""
        head = ("bits", "lower", "digits", "held", self.reference, "why")
        results: list[tuple[str, ...]] = [("result", *head), *((row.name, *_cells(row)) for row in self.results)]
        modules: list[tuple[str, ...]] = [("module", "operation", "phase", *head)]
        modules += [
            (row.name or "(outside)", place_name(row.op, "", row.tensor), row.phase, *_cells(row))
            for row in self.modules
        ]
        return [("Results", results, 1), ("Modules", modules, 3)]

    def _head(self) -> str:
        return f"{self.precision}, {self.runs} runs under random rounding, beside {self.reference}"

    def _legend(self) -> str:
        return (
            f"bits: of the spread of the runs. lower, and as decimal digits: in which a further run agrees with their "
            f"mean, with probability {self.probability:g} and confidence {self.confidence:g}, by a normal law. held: "
            f"in which all {self.runs} agree with the run as it is; by any law so does a further run with probability "
            f"{self.held_probability:.2f}. {self.reference}: in which the run as it is agrees with that in "
            f"{self.reference}."
        )

    def _sentences(self) -> list[str]:
        """Why the two do not agree, each sentence once."""
        told: dict[str, list[str]] = {}
        for row in (*self.results, *self.modules):
            if row.why:
                told.setdefault(f"{row.reason}: {row.why}.", []).append(row.place)
        return [f"{_some(names)}: {sentence}" for sentence, names in told.items()]

    def __str__(self) -> str:
        blocks = [filled(self._head())]
        for (_, table, left), rows in zip(self._tables(), (self.results, self.modules), strict=True):
            if rows:
                fewest = sorted(range(len(rows)), key=lambda i: rows[i].least)[:_LINES]
                blocks.append(_fitted([table[0], *(table[1:][i] for i in sorted(fewest))], left, len(rows)))
        blocks += [filled(text, whole=True) for text in self._sentences()[:_LINES]]
        return "\n\n".join([*blocks, filled(self._legend()), *(filled(note) for note in self.notes)])

    def _body(self) -> Iterator[str]:
        blocks: list[tuple[str, Block]] = [("", f"{self._head()}.")]
        blocks += [(heading, table) for heading, table, _ in self._tables() if len(table) > 1]
        why = self._sentences()
        blocks += [("Why" * (not i), text) for i, text in enumerate(why)]
        yield from sections([*blocks, ("What is told", self._legend()), *(("", note) for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; each row has the decimal digits of its bits too."""
        rows = {name: [_plain(row) for row in getattr(self, name)] for name in ("results", "modules")}
        return jsonable({"schema": 1, "kind": "significant digits", **attributes(self), **rows})


def _plain(row: DigitsRow) -> dict[str, Any]:
    found = attributes(row)
    digits = {name: found[name] and decimal(found[name]) for name in ("bits", "lower", "held", "measured")}
    return {**found, "digits": digits}


def _cells(row: DigitsRow) -> tuple[str, ...]:
    figures = (row.bits, row.lower, row.digits, row.held, row.measured)
    return (*(Figure("-" if x is None else f"{x:.1f}", x) for x in figures), row.reason or "-")


def _fitted(rows: Sequence[Sequence[str]], left: int, of: int) -> str:
    """A table whose last column is of words too, and how many rows there are where it has not all."""
    more = f"\n({len(rows) - 1} of {of})" if len(rows) <= of else ""
    widest = max(len(row[-1]) for row in rows)
    return columns([(*row[:-1], row[-1].ljust(widest)) for row in rows], left=left) + more


def _some(names: Sequence[str]) -> str:
    first = ", ".join(dict.fromkeys(names[:3]))
    return first if len(names) <= 3 else f"{first} and {counted(len(names) - 3, 'more', 'more')}"


def single(x: Any) -> float | None:
    """The one number of an array, None where there are more or none."""
    return float(x.reshape(-1)[0]) if x.size == 1 else None
