"""What a trace knows of a tensor: where its trouble began, and what it would have been in the reference precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.counting import Counting
from halfsim.autograd.event import FLUSHED_SHARE, SWAMPED_SHARE, Error, Event
from halfsim.autograd.histogram import SAMPLE, exponents, magnitude, sample, subnormals
from halfsim.autograd.policy import scope
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace import Trace, active
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float64
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.quantize import Array

Errors = tuple[Error | None, Error | None]  # local, total


@dataclass(slots=True)
class Shadow:
    """What a trace knows of the array ``of``, while a tensor holds it."""

    trace: Trace
    of: Array
    origin: Event | None = None  # where trouble in the values began
    twin: Array | None = None
    rounded: bool = False  # whether the values are rounded results
    suspect: Event | None = None  # where zeros among the values were made, of numbers that were none
    broken: bool = False  # whether an infinity or a NaN was seen among the values
    missing: Array | None = None  # what additions that swallowed an addend left out of the values


def shadow_of(x: Any, trace: Trace | None) -> Shadow | None:
    """What ``trace`` knows of a tensor's present values."""
    known = x.shadow if isinstance(x, Tensor) else None
    return known if known is not None and known.trace is trace and known.of is x.data else None


def hand_on(source: Tensor, target: Tensor) -> None:
    """Let ``target``, which has taken the array of ``source``, keep what is known of it."""
    known = source.shadow
    if known is not None and known.of is source.data:
        target.shadow = replace(known, of=target.data)


def origin(operands: Sequence[Any], trace: Trace) -> Event | None:
    """Where the trouble in the operands began: that of one that is not finite now, or the earliest."""
    return _origin([s for x in operands if (s := shadow_of(x, trace)) is not None])


def _origin(known: Sequence[Shadow]) -> Event | None:
    troubled = [s for s in known if s.origin is not None]
    return _earliest([s.origin for s in troubled if s.broken] or [s.origin for s in troubled])


def _earliest(events: Sequence[Event | None]) -> Event | None:
    return min((e for e in events if e is not None), key=lambda event: event.serial, default=None)


def missing(trace: Trace, fp: Counting, y: Array, operands: Sequence[Any]) -> Array | None:
    """What the result of an addition lacks, with what its operands lack, from the first swallowed addend on.

    A sum that a loop forms is off by more than 1 % of itself where this is: that is ``stalled``.
    """
    if fp.addition is None or scope().phase != "forward":
        return None
    a, b, sign = fp.addition
    carried = [
        (s.missing, sign if i else 1)
        for i, x in enumerate(operands[:2])
        if (s := shadow_of(x, trace)) is not None and s.missing is not None and s.missing.shape == y.shape
    ]
    if not carried and fp.counts.swamped <= SWAMPED_SHARE / 2 * fp.counts.addends:
        return None
    lacking = np.subtract(np.add(a, sign * b, dtype=np.float64), y)
    for before, way in carried:
        lacking += way * before
    fp.counts.stalled += int(np.count_nonzero(np.abs(lacking) > 0.01 * np.abs(y)))
    return lacking


def twin(x: Any, trace: Trace) -> Any:
    """The operand as the reference has it: its twin, or its own values in float64."""
    known = shadow_of(x, trace)
    if known is not None and known.twin is not None:
        return known.twin
    values = own(x)
    if isinstance(x, Tensor):
        x.shadow = Shadow(trace, x.data, twin=values) if known is None else replace(known, twin=values)
    return values


def own(x: Any) -> Any:
    """The operand's own values in float64."""
    if x is None:
        return None
    return x.data.astype(np.float64) if isinstance(x, Tensor) else np.asarray(as_floats(x, float64), np.float64)


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
    norm = float(np.sqrt(np.vdot(reference, reference)))
    relative = float(np.sqrt(np.vdot(distance, distance)))
    np.divide(np.abs(distance, out=distance), ulp, out=distance)
    return Error(float(distance.max()), float(distance.mean()), relative / norm if norm else float(relative > 0))


def evaluate(
    formula: Callable[..., Any], reference: Any, operands: Sequence[Any], given: tuple[Sequence[Any], dict[str, Any]]
) -> tuple[Array, Any]:
    """A formula in the reference precision: its value, and its gradient formulas."""
    fp = Arithmetic(reference)
    y, pullbacks = formula(fp, *operands, *given[0], **given[1])
    return fp.store(np.asarray(y)), pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)


def told(
    trace: Trace,
    fp: Counting,
    place: tuple[str, str, str, str],
    out: Tensor,
    *,
    arrays: dict[str, Any] | None = None,
    sources: Sequence[Any] = (),
    exact: bool = False,
    errors: Errors = (None, None),
    square: float = 0.0,
    twin: Array | None = None,
) -> None:
    """Tell ``trace`` of a result, ``out``, at a place (phase, path, operation, tensor), made from tensors ``sources``.

    What the trace will ask is left on the result: where its trouble began, if any, and its ``twin``.
    """
    counts, y, seen = fp.counts, out.data, exponents(out.data)
    counts.subnormals = subnormals(y, seen, out.format)
    lacking, lost = missing(trace, fp, y, sources), fp.lost_constant
    known = [s for x in sources if (s := shadow_of(x, trace)) is not None]
    began = zeros = None
    if known:
        began, zeros = _origin(known), _earliest([s.suspect for s in known])
    before = any(s.rounded for s in known)
    wrong = counts.divide_by_zero or counts.invalid
    given = bool(seen[255]) and began is None and not wrong and not counts.overflow and bool(np.isnan(y).any())
    trace.serial += 1
    event = Event(
        trace.step, *place, y.shape, counts, lost, out.format, seen,
        magnitude=magnitude(y) if counts.flushed > FLUSHED_SHARE * counts.nonzero else 0.0,
        terms=fp.terms, unit=fp.precision.accumulate.format, disorder=fp.disorder, local=errors[0], total=errors[1],
        origin=began or (zeros if wrong and lost is None else None), given=given, square=square, serial=trace.serial,
    )  # fmt: skip
    trace.record(event, {**(arrays or {}), "result": y})
    began = event.origin or (event if event.klass is not None else None)
    zeros = zeros or (event if counts.flushed or (counts.annulled and before) else None)
    zeros = zeros if seen[0] else None
    rounded = before or counts.inexact > 0 or (not exact and fp.native and out.format.contains(fp.precision.compute))
    out.shadow = Shadow(trace, y, began, twin, rounded, zeros, bool(seen[255]), lacking)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def gradients(trace: Trace, node: Any, g: Tensor, wanted: Sequence[tuple[int, Tensor]]) -> list[tuple[Any, Any]]:
    """For each operand its gradient in the reference precision, and that of these very numbers, without rounding."""
    if trace.reference is None or node.twins is None:
        return [(None, None)] * len(wanted)
    fp, given = Arithmetic(trace.reference), twin(g, trace)
    mine = own(g) if trace.locally else None
    ways = [(node.twins, given), (node.pullbacks, mine)]
    found = [
        [fp.sum_to(np.asarray(pullbacks[i](fp, start), np.float64), x.shape) for i, x in wanted]
        for pullbacks, start in (ways if trace.locally else ways[:1])
    ]
    return list(zip(found[0], found[1] if trace.locally else [None] * len(wanted), strict=True))


def gradient(trace: Trace, node: Any, x: Tensor, grad: Tensor, fp: Counting, twin: Any, local: Any, g: Tensor) -> None:
    """Tell the trace of a gradient, and leave on it what the trace will ask."""
    square = 0.0
    if x.node is None:
        flat = grad.data.reshape(-1)
        square = float(np.dot(flat, flat))
    errors: Errors = (None, None)
    if twin is not None:
        here = None if local is None else error(grad.data, local, grad.format)
        errors = here, error(grad.data, twin, grad.format)
    place = ("backward", node.path, node.op, _last(x.name))
    sources = [g, *(node.inputs or ())]
    told(trace, fp, place, grad, arrays={"gradient": g.data}, sources=sources, errors=errors, square=square, twin=twin)


def sum_of_two(trace: Trace, path: str, x: Tensor, fp: Counting, total: Tensor, a: Tensor, b: Tensor) -> None:
    """Tell the trace of the sum of two gradients."""
    twins: Any = None
    errors: Errors = (None, None)
    if trace.reference is not None:
        twins = twin(a, trace) + twin(b, trace)
        local = error(total.data, own(a) + own(b), total.format) if trace.locally else None
        errors = local, error(total.data, twins, total.format)
    place = ("backward", path, "accumulate", _last(x.name))
    told(trace, fp, place, total, arrays={"a": a.data, "b": b.data}, sources=[a, b], errors=errors, twin=twins)


def note(op: str, tensor: str, shape: tuple[int, ...], counts: FlagCounts, **facts: Any) -> Event | None:
    """Tell the trace in force, if any, of something that is no operation, in the scope in force."""
    trace, here = active(), scope()
    if trace is None:
        return None
    trace.serial += 1
    event = Event(trace.step, here.phase, here.path, op, tensor, shape, counts, serial=trace.serial, **facts)
    trace.record(event)
    return event


def note_average(before: Array, after: Array, goal: Array, fmt: Format, label: str = "") -> None:
    """Tell the trace in force, if any, how many averages stayed as they were, more than 1 % from their goal."""
    if active() is not None:
        gap, size = np.abs(goal - before), np.maximum(np.abs(goal), np.abs(before))
        apart = (gap > 0.01 * size) & np.isfinite(gap)
        counts = FlagCounts(size=after.size, addends=int(np.count_nonzero(apart)))
        counts.swamped = counts.stalled = int(np.count_nonzero(apart & (after == before)))
        note("average", label, after.shape, counts, format=fmt)
