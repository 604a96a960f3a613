"""What the difference between two runs means: where they part, and the trouble that it began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import Any

from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.fix import Fix
from halfsim.autograd.trace.kinds import KINDS, kind_of, kinds_of
from halfsim.autograd.trace.totals import Place, place_of
from halfsim.diagnose.compare.meter import Divergence, Fork, Meter
from halfsim.diagnose.compare.recorder import Recorder
from halfsim.diagnose.compare.result import ResultRow
from halfsim.diagnose.finding import Finding, finding
from halfsim.frames import spelled
from halfsim.text import clipped, located, number, place_name

_FIX = "see in the layers where the error grows, and keep those in float32 (search_policy finds them)"
_BOTH = "look at the computation itself: the reference meets this too, so that no precision mends it"
_REFERENCE = "the run is not to blame: take a reference of wider range and more digits, as fp64"


def plain_finding(found: Finding | None) -> Finding | None:
    """A finding without its event, which holds arrays."""
    return None if found is None else replace(found, event=None)


def stopped(meter: Meter, reference: Recorder, run: Recorder, failure: Exception | None) -> list[str]:
    """Note in ``meter`` that the run ended otherwise than the reference, if it did; returns notes for the reader."""
    if failure is not None:
        text = f"the run raised {type(failure).__name__}: {failure}".splitlines()[0]
        last = next(reversed(run.latest), None)
        where = None if last is None else place_of(last)
        if meter.fork is None or meter.fork.run is None:  # the step it broke off lacks the rest
            line = "" if last is None else last.where
            meter.fork = Fork((run.step, run.results), where, None, None, text, line)
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
    place = fork.run or fork.reference or ("forward", "", "run", "")
    if fork.text:
        message = fork.text
    elif fork.shapes is not None:
        message = f"the result has shape {fork.shapes[0]} in the run and {fork.shapes[1]} in the reference"
    else:
        message = f"the run goes on with {_words(fork.run)}, the reference with {_words(fork.reference)}"
    values = {"run": fork.run, "reference": fork.reference, "shapes": fork.shapes}
    fix = "look for a branch or a loop that depends on the data: what follows is not compared"
    return _found("structure", fork.when[0], place, values, message, fix, fork.where)


def _found(
    klass: str, step: int, place: Place, values: dict[str, Any], message: str, fix: str, where: str,
    event: Event | None = None,
) -> Finding:  # fmt: skip
    """A Finding of the comparison itself, whose fix needs a person."""
    phase, path, op, tensor = place
    return Finding(klass, phase, step, path, op, tensor, values, message, fix, event, where, (Fix(fix),))


def _with_fix(found: Finding, text: str) -> Finding:
    return replace(found, fix=text, fixes=(Fix(text),))


def _words(place: Place | None) -> str:
    if place is None:
        return "nothing"
    phase, path, op, tensor = place
    return f"{place_name(op, path, tensor)}, {phase}"


def _of_result(meter: Meter, apart: Divergence, runs: tuple[Recorder, Recorder]) -> Finding:
    """Where a result is off; if that began elsewhere, the place is named, and `verdict` tells the rest."""
    event, found = apart.event, _blamed(apart, runs)
    values = {"relative_error": apart.relative, "ulp": apart.ulp, "tolerance": meter.tolerance}
    message = _off(apart, meter)
    here = _found("divergence", event.step, place_of(event), values, message, _FIX, event.where, event)
    if found is None:
        return here if not _below_roundoff(meter) else _with_fix(here, _above(meter))
    own = _same(found, event)
    then = found.message if own else f"it goes back to {clipped(found.place, 60)} at step {found.step}, {found.phase}"
    return replace(
        here, klass=found.klass, message=f"{message}; {then}", values={**values, **found.values}, fix=found.fix,
        fixes=found.fixes,
    )  # fmt: skip


def _same(found: Finding, event: Event) -> bool:
    """Whether a finding names the step and the place of an event."""
    return (found.step, place_of(found)) == (event.step, place_of(event))


def _below_roundoff(meter: Meter) -> bool:
    return meter.tolerance < meter.unit / 2


def _above(meter: Meter) -> str:
    return f"take a tolerance above the unit roundoff, {number(meter.unit / 2)}: every precision rounds by as much"


def roundoff(meter: Meter, name: str) -> list[str]:
    """A note for the reader where the tolerance is so small that one rounding may pass it."""
    if not _below_roundoff(meter):
        return []
    limit, unit = _apart(meter.tolerance, meter.unit / 2)
    return [f"The tolerance of {limit} is below the unit roundoff of {name}, {unit}: one rounding may pass it."]


def _off(apart: Divergence, meter: Meter) -> str:
    """How far a result is off, in numbers that do not contradict each other."""
    if apart.relative == inf:
        return "one of the two runs is finite where the other is not"
    error, limit = _apart(apart.relative, meter.tolerance)
    text = f"the relative error is {error}, past {limit}"
    if apart.ulp <= 0.5 and apart.relative > meter.unit:
        fmt = apart.event.format
        return f"{text}: the numbers are too small for {fmt}, whose smallest is {fmt.smallest_subnormal:.3g}"
    if _below_roundoff(meter) and apart.ulp <= 0.5:
        return f"{text}, by one rounding: the tolerance is below the unit roundoff, {number(meter.unit / 2)}"
    return f"{text}, up to {number(apart.ulp)} ulp"


def _apart(x: float, y: float) -> tuple[str, str]:
    """Two numbers in as few digits as tell them apart.

    >>> _apart(0.5, 0.1), _apart(0.1000004, 0.1)
    (('0.5', '0.1'), ('0.1000004', '0.1'))
    """
    if number(x) != number(y):
        return number(x), number(y)
    return next(((f"{x:.{n}g}", f"{y:.{n}g}") for n in range(4, 17) if f"{x:.{n}g}" != f"{y:.{n}g}"), (f"{x}", f"{y}"))


def _blamed(apart: Divergence, runs: tuple[Recorder, Recorder]) -> Finding | None:
    """The trouble that a result is off by: the run's, or where that has none of its own, the reference's."""
    reference, run = runs
    event = _cause(apart.event, runs) or _only_in_the_run(runs, apart.event.serial)
    if event is not None:
        return finding(event, run)
    for other in reference.events():
        root = other.origin or other
        if root.serial <= apart.twin and _harmful(root) and not _shared(root, run):
            found = finding(root, reference)
            message = f"it is the reference that has trouble, and not the run: {found.message}"
            values = {"in": "reference", **found.values}
            return replace(_with_fix(found, _REFERENCE), message=message, values=values)
    return None


def _harmful(event: Event) -> bool:
    return bool(kinds_of(event)) or event.lost is not None


def _cause(event: Event, runs: tuple[Recorder, Recorder]) -> Event | None:
    """The trouble behind an event, unless the reference has it too; a constant that the format lost goes first."""
    reference, run = runs
    troubles = (e for e in (event.origin, event) if e is not None and kinds_of(e))
    root = next((e for e in troubles if not _shared(e, reference)), None)
    lost = run.constants.get((event.phase, event.path))
    if lost is None or lost.serial > event.serial or _shared(lost, reference):
        return root
    return lost if root is None or (root.phase, root.path) == (lost.phase, lost.path) else root


def _shared(event: Event, other: Recorder) -> bool:
    """Whether the other run met the same trouble in the same place, so that precision is not to blame."""
    key = place_of(event)
    if event.lost is not None:
        there = (e.lost for e in other.constants.values() if place_of(e) == key)
        return any(
            lost is not None and (lost.value, lost.became) == (event.lost.value, event.lost.became) for lost in there
        )
    names = KINDS[kind_of(event)].counted
    if not names:
        return any(e.op == event.op and kind_of(e) == kind_of(event) for e in other.events())
    counts = other.totals.get(key)
    return counts is not None and any(getattr(counts, name) and getattr(event.counts, name) for name in names)


def verdict(
    meter: Meter, runs: tuple[Recorder, Recorder], first: Finding | None, results: Sequence[ResultRow]
) -> Finding:
    """Where the difference began; without a difference, the trouble that the run alone had, or both, or none."""
    apart, own = meter.divergence, _only_in_the_run(runs)
    if first is not None and first.klass == "structure":
        return first
    if first is not None and apart is not None:
        found = _blamed(apart, runs)
        if found is not None:
            return _with_divergence(found, apart, meter)
        if own is not None and _below_roundoff(meter):
            return finding(own, runs[1])
        if results and _agreed(results) <= meter.tolerance:
            return replace(
                _benign(meter, runs[1], results),
                message=f"{_drift(first, apart, meter)} agrees to {number(_agreed(results))}",
            )
        return first
    if own is not None:
        found = finding(own, runs[1])
        most = number(max((place.counted for place in meter.places.values()), default=0.0))
        text = f"{found.message}; yet no result is off by more than {most} of its norm"
        return replace(found, message=text + _returned(meter, results, agree=False))
    return _in_both(runs, results) or _benign(meter, runs[1], results)


def _with_divergence(found: Finding, apart: Divergence, meter: Meter) -> Finding:
    event = apart.event
    if _same(found, event):
        return replace(found, message=f"{found.message}; {_off(apart, meter)}")
    where = located(event.step, event.phase, clipped(event.place, 60), event.where)
    return replace(found, message=f"{found.message}; at {where}, {_off(apart, meter)}")


def _only_in_the_run(runs: tuple[Recorder, Recorder], until: float = inf) -> Event | None:
    """The first trouble of the run that the reference has not, of those up to a serial number."""
    roots = (event.origin or event for event in runs[1].events() if event.serial <= until)
    return next((root for root in roots if not _shared(root, runs[0])), None)


def _in_both(runs: tuple[Recorder, Recorder], results: Sequence[ResultRow]) -> Finding | None:
    """The trouble behind NaN that both runs returned."""
    if not any(row.nan for row in results):
        return None
    events = [e for e in runs[1].events() if any(KINDS[kind].breaks for kind in kinds_of(e))]
    if not events:
        return None
    found = finding(events[0].origin or events[0], runs[1])
    return replace(_with_fix(found, _BOTH), message=f"{found.message}; so it is in the reference; {_broken(results)}")


def _broken(results: Sequence[ResultRow]) -> str:
    """What was returned and is not finite in either run."""
    rows = [row for row in results if row.not_finite]
    which = ", ".join(f"{row.not_finite:,} of {row.size:,} numbers of {row.name}" for row in rows[:3])
    return f"of what was returned {which}{' and others' * (len(rows) > 3)} are not finite in either run"


def _agreed(results: Sequence[ResultRow]) -> float:
    """How far what was returned agrees: infinity where something is not finite in both, which is no agreement."""
    return max(inf if row.not_finite else row.relative_error for row in results)


def _drift(first: Finding, apart: Divergence, meter: Meter) -> str:
    """The words for runs that part by rounding alone, as two that round differently do."""
    where = located(first.step, first.phase, clipped(first.place, 60), first.where)
    if not isfinite(apart.relative):
        return f"no operation did harm; at {where}, {_off(apart, meter)}, yet what was returned"
    most = max((place.forward for place in meter.places.values() if isfinite(place.forward)), default=0.0)
    return (
        f"no operation did harm; the runs drift apart, from {where} on by up to {number(most)}, yet what was returned"
    )


def _returned(meter: Meter, results: Sequence[ResultRow], agree: bool = True) -> str:
    """What else is to be said of what was returned; that it agrees only with ``agree``."""
    if any(row.not_finite for row in results):
        return f"; {_broken(results)}"
    if not results:
        return ""
    far = max(results, key=lambda row: row.relative_error)
    if far.relative_error > meter.tolerance:
        return f"; of what was returned {far.name} is off by {number(far.relative_error)} all the same"
    return f"; what was returned agrees to {number(far.relative_error)}" if agree else ""


def _benign(meter: Meter, run: Recorder, results: Sequence[ResultRow]) -> Finding:
    if not meter.places:
        text = "no operation of the run was found in the reference"
        return _found("benign rounding", 1, ("forward", "", "run", ""), {"compared": 0}, text, "nothing", "")
    place = max(meter.places, key=lambda p: meter.places[p].counted)
    found_here = meter.places[place]
    error, limit = _apart(found_here.counted, meter.tolerance)
    message = f"no result is off by more than {error} of its norm, with {limit} allowed"
    most = max(row.forward for row in meter.places.values())
    if most > meter.tolerance:
        message += ", but for sums that cancel, whose error the rounding of their terms explains"
    message += _returned(meter, results)
    values: dict[str, Any] = {
        "relative_error": found_here.counted, "ulp": found_here.counted_ulp, "tolerance": meter.tolerance
    }  # fmt: skip
    fix = "nothing: the run follows its reference" + " where it is finite" * any(row.not_finite for row in results)
    where = spelled(run.places[place].line)
    return _found("benign rounding", found_here.step or 1, place, values, message, fix, where)
