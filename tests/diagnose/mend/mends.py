"""Runs that go wrong, for `hs.mend`, and what is asked of its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import halfsim as hs

Run = Callable[[], Any]


def norm() -> hs.Tensor:
    return (hs.tensor([300.0, 1.0]) ** 2).mean().sqrt()


def log_of_softmax() -> hs.Tensor:
    return hs.ops.log(hs.ops.softmax(hs.tensor([20.0, 0.0, 1.0]), -1)).sum()


def log_of_sum_of_exp() -> hs.Tensor:
    return hs.ops.log(hs.ops.exp(hs.tensor([12.0, 13.0])).sum())


def trained(make: Callable[[list[hs.Tensor]], Any], slope: float = 1.0, steps: int = 100) -> Run:
    """A half weight of 1 under a loss of one slope."""

    def run() -> hs.Tensor:
        w = hs.tensor([1.0], "fp16", requires_grad=True)
        optimizer = make([w])
        for _ in range(steps):
            optimizer.zero_grad()
            (w * slope).sum().backward()
            optimizer.step()
        return w

    return run


def options(found: hs.Mended) -> dict[str, bool]:
    """The options tried, and whether each mends."""
    return {name: one.mends for one in found.tried if one.applied for name in one.fix.option or {}}


def with_fixes(monkeypatch: pytest.MonkeyPatch, *fixes: hs.Fix) -> None:
    """Let these fixes be tried, and these alone."""

    def verdict(trace: hs.Trace) -> hs.Finding | None:
        found = hs.Trace.verdict(trace)
        return None if found is None else replace(found, fixes=fixes)

    monkeypatch.setattr("halfsim.diagnose.mend.attempt.AttemptTrace.verdict", verdict)
    monkeypatch.setattr("halfsim.diagnose.mend.mend.smallest", lambda *given: None)


def sgd(params: list[hs.Tensor]) -> hs.optim.Optimizer:
    return hs.optim.SGD(params, lr=1e-4)
