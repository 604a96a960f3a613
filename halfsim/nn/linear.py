"""Linear maps as layers."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.init import uniform_parameter, weight_and_bias
from halfsim.nn.module import Module


def _check_sizes(**sizes: Any) -> None:
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{name}: {size!r} is not allowed; allowed: integers from 1")


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
        _check_sizes(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight, self.bias = weight_and_bias((out_features, in_features), out_features if bias else 0)

    def forward(self, input: Any) -> Tensor:
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that PyTorch gives the last layer of its attention."""


class Bilinear(Module):
    """``x1 @ weight[o] @ x2 + bias[o]`` for x1 (..., in1), x2 (..., in2); see `halfsim.ops.bilinear`.

    Weight (out, in1, in2) and bias (out,) are drawn uniformly between -1/sqrt(in1) and 1/sqrt(in1). ``ValueError`` for
    sizes below 1.

    >>> import halfsim as hs
    >>> Bilinear(3, 4, 5)(hs.tensor([[0.0] * 3]), hs.tensor([[0.0] * 4])).shape
    (1, 5)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        _check_sizes(in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound = 1 / sqrt(in1_features)
        self.weight = uniform_parameter((out_features, in1_features, in2_features), bound)
        self.bias = uniform_parameter((out_features,), bound) if bias else None

    def forward(self, input1: Any, input2: Any) -> Tensor:
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
