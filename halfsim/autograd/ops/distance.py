"""Distances between vectors, by a norm of their difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import named, signs
from halfsim.autograd.ops.elementwise import add, sub
from halfsim.autograd.ops.index import scatter_sum
from halfsim.autograd.ops.norms import norm
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "pairwise_distance",
    "pdist",
]


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The norm of order ``p`` of ``x1 - x2 + eps`` along the last axis, composed of `sub`, `add` and `norm`.

    Both broadcast; eps keeps the gradient of equal vectors finite, and is a subnormal number in float16.

    >>> from halfsim import tensor
    >>> pairwise_distance(tensor([[3.0, 4.0]]), tensor([[0.0, 0.0]]), eps=0.0)
    tensor([5.], float32)
    """
    ndim = max(np.ndim(plain(x1)), np.ndim(plain(x2)))
    if not ndim:
        raise ValueError("pairwise_distance: numbers are not allowed; allowed: vectors, (..., D)")
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)


@op("fp32")
@named("pdist")
def _pdist(fp: Arithmetic, x: Array, /, p: float) -> Any:
    size = len(x)
    i, j = np.triu_indices(size, 1)
    d = fp.sub(x[i], x[j])
    y, at_most_one = _length(fp, np.abs(d), p), fp.constant(p - 1 if np.isfinite(p) else 0.0)

    def slope(fp: Arithmetic, g: Array, y: Array) -> Array:
        """The gradient of each difference; 0 where the distance is."""
        size = np.abs(d)
        if p in (0, 1):
            return fp.mul(g, signs(d) if p else np.zeros_like(d))
        if np.isinf(p):
            return fp.keep(fp.mul(g, signs(d)), size == y)
        if p == 2:
            return fp.keep(fp.div(fp.mul(g, d), y), y != 0)
        if p < 2:
            powered = fp.keep(fp.mul(signs(d), fp.pow(size, at_most_one)), d != 0)
        else:
            powered = fp.mul(d, fp.pow(size, fp.constant(p - 2)))
        return fp.keep(fp.div(fp.mul(powered, g), fp.pow(y, at_most_one)), y != 0)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        pulled = slope(fp, g[:, None], y[:, None])
        return scatter_sum(fp, np.concatenate([pulled, -pulled]), np.concatenate([i, j]), size)

    return y, pullback


def _length(fp: Arithmetic, d: Array, p: float) -> Array:
    """The norm of order p of every row of magnitudes."""
    if p == 0:
        return fp.sum((d != 0).astype(d.dtype), 1)
    if np.isinf(p):
        return np.asarray(d.max(1, initial=0.0))
    if p == 1:
        return fp.sum(d, 1)
    if p == 2:
        return fp.sqrt(fp.sum(fp.mul(d, d), 1))
    return fp.pow(fp.sum(fp.pow(d, fp.constant(p)), 1), fp.constant(1 / p))


def pdist(input: Any, p: float = 2.0) -> Tensor:
    """The distances of all pairs of rows of (N, D), (N (N - 1) / 2,): of row 0 to all later ones, then of row 1, ...

    The norm of order ``p`` from 0 (how many differ) to infinity (the largest difference); the gradient of a distance
    of 0 is 0. Steps of PyTorch's kernel, which has no half: difference, powers, sum, root, all in ``compute``; gradient
    for p = 2 ``g * d / y``, else ``d * abs(d)**(p - 2) * g / y**(p - 1)``, summed over the pairs as accumulated.
    Under autocast float32. ``ValueError`` for other shapes and negative p.

    >>> from halfsim import tensor
    >>> pdist(tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.       , 1.       , 4.2426405], float32)
    """
    shape = np.shape(plain(input))
    if len(shape) != 2:
        raise ValueError(f"pdist: input {shape} is not allowed; allowed: (N, D)")
    if not p >= 0:
        raise ValueError(f"p: {p} is not allowed; allowed: numbers from 0, inf")
    return _pdist(input, float(p))
