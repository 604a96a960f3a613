"""A small training under a trace, with one thing or another planted in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs

nn = hs.nn


def run(
    precision: str = "fp16",
    *,
    seed: int = 0,
    steps: int = 2,
    dropout: float = 0.5,
    act: Any = None,
    swap: bool = False,
    plant: Callable[[Any], None] | None = None,
    values: Any = True,
    lr: float = 0.1,
    **options: Any,
) -> Any:
    """The trace of a small training."""
    hs.manual_seed(seed)
    rng = np.random.default_rng(0)
    layers = [nn.Linear(48, 24), act or nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(24, 5)]
    model = nn.Sequential(*layers).to("fp16")
    optimizer = hs.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    x, y = hs.round_to(rng.standard_normal((16, 48)), "fp16"), rng.integers(0, 5, 16)
    if plant:
        plant(model)
    with hs.precision(precision), hs.trace(fingerprint=values, **options) as t:
        for _ in range(steps):
            optimizer.zero_grad()
            out = model(hs.tensor(x, "fp16"))
            out = (out + 1.0) * 2.0 if not swap else out * 2.0 + 2.0
            loss = nn.cross_entropy(out, y)
            loss.backward()
            optimizer.step()
    return t
