"""The networks whose steps are timed: named alike in halfsim and PyTorch, so each is written once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import halfsim as hs
from benchmarks import by_hand
from benchmarks.harness import Make, Work, peer

RATE = 0.01


@dataclass(frozen=True)
class Model:
    """A network of ``nn``, which is halfsim's or PyTorch's, and what it learns."""

    title: str
    make: Callable[[Any], Any]
    data: Callable[[], tuple[Any, Any]]
    hand: Callable[[Any, Any], Work] | None = None


def _pictures(*shape: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random(shape, dtype=np.float32), rng.integers(0, 10, shape[0])


def _sequences() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, 64, 128)).astype(np.float32), rng.integers(0, 10, 16 * 64)


def _characters() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 64, (32, 48)), rng.integers(0, 10, 32 * 48)


def _mlp(activation: str) -> Callable[[Any], Any]:
    return lambda nn: nn.Sequential(nn.Linear(784, 256), getattr(nn, activation)(), nn.Linear(256, 10))


def _cnn(nn: Any) -> Any:
    parts = []
    for a, b in ((1, 8), (8, 16)):
        parts += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(784, 10))


def _lstm(nn: Any) -> Any:
    class Characters(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.cell = nn.Embedding(64, 64), nn.LSTM(64, 128, batch_first=True)
            self.head = nn.Linear(128, 10)

        def forward(self, codes: Any) -> Any:
            return self.head(self.cell(self.embedding(codes))[0]).reshape(-1, 10)

    return Characters()


def _transformer(nn: Any) -> Any:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(0, 1), nn.Linear(128, 10))


MODELS = {
    "MLP": Model("MLP 784-256-10, batch 128", _mlp("ReLU"), lambda: _pictures(128, 784), by_hand.mlp),
    "GELU MLP": Model("MLP 784-256-10 with GELU, batch 128", _mlp("GELU"), lambda: _pictures(128, 784)),
    "CNN": Model("CNN 8-16-10 on 28x28, batch 64", _cnn, lambda: _pictures(64, 1, 28, 28), by_hand.cnn),
    "LSTM": Model("LSTM 64-128 on 48 characters, batch 32", _lstm, _characters),
    "transformer": Model("transformer encoder, 2 layers, d 128, 4 heads, ff 512, 16x64", _transformer, _sequences),
}


def hand(name: str) -> Make:
    """The step written in NumPy float32."""
    model = MODELS[name]
    assert model.hand is not None
    return lambda: model.hand(*model.data()) if model.hand else None  # type: ignore[return-value]


def ours(name: str, rule: str | hs.Precision, steps: int = 1, **traced: Any) -> Make:
    """``steps`` steps of SGD on the simulated unit, under one trace if ``traced`` has its options."""

    def make() -> Work:
        hs.manual_seed(0)
        network = MODELS[name].make(hs.nn)
        weights = "fp32" if rule in ("fp32", "amp") else "fp16"
        network.to(weights)
        x, y = MODELS[name].data()
        inputs = hs.tensor(x, weights) if x.dtype.kind == "f" else hs.tensor(x)
        optimizer, scaler = hs.optim.SGD(network.parameters(), lr=RATE), hs.amp.GradScaler(enabled=rule == "amp")

        def work() -> None:
            with hs.trace(**traced) if traced else contextlib.nullcontext(), hs.precision(rule):
                for _ in range(steps):
                    optimizer.zero_grad()
                    scaler.scale(hs.nn.cross_entropy(network(inputs), y)).backward()
                    scaler.step(optimizer)
                    scaler.update()

        return work

    return make


def theirs(name: str, half: bool) -> Make:
    """The step in PyTorch on the CPU."""

    def make() -> Work:
        torch = peer("torch")
        torch.manual_seed(0)
        dtype = torch.float16 if half else torch.float32
        network = MODELS[name].make(torch.nn).to(dtype)
        x, y = (torch.from_numpy(part) for part in MODELS[name].data())
        inputs = x.to(dtype) if x.is_floating_point() else x
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)

        def work() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), y).backward()
            optimizer.step()

        return work

    return make


def with_autograd() -> Work:
    """The MLP's step with HIPS autograd, in float32."""
    grad, np_ = peer("autograd").grad, peer("autograd.numpy")
    x, y = MODELS["MLP"].data()
    rng, rows = np.random.default_rng(1), np.arange(len(x))
    shapes = ((256, 784), (256,), (10, 256), (10,))
    weights = [rng.uniform(-0.05, 0.05, shape).astype(np.float32) for shape in shapes]

    def loss(given: Any) -> Any:
        w1, b1, w2, b2 = given
        z = np_.dot(np_.maximum(np_.dot(x, w1.T) + b1, 0), w2.T) + b2
        z = z - np_.max(z, axis=1, keepdims=True)
        return np_.mean(np_.log(np_.sum(np_.exp(z), axis=1)) - z[rows, y])

    gradient = grad(loss)

    def work() -> None:
        for w, g in zip(weights, gradient(weights), strict=True):
            w -= np.float32(RATE) * g

    return work
