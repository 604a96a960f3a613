"""What the events of a trace add up to, by place and by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from halfsim.autograd.policy import Rule
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.kinds import REPEATED, SWAMPED_SHARE
from halfsim.frames import Line
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array

Place = tuple[str, str, str, str]  # phase, module path (in the optimizer phase a parameter), operation, tensor

BINS = 512  # steps a series tells apart; later ones share a bin, in twos, in fours, ...


def place_of(x: Any) -> Place:
    """The place of an event, or of a finding: what a trace adds up by."""
    return x.phase, x.path, x.op, x.tensor


@dataclass
class Total:
    """What all events of one place add up to, the largest errors among them, and their exponents."""

    counts: Counts = field(default_factory=Counts)
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
    line: Line | None = None  # of the first event
    rule: Rule | None = None
    largest: float = 0.0  # of the magnitudes of its events

    def add(self, event: Event, swamps: bool) -> None:
        """Add one event; ``swamps`` says whether it is a trouble of that kind."""
        if not self.events:
            self.line, self.rule = event.line, event.rule
        self.counts += event.counts
        self.events += 1
        self.format, self.terms = event.format, max(self.terms, event.terms)
        self.unit, self.disorder = event.unit, max(self.disorder, event.disorder)
        if swamps and self.swamped is None and event.op in REPEATED:
            self.swamped = event
        self.largest = max(self.largest, event.magnitude)
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
