"""Negative log-likelihoods of counts and of measurements, composed of operations as in PyTorch, on every device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halfsim.autograd.ops._common import as_category, like
from halfsim.autograd.ops.elementwise import add, div, mul, square, sub
from halfsim.autograd.ops.functions import exp, log
from halfsim.autograd.ops.loss import check_shape, reduced, reduction_of
from halfsim.autograd.ops.norms import at_least
from halfsim.autograd.ops.select import masked_fill
from halfsim.autograd.ops.shape import unsqueeze
from halfsim.autograd.tensor import Tensor, numbers, plain

__all__ = [
    "gaussian_nll_loss",
    "poisson_nll_loss",
]


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``exp(x) - t * x`` for the logarithm x of a rate, or ``x - t * log(x + eps)`` for the rate, and counts t.

    ``full`` adds ``t * log(t) - t + 0.5 * log(2 pi t)`` where t is above 1. Composed of those operations, each stored:
    eps is 0 in float16, and exp(12) is infinite there. Under autocast float32.

    >>> from halfsim import tensor
    >>> poisson_nll_loss(tensor([0.0, 12.0], "fp16"), tensor([2.0, 2.0], "fp16"), reduction="none")
    tensor([ 1., inf], float16)
    """
    how = reduction_of(reduction, size_average, reduce)
    x, t = as_category("fp32", input, target)
    if not isinstance(x, Tensor):
        x = like(x, t) if isinstance(t, Tensor) else add(x, 0.0)
    t = like(t, x)
    goal = mul(t, x if log_input else log(add(x, eps)))
    loss = sub(exp(x) if log_input else x, goal)
    if full:  # the right summand first, as PyTorch's compiler has it: the gradients of t are added up in that order
        half_log = mul(log(mul(t, 2 * math.pi)), 0.5)
        stirling = add(sub(mul(t, log(t)), t), half_log)
        loss = add(loss, masked_fill(stirling, t.array <= 1, 0.0))
    return reduced(loss, how)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """``0.5 * (log(v) + (x - t)**2 / v)`` with ``v = max(var, eps)``, through whose bound the gradient passes.

    ``var`` is a number, has the shape of ``input``, the same with one axis of length 1, or without the last axis.
    ``full`` adds ``0.5 * log(2 pi)``. Composed of `log`, `sub`, `pow`, `div`, `add`, `mul`. ``ValueError`` for negative
    variances and other shapes.

    >>> from halfsim import tensor
    >>> gaussian_nll_loss(tensor([1.0]), tensor([3.0]), tensor([4.0]))
    tensor(1.1931472, float32)
    """
    how = reduction_of(reduction)
    values, shape = numbers(var), np.shape(plain(input))
    if (values < 0).any():
        raise ValueError("var: negative numbers are not allowed; allowed: variances from 0")
    check_shape("gaussian_nll_loss", input, target)
    x = input if isinstance(input, Tensor) else like(input, target) if isinstance(target, Tensor) else add(input, 0.0)
    if not isinstance(var, Tensor):
        var = like(np.broadcast_to(values, shape) if not values.ndim else values, x)
    if var.shape != shape:
        if var.shape == shape[:-1]:
            var = unsqueeze(var, -1)
        elif len(var.shape) != len(shape) or [n for m, n in zip(shape, var.shape, strict=True) if m != n] != [1]:
            raise ValueError(f"var: shape {var.shape} does not fit input {shape}; allowed: {shape}, or {shape[:-1]}")
    var = at_least(var, eps)
    loss = mul(add(log(var), div(square(sub(x, target)), var)), 0.5)
    return reduced(add(loss, 0.5 * math.log(2 * math.pi)) if full else loss, how)
