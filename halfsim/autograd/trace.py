"""What happened to the numbers: one Event an operation, added up in a Trace by phase, module path and op."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any, TypeVar

import numpy as np

from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32, unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.text import columns

CLASSES = ("NaN", "overflow", "underflow", "swamping", "cancellation", "integer rounding")

# Rounding always flushes, swamps and cancels a little; these shares of the values concerned make it a trouble.
FLUSHED_SHARE = 0.05  # of the nonzero results, if with them goes ...
VANISHED_SHARE = 0.01  # ... this share of their magnitude,
FLUSHED_GRADIENTS = 0.5  # or this share of nonzero gradients and optimizer state
SWAMPED_SHARE = 0.5
CANCELLED_SHARE = 0.5

REPEATED = ("update", "decay", "average")  # a step that moves few weights is no trouble where others move them

BINS = 512  # steps a series tells apart; later ones share a bin, in twos, in fours, ...


@dataclass(frozen=True)
class LostConstant:
    """A number that ``format`` turns into zero or infinity; it reads as the sentence that says so."""

    name: str
    value: float
    format: Format

    @property
    def klass(self) -> str:
        """The class of trouble: underflow or overflow."""
        return "underflow" if abs(self.value) < 1 else "overflow"

    def __str__(self) -> str:
        if self.klass == "underflow":
            return f"{self.name} {self.value:g} is zero in {self.format} (smallest subnormal {self._limit:.3g})"
        return f"{self.name} {self.value:.6g} is infinite in {self.format} (largest number {self._limit:g})"

    @property
    def _limit(self) -> float:
        return self.format.smallest_subnormal if self.klass == "underflow" else self.format.max


@dataclass(frozen=True, slots=True)
class Error:
    """How far a result is from a reference: the largest and the mean distance in ulp, and the relative one in norm.

    Of more than 4,096 elements every so many-th is compared, see `sample`. ``ulp`` is that of the result's format at
    the reference. Where only one of the two is finite, all are infinite.
    """

    largest: float
    mean: float
    relative: float


@dataclass(frozen=True, slots=True)
class Event:
    """One operation's result: where it was computed and what its roundings did.

    ``phase`` is "forward", "backward" or "optimizer"; ``path`` the module (in the optimizer phase, the
    parameter), "" outside any; ``tensor`` what was written, where the operation alone does not say. ``format`` is that
    of the result, ``exponents`` how many of its numbers have which exponent (see `exponents`), ``magnitude`` the sum of
    their magnitudes where over 5 % were flushed, ``terms`` the length of its longest sum and ``unit``
    the format that was formed in. With a reference, ``local`` is the error that this operation made and ``total``
    what has come together. ``origin`` is the event where the trouble in its operands began, if they had any,
    ``given`` says that a NaN among them came from no recorded operation. ``disorder`` is how far its sums in a narrow
    accumulator are off, in norm, relative to the magnitude of their terms.
    """

    step: int
    phase: str
    path: str
    op: str
    tensor: str
    shape: tuple[int, ...]
    counts: FlagCounts
    lost: LostConstant | None = None  # a constant that the format cannot hold
    format: Format = float32
    exponents: Array | None = None
    magnitude: float = 0.0
    terms: int = 1
    unit: Format = float32
    local: Error | None = None
    total: Error | None = None
    origin: Event | None = None
    given: bool = False
    disorder: float = 0.0
    square: float = 0.0  # of a parameter's gradient: the sum of squares
    serial: int = 0  # events are numbered as they happen

    def __str__(self) -> str:
        return f"step {self.step}, {self.phase}, {self.place}: {self.klass or 'no trouble'}"

    @property
    def klass(self) -> str | None:
        """The gravest class of trouble in this event, or None."""
        return None if self.quiet else next((klass for klass in CLASSES if self.shows(klass)), None)

    @property
    def quiet(self) -> bool:
        """Whether nothing happened that could be trouble."""
        c = self.counts
        seen = c.flushed or c.cancelled or c.stalled or c.overflow or c.invalid or c.divide_by_zero or c.integers
        return not (seen or self.given or self.lost is not None)

    def shows(self, klass: str) -> bool:
        """Whether the event is trouble of ``klass``.

        Any NaN made from numbers and any overflow or division by zero is; underflow where a constant became zero,
        where more than 5 % of the nonzero results did that held more than 1 % of their magnitude, or half of the
        nonzero gradients; swamping where more than half of the nonzero addends changed nothing and a sum is off by more
        than 1 % of the magnitude of its terms (or a weight did not move); cancellation where half of the differences
        have at most four good bits left, or none; integer rounding where integers became other integers.
        """
        c = self.counts
        if self.lost is not None and klass == self.lost.klass:
            return True
        if klass == "NaN":
            return c.invalid > 0 or self.given
        if klass == "overflow":
            return c.overflow + c.divide_by_zero > 0
        if klass == "underflow":
            lost = 0.5 * c.flushed * self.format.smallest_subnormal  # at most
            half = self.phase != "forward" and c.flushed > FLUSHED_GRADIENTS * c.nonzero
            return half or (c.flushed > FLUSHED_SHARE * c.nonzero and lost > VANISHED_SHARE * self.magnitude)
        if klass == "swamping":
            return c.stalled > 0 and c.swamped > SWAMPED_SHARE * c.addends
        if klass == "cancellation":
            return c.cancelled > 0 and c.cancelled + c.annulled > CANCELLED_SHARE * c.sums
        return c.integers > 0

    @property
    def suspicion(self) -> str | None:
        """What zeros in the result would be, if a division by one of them is to be explained."""
        return "underflow" if self.counts.flushed else "cancellation" if self.counts.annulled else None

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        where = f" in {self.path}" if self.path else ""
        return f"{self.op}{where}{f' ({self.tensor})' if self.tensor else ''}"


@dataclass(frozen=True)
class Frame:
    """What an operation had before it when it first went wrong: its operands and its result, by name.

    Arrays are copies; of those with more than 65,536 elements, the first so many in C order. ``before`` are the
    latest events up to this one.
    """

    event: Event
    arrays: Mapping[str, Array]
    before: tuple[Event, ...]


@dataclass
class Total:
    """What all events of one place add up to, the largest errors among them, and their exponents."""

    counts: FlagCounts = field(default_factory=FlagCounts)
    exponents: Array | None = None
    format: Format = float32
    local: Error | None = None
    total: Error | None = None
    events: int = 0
    terms: int = 1
    unit: Format = float32  # of the running sums
    step: int = 1  # where the local error was largest
    disorder: float = 0.0
    swamped: Event | None = None  # the first, where it takes the whole run to tell

    def add(self, event: Event) -> None:
        """Add one event."""
        self.counts += event.counts
        self.events += 1
        self.format, self.terms = event.format, max(self.terms, event.terms)
        self.unit, self.disorder = event.unit, max(self.disorder, event.disorder)
        if event.op in REPEATED and self.swamped is None and event.shows("swamping"):
            self.swamped = event
        if event.exponents is not None:
            if self.exponents is None:
                self.exponents = np.zeros(256, np.int64)
            self.exponents += event.exponents
        if _worse(event.local, self.local, "relative"):
            self.local, self.step = event.local, event.step
        if _worse(event.total, self.total, "largest"):
            self.total = event.total

    @property
    def range(self) -> tuple[int, int] | None:
        """The smallest and the largest exponent of the numbers seen (from -126 to 127), if there were any."""
        seen = np.flatnonzero(self.exponents[1:255]) if self.exponents is not None else np.empty(0, np.intp)
        return (int(seen[0]) - 126, int(seen[-1]) - 126) if seen.size else None

    @property
    def lasting(self) -> Event | None:
        """The first event that swamped updates, if they were swamped over the whole run."""
        return self.swamped if self.counts.swamped > SWAMPED_SHARE * self.counts.addends else None


def _worse(new: Error | None, old: Error | None, by: str) -> bool:
    """Whether an error is larger than what was known; an infinite one, told as overflow, gives way to any other."""
    if new is None or old is None:
        return new is not None
    size, known = getattr(new, by), getattr(old, by)
    return isfinite(size) and (size > known or not isfinite(known))


SERIES = ("overflow", "flushed", "nonzero", "lost", "updates", "square", "invalid")


class Series:
    """Counts by step, in at most 512 bins of 2**shift steps each."""

    def __init__(self) -> None:
        self.shift = 0
        self.rows = np.zeros((BINS, len(SERIES)))

    def add(self, step: int, event: Event) -> None:
        """Add what ``event`` counted in ``step``."""
        while step >> self.shift >= BINS:
            folded = self.rows[0::2] + self.rows[1::2]
            self.rows[: BINS // 2], self.rows[BINS // 2 :] = folded, 0
            self.shift += 1
        c, row = event.counts, self.rows[step >> self.shift]
        row += (c.overflow + c.divide_by_zero, c.flushed, c.nonzero, c.lost, c.updates, event.square, c.invalid)


class Trace:
    """The counts of every operation since the trace began, the first event of each class, and the latest ones.

    Its size depends on the number of distinct (phase, path, op, tensor), about 3 kB each, and of paths, 28 kB each,
    never on the number of steps. ``allow`` holds patterns ("@op", a module path, "path@op"; wildcards as in
    `halfsim.Policy`) of operations whose NaN and infinities are meant: they are counted, and are no trouble.
    """

    def __init__(
        self,
        reference: Precision | None = None,
        allow: Iterable[str] = (),
        frames: int = 64,
        outer: Trace | None = None,
    ) -> None:
        self.step = 1
        self.places: dict[tuple[str, str, str, str], Total] = {}
        self.firsts: dict[str, Event] = {}
        self.constant: Event | None = None  # the first that lost a constant
        self.latest: deque[Event] = deque(maxlen=frames)
        self.captured: dict[str, Frame] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self.scales: list[tuple[int, float, bool]] = []  # step, loss scale, whether the step was skipped
        self.reference, self.allow, self.outer = reference, tuple(allow), outer
        self.serial = 0
        self.locally = True  # whether operations of this step are measured alone, too: of 1, 32, 64, ...
        self._pending: dict[str, Event] = {}  # first overflows of this step, which a scaler may be about to skip

    @property
    def totals(self) -> dict[tuple[str, str, str, str], FlagCounts]:
        """The counts by (phase, path, op, tensor)."""
        return {key: total.counts for key, total in self.places.items()}

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Add one event, here and to the traces around; ``arrays`` are its operands and its result."""
        if self.outer is not None:
            self.outer.record(event, arrays)
        key = (event.phase, event.path, event.op, event.tensor)
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Total()
        place.add(event)
        self.latest.append(event)
        where = self.series.get((event.phase, event.path))
        if where is None:
            where = self.series[event.phase, event.path] = Series()
        where.add(self.step, event)
        if event.lost is not None and self.constant is None:
            self.constant = event
        for klass in () if event.quiet else CLASSES:
            if klass not in self.firsts and klass not in self._pending and event.shows(klass):
                if klass == "swamping" and event.op in REPEATED:
                    continue  # see `Total.lasting`
                self._begin(klass, event, arrays)

    def _begin(self, klass: str, event: Event, arrays: Mapping[str, Any] | None) -> None:
        if self.allow and klass in ("NaN", "overflow") and self._allowed(event):
            return
        scaled = klass in ("NaN", "overflow") and event.phase != "forward"
        (self._pending if scaled else self.firsts)[klass] = event
        kept = {name: _copied(x) for name, x in (arrays or {}).items() if isinstance(x, np.ndarray)}
        self.captured[klass] = Frame(event, kept, tuple(self.latest))

    def _allowed(self, event: Event) -> bool:
        for pattern in self.allow:
            path, at, op = pattern.partition("@")
            if (not path or fnmatchcase(event.path, path)) and (not at or fnmatchcase(event.op, op)):
                return True
        return False

    def advance(self, skipped: bool = False) -> None:
        """Begin the next step, here and in the traces around; optimizers and the GradScaler do this.

        A ``skipped`` step's overflows in the backward pass are how a scaler finds its scale: they are no trouble.
        """
        if self.outer is not None:
            self.outer.advance(skipped)
        self._settle(skipped)
        self.step += 1
        self.locally = self.step == 1 or self.step % 32 == 0

    def _settle(self, skipped: bool) -> None:
        for klass, event in self._pending.items():
            if not skipped:
                self.firsts.setdefault(klass, event)
            elif self.captured.get(klass, None) is not None and self.captured[klass].event is event:
                del self.captured[klass]
        self._pending.clear()

    def note_scale(self, scale: float, skipped: bool) -> None:
        """Remember the loss scale of a step, here and in the traces around."""
        if self.outer is not None:
            self.outer.note_scale(scale, skipped)
        if len(self.scales) >= 2 * BINS:
            self.scales = self.scales[::2]
        self.scales.append((self.step, scale, skipped))

    def events(self) -> list[Event]:
        """The first event of each class, as they happened."""
        found = {**self._pending, **self.firsts}
        lasting = [event for total in self.places.values() if (event := total.lasting) is not None]
        if lasting:
            earliest = min((*lasting, *filter(None, [found.get("swamping")])), key=lambda event: event.serial)
            found["swamping"] = earliest
        return sorted(found.values(), key=lambda event: event.serial)

    def first_event(self, klass: str | None = None) -> Event | None:
        """The first event of ``klass``, or of any class; ``ValueError`` for a word that is not in ``CLASSES``."""
        if klass is not None and klass not in CLASSES:
            raise unknown("klass", klass, CLASSES)
        events = self.events()
        if klass is None:
            return events[0] if events else None
        known = self.firsts.get(klass) or self._pending.get(klass)
        return next((e for e in events if e.shows(klass)), None) if klass == "swamping" else known

    def count(self, phase: str | None = None) -> FlagCounts:
        """The counts of all operations, or of one phase."""
        result = FlagCounts()
        for key, total in self.places.items():
            if phase is None or key[0] == phase:
                result += total.counts
        return result

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """One line for each phase, path, op and tensor that raised anything but inexact."""
        rows = [("phase", "path", "op", "tensor", "values", "NaN", "overflow", "div by 0", "flushed", "swamped")]
        for place, c in self.totals.items():
            counts = (c.invalid, c.overflow, c.divide_by_zero, c.flushed, c.swamped)
            if any(counts):
                rows.append((*place, *(f"{n:,}" for n in (c.size, *counts))))  # type: ignore[arg-type]
        return columns(rows, left=4)


SAMPLE = 4096


def sample(x: Array) -> Array:
    """``x`` in one dimension, and of more than 4,096 elements only every so many-th, in memory order."""
    flat = x.ravel(order="K")
    return flat if flat.size <= SAMPLE else flat[:: -(-flat.size // SAMPLE)]


_LEADING = 1 if sys.byteorder == "little" else 0  # the half of a float32 that has sign and exponent


def exponents(y: Array) -> Array:
    """How many elements of ``y`` have which exponent: bin e + 127 counts the numbers with floor(log2 |y|) = e.

    Bin 0 counts zeros and magnitudes below 2**-126, bin 255 NaN, infinities and magnitudes from 2**128 on. Of more than
    4,096 elements every so many-th is looked at, see `sample`.
    """
    few = sample(y)
    if few.dtype != np.float32:
        with np.errstate(all="ignore"):
            few = few.astype(np.float32)
    codes = np.ascontiguousarray(few).view(np.uint16)[_LEADING::2]
    counts = np.bincount(codes >> 7, minlength=512)
    return counts[:256] + counts[256:]


def magnitude(y: Array) -> float:
    """The sum of the magnitudes in ``y``, if those in its `sample` are like the others."""
    few = sample(y)
    return float(np.abs(few).sum(dtype=np.float64)) * y.size / few.size


def subnormals(y: Array, seen: Array, fmt: Format) -> int:
    """How many numbers of ``y``, of which `exponents` are ``seen``, are subnormal in ``fmt``.

    Of more than 4,096 elements the share among those looked at. None in float64, whose range is beyond a float32's.
    """
    if not 0 < fmt.emin + 127 < 256:
        return 0
    count = int(seen[1 : fmt.emin + 127].sum())
    if seen[0] and fmt.emin == -126:
        few = sample(y)
        count += int(np.count_nonzero((few != 0) & (np.abs(few) < 2.0**-126)))
    return count if y.size <= SAMPLE else round(count * y.size / int(seen.sum()))


_KEPT = 65536  # elements of an array in a Frame


def _copied(x: Array) -> Array:
    return x.copy() if x.size <= _KEPT else x.reshape(-1)[:_KEPT].copy()


_TRACE: ContextVar[Trace | None] = ContextVar("halfsim_trace", default=None)


def active() -> Trace | None:
    """The trace in force, if any."""
    return _TRACE.get()


_Kind = TypeVar("_Kind", bound=Trace)


@contextmanager
def tracing(fresh: _Kind) -> Iterator[_Kind]:
    """A context in which ``fresh`` records every operation, and the traces around it do too."""
    fresh.outer = _TRACE.get()
    token = _TRACE.set(fresh)
    try:
        yield fresh
    finally:
        _TRACE.reset(token)
