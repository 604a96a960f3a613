"""Where trouble began: the verdict on a trace, told apart from what it caused."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import NamedTuple

from halfsim.autograd.trace import Error, Event, Total, Trace
from halfsim.diagnose.finding import Finding, finding
from halfsim.numerics.formats import Format

NONE = Error(0.0, 0.0, 0.0)


class Made(NamedTuple):
    """The error that one place makes of operands as they are, and the one that has come together there."""

    phase: str
    path: str
    op: str
    tensor: str
    local: Error
    total: Error

    @property
    def role(self) -> str:
        """The word producer where at least half of the accumulated error may be this place's own, else propagator."""
        return "producer" if 2 * self.local.relative >= self.total.relative > 0 else "propagator"


def verdict(trace: Trace) -> Finding | None:
    """Where the gravest trouble began, told apart from what it caused; None if nothing was rounded.

    NaN and infinities go first, back to the operation whose result was wrong while its operands were not; then
    what came first. Without any, errors within what the length of the sums predicts are benign rounding.
    """
    events = trace.events()
    broken = [event for event in events if event.klass in ("NaN", "overflow") and event.lost is None]
    if broken:
        return cause(trace, broken[0])
    if events:
        return finding(_root(events[0]), trace)
    return rounding(trace)


def cause(trace: Trace, symptom: Event) -> Finding:
    """Where an infinity or a NaN comes from: a constant that is zero, an earlier trouble, or this operation."""
    lost = trace.constant
    divided = symptom.counts.divide_by_zero or symptom.counts.invalid
    if lost is not None and divided and (lost.phase, lost.path) == (symptom.phase, symptom.path):
        return finding(lost, trace, after=symptom)
    return finding(_root(symptom), trace, after=symptom)


def rounding(trace: Trace) -> Finding | None:
    """The verdict where nothing is wrong: how large errors are beside what is to be expected."""
    for key, total in trace.places.items():
        if _late(total):
            return _of_place(key, total, "accumulation order")
    rounded = {key: total for key, total in trace.places.items() if total.counts.inexact}
    if not rounded:
        return None
    key = max(rounded, key=lambda key: (_relative(rounded[key]), rounded[key].counts.inexact))
    return _of_place(key, rounded[key], "benign rounding")


def errors(trace: Trace) -> list[Made]:
    """Where errors are made and where they only pass: one row a place, by the local error, largest first.

    Empty without a reference. Of each place the largest local and the largest accumulated error are given, which
    need not be of one event; infinite ones only where there are no others.
    """
    known = [(key, t.local, t.total) for key, t in trace.places.items() if t.total is not None]
    rows = [Made(*key, local or NONE, total or NONE) for key, local, total in known]
    return sorted(rows, key=lambda row: -row.local.relative)


def certain(terms: int, fmt: Format) -> float:
    """The relative error that a sum of so many terms cannot pass: n u (Higham 2002, section 4.2)."""
    return terms * fmt.eps / 2


def likely(terms: int, fmt: Format) -> float:
    """The error that is likely where roundings are independent: sqrt(n) u (Higham and Mary 2019)."""
    return sqrt(terms) * fmt.eps / 2


def _root(event: Event) -> Event:
    return event.origin or event


def _relative(total: Total) -> float:
    return total.local.relative if total.local is not None and isfinite(total.local.relative) else -1.0


def _late(total: Total) -> bool:
    """Whether an operation's own error is past what random rounding of so long a sum makes likely."""
    return total.terms > 1 and total.disorder > 2 * likely(total.terms, total.unit)


def _of_place(key: tuple[str, str, str, str], total: Total, klass: str) -> Finding:
    phase, path, op, tensor = key
    event = Event(total.step, phase, path, op, tensor, (), total.counts, format=total.format)
    found = finding(event, None, klass)
    values = dict(found.values)
    message = f"{total.counts.inexact:,} results were rounded, none of them to harm"
    last = total.format.eps / 2  # of the result
    probable, bound = likely(total.terms, total.unit) + last, certain(total.terms, total.unit) + last
    numbers = f"a sum of {total.terms:,} terms makes likely ({probable:.2g}; at most {bound:.2g})"
    values |= {"likely": probable, "bound": bound}
    if klass == "accumulation order":
        values["error"] = total.disorder
        message = f"the error of {total.disorder:.2g} of the magnitude of the terms is past what rounding {numbers}"
    elif total.local is not None and total.total is not None:
        error = total.local.relative
        values |= {"local": error, "total": total.total.relative}
        where = "within" if error <= bound else "past"
        why = "" if error <= bound else ", as where terms cancel or several steps round"
        message = f"the relative error of {error:.2g} is {where} what rounding {numbers}{why}"
    return Finding(klass, phase, total.step, path, op, tensor, values, message, found.fix, event)
