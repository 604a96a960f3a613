"""A small network in training, healthy and sick."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs


def trained(kind: str, steps: int = 24, reference: object = None) -> Any:
    """The trace of a run: "amp", healthy, from too large a loss scale; or "sgd" in pure float16, everything wrong."""
    hs.manual_seed(0)
    rng, nn = np.random.default_rng(0), hs.nn
    model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 4))
    x, y = rng.standard_normal((32, 8)), rng.integers(0, 4, 32)
    with hs.trace(reference) as t:
        if kind == "amp":
            adam = hs.optim.Adam(model.parameters(), lr=1e-2)
            scaler = hs.amp.GradScaler(init_scale=2.0**20, growth_interval=5)
            for _ in range(steps):
                adam.zero_grad()
                with hs.amp.autocast():
                    loss = nn.cross_entropy(model(hs.tensor(x)), y)
                scaler.scale(loss).backward()
                scaler.step(adam)
                scaler.update()
            return t
        model.to("fp16")
        sgd = hs.optim.SGD(model.parameters(), lr=1e-3)
        with hs.precision("pure_fp16"):
            for i in range(steps):
                sgd.zero_grad()
                loss = nn.cross_entropy(model(hs.tensor(x * (1 if i < steps // 2 else 2000))) * 1e-3, y)
                loss.backward()
                sgd.step()
    return t
