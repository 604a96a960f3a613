"""What a trace knows of a tensor: where its trouble began, and what it would have been in the reference precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tensor import Flushed, Tensor
from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.kinds import finite
from halfsim.autograd.trace.noise import norm
from halfsim.autograd.trace.sample import SAMPLE, sample
from halfsim.numerics.formats import Format, float64
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.quantize import Array

NAMES = 8  # operations on the way to a tensor that are remembered


@dataclass(slots=True)
class Shadow:
    """What ``trace`` knows of the array ``of``, while a tensor holds it.

    Of what is wrong with the values, where it began: infinities and NaN in ``broken``; zeros that should be none in
    ``zeros``; a constant that lost its meaning in ``constant``; values that lost their digits in ``off``, one value in
    ``single``, any of them in ``near``. ``names`` are the latest operations on the way here, as a policy names them.
    """

    trace: Any
    of: Array
    nonfinite: bool  # whether an infinity or a NaN was seen among the values
    broken: Event | None = None
    zeros: Event | None = None
    constant: Event | None = None
    off: Event | None = None
    single: Event | None = None
    near: Event | None = None
    twin: Array | None = None
    rounded: bool = False  # whether the values are rounded results
    given: bool = False  # whether that was there before the trace
    consumed: bool = False  # whether an operation has read them
    least: float = 0.0  # the least magnitude of what became infinite, as far as it is known
    missing: Array | None = None  # what additions that swallowed an addend left out of the values
    swallow: Event | None = None  # the first of those additions
    parts: tuple[Array, ...] = ()  # of a sum its two addends; of what is left without the one, the other
    exact: Array | None = None  # the numbers that were given for the values, moved and chosen as these
    faint: tuple[Event, Array] | None = None  # where some became subnormal, and what all should be: the same, followed
    unbroken: Array | None = None  # of values past the largest number, what they would be
    noise: Array | None = None  # how far the values may be off, by ``source``
    source: Event | None = None
    read: bool = False  # whether an operation has read what is off
    mixed: Any = None  # of a gradient that is a sum of two with different loss scales: the words for it
    scale: float = 1.0  # of a gradient: the loss scale that it contains
    forward: bool = True
    names: tuple[str, ...] = ()
    spent: frozenset[int] = frozenset()  # the troubles that have been brought back into range on the way here

    dirty: bool = False  # whether there is anything to know but the twin

    def mark(self) -> None:
        """Note whether anything is wrong with the values, so that those of which nothing is are passed over quickly."""
        found = (self.broken, self.zeros, self.constant, self.off, self.single, self.near, self.noise, self.faint)
        self.dirty = self.nonfinite or any(one is not None for one in found)

    def seen_as(self, view: Array) -> Shadow:
        """What is known of ``view``, some of these values in another shape; what belongs to elements is left out."""
        nonfinite = self.nonfinite and not bool(np.isfinite(view).all())
        whole = nonfinite == self.nonfinite
        self.consumed = self.consumed or whole  # it is read through its view
        return replace(
            self, of=view, nonfinite=nonfinite, consumed=not whole and self.consumed, parts=(), exact=None, twin=None,
            faint=None, unbroken=None, noise=None, missing=None, broken=self.broken if whole else None,
        )  # fmt: skip

    @property
    def suspects(self) -> Iterable[Event]:
        """The events that trouble in what is made of these values may go back to."""
        found = (self.broken, self.constant, self.zeros, self.off)
        return {event.serial: event for event in found if event is not None}.values()


def shadow_of(x: Any, trace: Any) -> Shadow | None:
    """What ``trace`` knows of a tensor's present values."""
    known = x.shadow if isinstance(x, Tensor) else None
    return known if isinstance(known, Shadow) and known.trace is trace and known.of is x.array else None


def met(x: Any, trace: Any) -> Shadow | None:
    """`shadow_of`; a tensor from outside the trace gets one here, which says if it has infinities or NaN."""
    known = shadow_of(x, trace)
    if known is None and isinstance(x, Tensor):
        if isinstance(x.shadow, Flushed) and x.shadow.of is x.array:
            known = trace.recalled(x, x.shadow)
            x.shadow = known
            return known
        broken = not finite(x.array)
        known = x.shadow = Shadow(trace, x.array, nonfinite=broken, given=broken, dirty=broken)
    return known


def earliest(events: Iterable[Event | None]) -> Event | None:
    """The one that happened first, None if there is none."""
    return min((e for e in events if e is not None), key=lambda event: event.serial, default=None)


def twin(x: Any, trace: Any) -> Any:
    """The operand as the reference has it: its twin, or its own values in float64."""
    known = met(x, trace)
    if known is not None and known.twin is not None:
        return known.twin
    values = own_values(x)
    if known is not None:
        x.shadow = replace(known, twin=values)
    return values


def own_values(x: Any) -> Any:
    """The operand's own values in float64."""
    if x is None:
        return None
    return x.array.astype(np.float64) if isinstance(x, Tensor) else np.asarray(as_floats(x, float64), np.float64)


def evaluate(
    formula: Callable[..., Any], reference: Any, operands: Sequence[Any], given: tuple[Sequence[Any], dict[str, Any]]
) -> tuple[Array, Any]:
    """A formula in the reference precision: its value, and its gradient formulas."""
    fp = Arithmetic(reference)
    y, pullbacks = formula(fp, *operands, *given[0], **given[1])
    return fp.store(np.asarray(y)), pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)


def error(y: Array, reference: Array, fmt: Format) -> Error:
    """How far ``y`` is from ``reference``, in ulp of ``fmt`` there."""
    if not y.size:
        return Error(0.0, 0.0, 0.0)
    if y.size > SAMPLE:
        ratio = reference.itemsize // y.itemsize
        if tuple(ratio * step for step in y.strides) != reference.strides:  # which samples alike
            y, reference = np.ascontiguousarray(y), np.ascontiguousarray(reference)
        y, reference = sample(y), sample(reference)
    reference = np.ascontiguousarray(reference)
    with np.errstate(invalid="ignore"):  # infinities of both
        distance = np.subtract(y, reference, dtype=np.float64)
    if not np.isfinite(np.vdot(distance, distance)):
        both = np.isfinite(y) & np.isfinite(reference)
        agree = both | (np.isnan(y) & np.isnan(reference)) | (y == reference)
        if not agree.all():
            return Error(np.inf, np.inf, np.inf)
        distance, reference = np.where(both, distance, 0), np.where(both, reference, 0)
    ulp = (reference.view(np.int64) & np.int64(0x7FF << 52)).view(np.float64)
    np.multiply(ulp, 2.0 ** (1 - fmt.precision), out=ulp)
    np.maximum(ulp, fmt.smallest_subnormal, out=ulp)
    whole, relative = norm(reference), norm(distance)
    np.divide(np.abs(distance, out=distance), ulp, out=distance)
    return Error(float(distance.max()), float(distance.mean()), relative / whole if whole else float(relative > 0))
