"""Losses of numbers, as PyTorch computes them: the loss of each element is stored, then their mean or sum is taken.

In half they take the steps of PyTorch's CUDA kernels, which are the CPU's but for what `tests/recorded/halves.py`
names: a number that is added (a margin, eps) stays in ``compute``, where the CPU's kernels round it to half first.
Their signatures are those of ``torch.nn.functional``, with ``size_average`` and ``reduce``, its old spelling of
``reduction``. Where shapes must agree, a target of another one is refused or, where PyTorch only warns, warned of.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_category, bound, choose, like, named, steps
from halfsim.autograd.ops.elementwise import abs as magnitude
from halfsim.autograd.ops.elementwise import add, div, mul, sqrt, square, sub
from halfsim.autograd.ops.reduce import mean, sum
from halfsim.autograd.ops.select import clamp, where
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import bfloat16, float16, unknown
from halfsim.numerics.quantize import Array

__all__ = [
    "cosine_embedding_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

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


def _weighted(loss: Tensor, input: Any, weight: Any, reduction: str) -> Tensor:
    """The loss times weights of its shape and the input's; their mean is the sum over the sum of the weights."""
    if not np.shape(plain(weight)) == np.shape(plain(input)) == loss.shape:
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


def settled(fp: Arithmetic, loss: Array, how: str) -> Array:
    """The losses, their sum or their mean, formed of the losses as stored."""
    if how == "none":
        return loss
    total = fp.sum(fp.spill(loss))
    return total if how == "sum" else fp.div(total, fp.constant(loss.size))


def _per_element(fp: Arithmetic, value: float, loss: Array, how: str) -> Any:
    """The factor of a kernel's gradient: ``value``, over the number of losses for their mean, as stored."""
    return bound(fp, value / (loss.size or np.nan) if how == "mean" else value)


@op("fp32")
@named("mse_loss")
def _mse(fp: Arithmetic, x: Array, target: Array, /, reduction: str = "none") -> Any:
    d = Stepwise(fp).sub(x, target)
    loss = fp.mul(d, d)

    def pull(a: Array, b: Array) -> Any:
        def pullback(fp: Arithmetic, g: Array) -> Array:
            s = Stepwise(fp)
            return fp.mul(s.mul(s.sub(a, b), _per_element(fp, 2.0, loss, reduction)), g)

        return pullback

    return settled(fp, loss, reduction), (pull(x, target), pull(target, x))


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """``d * d`` with ``d = input - target``, stored; gradient ``d * 2 * g`` from the left, each step stored.

    The gradient of a mean takes 2 / n, as stored, for 2, as PyTorch's kernels do. With ``weight``, of the shape of the
    loss, it is composed of `sub`, `square` and `mul`, and a mean divides by the sum of the weights. Under autocast
    float32.

    >>> from halfsim import tensor
    >>> mse_loss(tensor([300.0], "fp16"), tensor([0.0], "fp16"))
    tensor(inf, float16)
    """
    how = reduction_of(reduction, size_average, reduce)
    check_shape("mse_loss", input, target)
    if weight is None:
        return _mse(input, target, how)
    return _weighted(square(sub(*as_category("fp32", input, target))), input, weight, how)


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
    return reduced(loss, how) if weight is None else _weighted(loss, input, weight, how)


@op("fp32")
@named("smooth_l1_loss")
def _smooth_l1(fp: Arithmetic, x: Array, target: Array, /, beta: float, reduction: str = "none") -> Any:
    s = steps(fp, wide=bfloat16)
    half, b = fp.constant(0.5), fp.constant(beta) if s is fp else bound(fp, beta)
    z = np.abs(s.sub(x, target))
    near = np.minimum(z, b)  # so that no square overflows unused
    loss = choose(z < b, s.div(s.mul(s.mul(near, half), near), b), s.sub(z, s.mul(b, half)))

    def pull(a: Array, c: Array) -> Any:
        def pullback(fp: Arithmetic, g: Array) -> Array:
            d, b = fp.sub(a, c), fp.constant(beta)
            one, part = fp.constant(1.0), fp.constant(1 / (loss.size or np.nan) if reduction == "mean" else 1.0)
            size = choose(np.abs(d) >= b, choose(d < 0, -one, one), fp.div(np.clip(d, -b, b), b))
            return fp.mul(fp.mul(size, part), g)

        return pullback

    return settled(fp, loss, reduction), (pull(x, target), pull(target, x))


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``0.5 * z * z / beta`` for ``z = abs(input - target)`` below beta, else ``z - 0.5 * beta``, each step stored.

    Gradients ``d * g / beta`` (d the difference, and 1 / n of it for a mean of n) or ``g`` with its sign, in
    ``compute``. `l1_loss` for beta 0. PyTorch's CPU kernel for bfloat16 stores no steps of the loss, its CUDA kernel
    does. Under autocast float32.
    """
    how = reduction_of(reduction, size_average, reduce)
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is not allowed; allowed: numbers from 0")
    if beta == 0:
        return l1_loss(input, target, reduction=how)
    check_shape("smooth_l1_loss", input, target)
    return _smooth_l1(input, target, float(beta), how)


@op("fp32")
@named("huber_loss")
def _huber(fp: Arithmetic, x: Array, target: Array, /, delta: float, reduction: str = "none") -> Any:
    s = steps(fp, wide=float16)
    half, k = fp.constant(0.5), fp.constant(delta) if s is fp else bound(fp, delta)
    z = np.abs(s.sub(x, target))
    near = np.minimum(z, k)
    loss = choose(z < k, s.mul(s.mul(near, half), near), s.mul(k, s.sub(z, s.mul(k, half))))

    def pull(a: Array, c: Array) -> Any:
        def pullback(fp: Arithmetic, g: Array) -> Array:
            s, k = Stepwise(fp), bound(fp, delta)
            d = np.clip(s.sub(a, c), -k, k)
            return fp.mul(s.mul(d, _per_element(fp, 1.0, loss, reduction)), g)

        return pullback

    return settled(fp, loss, reduction), (pull(x, target), pull(target, x))


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Tensor:
    """``0.5 * z * z`` for ``z = abs(input - target)`` below delta, else ``delta * (z - 0.5 * delta)``; steps stored.

    Gradient: the difference, at most delta, times 1 (1 / n for a mean of n), times ``g``; delta and these as stored.
    PyTorch's CPU kernel for float16 stores no steps of the loss, its CUDA kernel does. ``weight`` has the shape of the
    loss. Under autocast float32.
    """
    how = reduction_of(reduction)
    if not delta > 0:
        raise ValueError(f"delta: {delta} is not allowed; allowed: positive numbers")
    check_shape("huber_loss", input, target)
    if weight is None:
        return _huber(input, target, float(delta), how)
    return reduced(_weighted(_huber(input, target, float(delta)), input, weight, "none"), how)


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
    goal = numbers(target)
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
