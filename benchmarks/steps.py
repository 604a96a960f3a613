"""What the benchmarks of whole models share: one training step on the simulated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import halfsim as hs


def training_step(
    model: Any, x: Any, y: Any, rule: str, rate: float, *, weights: str, traced: bool
) -> Callable[[], object]:
    """A step of SGD in the precision ``rule`` on a model in the format ``weights``, scaled under "amp"."""
    optimizer = hs.optim.SGD(model.parameters(), lr=rate)
    scaler = hs.amp.GradScaler(enabled=rule == "amp")
    inputs = hs.tensor(x, weights)

    def step() -> object:
        with hs.precision(rule):
            optimizer.zero_grad()
            loss = hs.nn.cross_entropy(model(inputs), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        return loss

    def traced_step() -> object:
        with hs.trace():
            return step()

    return traced_step if traced else step
