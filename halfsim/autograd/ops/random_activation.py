"""Activations that draw random numbers, from the generator that `halfsim.manual_seed` seeds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import choose, named
from halfsim.autograd.ops.activation import leaky_relu, softmax
from halfsim.autograd.ops.elementwise import add, div, neg, sub
from halfsim.autograd.ops.functions import log
from halfsim.autograd.ops.reduce import argmax
from halfsim.autograd.random import drawn_in, exponential, uniform
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers
from halfsim.numerics.formats import float64
from halfsim.numerics.quantize import Array, rounded

__all__ = [
    "gumbel_softmax",
    "rrelu",
]


@op()
@named("rrelu")
def _rrelu(fp: Arithmetic, x: Array, /, noise: Array) -> Any:
    slopes = rounded(noise, fp.precision.storage, None, fp.precision.mode).astype(fp.dtype)
    factor = choose(x <= 0, slopes, fp.constant(1.0))
    return fp.mul(x, factor), lambda fp, g: fp.mul(g, factor)


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``x`` above 0, elsewhere ``x`` times a slope: in training one drawn for each element, uniform in [lower, upper).

    A slope is stored, then multiplies, as in PyTorch's CUDA kernel, and is the gradient's factor too. Outside training
    it is `leaky_relu` with their mean. ``ValueError`` for bounds in the wrong order.

    >>> from halfsim import tensor
    >>> rrelu(tensor([-4.0, 4.0]), 0.25, 0.75)
    tensor([-2.,  4.], float32)
    """
    if not -np.inf < lower <= upper < np.inf:
        raise ValueError(f"lower: {lower} and upper {upper} are not allowed; allowed: finite, in order")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    x = numbers(input)
    slopes = np.ones(x.shape)
    below = x <= 0  # PyTorch draws for no others
    slopes[below] = uniform(int(np.count_nonzero(below)), lower, upper, format=float64)
    return _rrelu(input, slopes)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """`softmax` of ``(logits + noise) / tau``, the noise ``-log(e)`` of exponential numbers e drawn in their format.

    With ``hard`` the largest is 1 and the others 0, with the gradient of the soft result: ``hard - soft + soft``, two
    operations that round. ``eps`` changes nothing, as in PyTorch.

    >>> from halfsim import tensor
    >>> gumbel_softmax(tensor([[-1e4, 1e4]]), hard=True)
    tensor([[0., 1.]], float32)
    """
    if eps != 1e-10:
        warnings.warn("eps: has no effect; leave it out", stacklevel=2)
    logits = logits if isinstance(logits, Tensor) else tensor(logits)
    drawn = tensor(exponential(logits.shape, format=drawn_in(logits.format)), logits.format)
    soft = softmax(div(add(logits, neg(log(drawn))), tau), dim)
    if not hard:
        return soft
    best = numbers(argmax(soft, dim, True), np.int64)
    one = np.zeros(soft.shape)
    np.put_along_axis(one, best, 1.0, dim)
    return add(sub(tensor(one, soft.format), soft.detach()), soft)
