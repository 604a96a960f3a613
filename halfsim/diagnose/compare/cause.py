"""What the difference between two runs means: where they part, and the trouble that it began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.kinds import KINDS, kind_of, kinds_of
from halfsim.diagnose.compare.meter import Divergence, Fork, Meter
from halfsim.diagnose.compare.recorder import Place, Recorder
from halfsim.diagnose.compare.result import ResultRow
from halfsim.diagnose.finding import Finding, finding
from halfsim.text import number, place_name

_FIX = "see in the layers where the error grows, and keep those in float32 (search_policy finds them)"


def plain_finding(found: Finding | None) -> Finding | None:
    """A finding without its event, which holds arrays."""
    return None if found is None else replace(found, event=None)


def stopped(meter: Meter, reference: Recorder, run: Recorder, failure: Exception | None) -> list[str]:
    """Note a fork where the run ended otherwise than the reference; returns what is to be told in any case."""
    if failure is not None:
        text = f"the run raised {type(failure).__name__}: {failure}".splitlines()[0]
        last = next(reversed(run.latest), None)
        where = None if last is None else (last.phase, last.path, last.op, last.tensor)
        if meter.fork is None or meter.fork.run is None:  # the step it broke off lacks the rest
            meter.fork = Fork((run.step, run.results), where, None, None, text)
        return [f"{text[0].upper()}{text[1:]}."]
    if meter.fork is None and run.step != reference.step:
        text = f"the run took {run.step - 1:,} steps, the reference {reference.step - 1:,}"
        meter.fork = Fork((min(run.step, reference.step), 0), None, None, None, text)
    return []


def first_divergence(meter: Meter, runs: tuple[Recorder, Recorder]) -> Finding | None:
    """The first result that is off, or the fork where that comes earlier."""
    apart, fork = meter.divergence, meter.fork
    if fork is not None and (apart is None or fork.when < apart.when):
        return _of_fork(fork)
    return None if apart is None else _of_result(meter, apart, runs)


def _of_fork(fork: Fork) -> Finding:
    phase, path, op, tensor = fork.run or fork.reference or ("forward", "", "run", "")
    if fork.text:
        message = fork.text
    elif fork.shapes is not None:
        message = f"the result has shape {fork.shapes[0]} in the run and {fork.shapes[1]} in the reference"
    else:
        message = f"the run goes on with {_place(fork.run)}, the reference with {_place(fork.reference)}"
    values = {"run": fork.run, "reference": fork.reference, "shapes": fork.shapes}
    fix = "look for a branch or a loop that depends on the data: what follows is not compared"
    return Finding("structure", phase, fork.when[0], path, op, tensor, values, message, fix)


def _place(place: Place | None) -> str:
    if place is None:
        return "nothing"
    phase, path, op, tensor = place
    return f"{place_name(op, path, tensor)}, {phase}"


def _of_result(meter: Meter, apart: Divergence, runs: tuple[Recorder, Recorder]) -> Finding:
    event, cause = apart.event, _cause(apart.event, runs)
    values = {"relative_error": apart.relative, "ulp": apart.ulp, "tolerance": meter.tolerance}
    message, klass, fix = _off(apart, meter.tolerance), "divergence", _FIX
    if cause is not None:
        found = finding(cause, runs[1])
        where = "" if cause is event else f" at step {cause.step}, {cause.phase}, {found.place}"
        message, klass, fix = f"{message}; {found.message}{where}", found.klass, found.fix
        values |= found.values
    return Finding(klass, event.phase, event.step, event.path, event.op, event.tensor, values, message, fix)


def _off(apart: Divergence, tolerance: float) -> str:
    if apart.relative == float("inf"):
        return "the run and the reference are not finite in the same places"
    return f"the relative error is {number(apart.relative)}, past {number(tolerance)}, up to {number(apart.ulp)} ulp"


def _cause(event: Event, runs: tuple[Recorder, Recorder]) -> Event | None:
    """The trouble behind an event, unless the reference has it too; a constant that the format lost goes first."""
    reference, run = runs
    troubles = (e for e in (event.origin, event) if e is not None and kinds_of(e))
    lost, root = run.constant, next((e for e in troubles if not _shared(e, reference)), None)
    if lost is not None and lost.serial <= event.serial and reference.constant is None:
        near = root is None or (root.phase, root.path) == (lost.phase, lost.path)
        if near and (event.phase, event.path) == (lost.phase, lost.path):
            return lost
    return root


def _shared(event: Event, reference: Recorder) -> bool:
    """Whether the reference met the same trouble in the same place, so that precision is not to blame."""
    counts = reference.totals.get((event.phase, event.path, event.op, event.tensor))
    names = KINDS[kind_of(event)].counted
    return counts is not None and any(getattr(counts, name) and getattr(event.counts, name) for name in names)


def verdict(
    meter: Meter, runs: tuple[Recorder, Recorder], first: Finding | None, results: Sequence[ResultRow]
) -> Finding:
    """Where the difference began; without a difference, the trouble that the run alone had, or none."""
    apart = meter.divergence
    if first is not None:
        cause = None if apart is None or first.klass == "structure" else _cause(apart.event, runs)
        if first.klass == "divergence" and results and _agreed(results) <= meter.tolerance:
            return replace(
                _benign(meter, results), message=f"{_drift(first, meter)} agrees to {number(_agreed(results))}"
            )
        if cause is None or apart is None:
            return first
        found = finding(cause, runs[1])
        if cause is apart.event:
            return replace(found, message=f"{found.message}; {_off(apart, meter.tolerance)}")
        where = f"step {apart.event.step}, {apart.event.phase}, {apart.event.place}"
        return replace(found, message=f"{found.message}; at {where}, {_off(apart, meter.tolerance)}")
    for event in runs[1].events():
        root = event.origin or event
        if not _shared(root, runs[0]):
            found = finding(root, runs[1])
            return replace(found, message=f"{found.message}; yet no result is off by more than {_largest(meter)}")
    return _benign(meter, results)


def _largest(meter: Meter) -> str:
    return number(max((place.forward for place in meter.places.values()), default=0.0))


def _agreed(results: Sequence[ResultRow]) -> float:
    return max(row.relative_error for row in results)


def _drift(first: Finding, meter: Meter) -> str:
    """The words for runs that part by rounding alone, as two that round differently do."""
    where = f"step {first.step}, {first.phase}, {first.place}"
    apart = f"the runs drift apart, from {where} on by up to {_largest(meter)}"
    return f"no operation did harm; {apart}, yet what was returned"


def _benign(meter: Meter, results: Sequence[ResultRow]) -> Finding:
    if not meter.places:
        text = "no operation of the run was found in the reference"
        return Finding("benign rounding", "forward", 1, "", "run", "", {"compared": 0}, text, "nothing")
    place = max(meter.places, key=lambda p: meter.places[p].forward)
    found = meter.places[place]
    message = (
        f"no result is off by more than {number(found.forward)} of its norm, with {number(meter.tolerance)} allowed"
    )
    if results:
        far = max(results, key=lambda row: row.relative_error)
        if far.relative_error <= meter.tolerance:
            message += f"; what was returned agrees to {number(far.relative_error)}"
        else:
            message += f"; of what was returned {far.name} is off by {number(far.relative_error)} all the same"
    phase, path, op, tensor = place
    values = {"relative_error": found.forward, "ulp": found.ulp, "tolerance": meter.tolerance}
    fix = "nothing: the run follows its reference"
    return Finding("benign rounding", phase, found.step or 1, path, op, tensor, values, message, fix)
