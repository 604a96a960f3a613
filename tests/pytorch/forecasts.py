"""Forecasts held against simulated runs: ``python -m tests.pytorch.forecasts [COUNT]``, over random small models.

Each model trains three steps in float32 under ``observe`` with a forecast, and anew in the simulation. A finding is
right if the simulated run has one of the same class in the same phase, module and operation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import halfsim as hs
from halfsim.diagnose.forecast import findings
from halfsim.pytorch import observe, simulate

TARGETS = ("fp16", "bf16", "fp8", "amp")
LOSSES = (
    lambda y, t: ((y - t) ** 2).mean(), lambda y, t: ((y - t) ** 2).sum(), lambda y, t: nn.functional.l1_loss(y, t),
    lambda y, t: nn.functional.cross_entropy(y, t.argmax(-1)), lambda y, t: torch.log(torch.exp(y).sum(-1)).mean(),
)  # fmt: skip


class Attention(nn.Module):
    """One head over rows, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return torch.softmax(q @ k.transpose(-2, -1), -1) @ v


class Squared(nn.Module):
    """A norm that squares as it stands."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def program(seed: int) -> Callable[[], Any]:
    """A random model, its data and three steps of training."""
    rng = np.random.default_rng(seed)
    width, depth = int(rng.integers(4, 17)), int(rng.integers(1, 4))
    kinds = rng.integers(0, 9, depth)
    scale, rate = 10.0 ** rng.uniform(-3, 3), 10.0 ** rng.uniform(-4, -1)
    loss, rule = LOSSES[rng.integers(len(LOSSES))], int(rng.integers(3))
    weight = 10.0 ** rng.uniform(-1, 1)

    def block(kind: int) -> nn.Module:
        made: dict[int, Callable[[], nn.Module]] = {
            0: nn.ReLU, 1: nn.GELU, 2: lambda: nn.LayerNorm(width), 3: nn.Tanh, 4: lambda: Attention(width),
            5: Squared, 6: nn.Sigmoid, 7: nn.SiLU, 8: lambda: nn.BatchNorm1d(width),
        }  # fmt: skip
        return made[kind]()

    def run() -> float:
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for kind in kinds:
            layers += [nn.Linear(width, width), block(int(kind))]
        model = nn.Sequential(*layers, nn.Linear(width, 4))
        with torch.no_grad():
            for p in model.parameters():
                p *= weight
        optimizer = (
            torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9), torch.optim.AdamW(model.parameters(), lr=rate),
            torch.optim.RMSprop(model.parameters(), lr=rate),
        )[rule]  # fmt: skip
        last = 0.0
        for _ in range(3):
            x, t = scale * torch.randn(8, width), torch.randn(8, 4)
            value = loss(model(x), t)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            last = value.item()
        return last

    return run


def compared(seed: int, target: str) -> tuple[set[Any], set[Any]]:
    """What was forecast, and what the simulated run met."""
    run = program(seed)
    with observe(), hs.trace(forecast=target) as seen:
        run()
    with simulate(target), hs.trace() as met:
        run()
    return tuple({(f.klass, f.phase, f.path, f.op) for f in found} for found in (seen.forecast(), findings(met)))  # type: ignore[return-value]


def scores(count: int = 100) -> tuple[int, int, int]:
    """Over so many models: findings in both, in the forecast, and in the simulated run."""
    both = forecast = met = 0
    for seed in range(count):
        ours, theirs = compared(seed, TARGETS[seed % len(TARGETS)])
        both, forecast, met = both + len(ours & theirs), forecast + len(ours), met + len(theirs)
    return both, forecast, met


def told(count: int = 100) -> str:
    """The measurement in a line."""
    both, forecast, met = scores(count)
    return (
        f"{count} models: {forecast} findings forecast, {met} met, {both} in both; "
        f"precision {both / forecast:.3f}, recall {both / met:.3f}"
    )


if __name__ == "__main__":
    print(told(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
