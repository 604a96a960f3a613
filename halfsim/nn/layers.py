"""Layers, with PyTorch's class names, arguments, parameter names and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.random import generator
from halfsim.autograd.tensor import Tensor, tensor
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter


def _uniform(shape: tuple[int, ...], bound: float) -> Parameter:
    return Parameter(tensor(generator().uniform(-bound, bound, shape).astype("float32")))


class Linear(Module):
    """``x @ weight.T + bias`` for x (..., in_features), giving (..., out_features); see `halfsim.ops.linear`.

    Weight (out, in) and bias (out,) are drawn as PyTorch draws them, uniformly between -1/sqrt(in) and
    1/sqrt(in), from the generator that `halfsim.manual_seed` seeds. ``ValueError`` for sizes below 1.

    >>> import halfsim as hs
    >>> Linear(64, 10)(hs.tensor([[0.0] * 64])).shape
    (1, 10)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(f"{name}: {size!r} is not allowed; allowed: integers from 1")
        self.in_features, self.out_features = in_features, out_features
        bound = in_features**-0.5
        self.weight = _uniform((out_features, in_features), bound)
        self.bias = _uniform((out_features,), bound) if bias else None

    def forward(self, x: Any) -> Tensor:
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class ReLU(Module):
    """``max(x, 0)``; see `halfsim.ops.relu`."""

    def forward(self, x: Any) -> Tensor:
        return ops.relu(x)


class Tanh(Module):
    """The hyperbolic tangent; see `halfsim.ops.tanh`."""

    def forward(self, x: Any) -> Tensor:
        return ops.tanh(x)


class CrossEntropyLoss(Module):
    """The mean (or sum) over a batch of -log softmax(input)[target]; see `halfsim.ops.cross_entropy`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return ops.cross_entropy(input, target, self.reduction)
