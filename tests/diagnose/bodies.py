"""Small models that work, each with a place named ``fault`` before its head, and a loop that trains them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs

Function = Callable[[hs.Tensor], hs.Tensor]


class Planted(hs.nn.Module):
    """A module that is a function of tensors."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        return self.function(x)


class Body(hs.nn.Module):
    """Features of an input, normalised, then ``fault``, then the head."""

    def __init__(self, features: int, function: Function) -> None:
        super().__init__()
        self.norm = hs.nn.LayerNorm(features)
        self.fault = Planted(function)
        self.head = hs.nn.Linear(features, 4)

    def features(self, x: hs.Tensor) -> hs.Tensor:
        raise NotImplementedError

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        return self.head(self.fault(self.norm(self.features(x))))


class MLP(Body):
    def __init__(self, function: Function) -> None:
        super().__init__(32, function)
        self.first = hs.nn.Linear(16, 32)

    def features(self, x: hs.Tensor) -> hs.Tensor:
        return hs.ops.relu(self.first(x.reshape(len(x), -1)[:, :16]))


class CNN(Body):
    def __init__(self, function: Function) -> None:
        super().__init__(36, function)
        self.conv = hs.nn.Conv2d(1, 4, 3)
        self.pool = hs.nn.MaxPool2d(2)

    def features(self, x: hs.Tensor) -> hs.Tensor:
        return self.pool(hs.ops.relu(self.conv(x))).reshape(len(x), -1)


class LSTM(Body):
    def __init__(self, function: Function) -> None:
        super().__init__(16, function)
        self.lstm = hs.nn.LSTM(8, 16, batch_first=True)

    def features(self, x: hs.Tensor) -> hs.Tensor:
        return self.lstm(x.reshape(len(x), 8, 8))[0][:, -1]


class Encoder(Body):
    def __init__(self, function: Function) -> None:
        super().__init__(8, function)
        self.layer = hs.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def features(self, x: hs.Tensor) -> hs.Tensor:
        return self.layer(x.reshape(len(x), 8, 8)).mean(1)


BODIES: dict[str, type[Body]] = {"mlp": MLP, "cnn": CNN, "lstm": LSTM, "encoder": Encoder}


def batch(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Digits, (size, 1, 8, 8), and which of four classes each is in."""
    data = hs.data.digits()
    return data.x_train[:size].reshape(size, 1, 8, 8), data.y_train[:size] % 4


def train(
    body: str,
    function: Function = lambda x: x,
    rule: str = "fp16",
    weights: str = "fp16",
    optimizer: Callable[[Any], hs.optim.Optimizer] | None = None,
    steps: int = 1,
    loss: Callable[[hs.Tensor, np.ndarray], hs.Tensor] = hs.nn.cross_entropy,
    **options: Any,
) -> hs.Trace:
    """The trace of a few steps of training; without ``optimizer`` forward and backward alone."""
    model = BODIES[body](function).to(weights)
    images, classes = batch()
    chosen = None if optimizer is None else optimizer(model.parameters())
    with hs.precision(rule), hs.trace(**options) as t:
        x = hs.tensor(images, weights)
        for _ in range(steps):
            model.zero_grad()
            value = loss(model(x), classes)
            if value.requires_grad:
                value.backward()
            if chosen is not None:
                chosen.step()
    return t


def centred(y: hs.Tensor) -> hs.Tensor:
    """Zeros with the gradient of ``y``."""
    return y - y.detach()
