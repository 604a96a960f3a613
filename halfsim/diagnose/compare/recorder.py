"""Two runs of one experiment side by side: what the first computed is kept, what the second computes held against it.

A result is found again by its step, phase, module path, operation, tensor, and as the how manieth of these in the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.noise import norm
from halfsim.autograd.trace.totals import Place, place_of
from halfsim.diagnose.trace import Trace
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array

Key = tuple[Place, int]

SAMPLE = 4096  # elements kept of a result
FEW = 64  # of those of a step that has filled STEP_BYTES
STEPS = 256  # kept of the reference
BYTES, STEP_BYTES = 80 << 20, 8 << 20  # in which they fit, all and one
RESULTS = 100_000  # of a step

_LINEAR = ("add", "sub", "sum", "mean", "accumulate")  # whose error is relative to their operands


@dataclass(slots=True)
class Kept:
    """What is remembered of one result of a run, to be compared with the same result of the other run.

    ``values`` is a sample of it in float64; the rest says how large an error of it would have to be to matter.
    """

    values: Array
    shape: tuple[int, ...]
    leaf: bool  # whether it is the gradient of a parameter
    noise: float  # the norm of the operands of a sum or difference
    factor: float  # what a number was multiplied by: it may be a loss scale
    event: Event | None
    serial: int = 0  # of the event

    @property
    def weight(self) -> float:
        """How many elements each of the sample stands for."""
        return float(np.prod(self.shape, dtype=np.float64)) / max(1, self.values.size)


@dataclass(slots=True)
class Step:
    """The results of one step, in the order in which they were computed."""

    number: int
    results: dict[Key, Kept] = field(default_factory=dict)
    seen: dict[Place, int] = field(default_factory=dict)
    skipped: bool = False  # by a GradScaler
    nbytes: int = 0
    cut: bool = False  # whether there were more than RESULTS

    def next_key(self, place: Place) -> Key | None:
        """The key of the next result of ``place``; None where the step is full."""
        if len(self.results) >= RESULTS:
            self.cut = True
            return None
        n = self.seen[place] = self.seen.get(place, 0) + 1
        return place, n

    @property
    def count(self) -> int:
        """How many elements of the next result are kept."""
        return SAMPLE if self.nbytes < STEP_BYTES else FEW

    def put(self, key: Key, kept: Kept) -> None:
        """Keep a result."""
        self.results[key] = kept
        self.nbytes += kept.values.nbytes + 400  # for the objects around it


class Recorder(Trace):
    """A trace that keeps a sample of every result of the steps that are ``wanted``, and hands each step to ``done``.

    ``carry`` is the format that everything should be carried in; ``uncarried`` counts by format what was not, with the
    first place, and ``from_numpy`` the tensors made of arrays that NumPy had rounded to float16.
    """

    def __init__(
        self, done: Callable[[Step], None], wanted: Callable[[int], bool], events: bool, carry: Format | None = None
    ) -> None:
        super().__init__()
        self.carry = carry
        self.uncarried: dict[str, tuple[int, str]] = {}
        self.from_numpy = 0
        self._done, self._wanted, self._events = done, wanted, events
        self._current = Step(1)
        self._keys: dict[Key, Key] = {}  # one object for equal keys of all steps
        self.results = 0

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Add one event, and keep its result; casts depend on formats and are no part of the experiment."""
        super().record(event, arrays)
        if self.carry is not None and not event.format.contains(self.carry):
            count, first = self.uncarried.get(event.format.name, (0, event.place))
            self.uncarried[event.format.name] = count + 1, first
        if not arrays or "result" not in arrays or event.op == "cast":
            return
        self.results += 1
        step = self._current
        if not self._wanted(step.number):
            return
        key = step.next_key(place_of(event))
        if key is not None:
            kept = _kept(event, arrays, step.count, event if self._events else None)
            step.put(self._keys.setdefault(key, key), kept)

    def narrowed(self, made: Tensor) -> None:
        """Count a tensor of an array that NumPy had rounded."""
        self.from_numpy += 1

    def advance(self, skipped: bool = False) -> None:
        """Hand the step over and begin the next."""
        super().advance(skipped)
        self._current.skipped = skipped
        self.finish()

    def finish(self) -> None:
        """Hand over the step under way."""
        done, self._current = self._current, Step(self.step)
        if done.results:
            self._done(done)


def _kept(event: Event, arrays: Mapping[str, Any], count: int, keep: Event | None) -> Kept:
    y = arrays["result"]
    leaf = event.phase == "backward" and (event.square > 0 or bool(event.tensor))
    noise, factor = 0.0, 1.0
    operands = [
        x for name, x in arrays.items() if name != "result" and isinstance(x, np.ndarray) and x.dtype.kind == "f"
    ]
    if event.op in _LINEAR:
        terms = max((x.size for x in operands), default=1) / max(1, y.size) if event.op == "mean" else 1.0
        noise = max((_norm(x) for x in operands), default=0.0) / terms
    elif (
        event.op == "mul" and y.size == 1 and event.phase == "forward" and len(operands) == 2 and operands[1].size == 1
    ):
        factor = float(operands[1].reshape(-1)[0])
    return Kept(sampled(y, count), y.shape, leaf, noise, factor, keep, event.serial)


def sampled(y: Array, count: int = SAMPLE) -> Array:
    """``y`` in C order in float64; of more than ``count`` elements as many, spread evenly whatever the shape."""
    return (y.ravel() if y.size <= count else np.take(y, _spread(y.size, count))).astype(np.float64)


@lru_cache(maxsize=64)
def _spread(size: int, count: int) -> Array:
    """Indices by the golden section, which no stride of an array is in step with."""
    return np.unique((np.arange(count) * 0.6180339887498949 % 1.0 * size).astype(np.int64))


def _norm(x: Array) -> float:
    some = sampled(x)
    return norm(some) * sqrt(x.size / max(1, int(np.count_nonzero(np.isfinite(some)))))


class Store:
    """The steps of the reference: at most 256 and 80 MB; of longer runs every second is kept, every fourth, ..."""

    def __init__(self, room: int = BYTES) -> None:
        self.steps: dict[int, Step] = {}
        self.every, self.nbytes, self.room = 1, 0, room

    def wants(self, number: int) -> bool:
        """Whether the step is one of those to keep: 1, 1 + every, 1 + 2 every, ..."""
        return (number - 1) % self.every == 0

    def put(self, step: Step) -> None:
        """Keep a step, and give up others where there is no room."""
        self.steps[step.number] = step
        self.nbytes += step.nbytes
        while len(self.steps) > 1 and (len(self.steps) > STEPS or self.nbytes > self.room):
            self.every *= 2
            self.steps = {n: s for n, s in self.steps.items() if self.wants(n)}
            self.nbytes = sum(s.nbytes for s in self.steps.values())
