"""Trouble that shows only further on: digits that a divisor lacks, and an overflow that hides behind another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

LEVELS = np.array([0.9, 0.1, 3e-3, 4.9e-8])
REFERENCES = pytest.mark.parametrize("reference", [None, "fp64"])


def told(run: Callable[[], Any], rule: str = "fp32", reference: str | None = None) -> hs.Finding:
    hs.manual_seed(0)
    with hs.precision(rule), hs.trace(reference=reference) as t:
        run()
    found = t.verdict()
    assert found is not None
    return found


DIVIDED: dict[str, tuple[str, Callable[[], Any]]] = {
    "data": ("tensor", lambda: 1 / hs.tensor(LEVELS, "fp16").float()),
    "a root": ("tensor", lambda: 1 / hs.tensor(LEVELS, "fp16").float().sqrt()),
    "rsqrt": ("tensor", lambda: hs.tensor(LEVELS, "fp16").float().rsqrt()),
    "chosen": ("tensor", lambda: hs.tensor(LEVELS, "fp16").float()[[0, 3]].reciprocal()),
    "a cast": ("cast", lambda: 1 / hs.tensor(LEVELS, "fp32").half().float()),
}


@REFERENCES
@pytest.mark.parametrize("name", DIVIDED)
def test_subnormal_numbers_that_something_is_divided_by(name: str, reference: str | None) -> None:
    op, run = DIVIDED[name]
    found = told(run, reference=reference)
    assert (found.klass, found.phase, found.op) == ("underflow", "forward", op)
    off = float(np.float16(LEVELS[3])) / LEVELS[3] - 1
    assert (found.values["subnormal"], found.values["size"]) == (1, 4)
    assert found.values["off"] == pytest.approx(off, rel=1e-6)
    assert f"off by up to {off:.0%}, and something was divided by it" in found.message
    assert "float32" in found.fix


CALM: dict[str, Callable[[], Any]] = {
    "an eps beside": lambda: 1 / (hs.tensor(LEVELS, "fp16").float() + 1e-3),
    "above the line": lambda: hs.tensor(LEVELS, "fp16").float() / 3.0,
    "left out": lambda: 1 / hs.tensor(LEVELS, "fp16").float()[:3],
    "exact": lambda: 1 / hs.tensor(np.append(LEVELS[:3], 2.0**-24), "fp16").float(),
    "in float32": lambda: 1 / hs.tensor(LEVELS),
    "beside a larger one": lambda: (
        hs.tensor([1.0, 1.0, 1.0, 1e-9], "fp32") / hs.tensor(LEVELS, "fp16").float()
    ),
}  # fmt: skip


@REFERENCES
@pytest.mark.parametrize("name", CALM)
def test_subnormal_numbers_that_come_to_nothing(name: str, reference: str | None) -> None:
    with hs.precision("fp32"), hs.trace(reference=reference) as t:
        CALM[name]()
    found = t.verdict()
    assert found is None or found.klass == "benign rounding", f"{found}"


def deviation() -> hs.Tensor:
    x = hs.tensor(np.arange(1000.0))
    mean = x.sum() / 1000
    return (((mean - x) ** 2).sum() / 999).sqrt()


def bounded() -> hs.Tensor:
    x = hs.tensor(np.arange(1000.0))
    mean = x.sum() / 1000
    return ((mean - x) * 1e-2).square().sum() / 999


@REFERENCES
def test_an_overflow_behind_another_is_mended_with_it(reference: str | None) -> None:
    found = told(deviation, "fp16", reference)
    assert (found.klass, found.op) == ("overflow", "sum")
    policy = found.fixes[0].policy
    assert policy is not None
    for op in ("sum", "div", "pow", "sqrt"):
        assert op in found.fix.split(" in float32")[0]
    with hs.precision(policy):
        assert deviation().item() == pytest.approx(np.arange(1000.0).std(ddof=1), rel=1e-3)


@REFERENCES
def test_what_would_not_overflow_by_itself_stays_in_half(reference: str | None) -> None:
    found = told(bounded, "fp16", reference)
    assert found.fix.startswith("keep sum and div in float32;")
    assert found.fixes[0].policy is not None
    with hs.precision(found.fixes[0].policy):
        assert np.isfinite(bounded().item())


@REFERENCES
def test_a_factor_whose_size_is_meant_is_kept_and_not_made_smaller(reference: str | None) -> None:
    found = told(lambda: (hs.tensor([0.25, 0.5]) * 90000.0) / 3.0, "pure_fp16", reference)
    assert (found.klass, found.op) == ("constant changed", "mul")
    assert found.fix.startswith("keep mul and div in float32; or take a factor that float16 holds")
    assert found.fixes[0].policy is not None
    assert found.fixes[1].option == {"constant": 65504.0}
