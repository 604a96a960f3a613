"""Operators on each element by itself, and on several tensors that broadcast."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.operators import formulas
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import numbers

# The operators that are one of ours by another name.
_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": ops.abs, "Acos": ops.acos, "Acosh": ops.acosh, "Asin": ops.asin, "Asinh": ops.asinh, "Atan": ops.atan,
    "Atanh": ops.atanh, "Ceil": ops.ceil, "Cos": ops.cos, "Cosh": ops.cosh, "Erf": ops.erf, "Exp": ops.exp,
    "Floor": ops.floor, "HardSwish": ops.hardswish, "Log": ops.log, "Mish": ops.mish, "Neg": ops.neg,
    "Reciprocal": ops.reciprocal, "Relu": ops.relu, "Round": ops.round, "Sigmoid": ops.sigmoid, "Sign": ops.sign,
    "Sin": ops.sin, "Sinh": ops.sinh, "Softplus": ops.softplus, "Softsign": ops.softsign, "Sqrt": ops.sqrt,
    "Tan": ops.tan, "Tanh": ops.tanh,
}  # fmt: skip
_BINARY: dict[str, Callable[..., Any]] = {
    "Add": ops.add, "Sub": ops.sub, "Mul": ops.mul, "Div": ops.div, "Pow": ops.pow,
}  # fmt: skip
_ASKED: dict[str, Callable[..., Any]] = {
    "Equal": np.equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
    "LessOrEqual": np.less_equal,
}  # fmt: skip


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, /: function(x)


def aligned(a: Any, b: Any, broadcast: int, axis: int | None) -> Any:
    """``b`` as opset 6 laid it along ``a``: its axes from ``axis`` on, or the last."""
    if not broadcast or axis is None or not np.ndim(numbers(b)):
        return b
    after = np.ndim(numbers(a)) - axis % np.ndim(numbers(a)) - np.ndim(numbers(b))
    return b.reshape(tuple(b.shape) + (1,) * after)


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, b: Any, /, *, since: int, broadcast: int = 0, axis: int | None = None) -> Any:
        return function(a, aligned(a, b, broadcast, axis) if since < 7 else b)

    return run


def _asked(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, b: Any, /, *, since: int, broadcast: int = 0, axis: int | None = None) -> Any:
        b = aligned(a, b, broadcast, axis) if since < 7 else b
        return np.asarray(function(numbers(a), numbers(b)), np.bool_)

    return run


for _name, _function in _UNARY.items():
    row(_name)(_unary(_function))
for _name, _function in _BINARY.items():
    row(_name)(_binary(_function))
for _name, _function in _ASKED.items():
    row(_name, given="any")(_asked(_function))


@row("Mod")
def mod(a: Any, b: Any, /, *, fmod: int = 0) -> Any:
    """The rest with the divisor's sign, or with that of the dividend."""
    return (ops.fmod if fmod else ops.remainder)(a, b)


def folded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two made one of any number."""
    return lambda *values: functools.reduce(function, values)


def _variadic(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: function(*values)


row("Max")(_variadic(folded(ops.maximum)))
row("Min")(_variadic(folded(ops.minimum)))
row("Sum")(_variadic(folded(ops.add)))
row("Mean")(_variadic(lambda *values: ops.div(folded(ops.add)(*values), float(len(values)))))


@row("Clip")
def clip(x: Any, min: Any = None, max: Any = None, /) -> Any:
    """Values kept between two numbers."""
    return x if min is None and max is None else ops.clamp(x, min, max)


@row("LeakyRelu")
def leaky_relu(x: Any, /, *, alpha: float) -> Any:
    """A slope below 0."""
    return ops.leaky_relu(x, alpha)


@row("PRelu")
def prelu(x: Any, slope: Any, /, *, since: int) -> Any:
    """A learnt slope below 0."""
    if since < 7 and slope.ndim == 1 and slope.shape[0] > 1:
        slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
    return ops.where(numbers(x) < 0, ops.mul(x, slope), x)


@row("Elu")
def elu(x: Any, /, *, alpha: float) -> Any:
    """Exponential below 0."""
    return ops.elu(x, alpha)


@row("Celu")
def celu(x: Any, /, *, alpha: float) -> Any:
    """Exponential below 0, its slope everywhere continuous."""
    return ops.celu(x, alpha)


@row("Selu")
def selu(x: Any, /, *, alpha: float, gamma: float) -> Any:
    """Exponential below 0, scaled."""
    if abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.050701) < 1e-6:
        return ops.selu(x)
    return ops.mul(ops.elu(x, alpha), gamma)


@row("Gelu")
def gelu(x: Any, /, *, approximate: str = "none") -> Any:
    """Weighted by the normal distribution."""
    return ops.gelu(x, approximate)


@row("ThresholdedRelu")
def thresholded_relu(x: Any, /, *, alpha: float) -> Any:
    """Zero up to a threshold."""
    return ops.threshold(x, alpha, 0.0)


@row("HardSigmoid")
def hard_sigmoid(x: Any, /, *, alpha: float, beta: float) -> Any:
    """A line between 0 and 1."""
    return formulas.hard_sigmoid(x, alpha, beta)


@row("Shrink")
def shrink(x: Any, /, *, bias: float, lambd: float) -> Any:
    """Zero between two thresholds, and moved towards it outside."""
    return formulas.shrink(x, bias, lambd)


@row("Swish")
def swish(x: Any, /, *, alpha: float) -> Any:
    """Weighted by its sigmoid."""
    return ops.silu(x) if alpha == 1 else formulas.swish(x, alpha)


@row("IsNaN", given="any")
def is_nan(x: Any, /) -> Any:
    """Where no number is."""
    return np.isnan(numbers(x))


@row("IsInf", given="any")
def is_inf(x: Any, /, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    """Where an infinity is."""
    given = numbers(x)
    found = np.isinf(given)
    if not detect_positive:
        found &= given < 0
    return found if detect_negative else found & (given > 0)
