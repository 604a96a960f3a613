"""What holds of every run that these tests have: planted faults, healthy runs, and rebuilt reports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.report.report import Report
from tests.cases.catalogue import cases, traced
from tests.diagnose.faults.catalogue import FAULTS
from tests.diagnose.inputs import said
from tests.healthy.catalogue import RUNS
from tests.healthy.check import watched


def _fault(name: str, reference: str | None) -> hs.Trace:
    hs.manual_seed(0)
    made = hs.trace

    def open_trace(given: object = None, **options: Any) -> Any:
        options.pop("reference", None)
        return made(reference, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hs, "trace", open_trace)
        return FAULTS[name].run()


def _healthy(name: str, reference: str | None) -> hs.Trace:
    run = watched(name)
    return (run.compared if reference else run.traced)[1]


def _case(name: str, reference: str | None) -> hs.Trace:
    return traced(name, reference)[1]


# Each run by name: what traces it, without a reference (None) or with one.
EVERY: dict[str, Callable[[str | None], hs.Trace]] = {
    **{f"fault {name}": partial(_fault, name) for name in FAULTS},
    **{f"healthy {name}": partial(_healthy, name) for name in RUNS},
    **{f"case {name}": partial(_case, name) for name in cases()},
}


PROPERTIES: list[Callable[[str], None]] = []


def every_run(holds: Callable[[str], None]) -> Callable[[str], None]:
    PROPERTIES.append(holds)
    return holds


@cache
def trace_of(name: str, reference: str | None) -> hs.Trace:
    """The trace of a run, once in each way."""
    return EVERY[name](reference)


@cache
def report_of(name: str) -> Report:
    return trace_of(name, None).report()


@cache
def told(name: str) -> tuple[hs.Finding, ...]:
    """The verdict, and what showed first of each kind."""
    report = report_of(name)
    return tuple(f for f in (report.verdict, *report.findings) if f is not None)


@every_run
def the_verdict_is_the_same_with_a_reference(name: str) -> None:
    if name == "fault long_dot_product_in_order":
        return  # its trace is of float64 alone
    if name.startswith("case "):
        return  # `tests/cases/test_cases.py` asks it of these
    assert said(trace_of(name, "fp64").verdict()) == said(trace_of(name, None).verdict())


@every_run
def nothing_is_told_twice(name: str) -> None:
    report = report_of(name)
    sentences = [(f.phase, f.place, f.message) for f in report.findings]
    assert len(sentences) == len(set(sentences))
    assert len({(f.klass, f.phase, f.path, f.op, f.tensor) for f in report.findings}) == len(report.findings)
    lines = [line for line in str(report).splitlines() if line.startswith("  - ")]
    assert len(lines) == len(set(lines))


@every_run
def a_verdict_is_no_benign_rounding_that_something_followed(name: str) -> None:
    found = trace_of(name, None).verdict()
    assert found is None or found.klass != "benign rounding" or "followed" not in found.message, f"{found}"


@every_run
def no_count_exceeds_its_size(name: str) -> None:
    for event in trace_of(name, None).events():
        c = event.counts
        assert max(c.overflow, c.divide_by_zero, c.invalid, c.clipped) <= max(c.size, 1), f"{event}"
        assert c.swamped <= c.addends, f"{event}"
        assert c.flushed <= c.nonzero, f"{event}"
        assert c.cancelled + c.annulled <= max(c.sums, c.addends), f"{event}"
        for stage in event.stages:
            assert stage.flushed <= stage.nonzero, f"{event}"
    for f in told(name):
        for count, size in re.findall(r"([\d,]+) of ([\d,]*\d)", f.message):
            assert int(count.replace(",", "")) <= int(size.replace(",", "")), f"{f}"
        for part, whole in (("overflow", "size"), ("clipped", "size"), ("invalid", "size"), ("flushed", "nonzero"),
                            ("swamped", "addends"), ("integers", "size"), ("inexact", "size")):  # fmt: skip
            if part in f.values and whole in f.values and f.klass != "benign rounding":
                assert f.values[part] <= f.values[whole], f"{f}"


@every_run
def a_report_is_json_without_nan_and_reads_back(name: str) -> None:
    def refused(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    report = report_of(name)
    text = report.to_json()
    json.loads(text, parse_constant=refused)
    assert Report.from_json(text).to_json() == text


@every_run
def every_fix_can_be_typed(name: str) -> None:
    for f in told(name):
        assert f.fixes, f"{f}"
        assert f.fix == f.fixes[0].text
        for line in str(f).splitlines():
            assert len(line) <= 100, line
        for fix in f.fixes:
            assert fix.text.strip() == fix.text
            assert "\n" not in fix.text
            if fix.policy is not None:
                keys = fix.to_dict()["policy"]
                with hs.precision(fix.policy), hs.precision(hs.Policy(keys)):
                    pass
            json.dumps(fix.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.run(name)) for name in EVERY])
def test_what_holds_of_every_run(name: str) -> None:
    """All properties of a run in one test, and all that do not hold are told."""
    wrong = []
    for holds in PROPERTIES:
        try:
            holds(name)
        except Exception as error:
            error.add_note(holds.__name__)
            wrong.append(error)
    if wrong:
        raise ExceptionGroup(name, wrong)


# Inputs that half cannot hold, made inside the trace.

_RAW = np.random.default_rng(7).uniform(0.1, 0.9, (4, 4))
INSIDE: dict[str, tuple[Callable[[hs.Tensor], Any], str]] = {
    "overflow": (lambda x: (x * 1000.1) * 1000.3, "overflow"),
    "exponential": (lambda x: hs.ops.exp(x + 11.3), "overflow"),
    "pole": (lambda x: 1.0 / (x * 0.0), "overflow"),
    "not a number": (lambda x: hs.ops.log(-x), "NaN propagation"),
    "zero over zero": (lambda x: (x * 0.0) / (x * 0.0), "NaN propagation"),
    "underflow": (lambda x: x * 1e-5 * 1e-5 + 0.0, "underflow"),
    "cancellation": (lambda x: hs.ops.log((x * 0.01 + 9.1) - 9.1), "cancellation"),
    "swamping": (lambda x: sum([x * 0.0 + 1e-4] * 900, start=x + 4.0), "swamping"),
    "lost eps": (lambda x: 1.0 / (x * 0.0 + 1e-9), "eps lost"),
    "mask": (lambda x: hs.ops.softmax(hs.ops.masked_fill(x, np.ones((4, 4), bool), -1e9)), "constant changed"),
}


@pytest.mark.parametrize("rule", ["fp16", "bf16"])
@pytest.mark.parametrize("name", INSIDE)
def test_inputs_that_are_rounded_inside_the_trace_hide_nothing(name: str, rule: str) -> None:
    run, klass = INSIDE[name]
    if rule == "bf16" and name in ("overflow", "exponential", "underflow", "lost eps", "mask"):
        pytest.skip("bfloat16 holds these")
    found = []
    for reference in (None, "fp64"):
        with hs.precision(rule), hs.trace(reference=reference) as t:
            x = hs.tensor(_RAW)
            assert (x.numpy() != _RAW).any()
            run(x)
        found.append(t.verdict())
    assert said(found[0]) == said(found[1])
    assert found[0].klass == klass, f"{found[0]}"
