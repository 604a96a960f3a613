"""`hs.trace`: a trace that can say what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import as_rule
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace import trace as recording
from halfsim.autograd.trace.kinds import is_eps
from halfsim.card import Card
from halfsim.diagnose.finding import CLASSES, Finding, finding
from halfsim.diagnose.fingerprint.bits import VALUES
from halfsim.diagnose.fingerprint.recording import Fingerprinting
from halfsim.diagnose.forecast import Foreseeing
from halfsim.diagnose.verdict import Errors, errors, verdict
from halfsim.numerics.formats import unknown, whole
from halfsim.numerics.precision import FP64, Precision
from halfsim.options import guarded_class

if TYPE_CHECKING:
    from halfsim.diagnose.report.facts import Raised
    from halfsim.diagnose.report.report import Report


class Trace(Card, recording.Trace):
    """What every operation did under `halfsim.trace`, and what that means.

    `verdict` says where the gravest trouble began, `first` shows the first of a class, `table` counts by place, and
    `report` has everything, to print, as a page or as JSON. ``raised`` is the exception that ended the script, where
    `halfsim run` has noted one.
    """

    raised: Raised | None = None

    def first(self, klass: str | None = None) -> Finding | None:
        """The first trouble of ``klass``, or of any class, where it showed; `verdict` goes back to where it began.

        ``klass`` is one of `halfsim.diagnose.finding.CLASSES`; "NaN" is short for "NaN propagation". None where there
        was no such trouble, but the first eps that the format lost is given whether or not it did harm. ``ValueError``
        for another word.
        """
        klass = "NaN propagation" if klass == "NaN" else klass
        if klass is None:
            found = self.first_event()
        elif klass not in CLASSES:
            raise unknown("klass", klass, [*CLASSES, "NaN"])
        elif klass == "eps lost":
            found = next((e for e in self.constants.values() if is_eps(e)), None)
        else:
            found = self.first_event(klass)
        if found is None:  # as zeros that are no trouble until something is divided by one
            return None if klass is None else self._judged(klass)
        return finding(found, self, klass)

    def _judged(self, klass: str | None) -> Finding | None:
        """The verdict, if it is of that class."""
        found = self.verdict()
        return found if found is not None and found.klass == klass else None

    def verdict(self) -> Finding | None:
        """Where the gravest trouble began, as distinct from what it caused; None if nothing was rounded.

        If there are NaN, infinities, or steps that a loss scale spoils, the verdict is the operation where the first of
        them began: its operands were right, and its result was not. Otherwise it is the first trouble of any class.
        Without trouble it is "accumulation order" where a sum is off by more than its length makes likely, or "benign
        rounding". It is the same with and without a ``reference``.
        """
        return verdict(self)

    def errors(self) -> Errors:
        """Where errors are made and where they only pass through: a row for each place, largest local error first.

        The local error is the one that an operation makes of its operands as they are, the total the one that has
        come together in its result. Of each place the largest of either is given, which need not be of one event;
        infinite ones only where there are no others. Empty without a ``reference``.
        """
        return errors(self)

    def forecast(self) -> tuple[Finding, ...]:
        """What this run would have met in the precision ``forecast``, each trouble where it would have begun.

        In the order in which it would have happened, one finding for each class and place. The run itself is not
        altered. ``ValueError`` for a trace that was begun without ``forecast``.
        """
        raise ValueError("forecast: this trace was begun without; allowed: hs.trace(forecast='fp16')")

    def fingerprint(self, path: str | os.PathLike[str]) -> None:
        """Write a text file with a hash of every result, to be held against that of another run.

        See `halfsim.compare_fingerprints`, and ``halfsim diff`` in a shell. ``ValueError`` for a trace that was begun
        without ``fingerprint``, ``OSError`` where ``path`` cannot be written.
        """
        raise ValueError("fingerprint: this trace was begun without; allowed: hs.trace(fingerprint=True)")

    def report(self) -> Report:
        """All of this as plain data that outlives the trace: print it, or see `Report.to_html`, `Report.to_json`."""
        from halfsim.diagnose.report.report import Report

        return Report.of(self)

    def __repr__(self) -> str:
        from halfsim.diagnose.report.text import title

        found = self.verdict()
        return f"<Trace: {title(self.report())}; {'every result was exact' if found is None else found.klass}>"

    def __str__(self) -> str:
        found = self.verdict()
        return repr(self) if found is None else f"{self!r}\n{found}"

    def _card(self) -> Any:
        from halfsim.diagnose.report.text import brief

        return brief(self.report())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report to ``path`` as one self-contained page."""
        self.report().to_html(path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as JSON, which is also written to ``path`` if given."""
        return self.report().to_json(path)


class Forecast(Foreseeing, Trace):
    """A trace of a run as it is that knows, too, what the run would have met in another precision."""


class Printed(Fingerprinting, Trace):
    """A trace that keeps a hash of every result."""


class PrintedForecast(Fingerprinting, Forecast):
    """Both."""


guarded_class(Trace)
guarded_class(Fingerprinting, ["fingerprint"])


def trace(
    reference: object = None,
    *,
    forecast: object = None,
    allow: str | Iterable[str] = (),
    frames: int = 64,
    fingerprint: bool | int = False,
) -> Any:
    """A context that records every operation inside it, forward, backward and optimizer, in a `Trace`.

    ``reference`` ("fp64", a Precision) carries for each value what it would have been in that precision, in the same
    graph, and measures every result against it. ``forecast`` ("fp16", a policy) runs every operation in that one too,
    beside the run, which it does not alter: see `Trace.forecast`. ``allow`` are patterns ("@op", a module path,
    "path@op") of operations whose infinities and NaN are meant, as those of masks. ``frames`` is how many of the
    latest events are kept. ``fingerprint`` keeps a hash of every result for `Trace.fingerprint`, with the bits of up to
    8 elements of each, or of as many as it says. Of a tensor it is what PyTorch calls so, the sum of the diagonal:
    `halfsim.ops.trace`. ``ValueError`` for an unknown word, ``TypeError`` for what are no patterns.

    >>> import halfsim as hs
    >>> with trace() as t:
    ...     product = hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    >>> t.first().klass, t.first().op
    ('overflow', 'mul')
    """
    if isinstance(reference, Tensor):
        return OPS["trace"](reference)
    rule = None if reference is None else as_rule(reference, "reference")
    if rule is not None and not isinstance(rule, Precision):
        raise ValueError(f"reference: {rule} is not allowed; allowed: a precision, as {FP64}")
    if whole("frames", frames) < 0:
        raise ValueError(f"frames: {frames} is not allowed; allowed: integers from 0")
    given: tuple[Any, ...] = rule, recording.patterns(allow), frames
    if forecast is not None:
        given = as_rule(forecast, "forecast"), *given
    if fingerprint is not False:
        values = VALUES if fingerprint is True else whole("fingerprint", fingerprint)
        if values < 0:
            raise ValueError(f"fingerprint: {fingerprint} is not allowed; allowed: True, False, integers from 0")
        return recording.tracing(partial(Printed if forecast is None else PrintedForecast, values, *given))
    return recording.tracing(partial(Trace if forecast is None else Forecast, *given))
