"""What a loss scaler did over a run, and when it is stuck: every step skipped, and no scale that would help."""

from __future__ import annotations

from math import isfinite
from typing import Any

from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.totals import BINS

SEARCH = 25  # halvings in a row that are a search: from 2**24 down to 1
AT_END = 3  # steps skipped in a row at a scale that goes no lower


class Scaling:
    """The loss scales of a run's steps, and what its skipped steps have in common."""

    def __init__(self) -> None:
        self.scales: list[tuple[int, float, bool]] = []  # step, loss scale, whether the step was skipped
        self.taken = 0
        self.in_row = 0  # steps skipped since the last one taken
        self.same = 0  # updates in a row at one scale, all skipped
        self.cause: Event | None = None  # what the latest skipped step stumbled over
        self._last = 0.0

    def skipped(self, cause: Event | None) -> None:
        """A step was skipped; ``cause`` is the first infinity or NaN on its way back."""
        self.in_row += 1
        self.cause = cause or self.cause

    def stepped(self) -> None:
        """A step was taken."""
        self.taken += 1
        self.in_row = self.same = 0

    def note(self, step: int, scale: float, skipped: bool) -> None:
        """Remember the scale that a step was taken or skipped at."""
        if len(self.scales) >= 2 * BINS:
            self.scales = self.scales[::2]
        self.scales.append((step, scale, skipped))
        self.same = self.same + 1 if skipped and scale == self._last else int(skipped)
        self._last = scale

    def stuck(self, step: int, serial: int, rule: Any) -> Event | None:
        """An event of the kind "scaler" where the run ended with steps skipped and nothing to come, else None."""
        if not self.in_row or not self.scales:
            return None
        at_end = self.same >= AT_END or not isfinite(self._last)
        if not (at_end or self._last < 1 or self.in_row >= SEARCH):
            return None
        count = f"all {self.in_row:,} steps" if not self.taken else f"the last {self.in_row:,} steps"
        where = "still falling" if not at_end else "infinite" if not isfinite(self._last) else "at its limit"
        text = f"{count} were skipped, at a loss scale of {self._last:.3g}, {where}: no weight moved"
        numbers = {"skipped": self.in_row, "taken": self.taken, "scale": self._last}
        cause = self.cause
        if cause is None:
            return Event(step, "optimizer", "", "GradScaler", "", (), Counts(size=1), serial=serial, rule=rule,
                         detail={"text": text, "mendable": False, **numbers})  # fmt: skip
        root = cause.origin or cause
        by_size = root.counts.overflow > 0 and not (root.counts.invalid or root.counts.divide_by_zero)
        by_size = by_size and root.phase == "backward" and isfinite(self._last)
        helps = "a smaller scale would mend it" if by_size else "no scale mends it"
        what = "infinite" if by_size or not root.counts.invalid else "NaN"
        text += f"; its gradients became {what} first in {root.place}, {root.phase}, and {helps}"
        return Event(
            root.step, root.phase, root.path, root.op, root.tensor, root.shape, root.counts, format=root.format,
            stages=root.stages, serial=root.serial, line=root.line, rule=root.rule,
            detail={"text": text, "mendable": by_size, "root": root, **numbers},
        )  # fmt: skip
