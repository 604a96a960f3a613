"""First weights, with the names and distributions of ``torch.nn.init``.

Every function draws from ``generator`` (a `halfsim.Generator`; by default the one that `halfsim.manual_seed` seeds)
what PyTorch draws on the CPU for the same seed, puts it into the tensor and returns the tensor. Where a precision is
in force that is PyTorch's float32, rounded once to the format of the tensor, so that runs in several formats begin
alike. Arrays in use elsewhere are not written into. ``TypeError`` for anything but a Tensor.
"""

from __future__ import annotations

from math import ceil, erf, prod, sqrt
from typing import Any

import numpy as np

from halfsim.autograd.making import made_in
from halfsim.autograd.making import tensor as rounded
from halfsim.autograd.random import Generator, drawn_in, normal, permutation, uniform
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.nn.parameter import Parameter
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names, shown

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    **dict.fromkeys(("linear", "sigmoid", "conv1d", "conv2d", "conv3d"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5 / 3,
    "relu": sqrt(2),
    "selu": 3 / 4,
}


def _shape(tensor: Any) -> tuple[int, ...]:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor: {type(tensor).__name__} is not allowed; allowed: Tensor")
    return tensor.shape


def _fill(tensor: Tensor, values: Array) -> Tensor:
    tensor.array = rounded(values, tensor.format).array.reshape(tensor.shape)
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights before an activation are larger; ``param`` is the slope of "leaky_relu" (0.01).

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        return sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise unknown("nonlinearity", nonlinearity, ["leaky_relu", *_GAINS])
    return _GAINS[nonlinearity]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a weight (out, in, ...)."""
    if len(shape) < 2:
        raise ValueError(f"tensor: shape {shape} has no fan-in and fan-out; allowed: at least two dimensions")
    return shape[1] * prod(shape[2:]), shape[0] * prod(shape[2:])


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform from ``a`` to ``b``."""
    return _fill(tensor, uniform(_shape(tensor), a, b, generator, drawn_in(tensor.format)))


def uniform_parameter(shape: tuple[int, ...], bound: float) -> Parameter:
    """A new Parameter, in the storage of the precision in force or float32, uniform between -bound and bound."""
    parameter = Parameter(rounded(np.zeros(shape), made_in(None)))
    uniform_(parameter, -bound, bound)
    return parameter


def weight_and_bias(shape: tuple[int, ...], biases: int) -> tuple[Parameter, Parameter | None]:
    """The parameters of a linear map of ``shape`` (out, in, ...) as PyTorch draws them: within 1/sqrt(fan-in).

    There are as many ``biases``, or none for 0.
    """
    weight = Parameter(rounded(np.zeros(shape), made_in(None)))
    kaiming_uniform_(weight, a=sqrt(5))
    return weight, uniform_parameter((biases,), 1 / sqrt(_fans(shape)[0])) if biases else None


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal about ``mean``."""
    if std < 0:
        raise ValueError(f"std: {std} is not allowed; allowed: numbers from 0")
    return _fill(tensor, normal(_shape(tensor), mean, std, generator, drawn_in(tensor.format)))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, drawn again where a number lies outside ``a`` to ``b`` (not in units of ``std``)."""
    shape, fmt = _shape(tensor), drawn_in(tensor.format)
    if not (a < b and std > 0):
        raise ValueError(f"trunc_normal_: a={a}, b={b}, std={std} is not allowed; allowed: a < b, a positive std")
    low, high = ((1 + erf((end - mean) / std / sqrt(2))) / 2 for end in (a, b))
    if high - low > 0.3:
        values = normal(shape, mean, std, generator, fmt)
        low, high = rounded([a, b], fmt).array
        while (outside := (values < low) | (values > high)).any():
            values = np.where(outside, normal(shape, mean, std, generator, fmt), values)
    else:  # far in a tail few would pass: accept uniform ones by the density instead
        values, pending = np.zeros(shape), np.ones(shape, np.bool_)
        away = (min(max(mean, a), b) - mean) / std
        if not abs(away) * (b - a) / std <= 1000:  # of as many drawn one would pass
            ends = f"a={shown(a)}, b={shown(b)}"
            raise ValueError(f"trunc_normal_: {ends} is not allowed; allowed: less far from mean {shown(mean)}")
        peak = away**2
        while pending.any():
            drawn = uniform(shape, a, b, generator, fmt)
            values = np.where(pending, drawn, values)
            with np.errstate(divide="ignore", over="ignore"):
                least = (peak - ((drawn - mean) / std) ** 2) / 2
                pending &= np.log(uniform(shape, generator=generator, format=fmt)) > least
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    return _fill(tensor, np.full(_shape(tensor), float(val)))


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere."""
    shape = _shape(tensor)
    if len(shape) != 2:
        raise ValueError(f"tensor: shape {shape} is not allowed; allowed: two dimensions")
    return _fill(tensor, np.eye(*shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The convolution kernel (out, in, ...) that keeps its input, in each of ``groups``: 1 in the middle, else 0."""
    shape = _shape(tensor)
    if not 3 <= len(shape) <= 5 or groups < 1 or shape[0] % groups:
        raise ValueError(
            f"tensor: shape {shape} with groups={groups} is not allowed; allowed: 3 to 5 dimensions, out / groups"
        )
    values, outs = np.zeros(shape), shape[0] // groups
    i = np.arange(min(outs, shape[1]))
    middle: Any = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        values[(group * outs + i, i, *middle)] = 1
    return _fill(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within ``gain * sqrt(6 / (fan_in + fan_out))``."""
    bound = sqrt(3) * _xavier(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation ``gain * sqrt(2 / (fan_in + fan_out))``."""
    return normal_(tensor, 0.0, _xavier(tensor, gain), generator)


def _xavier(tensor: Tensor, gain: float) -> float:
    return gain * sqrt(2 / max(sum(_fans(_shape(tensor))), 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within ``gain * sqrt(3 / fan)``; ``a`` is the slope of "leaky_relu", ``mode`` "fan_in" or "fan_out"."""
    bound = sqrt(3) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation ``gain / sqrt(fan)``, arguments as of `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if str(mode).lower() not in modes:
        raise unknown("mode", mode, modes)
    fan = _fans(_shape(tensor))[modes.index(str(mode).lower())]
    return calculate_gain(nonlinearity, a) / sqrt(max(fan, 1))


def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform within ``sqrt(3 / fan_in)``."""
    bound = sqrt(3) * _kaiming(tensor, 0, "fan_in", "linear")
    return uniform_(tensor, -bound, bound, generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Normal, cut at two deviations as in JAX and Keras, with deviation ``sqrt(1 / fan_in)`` after the cut."""
    std = _kaiming(tensor, 0, "fan_in", "linear") / 0.87962566103423978  # the deviation of a normal cut at 2
    return trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows or columns, whichever are fewer, times ``gain``; axes after the first count as one."""
    shape = _shape(tensor)
    if len(shape) < 2:
        raise ValueError(f"tensor: shape {shape} is not allowed; allowed: at least two dimensions")
    rows, columns = shape[0], prod(shape[1:])
    if not rows * columns:
        return tensor
    drawn = normal((rows, columns), 0.0, 1.0, generator, drawn_in(tensor.format)).astype(np.float64)
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r))  # which makes it uniform among all orthogonal ones (Mezzadri 2007)
    return _fill(tensor, gain * (q.T if rows < columns else q))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal of deviation ``std`` in a matrix, with the share ``sparsity`` of every column, rounded up, set to 0."""
    shape = _shape(tensor)
    if len(shape) != 2:
        raise ValueError(f"tensor: shape {shape} is not allowed; allowed: two dimensions")
    values = normal_(tensor, 0.0, std, generator).array.copy()
    for column in range(shape[1]):
        values[permutation(shape[0])[: ceil(float(sparsity) * shape[0])], column] = 0
    return _fill(tensor, values)


guarded_names(globals(), __all__)
public(__name__)
