"""Loss scales that are stuck or misused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.diagnose.bodies import centred
from tests.diagnose.faults.registry import fault


def scaled(
    loss: Callable[[hs.Tensor], hs.Tensor],
    steps: int = 5,
    between: Callable[..., None] = lambda *_: None,
    **options: Any,
) -> hs.Trace:
    """The trace of a small model under autocast and a scaler; ``between`` comes before its step."""
    hs.manual_seed(0)
    model, scaler = hs.nn.Linear(4, 4), hs.amp.GradScaler(**options)
    optimizer = hs.optim.SGD(model.named_parameters(), lr=1e-6)
    x = np.random.default_rng(0).standard_normal((8, 4))
    with hs.trace() as t:
        for _ in range(steps):
            optimizer.zero_grad()
            with hs.amp.autocast():
                value = loss(model(hs.tensor(x)))
            scaler.scale(value).backward()
            between(scaler, optimizer, model, value)
            scaler.step(optimizer)
            scaler.update()
    return t


@fault("scaler", "backward", "", "mul")
def scale_at_its_floor() -> hs.Trace:
    return scaled(lambda y: (centred(y) * 1e5).sum(), 30, min_scale=1.0)


@fault("scaler", "backward", "", "sum")
def scale_that_stays() -> hs.Trace:
    return scaled(lambda y: (centred(y) * 300.0).sum(), dynamic=False)


@fault("scaler", "backward", "", "sqrt")
def root_that_no_scale_mends() -> hs.Trace:
    return scaled(lambda y: ops.sqrt(y * 0.0).sum() + y.sum(), 40)


@fault("scaler", "forward", "", "div")
def zero_over_zero_that_no_scale_mends() -> hs.Trace:
    return scaled(lambda y: ((y * 0.0) / (y * 0.0)).sum(), 40)


@fault("scaler", "optimizer", "", "clip_grad_norm_")
def clipped_before_unscaling() -> hs.Trace:
    return scaled(
        lambda y: y.mean(), between=lambda s, o, model, v: hs.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    )


@fault("scaler", "optimizer", "", "clip_grad_value_")
def clipped_by_value_before_unscaling() -> hs.Trace:
    return scaled(
        lambda y: y.mean(), between=lambda s, o, model, v: hs.nn.utils.clip_grad_value_(model.parameters(), 1.0)
    )


@fault("scaler", "backward", "", "accumulate")
def accumulated_after_unscaling() -> hs.Trace:
    w = hs.tensor(np.ones(4), requires_grad=True)
    optimizer, scaler = hs.optim.SGD([w], lr=1e-4), hs.amp.GradScaler()
    with hs.trace() as t:
        for i in range(2):
            scaler.scale((w * 0.5).sum()).backward()
            if not i:
                scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return t


@fault("scaler", "optimizer", "weight", "step")
def step_without_unscaling() -> hs.Trace:
    model, scaler = hs.nn.Linear(4, 4), hs.amp.GradScaler()
    optimizer = hs.optim.SGD(model.named_parameters(), lr=1e-4)
    with hs.trace() as t:
        with hs.amp.autocast():
            loss = model(hs.tensor(np.ones((2, 4)))).mean()
        scaler.scale(loss).backward()
        optimizer.step()
    return t
