"""All rebuilt cases, and what the tool says of each: value, class, operation, phase, and the fix that it recommends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import halfsim as hs
from halfsim.autograd.policy import as_rule
from halfsim.gallery.case import Case, flat, off
from halfsim.gallery.catalogue import every
from halfsim.gallery.mended import by_option, valued
from tests.gallery import cases as exhibits

# The cases that are not right in all five columns, and why.
EXCEPTIONS = {
    "B55": "told as benign: three bits are lost, so the result is off by 8e-3 of its norm, and trouble begins at 1e-2. "
    "The sums of its last transform cancel to a seventh of their terms, those of a healthy transformer to a twelfth",
    "N03": "told as benign: each of the two passes is right by itself, and a trace of one run cannot know that they "
    "are meant to agree",
}


def cases() -> dict[str, Case]:
    """Every case by its identifier, those of the first catalogue first."""
    return {case.id: case for case in every()}


@dataclass(frozen=True)
class Judged:
    """What a run of a case and its verdict come to: five columns, and what is behind them."""

    case: Case
    value: bool
    finding: hs.Finding | None
    same: bool  # the same verdict with a reference
    bits: bool  # the same bits traced and untraced
    error: float  # of the fixed run
    how: str  # how the fix was applied: "policy", "option", "by hand", ""

    @property
    def columns(self) -> tuple[bool, ...]:
        """Value, class, operation, phase and fix; the same verdict with a reference, the same bits traced."""
        return self.value, self.klass, self.op, self.phase, self.fixed, self.same, self.bits

    @property
    def right(self) -> bool:
        return all(self.columns)

    @property
    def klass(self) -> bool:
        return self.case.klass in ("", None if self.finding is None else self.finding.klass)

    @property
    def op(self) -> bool:
        return not self.case.ops or (self.finding is not None and self.finding.op in self.case.ops)

    @property
    def phase(self) -> bool:
        return self.case.phase in ("", None if self.finding is None else self.finding.phase)

    @property
    def fixed(self) -> bool:
        """Whether the recommended fix, applied, mends the case; where nothing is to be mended, none is advised."""
        if self.case.klass in ("", "benign rounding"):
            return self.how == ""
        return self.error <= self.case.tolerance


@cache
def traced(name: str, reference: str | None) -> tuple[Any, hs.Trace]:
    """The value of the case of this name, and its trace; run once, and shared by all tests."""
    case = cases()[name]
    if reference is None:  # as the gallery runs it
        shown, trace = exhibits.traced(case.name)
        return shown.observed, trace
    hs.manual_seed(0)
    with hs.precision(case.precision), hs.trace(reference=reference) as t:
        return case.run(), t


def told(finding: hs.Finding | None) -> tuple[Any, ...] | None:
    """What a verdict says, but for measures that only a reference gives, and for the line of who called the case."""
    if finding is None:
        return None
    message = "" if finding.klass == "benign rounding" else finding.message
    return finding.klass, finding.phase, finding.path, finding.op, message, finding.fix


def judged(case: Case) -> Judged:
    """Run a case in every way, and apply the fix that is recommended for it."""
    value, trace = traced(case.id, None)
    finding, plain = trace.verdict(), valued(case)
    again, with_reference = traced(case.id, "fp64")
    bits = flat(plain).tobytes() == flat(value).tobytes() == flat(again).tobytes()
    same = told(finding) == told(with_reference.verdict())
    error, how = _applied(case, finding)
    return Judged(case, bool(case.broken(value)), finding, same, bits, error, how)


def _applied(case: Case, finding: hs.Finding | None) -> tuple[float, str]:
    """The error that is left when the recommended fix is applied, and how that was done."""
    if finding is None or finding.klass == "benign rounding":
        return float("inf"), ""
    shown, fix = exhibits.exhibit(case.name), finding.fixes[0]
    if shown.how != "by hand":
        return shown.left, shown.how
    if fix.option is not None:
        value = by_option(case, finding, fix.option)
        if value is not None:
            return off(value, case.reference), "option"
    inner = fix.policy is None or finding.event is None or str(finding.event.rule) != str(as_rule(case.precision))
    if inner and case.fixed is not None and case.advice.lower() in fix.text.lower():
        return shown.left, "by hand"
    return float("inf"), "policy" if fix.policy is not None else "not applied"
