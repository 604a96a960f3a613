"""What happened to the numbers: one Event an operation, added up in a Trace by phase, module path and op."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import numpy as np

from halfsim.autograd.event import CLASSES, Error, Event, LostConstant
from halfsim.autograd.histogram import SAMPLE, exponents, sample
from halfsim.autograd.totals import BINS, REPEATED, SERIES, Series, Total
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.text import columns

__all__ = [
    "CLASSES",
    "REPEATED",
    "SAMPLE",
    "SERIES",
    "Error",
    "Event",
    "Frame",
    "LostConstant",
    "Series",
    "Total",
    "Trace",
    "active",
    "exponents",
    "sample",
    "tracing",
]


@dataclass(frozen=True)
class Frame:
    """What an operation had before it when it first went wrong: its operands and its result, by name.

    Arrays are copies; of those with more than 65,536 elements, the first so many in C order. ``before`` are the
    latest events up to this one.
    """

    event: Event
    arrays: Mapping[str, Array]
    before: tuple[Event, ...]


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
