"""`hs.trace`: a trace that can say what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from halfsim.autograd import trace as recording
from halfsim.autograd.policy import as_rule
from halfsim.autograd.trace import Error, Event, Total
from halfsim.diagnose.finding import CLASSES, Finding, finding
from halfsim.numerics.formats import Format, unknown
from halfsim.numerics.precision import FP64, Precision

if TYPE_CHECKING:
    from halfsim.diagnose.report.report import Report

_EVENTS = {"NaN propagation": "NaN", "NaN": "NaN"}


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


class Trace(recording.Trace):
    """What every operation did, and what is to be made of it: see `first`, `verdict`, `table`, `report`."""

    def first(self, klass: str | None = None) -> Finding | None:
        """The first trouble of ``klass``, or of any class, as it showed; `verdict` goes back to where it began.

        ``klass`` is "overflow", "underflow", "swamping", "cancellation", "eps lost", "integer rounding" or "NaN
        propagation" ("NaN" for short); the two other classes are verdicts. ``ValueError`` for another word.
        """
        if klass == "eps lost":
            found = self.constant
        elif klass in ("accumulation order", "benign rounding"):
            verdict = self.verdict()
            return verdict if verdict is not None and verdict.klass == klass else None
        elif klass is not None and klass not in (*CLASSES, "NaN"):
            raise unknown("klass", klass, [*CLASSES, "NaN"])
        else:
            found = self.first_event(None if klass is None else _EVENTS.get(klass, klass))
        if found is None:  # as zeros that are no trouble until something is divided by one
            verdict = None if klass is None else self.verdict()
            return verdict if verdict is not None and verdict.klass == _named(klass) else None
        return finding(found, self, _named(klass))

    def verdict(self) -> Finding | None:
        """Where the gravest trouble began, told apart from what it caused; None if nothing was rounded.

        NaN and infinities go first, back to the operation whose result was wrong while its operands were not; then
        what came first. Without any, errors within what the length of the sums predicts are benign rounding.
        """
        events = self.events()
        broken = [event for event in events if event.klass in ("NaN", "overflow") and event.lost is None]
        if broken:
            return self._cause(broken[0])
        if events:
            return finding(self._root(events[0]), self)
        return self._rounding()

    def errors(self) -> list[Made]:
        """Where errors are made and where they only pass: one row a place, by the local error, largest first.

        Empty without a ``reference``. Of each place the largest local and the largest accumulated error are
        given, which need not be of one event; infinite ones only where there are no others.
        """
        known = [(key, t.local, t.total) for key, t in self.places.items() if t.total is not None]
        rows = [Made(*key, local or NONE, total or NONE) for key, local, total in known]
        return sorted(rows, key=lambda row: -row.local.relative)

    def _root(self, event: Event) -> Event:
        return event.origin or event

    def _cause(self, symptom: Event) -> Finding:
        """Where an infinity or a NaN comes from: a constant that is zero, an earlier trouble, or this operation."""
        lost = self.constant
        divided = symptom.counts.divide_by_zero or symptom.counts.invalid
        if lost is not None and divided and (lost.phase, lost.path) == (symptom.phase, symptom.path):
            return finding(lost, self, after=symptom)
        return finding(self._root(symptom), self, after=symptom)

    def _rounding(self) -> Finding | None:
        """The verdict where nothing is wrong: how large errors are beside what is to be expected."""
        for key, total in self.places.items():
            if self._late(total):
                return self._of_place(key, total, "accumulation order")
        rounded = {key: total for key, total in self.places.items() if total.counts.inexact}
        if not rounded:
            return None
        key = max(rounded, key=lambda key: (_relative(rounded[key]), rounded[key].counts.inexact))
        return self._of_place(key, rounded[key], "benign rounding")

    def _late(self, total: Total) -> bool:
        """Whether an operation's own error is past what random rounding of so long a sum makes likely."""
        return total.terms > 1 and total.disorder > 2 * likely(total.terms, total.unit)

    def _of_place(self, key: tuple[str, str, str, str], total: Total, klass: str) -> Finding:
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

    def report(self) -> Report:
        """All of this as plain data that outlives the trace: print it, or see `Report.to_html`, `Report.to_json`."""
        from halfsim.diagnose.report.build import reported

        return reported(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report to ``path`` as one self-contained page."""
        self.report().to_html(path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as JSON, which is also written to ``path`` if given."""
        return self.report().to_json(path)


def _relative(total: Total) -> float:
    return total.local.relative if total.local is not None and isfinite(total.local.relative) else -1.0


def certain(terms: int, fmt: Format) -> float:
    """The relative error that a sum of so many terms cannot pass: n u (Higham 2002, section 4.2)."""
    return terms * fmt.eps / 2


def likely(terms: int, fmt: Format) -> float:
    """The error that is likely where roundings are independent: sqrt(n) u (Higham and Mary 2019)."""
    return sqrt(terms) * fmt.eps / 2


def _named(klass: str | None) -> str | None:
    return "NaN propagation" if klass == "NaN" else klass


def trace(reference: object = None, *, allow: Iterable[str] = (), frames: int = 64) -> Any:
    """A context that records every operation inside it, forward, backward and optimizer, in a `Trace`.

    ``reference`` ("fp64", a Precision) carries for each value what it would have been in that precision, in the same
    graph, and measures every result against it. ``allow`` are patterns ("@op", a module path, "path@op") of operations
    whose infinities and NaN are meant, as those of masks. ``frames`` is how many of the latest events are kept.
    ``ValueError`` for an unknown word.

    >>> import halfsim as hs
    >>> with trace() as t:
    ...     product = hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    >>> t.first().klass, t.first().op
    ('overflow', 'mul')
    """
    rule = None if reference is None else as_rule(reference)
    if rule is not None and not isinstance(rule, Precision):
        raise ValueError(f"reference: {rule} is not allowed; allowed: a precision, as {FP64}")
    return recording.tracing(Trace(rule, [allow] if isinstance(allow, str) else allow, frames))
