"""Faults with known verdicts, and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import halfsim as hs
from tests.diagnose.bodies import train


class Fault(NamedTuple):
    run: Callable[[], hs.Trace]
    klass: str
    phase: str
    path: str
    op: str


FAULTS: dict[str, Fault] = {}


def fault(klass: str, phase: str, path: str, op: str) -> Any:
    """Register a run whose verdict is known."""

    def decorate(run: Callable[[], hs.Trace]) -> Callable[[], hs.Trace]:
        FAULTS[run.__name__] = Fault(run, klass, phase, path, op)
        return run

    return decorate


def inside(body: str, klass: str, op: str, rule: str = "fp16", path: str = "fault", **options: Any) -> Any:
    """Register a function of a model's features that goes wrong in the forward pass."""

    def decorate(function: Callable[[hs.Tensor], hs.Tensor]) -> Callable[[hs.Tensor], hs.Tensor]:
        weights = "bf16" if rule == "bf16" else "fp16"

        def run() -> hs.Trace:
            return train(body, function, rule, weights, **options)

        FAULTS[function.__name__] = Fault(run, klass, "forward", path, op)
        return function

    return decorate
