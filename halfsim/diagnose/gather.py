"""From a Trace to a Report: plain data, as much of it as a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd import trace as recording
from halfsim.autograd.policy import Policy
from halfsim.autograd.trace import SERIES, Error
from halfsim.diagnose.finding import Finding, finding
from halfsim.diagnose.report import COLUMNS, Layer, Place, Report
from halfsim.numerics.flags import FlagCounts

if TYPE_CHECKING:
    from halfsim.diagnose.trace import Trace


def reported(trace: Trace) -> Report:
    """The Report of a trace."""
    verdict = trace.verdict()
    findings = [finding(event, trace) for event in trace.events()]
    frames = [f for f in trace.captured.values() if verdict is not None and f.event is verdict.event]
    before = [_brief(event) for event in (frames[0].before[-6:-1] if frames else ())]
    steps = max(trace.latest[-1].step, 1) if trace.latest else 0
    stride, start, columns, layers = _layers(trace, steps)
    return Report(
        steps,
        None if trace.reference is None else _named(trace.reference),
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
    )


def _named(reference: Any) -> str:
    return str(Policy({"default": reference}))


def _brief(event: recording.Event) -> str:
    shape = " x ".join(map(str, event.shape)) or "a scalar"
    return f"step {event.step}, {event.phase}, {event.place}: {shape}, {event.format}"


def _place(key: tuple[str, str, str, str], total: recording.Total) -> Place:
    bins = [] if total.exponents is None else total.exponents.tolist()
    exponents = {b - 127: n for b, n in enumerate(bins) if n}
    counts = FlagCounts()
    counts += total.counts
    errors = _error(total.local), _error(total.total)
    return Place(*key, total.format, total.events, total.terms, counts, exponents, *errors)


def _error(e: Error | None) -> Error | None:
    return None if e is None else Error(_number(e.largest), _number(e.mean), _number(e.relative))


def _number(x: Any) -> float:
    """A float, in which infinity stands for NaN too."""
    return float(x) if x == x else float("inf")


def _plain(f: Finding) -> Finding:
    """A finding without its event, its values such as JSON knows."""
    facts = f.to_dict()
    return Finding(**{**facts, "values": plain(facts["values"]), "step": int(f.step), "fixes": f.fixes})


def plain(x: Any) -> Any:
    """``x`` made of dict, list, str, int, float, bool and None."""
    if isinstance(x, Mapping):
        return {str(key): plain(value) for key, value in x.items()}
    if isinstance(x, np.ndarray):
        return plain(x.tolist())
    if isinstance(x, (list, tuple)):
        return [plain(item) for item in x]
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, float):
        return _number(x)
    return x if x is None or isinstance(x, (bool, int, str)) else str(x)


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
