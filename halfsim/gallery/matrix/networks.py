"""The networks of the matrix: perceptrons that see a picture at once, and recurrent ones that read it row by row."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

from halfsim import nn
from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.matrix.setup import Setup
from halfsim.nn.module import Module

CLASSES = 10
PIXELS = 64


class Perceptron(Module):
    """``depth`` layers of weights: each hidden one is normalised, bent and added to what came in, where so asked."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        sizes = [PIXELS, *[setup.width] * (setup.depth - 1), CLASSES]
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(n) for n in sizes[1:-1]] if setup.norm else [])
        self.bend, self.residual = getattr(ops, setup.activation), setup.residual

    def forward(self, x: Any) -> Tensor:
        *hidden, last = self.layers
        for i, layer in enumerate(hidden):
            y = layer(x)
            y = self.bend(self.norms[i](y) if len(self.norms) else y)
            x = x + y if self.residual and i else y
        return last(x)


class Recurrent(Module):
    """Reads rows of pixels one after the other; a layer names the digit after the last one.

    With a normalisation or a residual connection it goes step by step, for both are inside the recurrence.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        inputs, lstm = 2 * PIXELS // setup.depth, setup.network == "lstm"
        self.lstm, self.residual, self.inside = lstm, setup.residual, setup.norm or setup.residual
        own: dict[str, Any] = {} if lstm else {"nonlinearity": setup.activation}
        kind: Any = (nn.LSTMCell if lstm else nn.RNNCell) if self.inside else (nn.LSTM if lstm else nn.RNN)
        self.cell = kind(inputs, setup.width, **own)
        self.norm = nn.LayerNorm(setup.width) if setup.norm else None
        self.last = nn.Linear(setup.width, CLASSES)

    def forward(self, x: Any) -> Tensor:
        if not self.inside:
            return self.last(self.cell(x.transpose(0, 1))[0][-1])
        h: Any = None
        state: Any = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            new = state[0] if self.lstm else state
            new = new if self.norm is None else self.norm(new)
            h = h + new if self.residual and h is not None else new
            state = (h, state[1]) if self.lstm else h
        return self.last(h)


def network(setup: Setup) -> Module:
    """The network with its first weights, in float32, drawn from the generator of `manual_seed`."""
    model = Perceptron(setup) if setup.network == "mlp" else Recurrent(setup)
    for name, p in model.named_parameters():
        if p.ndim == 2 and setup.orthogonal:
            nn.init.orthogonal_(p, setup.gain)
        elif p.ndim == 2:
            nn.init.normal_(p, std=setup.gain / sqrt(p.shape[1]))
        elif "norm" not in name:
            nn.init.zeros_(p)
    return model
