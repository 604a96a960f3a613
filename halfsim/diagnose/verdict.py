"""Where trouble began: the verdict on a trace, told apart from what it caused."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, sqrt
from typing import NamedTuple

from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.kinds import KINDS, is_eps, kind_of, kinds_of, rounding_words
from halfsim.autograd.trace.totals import Total
from halfsim.autograd.trace.trace import Trace
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

    NaN, infinities and a scaler that is stuck or misused go first, back to the operation whose result was wrong while
    its operands were not; then what came first. Without any, errors within what the length of the sums predicts are
    benign rounding. The verdict never depends on whether the trace has a reference.
    """
    events = trace.events()
    stuck = next((event for event in events if "scaler" in event.kinds), None)
    if stuck is not None and not _by_precision(stuck):
        return finding(stuck, trace)
    events = [event for event in events if event is not stuck] or events
    for event in events:
        if _breaks(event):
            return cause(trace, event)
    return finding(events[0], trace) if events else rounding(trace)


def _by_precision(stuck: Event) -> bool:
    """Whether a scaler skips steps because rounding broke their forward pass: then that is the trouble."""
    root = (stuck.detail or {}).get("root")
    return root is not None and root.phase == "forward" and kind_of(root) not in ("NaN propagation", "benign rounding")


def _breaks(event: Event) -> bool:
    """Whether NaN or infinities come of it, or all steps are lost."""
    lost = event.lost
    return any(KINDS[name].breaks or name == "scaler" for name in kinds_of(event)) or (
        lost is not None and not isfinite(lost.became)
    )


def cause(trace: Trace, symptom: Event) -> Finding:
    """Where an infinity or a NaN comes from: a constant that changed, an earlier trouble, or this operation."""
    divided = symptom.counts.divide_by_zero or symptom.counts.invalid
    if divided and symptom.lost is not None and symptom.origin is None:
        return finding(symptom, trace, "eps lost" if is_eps(symptom) else "constant changed")
    lost = trace.constant_behind(symptom) if divided else None
    if lost is not None:
        return finding(lost, trace, "eps lost" if is_eps(lost) else "constant changed", after=symptom)
    root = symptom.origin or symptom
    return finding(root, trace, kind_of(root), after=symptom)


def rounding(trace: Trace) -> Finding | None:
    """The verdict where nothing is wrong: how large errors are beside what is to be expected."""
    for key, total in trace.places.items():
        if _late(total):
            return _of_place(key, total, "accumulation order")
    rounded = {key: total for key, total in trace.places.items() if total.counts.inexact or total.disorder}
    if not rounded:
        return None
    key = max(rounded, key=lambda key: rounded[key].counts.inexact)
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


def _late(total: Total) -> bool:
    """Whether an operation's own error is past what random rounding of so long a sum makes likely."""
    return total.terms > 1 and total.disorder > 2 * likely(total.terms, total.unit)


def _of_place(key: tuple[str, str, str, str], total: Total, klass: str) -> Finding:
    phase, path, op, tensor = key
    event = Event(
        total.step, phase, path, op, tensor, (), total.counts, format=total.format, line=total.line, rule=total.rule,
        names=(f"{path}@{op}" if path and phase == "forward" else f"@{op}",),
    )  # fmt: skip
    found = finding(event, None, klass)
    values = dict(found.values)
    message = rounding_words(event)
    last = total.format.eps / 2  # of the result
    probable, bound = likely(total.terms, total.unit) + last, certain(total.terms, total.unit) + last
    sums = f"a sum of {total.terms:,} terms" if total.terms > 1 else "one operation"
    values |= {"likely": probable, "bound": bound}
    if klass == "accumulation order":
        probable, bound = likely(total.terms, total.unit), certain(total.terms, total.unit)
        values |= {"error": total.disorder, "likely": probable, "bound": bound}
        message = (
            f"the error of {total.disorder:.2g} of the magnitude of the terms is more than twice the {probable:.2g} "
            f"that rounding {sums} in {total.unit} makes likely (at most {bound:.2g})"
        )
    elif total.local is not None and total.total is not None and isfinite(total.local.relative):
        error = total.local.relative
        values |= {"local": error, "total": total.total.relative}
        where = "within" if error <= bound else "past"
        why = "" if error <= bound else ", as where terms cancel or several steps round"
        numbers = f"what rounding {sums} makes likely ({probable:.2g}; at most {bound:.2g})"
        message = f"the relative error of {error:.2g} is {where} {numbers}{why}"
    return replace(found, klass=klass, values=values, message=message)
