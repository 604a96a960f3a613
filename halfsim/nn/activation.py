"""Activations as layers. Arguments named ``inplace`` are taken for PyTorch's sake; nothing is written in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import made_in, tensor
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter


class _Activation(Module):
    """A layer that is one operation; ``_function`` is it, ``_options`` are the attributes that it takes."""

    _function: Any = None
    _options: tuple[str, ...] = ()

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        return type(self)._function(input, *(getattr(self, name) for name in self._options))

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self._options]
        return ", ".join(shown + ["inplace=True"] * bool(getattr(self, "inplace", False)))


class _Plain(_Activation):
    """One without arguments; PyTorch takes any and ignores them, here there are none."""

    def __init__(self) -> None:
        super().__init__()


class ReLU(_Activation):
    """``max(x, 0)``; see `halfsim.ops.relu`."""

    _function = ops.relu


class ReLU6(_Activation):
    """``min(max(x, 0), 6)``; see `halfsim.ops.relu6`."""

    _function = ops.relu6
    min_val, max_val = 0.0, 6.0


class SELU(_Activation):
    """The self-normalizing exponential unit; see `halfsim.ops.selu`."""

    _function = ops.selu


class SiLU(_Activation):
    """``x * sigmoid(x)``; see `halfsim.ops.silu`."""

    _function = ops.silu


class Mish(_Activation):
    """``x * tanh(softplus(x))``; see `halfsim.ops.mish`."""

    _function = ops.mish


class Hardswish(_Activation):
    """``x * relu6(x + 3) / 6``; see `halfsim.ops.hardswish`."""

    _function = ops.hardswish


class Hardsigmoid(_Activation):
    """``relu6(x + 3) / 6``; see `halfsim.ops.hardsigmoid`."""

    _function = ops.hardsigmoid


class Sigmoid(_Plain):
    """``1 / (1 + exp(-x))``; see `halfsim.ops.sigmoid`."""

    _function = ops.sigmoid


class Tanh(_Plain):
    """The hyperbolic tangent; see `halfsim.ops.tanh`."""

    _function = ops.tanh


class LogSigmoid(_Plain):
    """``log(sigmoid(x))``; see `halfsim.ops.logsigmoid`."""

    _function = ops.logsigmoid


class Softsign(_Plain):
    """``x / (1 + abs(x))``; see `halfsim.ops.softsign`."""

    _function = ops.softsign


class Tanhshrink(_Plain):
    """``x - tanh(x)``; see `halfsim.ops.tanhshrink`."""

    _function = ops.tanhshrink


class LeakyReLU(_Activation):
    """``x`` above 0 and ``negative_slope * x`` below; see `halfsim.ops.leaky_relu`.

    >>> LeakyReLU(0.25)
    LeakyReLU(negative_slope=0.25)
    """

    _function, _options = ops.leaky_relu, ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope


class RReLU(_Activation):
    """`LeakyReLU` with slopes that are drawn anew for each element in training; see `halfsim.ops.rrelu`."""

    _options = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower, self.upper = lower, upper

    def forward(self, input: Any) -> Tensor:
        return ops.rrelu(input, self.lower, self.upper, self.training)


class PReLU(Module):
    """`LeakyReLU` with a slope that is learnt, one or one for each channel (axis 1); see `halfsim.ops.prelu`.

    ``weight`` (num_parameters,) begins as ``init``. ``ValueError`` for sizes below 1.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        if not isinstance(num_parameters, (int, np.integer)) or num_parameters < 1:
            raise ValueError(f"num_parameters: {num_parameters!r} is not allowed; allowed: integers from 1")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(tensor(np.full(num_parameters, float(init)), made_in(None)))

    def forward(self, input: Any) -> Tensor:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(_Activation):
    """``x`` above 0 and ``alpha * (exp(x) - 1)`` below; see `halfsim.ops.elu`."""

    _function, _options = ops.elu, ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha


class CELU(ELU):
    """``x`` above 0 and ``alpha * (exp(x / alpha) - 1)`` below; see `halfsim.ops.celu`."""

    _function = ops.celu


class GELU(_Activation):
    """``x`` times the normal distribution function of ``x``, by erf ("none") or tanh; see `halfsim.ops.gelu`."""

    _function, _options = ops.gelu, ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Hardtanh(_Activation):
    """``x`` between ``min_val`` and ``max_val``; see `halfsim.ops.hardtanh`.

    ``min_value`` and ``max_value`` are PyTorch's old names. ``ValueError`` unless min_val < max_val.
    """

    _function, _options = ops.hardtanh, ("min_val", "max_val")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if not self.min_val < self.max_val:
            raise ValueError(f"min_val: {self.min_val} is not below max_val {self.max_val}; allowed: min_val < max_val")


class Softplus(_Activation):
    """``log(1 + exp(beta * x)) / beta``; see `halfsim.ops.softplus`."""

    _function, _options = ops.softplus, ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Threshold(_Activation):
    """``x`` above ``threshold``, else ``value``; see `halfsim.ops.threshold`."""

    _function, _options = ops.threshold, ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold, self.value = threshold, value


class Hardshrink(_Activation):
    """0 between -lambd and lambd, else ``x``; see `halfsim.ops.hardshrink`."""

    _function, _options = ops.hardshrink, ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """``x`` moved by ``lambd`` towards 0; see `halfsim.ops.softshrink`."""

    _function = ops.softshrink


class GLU(_Activation):
    """The first half of ``x`` times the sigmoid of the second; see `halfsim.ops.glu`."""

    _function, _options = ops.glu, ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


def implicit_dim(x: Any, dim: int | None) -> int:
    """``dim``, or what PyTorch takes where there is none: 0 for 0, 1 and 3 dimensions, else 1."""
    return (0 if np.ndim(plain(x)) in (0, 1, 3) else 1) if dim is None else dim


class Softmax(_Activation):
    """``exp(x) / sum(exp(x))`` along ``dim``; see `halfsim.ops.softmax` and, without ``dim``, `implicit_dim`."""

    _function, _options = ops.softmax, ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Tensor:
        return type(self)._function(input, implicit_dim(input, self.dim))


class LogSoftmax(Softmax):
    """``log(softmax(x))`` along ``dim``; see `halfsim.ops.log_softmax`."""

    _function = ops.log_softmax


class Softmin(Softmax):
    """``softmax(-x)`` along ``dim``; see `halfsim.ops.softmin`."""

    _function = ops.softmin


class Softmax2d(Module):
    """`Softmax` over the channels of images (N, C, H, W) or (C, H, W); ``ValueError`` for other shapes."""

    def forward(self, input: Any) -> Tensor:
        if np.ndim(plain(input)) not in (3, 4):
            raise ValueError(f"input: shape {np.shape(plain(input))} is not allowed; allowed: (N, C, H, W), (C, H, W)")
        return ops.softmax(input, -3)
