"""What a trace costs: training steps plain, traced and with a reference; one command, one process, one thread, medians.

    python benchmarks/tracing.py [--json PATH] [--repeats N] [--memory]

An MLP 784-256-10 with batch 128, a small CNN with batch 64, an LSTM 64-128 on 48 characters with batch 32 and two
Transformer layers, weights and operations in float16, plain SGD. The three ways are timed in turns, so that a drift
of the machine meets all alike; each time is the mean of 32 steps, for every 32nd with a reference measures local
errors too. ``--memory`` follows 10,000 steps of an MLP 64-32-10 and gives the bytes that its trace holds.
"""

from __future__ import annotations

from harness import Row, parser, show, write  # first: it sets the number of threads  # isort: skip

import contextlib
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs
from halfsim import nn

ROUND = 32  # steps a measurement


def mlp() -> tuple[nn.Module, Any, Any]:
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    rng = np.random.default_rng(0)
    return model, rng.random((128, 784)), rng.integers(0, 10, 128)


def cnn() -> tuple[nn.Module, Any, Any]:
    first = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    model = nn.Sequential(*first, nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), _head(784))
    rng = np.random.default_rng(0)
    return model, rng.random((64, 1, 28, 28)), rng.integers(0, 10, 64)


def transformer() -> tuple[nn.Module, Any, Any]:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(0, 1), _head(128))
    rng = np.random.default_rng(0)
    return model, rng.standard_normal((16, 64, 128)), rng.integers(0, 10, 16 * 64)


class Characters(nn.Module):
    """An LSTM on characters, with a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.cell, self.head = nn.Embedding(64, 64), nn.LSTM(64, 128, batch_first=True), _head(128)

    def forward(self, codes: Any) -> hs.Tensor:
        return self.head(self.cell(self.embedding(codes))[0]).reshape(-1, 10)


def lstm() -> tuple[nn.Module, Any, Any]:
    rng = np.random.default_rng(0)
    return Characters(), rng.integers(0, 64, (32, 48)), rng.integers(0, 10, 32 * 48)


def _head(features: int) -> nn.Module:
    return nn.Linear(features, 10)


MODELS = {"MLP": mlp, "CNN": cnn, "LSTM": lstm, "Transformer": transformer}


def trainer(make: Callable[[], tuple[nn.Module, Any, Any]]) -> Callable[[], None]:
    """One step of training."""
    hs.manual_seed(0)
    model, images, classes = make()
    optimizer = hs.optim.SGD(model.to("fp16").parameters(), lr=0.01)
    x = hs.tensor(images, "fp16") if images.dtype.kind == "f" else images

    def step() -> None:
        optimizer.zero_grad()
        with hs.precision("fp16"):
            nn.cross_entropy(model(x), classes).backward()
        optimizer.step()

    return step


WAYS: dict[str, Callable[[], Any]] = {
    "plain": contextlib.nullcontext,
    "traced": hs.trace,
    "reference": lambda: hs.trace(reference="fp64"),
}


def measure(step: Callable[[], None], repeats: int) -> dict[str, float]:
    """Median milliseconds of a step in each way, in turns."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeats):
        for name, way in WAYS.items():
            with way():
                step()
                start = time.process_time()
                for _ in range(ROUND):
                    step()
                times[name].append(1e3 * (time.process_time() - start) / ROUND)
    return {name: statistics.median(values) for name, values in times.items()}


def held(steps: int) -> dict[str, float]:
    """Bytes that the trace of so many steps holds, at the most and for each place."""
    rng = np.random.default_rng(0)
    step = trainer(lambda: (nn.Sequential(nn.Linear(64, 32), nn.ReLU(), _head(32)), rng.random((64, 64)), [0, 1] * 32))
    step()
    tracemalloc.start()
    with hs.trace(reference="fp64") as t:
        for _ in range(steps):
            step()
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"steps": steps, "places": len(t.places), "bytes": now, "peak": peak, "bytes_a_place": now / len(t.places)}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--memory", action="store_true", help="follow 10,000 steps, too")
    arguments = options.parse_args()
    rows: list[Row] = []
    more: dict[str, Any] = {}
    lines = [("model", "plain ms", "traced", "with reference")]
    for name, make in MODELS.items():
        ms = measure(trainer(make), arguments.repeats)
        rows.append({"model": name, **ms})
        traced, reference = (f"{ms[way] / ms['plain']:.2f}x" for way in ("traced", "reference"))
        lines.append((name, f"{ms['plain']:.2f}", traced, reference))
    show(lines, left=1)
    if arguments.memory:
        more["memory"] = memory = held(10_000)
        print(f"10,000 steps: {memory['bytes']:,.0f} bytes held, {memory['peak']:,.0f} at the most, ", end="")
        print(f"{memory['places']} places")
    write(arguments.json, rows, **more)


if __name__ == "__main__":
    main()
