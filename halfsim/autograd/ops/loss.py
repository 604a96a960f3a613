"""Losses of numbers, composed as in PyTorch: a kernel gives the loss of each element, and `mean` or `sum` follow.

Their signatures are those of ``torch.nn.functional``, with ``size_average`` and ``reduce``, its old spelling of
``reduction``. Where shapes must agree, a target of another one is refused or, where PyTorch only warns, warned of.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import as_category, choose, like, named
from halfsim.autograd.ops.elementwise import abs as magnitude
from halfsim.autograd.ops.elementwise import add, div, mul, sqrt, sub
from halfsim.autograd.ops.reduce import mean, sum
from halfsim.autograd.ops.select import clamp, where
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array

REDUCTIONS = ("mean", "sum", "none")


def reduction_of(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The reduction that is meant; PyTorch's two old flags win over the word."""
    if size_average is not None or reduce is not None:
        return "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of the losses, or each."""
    return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss


def _weighted(loss: Tensor, weight: Any, reduction: str) -> Tensor:
    """The loss times weights of its shape, and their mean: the sum over the sum of the weights."""
    if np.shape(plain(weight)) != loss.shape:
        raise ValueError(f"weight: shape {np.shape(plain(weight))} does not fit {loss.shape}; allowed: the same")
    weight = like(weight, loss)
    loss = mul(loss, weight)
    return div(sum(loss), sum(weight)) if reduction == "mean" else reduced(loss, reduction)


def check_shape(name: str, input: Any, target: Any, refuse: bool = False) -> None:
    """Warn of a target that has another shape than the input, or refuse it."""
    shape, other = np.shape(plain(input)), np.shape(plain(target))
    if shape != other and refuse:
        raise ValueError(f"{name}: target {other} does not fit input {shape}; allowed: the same shape")
    if shape != other:
        text = f"{name}: target {other} and input {shape} are broadcast, which is seldom meant; give them one shape"
        warnings.warn(text, stacklevel=3)


@op("fp32")
@named("mse_loss")
def _mse(fp: Arithmetic, x: Array, target: Array, /) -> Any:
    d = fp.sub(x, target)
    two = fp.constant(2.0)
    return fp.mul(d, d), (lambda fp, g: fp.mul(fp.mul(d, two), g), lambda fp, g: -fp.mul(fp.mul(d, two), g))


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """``d * d`` with ``d = input - target``; gradient ``d * 2 * g`` from the left, and its negative.

    ``weight`` has the shape of the loss and divides its mean by the sum of the weights. Under autocast float32.

    >>> from halfsim import tensor
    >>> mse_loss(tensor([300.0], "fp16"), tensor([0.0], "fp16"))
    tensor(inf, float16)
    """
    how = reduction_of(reduction, size_average, reduce)
    check_shape("mse_loss", input, target)
    loss = _mse(input, target)
    return reduced(loss, how) if weight is None else _weighted(loss, weight, how)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """``abs(input - target)``, composed of `sub` and `abs`; gradient 0 where equal. ``weight`` as `mse_loss`."""
    how = reduction_of(reduction, size_average, reduce)
    check_shape("l1_loss", input, target)
    loss = magnitude(sub(*as_category("fp32", input, target)))
    return reduced(loss, how) if weight is None else _weighted(loss, weight, how)


@op("fp32")
@named("smooth_l1_loss")
def _smooth_l1(fp: Arithmetic, x: Array, target: Array, /, beta: float) -> Any:
    half, b = fp.constant(0.5), fp.constant(beta)
    d = fp.sub(x, target)
    z = np.abs(d)
    near = np.minimum(z, b)  # so that no square overflows unused
    y = choose(z < b, fp.div(fp.mul(fp.mul(near, half), near), b), fp.sub(z, fp.mul(b, half)))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        slope = fp.div(fp.mul(np.clip(d, -b, b), g), b)
        return choose(np.abs(d) < b, slope, choose(d < 0, -g, g))

    return y, (pullback, lambda fp, g: -pullback(fp, g))


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``0.5 * z * z / beta`` for ``z = abs(input - target)`` below beta, else ``z - 0.5 * beta``.

    Gradients ``d * g / beta`` (d the difference) or ``g`` with its sign. `l1_loss` for beta 0. Under autocast float32.
    """
    how = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise ValueError(f"beta: {beta} is not allowed; allowed: numbers from 0")
    if beta == 0:
        return l1_loss(input, target, reduction=how)
    check_shape("smooth_l1_loss", input, target)
    return reduced(_smooth_l1(input, target, float(beta)), how)


@op("fp32")
@named("huber_loss")
def _huber(fp: Arithmetic, x: Array, target: Array, /, delta: float) -> Any:
    half, k = fp.constant(0.5), fp.constant(delta)
    d = fp.sub(x, target)
    z = np.abs(d)
    near = np.minimum(z, k)
    y = choose(z <= k, fp.mul(fp.mul(near, half), near), fp.mul(k, fp.sub(z, fp.mul(k, half))))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(np.clip(d, -k, k), g)

    return y, (pullback, lambda fp, g: -pullback(fp, g))


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Tensor:
    """``0.5 * z * z`` for ``z = abs(input - target)`` up to delta, else ``delta * (z - 0.5 * delta)``.

    Gradient: the difference, at most delta, times ``g``. ``weight`` has the shape of the loss. Under autocast float32.
    """
    how = reduction_of(reduction)
    if not delta > 0:
        raise ValueError(f"delta: {delta} is not allowed; allowed: positive numbers")
    check_shape("huber_loss", input, target)
    loss = _huber(input, target, float(delta))
    if weight is not None:
        loss = _weighted(loss, weight, "none")
    return reduced(loss, how)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(cos - margin, 0)`` where it is -1, for rows of (N, D) or vectors (D,).

    ``cos = sum(a * b) / sqrt((sum(a * a) + 1e-12) * (sum(b * b) + 1e-12))``, composed of those operations; the
    constant, PyTorch's float32, is 0 in float16. Under autocast all of it is float32. ``ValueError`` for other shapes.
    """
    how = reduction_of(reduction, size_average, reduce)
    goal = np.asarray(plain(target))
    shapes = np.shape(plain(input1)), np.shape(plain(input2))
    if goal.ndim > 1 or any(len(shape) != goal.ndim + 1 for shape in shapes):
        allowed = "(N, D) with targets (N,), (D,) with a number"
        raise ValueError(f"target: shape {goal.shape} does not fit inputs {shapes[0]}, {shapes[1]}; allowed: {allowed}")
    a, b = as_category("fp32", input1, input2)
    tiny = float(np.float32(1e-12))
    squares = mul(add(sum(mul(a, a), -1), tiny), add(sum(mul(b, b), -1), tiny))
    cos = div(sum(mul(a, b), -1), sqrt(squares))
    alike = where(goal == 1, sub(1.0, cos), 0.0)
    apart = where(goal == -1, clamp(sub(cos, margin), 0.0), 0.0)
    return reduced(add(alike, apart), how)
