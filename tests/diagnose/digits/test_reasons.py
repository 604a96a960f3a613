"""Every reason by the smallest program that shows it; what is no reason is given none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.digits import reasons, rows
from halfsim.diagnose.digits.reasons import CASES, REASONS, Facts

t = hs.tensor


def ones() -> Any:
    return t(np.ones(512)).sum()


def ones_then_more() -> Any:
    return t(np.ones(512)).sum() / 3


def ones_beside_a_branch() -> Any:
    x = t(1.0) / 7 * 7
    return t(np.ones(512)).sum() if x < 1 else (t(np.ones(512)).sum(), x.exp())[0]


def faint() -> Any:
    """Each addend is a thousandth of what could change the sum: hardly a run keeps one."""
    return (t(1.0) + 2.0**-21) - 1


def tiny_products() -> Any:
    x = t(np.full(1000, 2.0**-12))
    return (x * (t(np.full(1000, 0.4)) * 2.0**-12)).sum()


def tiny() -> Any:
    return t([1e-6]) * 1e-6


def drifting() -> Any:
    total = t(64.0)
    for _ in range(200):
        total = total + 0.1
    return total


def cut() -> Any:
    total = t(0.0)
    for _ in range(200):
        total = total + 0.3
    return total


def made() -> Any:
    return t([0.1001]) - t([0.1])


def converted() -> Any:
    return t([0.10003], "fp32").half().float() - t([0.1], "fp32")


def unit() -> Any:
    rng = np.random.default_rng(0)
    a, b = (hs.round_to(rng.random(shape), "fp16") for shape in ((1, 4096), (4096, 1)))
    return t(a) @ t(b)


def forked() -> Any:
    x = t(1.0) / 3 * 3
    return x * 2 if x < 1 else (x + 1).exp()


def reshaped() -> Any:
    x = t(1.0) / 3 * 3
    return t([1.0]) * 3 if x < 1 else t([1.0, 2.0]) * 3


def deceived() -> Any:
    x = t(1.0) + 1e-5
    return x * 3 if x > 1 else x - 1


def fails() -> Any:
    x = t(1.0) / 3 * 3
    if x < 1:
        raise ArithmeticError("below one")
    return x * 1


def noise() -> Any:
    return t([0.1]) * (t([0.3]) + 0.7) - t([0.1]) * 0.3 - t([0.1]) * 0.7


def squared() -> Any:
    """Of numbers that are noise alone the mean of the squares is no zero: all runs share that, and none is right."""
    x = t(np.arange(1024, 2048) / 1024)
    return ((x / 3 * 3 - x) ** 2).sum() * 2.0**12 + 0.25


BF16 = "storage=bf16, compute=bf16, accumulate=bf16:sequential"
# By reason: a program, the precision, what the words say.
PROGRAMS: dict[str, tuple[str, Callable[[], Any], str, str]] = {
    "sum": ("swamping", ones, BF16, "256 addends changed nothing at sum (test_reasons.py:"),
    "sum, further on": ("swamping", ones_then_more, BF16, "rounding at random keeps them on average"),
    "sum beside a branch": ("swamping", ones_beside_a_branch, BF16, "256 addends changed nothing at sum"),
    "hardly one": ("swamping", faint, "pure_fp16", "so small beside the sum that hardly one of 8 runs kept any"),
    "flushed before": ("underflow", tiny_products, "fp16", "1,000 numbers became zero at mul (test_reasons.py:"),
    "hardly one flushed": ("underflow", tiny, "fp16", "so small that hardly one of 8 runs kept any: more runs would"),
    "drift": ("drift", drifting, "pure_fp16", "go the same way again and again at add (test_reasons.py:"),
    "directed": ("directed rounding", cut, "pure_fp16, rounding=toward_zero", "rounds toward zero, every time to one"),
    "made": ("rounded before", made, "fp16", "2 numbers as tensors were made of them, first at test_reasons.py:"),
    "converted": ("rounded before", converted, "fp32", "1 number as tensors were converted: to nearest in every run"),
    "unit": ("matrix unit", unit, "storage=fp32, operands=fp16, accumulate=V100", "added as V100 adds them"),
    "clipped": ("clipped", lambda: t([300.1]) * 300.0, "storage=fp16, overflow=saturate", "1 number past the largest"),
    "clipped, further on": (
        "clipped", lambda: (t([300.1]) * 300.0) / 3, "storage=fp16, overflow=saturate", "at mul (test_reasons.py:"
    ),
    "forked": ("branch", forked, "fp16", "did other things than the run as it is, first at step 1, forward, "),
    "reshaped": ("branch", reshaped, "fp16", "did not compute it, or in another shape"),
    "deceived": ("branch", deceived, "fp16", "the reference did other things, first at step 1, forward, sub, test_re"),
    "fails": ("exception", fails, "fp16", "runs under random rounding ended by ArithmeticError: below one"),
    "noise": ("noise", noise, "fp16", "the reference is zero beside what changes from run to run, "),
    "infinite": ("NaN or infinity", lambda: t([300.0]) * 300, "fp16", "it is range that is missing, not digits"),
    "infinite in part": ("NaN or infinity", lambda: t([300.0, 1.0]) * 300, "fp16", "every run has a NaN or an infin"),
    "NaN everywhere": ("NaN or infinity", lambda: t([np.nan]) * 3, "fp16", "nor has the reference"),
    "infinite at times": ("NaN or infinity", lambda: t([65504.0]) + 8, "fp16", "of 8 runs under random rounding met"),
    "finite at times": ("NaN or infinity", lambda: t([65504.0]) + 24, "fp16", "have numbers where the run as it is h"),
    "no error": ("luck", lambda: t(1.0) / 3 * 3 - 1023 / 1024, "pure_fp16", "the run as it is has no error at all"),
    "small error": ("luck", lambda: (t(1.0) / 3 * 3 - 1023 / 1024) * 0.3, "pure_fp16", "times smaller than those of"),
    "squares of noise": ("shared error", squared, "fp16", "does not matter which way numbers are rounded, or 8"),
}  # fmt: skip


def found(program: Callable[[], Any], precision: str) -> Any:
    if precision.startswith("pure_fp16,"):
        precision = precision.replace("pure_fp16", "storage=fp16, compute=fp16, accumulate=fp16:sequential")
    return hs.significant_digits(program, precision)


@cache
def told(name: str) -> tuple[Any, list[Facts]]:
    """What is found of a program, and the facts of its rows."""
    facts: list[Facts] = []

    def noted(f: Facts) -> tuple[str, str]:
        facts.append(f)
        return reasons.why(f)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "why", noted)
        return found(*PROGRAMS[name][1:3]), facts


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_reason_is_told_where_it_is_one(name: str) -> None:
    reason, _, _, words = PROGRAMS[name]
    result, _ = told(name)
    row = result["result"]
    assert row.reason == reason
    assert words in row.why
    assert f"{reason}: " in str(result)
    assert max(map(len, str(result).splitlines())) <= 100


def test_every_reason_has_a_program() -> None:
    assert {reason for reason, *_ in PROGRAMS.values()} == {reason.name for reason in REASONS}
    assert {case for reason in REASONS for case in reason.cases} == CASES.keys() - {"agree"}


@pytest.mark.parametrize("index", range(len(REASONS)))
def test_every_row_is_needed(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a row, a result of some program above is told something else, or nothing."""
    facts = [told(name)[1][-1] for name, (reason, *_) in PROGRAMS.items() if reason == REASONS[index].name]
    before = [reasons.why(f) for f in facts]
    monkeypatch.setattr(reasons, "REASONS", (*REASONS[:index], *REASONS[index + 1 :]))
    assert [reasons.why(f) for f in facts] != before


AGREE: dict[str, tuple[Callable[[], Any], str]] = {
    "exact": (lambda: t([1.0, 2.0]) + 1, "fp16"),
    "zero": (lambda: t([1.0]) - 1, "fp16"),
    "one rounding": (lambda: t([1.0]) / 3, "fp16"),
    "a long sum": (lambda: t(np.linspace(1.0, 2.0, 256)).sum(), "pure_fp16"),
    "masked": (lambda: hs.nn.functional.softmax(t([1.0, 2.0, -np.inf]) * 0.3, 0), "fp16"),
    "cancelled": (lambda: t([1000.0]) / 3 - t([999.0]) / 3, "pure_fp16"),
    "in bfloat16": (lambda: t(np.linspace(1.0, 2.0, 256)).log().sum(), "bf16"),
}


@pytest.mark.parametrize("name", AGREE)
def test_no_reason_is_told_where_both_agree(name: str) -> None:
    result = found(*AGREE[name])
    assert [(row.reason, row.why) for row in (*result.results, *result.modules)] == [("", "")] * (
        len(result.results) + len(result.modules)
    )


def test_a_training_that_stalls_is_told_of() -> None:
    """A weight of 1 moves by 2e-4 a step: half keeps none of these, and random rounding two in five."""

    def run() -> Any:
        w = t([1.0] * 64, "fp16", requires_grad=True)
        optimizer = hs.optim.SGD([w], lr=2e-4)
        for _ in range(100):
            optimizer.zero_grad()
            loss = w.mean()
            w.sum().backward()
            optimizer.step()
        return loss

    row = hs.significant_digits(run, "fp16")["result"]
    assert (row.reason, row.run) == ("swamping", 1.0)
    assert "64 addends changed nothing at update (test_reasons.py:" in row.why
    assert row.measured is not None
    assert row.measured < 6 < row.lower
    assert row.mean == pytest.approx(row.reference, abs=2e-3)
