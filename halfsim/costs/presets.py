"""Small models of the usual kinds, with an example batch of any size: what `halfsim cost --model` prices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from halfsim import nn
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array

Example = tuple[nn.Module, Callable[[int], tuple[Array, Array]], str]


def preset(name: str, width: int | None = None) -> Example:
    """A model, a function from a batch size to an example ``(x, y)``, and a description.

    ``width`` is that of the hidden layers, instead of the usual one. ``ValueError`` for another name.
    """
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    return PRESETS[name](width)


def _images(*shape: int) -> Callable[[int], tuple[Array, Array]]:
    return lambda n: (np.ones((n, *shape), np.float32), np.zeros(n, np.int64))


def _mlp(width: int | None) -> Example:
    h = width or 256
    model = nn.Sequential(nn.Linear(784, h), nn.ReLU(), nn.Linear(h, 10))
    return model, _images(784), f"784-{h}-10, ReLU"


def _cnn(width: int | None) -> Example:
    c = width or 32
    model = nn.Sequential(
        nn.Conv2d(1, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(c, 2 * c, 3, padding=1), nn.BatchNorm2d(2 * c), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * c * 49, 10),
    )  # fmt: skip
    return model, _images(1, 28, 28), f"28 x 28 images, 3 x 3 convolutions to {c} and {2 * c} channels, linear"


class _Recurrent(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(64, width, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def _lstm(width: int | None) -> Example:
    h = width or 256
    return _Recurrent(h), _images(64, 64), f"64 steps of 64 features, one LSTM of {h}, linear"


class _Encoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x)[:, 0])


def _transformer(width: int | None) -> Example:
    d = width or 256
    if d % 8:
        raise ValueError(f"width: {d} is not allowed; allowed: multiples of 8, the number of heads")
    example = _images(64, d)
    return _Encoder(d), example, f"64 tokens, 2 encoder layers of width {d}, 8 heads, feed-forward {4 * d}, linear"


PRESETS: dict[str, Callable[[int | None], Example]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "lstm": _lstm,
    "transformer": _transformer,
}
