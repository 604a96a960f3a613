"""What a report tells: plain data that outlives its trace, without the ways to show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Error
from halfsim.autograd.trace.kinds import KINDS
from halfsim.autograd.trace.totals import place_of
from halfsim.card import Record
from halfsim.diagnose.finding import Finding
from halfsim.numerics.formats import Format, unknown
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class
from halfsim.text import place_name, share

COLUMNS = 128  # of a heat map; a long run has several steps in one
WHATS = ("overflow", "flushed", "lost", "gradient_norm")
_ZERO, _SPECIAL = -127, 128  # the exponents under which zeros, and NaN and infinities, are counted
_AMONG = {"flushed": "nonzero", "swamped": "addends", "cancelled": "sums"}  # of what a count is a share, if not of all


def gravity(klass: str) -> int:
    """How grave trouble of a class is; 0 for a class that an older report names and today's program has not."""
    return KINDS[klass].gravity if klass in KINDS else 0


def infinite(counts: Counts) -> int:
    """How many values became infinite, by division by zero too; those that were clipped did not."""
    return max(0, counts.overflow - counts.clipped) + counts.divide_by_zero


@dataclass(frozen=True)
class Place(Record):
    """What one operation in one module did, over all steps: `halfsim.autograd.trace.Total` as plain data.

    ``exponents`` counts numbers by floor(log2 |x|), zeros under -127, NaN and infinities under 128.
    """

    __argument__ = "a place of a report"

    phase: str
    path: str
    op: str
    tensor: str
    format: Format
    events: int
    terms: int
    counts: Counts
    exponents: Mapping[int, int] = field(default_factory=dict)
    local: Error | None = None
    total: Error | None = None

    @property
    def name(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        return place_name(self.op, self.path, self.tensor)

    @property
    def gravity(self) -> tuple[float, ...]:
        """What places are sorted by: the shares of what makes each kind of trouble, gravest first, then errors."""
        c = self.counts
        levels: dict[int, float] = {}
        for kind in KINDS.values():
            for name in kind.counted:
                n = infinite(c) if name == "overflow" else getattr(c, name)
                part = 0.0 if name == "swamped" and not c.stalled else share(n, getattr(c, _AMONG.get(name, "size")))
                levels[kind.gravity] = max(levels.get(kind.gravity, 0.0), part)
        ranked = [levels[level] for level in sorted(levels, reverse=True)]
        error = self.total.relative if self.total is not None else 0.0
        return (*ranked, error, share(c.inexact, c.size))

    @property
    def comparable(self) -> bool:
        """Whether an error says anything: it is that of the finite numbers, and 0 where there were none."""
        broken = self.counts.invalid or infinite(self.counts)
        special = self.exponents.get(_SPECIAL, 0) and self.total is not None and self.total.relative == 0
        return self.total is not None and not broken and not special

    @property
    def histogram(self) -> tuple[int, dict[int, int], int]:
        """How many zeros, how many numbers by exponent, and how many NaN and infinities."""
        numbers = {e: n for e, n in sorted(self.exponents.items()) if _ZERO < e < _SPECIAL}
        return self.exponents.get(_ZERO, 0), numbers, self.exponents.get(_SPECIAL, 0)


@dataclass(frozen=True)
class Layer(Record):
    """What happened in one module (of the optimizer: to one parameter) by step, several steps in a column.

    The names of `halfsim.autograd.trace.SERIES` map to counts, one for each column; those all zero are left out.
    """

    phase: str
    path: str
    counts: Mapping[str, tuple[float, ...]]

    @property
    def name(self) -> str:
        return f"{self.phase} {self.path}" if self.path else self.phase


@dataclass(frozen=True)
class Raised(Record):
    """The exception that ended a script: its class, its message in one line, and the line that it was raised from."""

    kind: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        line = f" at {self.where}" if self.where else ""
        return f"The script raised {self.kind}{line}" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True)
class Facts:
    """What a `Trace` has to tell, as plain data; a `Report` is the same with text, page and JSON."""

    steps: int
    reference: str | None  # the precision that errors are measured against
    verdict: Finding | None  # where the gravest trouble began
    findings: tuple[Finding, ...] = ()  # where each trouble began, that of the verdict too
    before: tuple[str, ...] = ()  # the operations just before that of the verdict
    places: tuple[Place, ...] = ()  # in the order in which they first ran
    layers: tuple[Layer, ...] = ()  # the rows of the heat maps
    columns: int = 0  # of the heat maps
    stride: int = 1  # steps in a column
    start: int = 1  # the first step of the first column
    scales: tuple[tuple[int, float, bool], ...] = ()  # step, loss scale, and whether the step was skipped
    left_out: tuple[Finding, ...] = ()  # NaN and infinities that a mask, a maximum or a choice left out: no trouble
    raised: Raised | None = None  # the exception that ended the script, if one did

    @property
    def others(self) -> list[Finding]:
        """The findings but that of the verdict, gravest first, each place once."""
        seen = set() if self.verdict is None else {place_of(self.verdict)}
        found = []
        for f in sorted(self.findings, key=lambda f: -gravity(f.klass)):
            if place_of(f) not in seen:
                seen.add(place_of(f))
                found.append(f)
        return found

    @property
    def worst(self) -> list[Place]:
        """The places, gravest first; that of the verdict leads."""
        return sorted(self.places, key=lambda place: (self.accused(place), place.gravity), reverse=True)

    def accused(self, place: Place) -> bool:
        """Whether the verdict names this place."""
        return self.verdict is not None and place_of(place) == place_of(self.verdict)

    def count(self, phase: str | None = None) -> Counts:
        """The counts of all places, or of one phase."""
        result = Counts()
        for place in self.places:
            if phase in (None, place.phase):
                result += place.counts
        return result

    def heat(self, what: str) -> tuple[list[Layer], Array]:
        """The rows of a heat map and its values: a float64 array of len(rows) by ``columns``.

        ``what`` is "overflow" (values past the largest number, and NaN), "flushed" (share of the nonzero results that
        became zero), "lost" (share of the updates that moved no weight) or "gradient_norm" (the 2-norm of a module's
        parameter gradients as the backward pass left them, loss scale included, each use of a parameter by
        itself; root mean square over the steps of a column). NaN where nothing happened.
        ``ValueError`` for another word.
        """
        if what not in WHATS:
            raise unknown("what", what, WHATS)
        part, whole = {"flushed": ("flushed", "nonzero"), "lost": ("lost", "updates")}.get(what, ("", ""))
        if what == "gradient_norm":
            part = "square"
        rows = [layer for layer in self.layers if what == "overflow" or (whole or part) in layer.counts]
        values = np.full((len(rows), self.columns), np.nan)
        for row, layer in zip(values, rows, strict=True):
            if what == "overflow":
                row[:] = self._counted(layer, "overflow") + self._counted(layer, "invalid")
            elif whole:
                among = self._counted(layer, whole)
                np.divide(self._counted(layer, part), among, out=row, where=among > 0)
                np.minimum(row, 1.0, out=row)
            else:
                square = self._counted(layer, part)
                np.sqrt(square / self.stride, out=row, where=square > 0)
        return rows, values

    def _counted(self, layer: Layer, name: str) -> Array:
        return np.array(layer.counts.get(name, (0.0,) * self.columns), np.float64)


guarded_class(Facts, ["accused", "count", "heat"])
