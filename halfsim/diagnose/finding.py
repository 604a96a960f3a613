"""A Finding: what went wrong first, where it began, and what is usually done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.fix import Fix
from halfsim.autograd.trace.kinds import KINDS, NAMES, kind_of
from halfsim.autograd.trace.trace import Trace
from halfsim.card import Card
from halfsim.document import attributes
from halfsim.text import filled, located, place_name

CLASSES = NAMES


@dataclass(frozen=True)
class Finding(Card):
    """Trouble of one class, where it began, and what helps. It prints as a short paragraph.

    >>> import halfsim as hs
    >>> with hs.trace() as t:
    ...     product = hs.tensor([300.0], "fp16") * 300.0
    >>> found = t.verdict()
    >>> found.klass, found.place, found.phase, found.step
    ('overflow', 'mul', 'forward', 1)
    >>> found.fixes[0].text == found.fix
    True
    """

    klass: str  # one of `CLASSES`; a comparison has "divergence" and "structure" besides
    phase: str  # "forward", "backward" or "optimizer"
    step: int  # 1 for all before an optimizer's first step is over, then 2, ...
    path: str  # of the module, "" outside all; in the optimizer phase, of the parameter
    op: str
    tensor: str  # what was written, where the operation alone does not say: "weight", "exp_avg"
    values: dict[str, Any]  # the numbers that ``message`` is made of, and the name of the format
    message: str  # what happened, without where
    fix: str  # the text of the first of ``fixes``
    event: Event | None = field(
        default=None, compare=False, repr=False
    )  # what the trace has of it; None in what is kept without its trace
    where: str = ""  # the line of the caller's code, "train.py:41"; of a gradient, that of the forward operation
    fixes: tuple[Fix, ...] = ()  # what helps, recommended first

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        return place_name(self.op, self.path, self.tensor)

    @property
    def located(self) -> str:
        """When and where, in words: "step 3, forward, exp in head, train.py:41"."""
        return located(self.step, self.phase, self.place, self.where)

    @property
    def sentence(self) -> str:
        """What went wrong and where, in one line; without a fix."""
        return f"{self.klass} ({self.located}): {self.message}"

    def __str__(self) -> str:
        fix = str(self.fixes[0]) if self.fixes else self.fix
        return filled(f"{self.sentence}. Usual fix: {fix}.", whole=True)

    def _card(self) -> Any:
        numbers = {name.replace("_", " "): x for name, x in self.values.items() if not isinstance(x, dict)}
        fixes = [("what helps", "to try"), *((fix.text, fix.how or "-") for fix in self.fixes or (Fix(self.fix),))]
        return [("", f"{self.sentence}."), ("", fixes), ("", numbers)]

    def to_dict(self) -> dict[str, Any]:
        """The attributes, without the event, as plain data."""
        return {**attributes(self, "event", "fixes"), "fixes": [fix.to_dict() for fix in self.fixes]}


def finding(event: Event, trace: Trace | None = None, klass: str | None = None, after: Event | None = None) -> Finding:
    """The Finding at ``event``; ``after`` is the symptom that led here, if it is another event."""
    klass = klass or kind_of(event)
    kind = KINDS[klass]
    message = kind.words(event)
    if after is not None and after.serial != event.serial:
        symptom = {"NaN propagation": "a NaN", "overflow": "an infinity"}.get(kind_of(after), kind_of(after))
        message += f"; {symptom} followed at step {after.step} in {after.phase}, {after.place}"
    values = {**kind.numbers(event), "format": event.format.name}
    frame = None if trace is None else trace.captured.get(event.serial)
    if frame is not None:
        values["operands"] = {name: extremes(x) for name, x in frame.arrays.items()}
    readers = () if trace is None else tuple(trace.readers.get(event.serial, ()))
    if trace is not None and kind.breaks and event.phase == "forward":
        readers = tuple(dict.fromkeys((*readers, *_others(event, trace))))
    fixes = tuple(kind.fixes(event, readers))
    return Finding(
        klass, event.phase, event.step, event.path, event.op, event.tensor, values, message, fixes[0].text, event,
        event.where, fixes,
    )  # fmt: skip


def _others(event: Event, trace: Trace) -> list[str]:
    """Other operations of the forward pass that break by themselves, and those downstream: all must be mended."""
    keys: list[str] = []
    for other in trace.events():
        breaks = any(KINDS[name].breaks for name in other.kinds)
        first = other.phase == "forward" and other.origin is None and other.called and other.lost is None
        by_size = other.counts.overflow and not other.counts.divide_by_zero
        if breaks and first and by_size and other.serial != event.serial:
            keys += [other.key, *trace.readers.get(other.serial, ())]
    return keys


def extremes(x: Any) -> dict[str, Any]:
    """Shape, and the smallest and largest magnitude of the finite nonzero numbers."""
    finite = np.abs(x[np.isfinite(x) & (x != 0)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return {"shape": list(x.shape), "smallest": low, "largest": high, "not finite": int(x.size - np.isfinite(x).sum())}
