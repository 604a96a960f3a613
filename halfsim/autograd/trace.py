"""What happened to the numbers: one Event an operation, added up in a Trace by phase, module path and op."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, unknown
from halfsim.text import columns

CLASSES = ("NaN", "overflow", "underflow", "swamping")

# Rounding always flushes and swamps a little; these shares of the values concerned make it a trouble.
FLUSHED_SHARE = 0.05
SWAMPED_SHARE = 0.5


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
class Event:
    """One operation's result: where it was computed and what its roundings did.

    ``phase`` is "forward", "backward" or "optimizer"; ``path`` the module (in the optimizer phase, the
    parameter), "" outside any; ``tensor`` what was written, where the operation alone does not say.
    """

    step: int
    phase: str
    path: str
    op: str
    tensor: str
    shape: tuple[int, ...]
    counts: FlagCounts
    lost: LostConstant | None = None  # a constant that the format cannot hold

    @property
    def klass(self) -> str | None:
        """The gravest class of trouble in this event, or None: NaN, overflow, underflow, swamping."""
        return next((klass for klass in CLASSES if self.shows(klass)), None)

    def shows(self, klass: str) -> bool:
        """Whether the event is trouble of ``klass``.

        Any NaN made from numbers and any overflow or division by zero is; underflow where more than 5 % of the
        nonzero results, or a constant, became zero; swamping where more than half of the nonzero addends changed
        nothing and a sum is off by more than 1 % of the magnitude of its terms (or a weight did not move).
        """
        c = self.counts
        if self.lost is not None and klass == self.lost.klass:
            return True
        if klass == "NaN":
            return c.invalid > 0
        if klass == "overflow":
            return c.overflow + c.divide_by_zero > 0
        if klass == "underflow":
            return c.flushed > FLUSHED_SHARE * c.nonzero
        return c.stalled > 0 and c.swamped > SWAMPED_SHARE * c.addends

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        where = f" in {self.path}" if self.path else ""
        return f"{self.op}{where}{f' ({self.tensor})' if self.tensor else ''}"


@dataclass
class Trace:
    """The counts of every operation since the trace began, and the first event of each class.

    Its size depends on the number of distinct (phase, path, op, tensor), never on the number of steps.
    """

    step: int = 1
    totals: dict[tuple[str, str, str, str], FlagCounts] = field(default_factory=dict)
    firsts: dict[str, Event] = field(default_factory=dict)
    constant: Event | None = None  # the first that lost a constant
    outer: Trace | None = None  # the trace around this one, which sees the same events

    def record(self, event: Event) -> None:
        """Add one event, here and to the traces around."""
        if self.outer is not None:
            self.outer.record(event)
        key = (event.phase, event.path, event.op, event.tensor)
        total = self.totals.get(key)
        if total is None:
            total = self.totals[key] = FlagCounts()
        total += event.counts
        if event.lost is not None and self.constant is None:
            self.constant = event
        for klass in CLASSES:
            if klass not in self.firsts and event.shows(klass):
                self.firsts[klass] = event

    def advance(self) -> None:
        """Begin the next step, here and in the traces around; optimizers and the GradScaler do this."""
        if self.outer is not None:
            self.outer.advance()
        self.step += 1

    def first(self, klass: str | None = None) -> Event | None:
        """The first event of ``klass``, or of any class: the earliest step, then the order of execution.

        ``klass`` is "NaN", "overflow", "underflow" or "swamping"; ``ValueError`` for another word.
        """
        if klass is not None:
            if klass not in CLASSES:
                raise unknown("klass", klass, CLASSES)
            return self.firsts.get(klass)
        order = list(self.firsts.values())  # recorded as they happened
        return order[0] if order else None

    def count(self, phase: str | None = None) -> FlagCounts:
        """The counts of all operations, or of one phase."""
        result = FlagCounts()
        for key, counts in self.totals.items():
            if phase is None or key[0] == phase:
                result += counts
        return result

    def table(self) -> str:
        """One line for each phase, path, op and tensor that raised anything but inexact."""
        rows = [("phase", "path", "op", "tensor", "values", "NaN", "overflow", "div by 0", "flushed", "swamped")]
        for place, c in self.totals.items():
            counts = (c.invalid, c.overflow, c.divide_by_zero, c.flushed, c.swamped)
            if any(counts):
                rows.append((*place, *(f"{n:,}" for n in (c.size, *counts))))  # type: ignore[arg-type]
        return columns(rows, left=4)


_TRACE: ContextVar[Trace | None] = ContextVar("halfsim_trace", default=None)


def active() -> Trace | None:
    """The trace in force, if any."""
    return _TRACE.get()


@contextmanager
def trace() -> Iterator[Trace]:
    """A context that records every operation inside it, forward, backward and optimizer.

    >>> import halfsim as hs
    >>> with trace() as t:
    ...     product = hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    >>> t.first().klass, t.first().op
    ('overflow', 'mul')
    """
    fresh = Trace(outer=_TRACE.get())
    token = _TRACE.set(fresh)
    try:
        yield fresh
    finally:
        _TRACE.reset(token)
