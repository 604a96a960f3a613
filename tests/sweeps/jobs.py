"""A run as studies have them: a small network, trained in a precision."""

from __future__ import annotations

import numpy as np

import halfsim as hs


def trained(precision: str, seed: int, steps: int = 20) -> dict[str, float]:
    """The loss of a network of 64-32-10 after some steps on random data, in batches of 32."""
    hs.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = hs.nn.Sequential(hs.nn.Linear(64, 32), hs.nn.ReLU(), hs.nn.Linear(32, 10))
    optimizer, loss = hs.optim.SGD(model.parameters(), lr=0.1), hs.nn.CrossEntropyLoss()
    value = 0.0
    with hs.precision(precision):
        for _ in range(steps):
            x, y = hs.tensor(draw.normal(size=(32, 64))), draw.integers(0, 10, 32)
            optimizer.zero_grad()
            found = loss(model(x), y)
            found.backward()
            optimizer.step()
            value = float(found.item())
    return {"loss": value}
