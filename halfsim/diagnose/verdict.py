"""Where trouble began: the verdict on a trace, told apart from what it caused."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, sqrt
from typing import Any, NamedTuple

from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.kinds import KINDS, is_eps, kind_of
from halfsim.autograd.trace.totals import Total
from halfsim.autograd.trace.trace import Trace
from halfsim.card import Card
from halfsim.diagnose.finding import Finding, finding
from halfsim.markup import Figure
from halfsim.numerics.formats import Format
from halfsim.text import columns, counted, place_name

NONE = Error(0.0, 0.0, 0.0)
_SHOWN = 20  # places of a card


class Made(NamedTuple):
    """The errors of one place: ``local`` it makes of its operands as they are, ``total`` its results have in all."""

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


class Errors(Card, list[Made]):
    """The errors of all places, in a list that prints as a table."""

    def _rows(self) -> list[tuple[str, ...]]:
        head = ("phase", "place", "made here", "come together", "role")
        return [head, *((m.phase, place_name(m.op, m.path, m.tensor), f"{m.local.relative:.1e}",
                         f"{m.total.relative:.1e}", m.role) for m in self)]  # fmt: skip

    def __str__(self) -> str:
        return columns(self._rows(), left=2)

    def _card(self) -> Any:
        (head, *rows), rest = self._rows()[: _SHOWN + 1], len(self) - _SHOWN
        shown = [head, *((phase, place, *map(_figure, errors), role) for phase, place, *errors, role in rows)]
        return [("", shown), ("", f"and {counted(rest, 'place')} more; print shows all" if rest > 0 else "")]


def _figure(text: str) -> Figure:
    return Figure(text, None)


def verdict(trace: Trace) -> Finding | None:
    """See `halfsim.diagnose.trace.Trace.verdict`.

    A scaler that is stuck goes before NaN and infinities, unless rounding in a forward pass is what keeps it so.
    """
    events = trace.events()
    stuck = next((event for event in events if "scaler" in event.kinds), None)
    if stuck is not None and not _by_precision(stuck):
        return finding(stuck, trace)
    events = [event for event in events if event is not stuck] or events
    for event in events:
        if breaks(event) or "scaler" in event.kinds:
            return cause(trace, event)
    return finding(events[0], trace) if events else rounding(trace)


def _by_precision(stuck: Event) -> bool:
    """Whether a scaler skips steps because rounding broke their forward pass: then that is the trouble."""
    root = (stuck.detail or {}).get("root")
    return root is not None and root.phase == "forward" and kind_of(root) not in ("NaN propagation", "benign rounding")


def breaks(event: Event) -> bool:
    """Whether it left NaN or infinities behind, be it as a constant that became one."""
    lost = event.lost is not None and not isfinite(event.lost.became)
    return lost or any(KINDS[kind].breaks for kind in event.kinds)


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


def errors(trace: Trace) -> Errors:
    """See `halfsim.diagnose.trace.Trace.errors`."""
    known = [(key, t.local, t.total) for key, t in trace.places.items() if t.total is not None]
    rows = [Made(*key, local or NONE, total or NONE) for key, local, total in known]
    return Errors(sorted(rows, key=lambda row: -row.local.relative))


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
    values, message = dict(found.values), found.message
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
