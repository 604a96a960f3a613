"""The problems that the matrix is about: a row for each, with the run that has it and what measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halfsim.gallery.matrix import measures
from halfsim.gallery.matrix.setup import Setup
from halfsim.gallery.matrix.training import Training


@dataclass(frozen=True)
class Problem:
    """A trouble: a run that has it, and its measure, of which less is better.

    ``limit`` is the norm to which gradients are clipped, below what is usual in this run; ``unit`` is "share",
    "decades" or "steps".
    """

    name: str
    setup: Setup
    measure: Callable[[Training], float]
    unit: str
    limit: float


_FEW, _MANY = 2.0**-10, 2.0**-17  # what a loss counts as one of many terms

_ROWS = (
    Problem("precision", Setup(lr=0.05), measures.drift, "share", 0.5),
    Problem("vanishing", Setup(depth=10, activation="sigmoid", gain=1.0, lr=0.5, steps=40), measures.imbalance,
            "decades", 0.2),
    Problem("exploding", Setup(network="rnn", depth=16, gain=1.8, lr=0.2, steps=40, batch=32), measures.exploded,
            "share", 1.0),
    Problem("exploding-lstm", Setup(network="lstm", depth=16, width=64, gain=4.0, lr=30.0, steps=25, batch=32),
            measures.exploded, "share", 0.1),
    Problem("instability", Setup(depth=3, gain=2.5, lr=0.3, stable=False, steps=50), measures.broken, "share", 0.7),
    Problem("depth", Setup(depth=16, lr=0.01, steps=30), measures.depth_error, "share", 0.5),
    Problem("accuracy", Setup(activation="tanh", gain=1.4, weight=_MANY, lr=0.3 / _MANY, steps=80), measures.errors,
            "share", 3e-6),
    Problem("updates", Setup(lr=0.0005), measures.stuck, "share", 0.5),
    Problem("underflow", Setup(depth=4, activation="sigmoid", gain=2.0, weight=_FEW, lr=0.5 / _FEW),
            measures.flushed, "share", 2e-4),
    Problem("interruption", Setup(crash=(0.5, 1.0)), measures.undone, "steps", 0.5),
)  # fmt: skip
PROBLEMS = {row.name: row for row in _ROWS}
