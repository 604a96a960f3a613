"""How far one run is from another: measured result by result, added up by place, layer and step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import frexp, inf, isfinite, nan, sqrt

import numpy as np

from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.noise import norm
from halfsim.autograd.trace.shadow import error
from halfsim.autograd.trace.totals import Place
from halfsim.card import Record
from halfsim.diagnose.compare.recorder import Kept, Key, Step
from halfsim.numerics.quantize import Array


@dataclass(frozen=True)
class PlaceRow(Record):
    """How far the results of one operation in one module are off: over all steps the largest errors.

    An ulp is the spacing of the run's format at the reference, or its smallest subnormal where the reference is zero.
    Errors are infinite where one of the two runs had a NaN or an infinity and the other a number, and NaN where both
    had NaN or no finite number at all.
    """

    phase: str
    path: str
    op: str
    tensor: str
    relative_error: float  # the norm of the difference over the norm of the reference
    ulp: float  # the largest distance of an element
    mean_ulp: float  # the mean distance
    vanished: float  # the share of the numbers that are zero here and not in the reference
    step: int  # where the relative error was largest
    compared: int  # how many results


@dataclass(frozen=True)
class LayerRow(Record):
    """How far the results of one module are off, over all steps; errors are as in `PlaceRow`."""

    path: str
    relative_error: float  # the largest of the forward pass
    ulp: float  # of the forward pass
    mean_ulp: float  # of the forward pass
    gradient_error: float  # the largest relative error of the gradients
    cosine: float | None  # the smallest between its parameters' gradients in the two runs; None without parameters
    vanished: float  # the share of gradients, activations' too, that are zero here and not in the reference
    updates_lost: float  # the share of nonzero updates that left their weight unchanged
    step: int | None  # the first in which a result was off by more than the tolerance


@dataclass(frozen=True)
class StepRow(Record):
    """One step: the largest relative errors, forward and of gradients, the cosine of all parameters' gradients."""

    step: int
    relative_error: float
    gradient_error: float
    cosine: float | None
    vanished: float
    skipped: bool


@dataclass
class _Sum:
    """What adds up to a row."""

    forward: float = 0.0
    backward: float = 0.0
    ulp: float = 0.0
    ulps: float = 0.0
    compared: int = 0
    results: int = 0
    zeros: float = 0.0
    nonzero: float = 0.0
    cosine: float | None = None
    step: int | None = None
    counted: float = 0.0  # the largest error that is not explained by the rounding of what was added
    counted_ulp: float = 0.0
    nan: bool = False  # whether results were NaN in both runs, so that there is nothing to compare
    nan_backward: bool = False

    @property
    def vanished(self) -> float:
        return self.zeros / self.nonzero if self.nonzero else 0.0

    @property
    def errors(self) -> tuple[float, float, float]:
        """The largest relative error, the largest and the mean in ulp; NaN where there was nothing to compare."""
        return (nan, nan, nan) if self.nan else (self.forward, self.ulp, self.ulps / max(1, self.results))


@dataclass(frozen=True)
class Divergence:
    """The first result off by more than the tolerance."""

    event: Event
    relative: float
    ulp: float
    when: tuple[int, int]  # step, and position in it
    twin: int = 0  # the serial number of the reference's event


@dataclass(frozen=True)
class Fork:
    """Where the runs do different things: what each did there, None where it had ended its step."""

    when: tuple[int, int]
    run: Place | None
    reference: Place | None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    text: str = ""  # where it was the run as a whole
    where: str = ""  # the line of the run's code


@dataclass
class Meter:
    """Compares a run with its reference, one training step after another, and keeps the errors of each result.

    An error is the norm of the difference over the norm of the reference's result. For a parameter's gradient and for
    an optimizer's state it is over the largest such norm in the same module instead: the gradient of a bias in front of
    a normalisation is zero but for rounding, and any error would look large beside it.
    """

    reference: Mapping[int, Step]
    tolerance: float
    unit: float  # the spacing at 1 of the coarsest format of the run
    places: dict[Place, _Sum] = field(default_factory=dict)
    layers: dict[str, _Sum] = field(default_factory=dict)
    steps: list[StepRow] = field(default_factory=list)
    divergence: Divergence | None = None
    fork: Fork | None = None
    compared: int = 0
    skipped: list[int] = field(default_factory=list)
    cut: bool = False

    def measure(self, step: Step) -> None:
        """Compare one step of the run."""
        other = self.reference.get(step.number)
        if other is None:
            return
        self.cut = self.cut or step.cut or other.cut
        if step.skipped:
            self.skipped.append(step.number)
        if self.fork is None and not (step.cut or other.cut):
            self.fork = forked(step, other)
        norms = group_norms(other)
        row, leaves, scale = _Sum(), {}, 1.0
        for i, (key, mine) in enumerate(step.results.items()):
            theirs = other.results.get(key)
            if theirs is None or theirs.shape != mine.shape or (key[0][0] == "optimizer" and other.skipped):
                continue
            if mine.factor != theirs.factor and _is_scale(mine.factor, theirs.factor):
                scale = mine.factor / theirs.factor  # GradScalers of two runs differ, and their gradients with them
                mine.values = mine.values / scale
            elif scale != 1.0 and key[0][0] == "backward":
                mine.values, mine.noise = mine.values / scale, mine.noise / scale
            if mine.leaf or theirs.leaf:
                leaves[key[0][1], key[0][3] or str(key)] = (mine, theirs)
            if not (step.skipped and key[0][0] != "forward"):
                self._pair((step.number, i), key, (mine, theirs), norms.get(group_of(key[0], theirs.leaf), 0.0), row)
        cosine = None if step.skipped else self._cosines(leaves)
        errors = nan if row.nan else row.forward, nan if row.nan_backward else row.backward
        self.steps.append(StepRow(step.number, *errors, cosine, row.vanished, step.skipped))

    def _pair(self, when: tuple[int, int], key: Key, pair: tuple[Kept, Kept], group: float, row: _Sum) -> None:
        mine, theirs = pair
        event, (phase, path, _, _) = mine.event, key[0]
        assert event is not None
        far = error(mine.values, theirs.values, event.format)
        distance, norm = _distance(mine, theirs)
        relative = inf if far.largest == inf else _ratio(distance, max(norm, group))
        self.compared += 1
        layer = self.layers.setdefault(path if phase != "optimizer" else path.rpartition(".")[0], _Sum())
        place = self.places.setdefault(key[0], _Sum())
        zeros = mine.weight * np.count_nonzero((mine.values == 0) & (theirs.values != 0))
        nonzero = mine.weight * np.count_nonzero(theirs.values)
        if relative > place.forward:
            place.step = when[0]
        sums = (place, row, layer) if phase == "forward" else (place,)
        for some in sums:
            some.forward, some.ulp = max(some.forward, relative), max(some.ulp, far.largest)
            some.ulps, some.results = some.ulps + far.mean, some.results + 1
        for some in (place, *((row, layer) if phase == "backward" else ())):
            some.zeros, some.nonzero = some.zeros + zeros, some.nonzero + nonzero
        if phase == "backward":
            row.backward, layer.backward = max(row.backward, relative), max(layer.backward, relative)
        if relative != inf and _nothing_to_compare(mine.values, theirs.values):
            for some in sums:
                some.nan = True
            for some in (row, layer) if phase == "backward" else ():
                some.nan_backward = True
        noisy = distance <= 4 * self.unit * mine.noise and isfinite(relative)
        if (not noisy or relative <= self.tolerance) and relative >= place.counted:
            place.counted, place.counted_ulp = relative, far.largest
        if relative > self.tolerance and not noisy:
            layer.step = when[0] if layer.step is None else layer.step
            if self.divergence is None:
                self.divergence = Divergence(event, relative, far.largest, when, theirs.serial)

    def rows(self, lost: Mapping[str, float]) -> tuple[tuple[LayerRow, ...], tuple[PlaceRow, ...]]:
        """The rows by layer and by place; ``lost`` is the share of updates that left their weight alone, by layer."""
        layers = (
            LayerRow(
                path,
                *s.errors,
                nan if s.nan_backward else s.backward,
                s.cosine,
                s.vanished,
                lost.get(path, 0.0),
                s.step,
            )
            for path, s in self.layers.items()
        )
        places = (PlaceRow(*place, *s.errors, s.vanished, s.step or 0, s.results) for place, s in self.places.items())
        return tuple(layers), tuple(places)

    def _cosines(self, leaves: Mapping[tuple[str, str], tuple[Kept, Kept]]) -> float | None:
        """The cosine between all parameters' gradients; each layer's own goes to the layer."""
        found: dict[str, list[tuple[Kept, Kept]]] = {}
        for (path, _), pair in leaves.items():
            found.setdefault(path, []).append(pair)
        for path, pairs in found.items():
            value, layer = _cosine(pairs), self.layers.setdefault(path, _Sum())
            layer.cosine = value if layer.cosine is None else min(value, layer.cosine)
        return _cosine(list(leaves.values())) if leaves else None


def _is_scale(a: float, b: float) -> bool:
    """Whether ``a / b`` is a power of two, as that of two loss scales."""
    return bool(a) and bool(b) and isfinite(a) and isfinite(b) and abs(frexp(a / b)[0]) == 0.5


def group_of(place: Place, leaf: bool) -> tuple[str, ...]:
    """The results whose largest norm an error is divided by where it is larger than the result's own; see `Meter`."""
    phase, path, op, tensor = place
    if phase == "optimizer":
        return (phase, path.rpartition(".")[0], op, tensor)
    return (phase, path) if leaf else ()


def group_norms(step: Step) -> dict[tuple[str, ...], float]:
    """The largest norm of the results of each group of a step."""
    norms: dict[tuple[str, ...], float] = {}
    for (place, _), kept in step.results.items():
        group = group_of(place, kept.leaf)
        if group:
            norms[group] = max(norms.get(group, 0.0), norm(kept.values) * sqrt(kept.weight))
    return norms


def _distance(mine: Kept, theirs: Kept) -> tuple[float, float]:
    """The norm of the difference where both are finite, and that of the reference."""
    with np.errstate(invalid="ignore"):
        return norm(mine.values - theirs.values) * sqrt(mine.weight), norm(theirs.values) * sqrt(mine.weight)


def _ratio(distance: float, norm: float) -> float:
    return distance / norm if norm else float(distance > 0)


def _nothing_to_compare(a: Array, b: Array) -> bool:
    """Whether both have NaN in one place, or no finite number at all."""
    if not a.size or isfinite(np.vdot(a, a)):
        return False
    return bool((np.isnan(a) & np.isnan(b)).any()) or not bool((np.isfinite(a) & np.isfinite(b)).any())


def _cosine(pairs: list[tuple[Kept, Kept]]) -> float:
    """1 for two zeros, 0 where one is zero or the run's is not finite."""
    dot = one = two = 0.0
    for mine, theirs in pairs:
        a, b = mine.values, theirs.values
        dot, one, two = (s + mine.weight * float(np.vdot(p, q)) for s, p, q in ((dot, a, b), (one, a, a), (two, b, b)))
    if not (math.isfinite(dot) and math.isfinite(one) and math.isfinite(two)):
        return 0.0
    if not one or not two:
        return float(one == two)
    return max(-1.0, min(1.0, dot / (sqrt(one) * sqrt(two))))


def forked(step: Step, other: Step) -> Fork | None:
    """The first place in a step where the two runs differ in what they do; a skipped update is no such place."""
    mine, theirs = list(step.results), list(other.results)
    for i in range(max(len(mine), len(theirs))):
        a, b = mine[i] if i < len(mine) else None, theirs[i] if i < len(theirs) else None
        if a != b:
            if (step.skipped or other.skipped) and (a is None or b is None or "optimizer" in (a[0][0], b[0][0])):
                return None
            return Fork((step.number, i), a and a[0], b and b[0], where=_line(step, a))
        assert a is not None
        assert b is not None
        shapes = step.results[a].shape, other.results[b].shape
        if shapes[0] != shapes[1]:
            return Fork((step.number, i), a[0], b[0], shapes, where=_line(step, a))
    return None


def _line(step: Step, key: Key | None) -> str:
    event = None if key is None else step.results[key].event
    return "" if event is None else event.where
