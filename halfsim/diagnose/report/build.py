"""From a Trace to a Report: plain data, as much of it as a page shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from halfsim.autograd.policy import Policy, rule_name
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.fix import Fix
from halfsim.autograd.trace.kinds import KINDS, kinds_of
from halfsim.autograd.trace.totals import SERIES, Total
from halfsim.autograd.trace.trace import Trace
from halfsim.diagnose.finding import Finding, finding
from halfsim.diagnose.report.facts import COLUMNS, Facts, Layer, Place
from halfsim.diagnose.verdict import breaks, cause
from halfsim.diagnose.verdict import verdict as judge
from halfsim.document import plain

F = TypeVar("F", bound=Facts)


def built(trace: Trace, kind: type[F]) -> F:
    """The report of a trace, made as a ``kind``."""
    verdict = judge(trace)
    found = [cause(trace, event) if breaks(event) else finding(event, trace) for event in trace.events()]
    findings = [f for i, f in enumerate(found) if all(not _same(f, g) for g in found[:i])]
    serial = None if verdict is None or verdict.event is None else verdict.event.serial
    frames = [f for f in trace.captured.values() if f.event.serial == serial]
    before = [_brief(event) for event in (frames[0].before[-6:-1] if frames else ())]
    steps = max(trace.latest[-1].step, 1) if trace.latest else 0
    stride, start, columns, layers = _layers(trace, steps)
    return kind(
        steps,
        None if trace.reference is None else rule_name(trace.reference),
        None if verdict is None else _plain(verdict),
        tuple(_plain(f) for f in findings),
        tuple(before),
        tuple(_place(key, total) for key, total in trace.places.items()),
        layers,
        columns,
        stride,
        start,
        # a scale is noted when its step is over
        tuple((max(int(step) - 1, 1), _number(scale), bool(skipped)) for step, scale, skipped in trace.scales),
        tuple(_left_out(event) for event in trace.left_out() if breaks(event)),
        getattr(trace, "raised", None),  # of a plain recording there is none
    )


def _same(f: Finding, other: Finding) -> bool:
    """Whether two findings tell the same trouble: one event, or one class of trouble at one place."""
    place, where = ((x.klass, x.phase, x.path, x.op, x.tensor) for x in (f, other))
    return (f.event is not None and other.event is not None and f.event.serial == other.event.serial) or place == where


def _left_out(event: Event) -> Finding:
    """NaN and infinities that nothing came of, in the words of their kind."""
    kind = min(kinds_of(event), key=lambda k: not KINDS[k].breaks)  # the first of those that do
    found, text = finding(event, None, kind), "nothing: what came after left them out"
    return _plain(replace(found, fix=text, fixes=(Fix(text),)))


def _brief(event: Event) -> str:
    shape = " x ".join(map(str, event.shape)) or "a scalar"
    return f"step {event.step}, {event.phase}, {event.place}: {shape}, {event.format}"


def _place(key: tuple[str, str, str, str], total: Total) -> Place:
    bins = [] if total.exponents is None else total.exponents.tolist()
    exponents = {b - 127: n for b, n in enumerate(bins) if n}
    counts = Counts()
    counts += total.counts
    errors = _error(total.local), _error(total.total)
    return Place(*key, total.format, total.events, total.terms, counts, exponents, *errors)


def _error(e: Error | None) -> Error | None:
    return None if e is None else Error(_number(e.largest), _number(e.mean), _number(e.relative))


def _number(x: Any) -> float:
    """A float, in which infinity stands for NaN too."""
    return float(x) if x == x else float("inf")


def _plain(f: Finding) -> Finding:
    """A finding without its event, its values and its fixes such as JSON knows."""
    fixes = tuple(
        Fix(fix.text, _written(fix.policy), None if fix.option is None else dict(fix.option)) for fix in f.fixes
    )
    return replace(f, event=None, step=int(f.step), values=plain(f.values, _number), fixes=fixes)


def _written(policy: Policy | None) -> Policy | None:
    """A policy that can be read from what it prints as, and else none: one of formats without a name cannot."""
    try:
        return policy if policy is None or Policy(str(policy)) == policy else None
    except (TypeError, ValueError):
        return None


def _layers(trace: Trace, steps: int) -> tuple[int, int, int, tuple[Layer, ...]]:
    """Steps in a column, the first step, how many columns, and the series folded into them."""
    shift = max([series.shift for series in trace.series.values()], default=0)
    while steps >> shift >= COLUMNS + (shift == 0):
        shift += 1
    first = 1 >> shift  # there is no step 0
    width = (steps >> shift) + 1 - first if steps else 0
    layers = []
    for (phase, path), series in trace.series.items():
        rows = series.rows.reshape(-1, 1 << (shift - series.shift), len(SERIES)).sum(1)[first : first + width]
        rows = np.nan_to_num(rows, nan=np.inf, posinf=np.inf)
        counts = {name: tuple(rows[:, i].tolist()) for i, name in enumerate(SERIES) if rows[:, i].any()}
        layers.append(Layer(phase, path, counts))
    return 1 << shift, max(first << shift, 1), width, tuple(layers)
