"""Products of matrices and vectors that are added to something."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_tensor, bound
from halfsim.autograd.ops.elementwise import mul
from halfsim.autograd.ops.index import getitem
from halfsim.autograd.ops.shape import expand
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm"]


def _scaled(fp: Arithmetic, y: Array, factor: float) -> Array:
    return y if factor == 1 else fp.mul(y, fp.constant(factor))


def _product(fp: Arithmetic, a: Array, b: Array) -> Array:
    """A product of matrices in the backward pass, which is stored before it is scaled."""
    return fp.spill(fp.matmul(a, b))


def _added(name: str, fp: Arithmetic, x: Array, a: Array, b: Array, beta: float, alpha: float) -> Any:
    """``beta * x + alpha * (a @ b)``, and its gradients; where beta is 0 nothing of x is left, NaN neither."""
    if a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not fit; allowed: (..., L, K) and (..., K, S)")
    y = _scaled(fp, fp.matmul(a, b), alpha)
    _check_input(name, x, y)
    return fp.add(y, _scaled(fp, x, beta)) if beta else y, (
        lambda fp, g: _scaled(fp, g, beta) if beta else np.zeros_like(g),
        lambda fp, g: _scaled(fp, _product(fp, g, np.swapaxes(b, -1, -2)), alpha),
        lambda fp, g: _scaled(fp, _product(fp, np.swapaxes(a, -1, -2), g), alpha),
    )


def _check_input(name: str, x: Array, y: Array) -> None:
    if x.ndim > y.ndim or any(n not in (1, m) for n, m in zip(x.shape[::-1], y.shape[::-1], strict=False)):
        raise ValueError(f"{name}: input {x.shape} does not fit the product {y.shape}; allowed: its sides, or 1")


def _checked(name: str, *given: tuple[Array, int]) -> None:
    for x, ndim in given:
        if x.ndim != ndim:
            raise ValueError(f"{name}: an operand {x.shape} does not fit; allowed: {ndim} dimensions")


@op("fp16")
def addmm(fp: Arithmetic, x: Array, mat1: Array, mat2: Array, /, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * x + alpha * (mat1 @ mat2)`` for matrices (L, K) and (K, S), x broadcast.

    Steps: the product, times alpha, beta times x, the sum; a factor of 1 is no step, and of 0 leaves nothing of x.
    """
    _checked("addmm", (mat1, 2), (mat2, 2))
    return _added("addmm", fp, x, mat1, mat2, beta, alpha)


@op("fp16")
def baddbmm(fp: Arithmetic, x: Array, batch1: Array, batch2: Array, /, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * x + alpha * (batch1 @ batch2)`` for (..., L, K) and (..., K, S), x broadcast; see `addmm`."""
    if batch1.ndim < 3:
        raise ValueError(f"baddbmm: an operand {batch1.shape} does not fit; allowed: 3 dimensions or more")
    return _added("baddbmm", fp, x, batch1, batch2, beta, alpha)


@op("fp16")
def addmv(fp: Arithmetic, x: Array, mat: Array, vec: Array, /, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * x + alpha * (mat @ vec)`` for (L, K) and (K,), x broadcast to (L,); steps as those of `addmm`."""
    _checked("addmv", (mat, 2), (vec, 1))
    y, (pull_x, pull_mat, pull_vec) = _added("addmv", fp, x[..., None], mat, vec[:, None], beta, alpha)
    return y[:, 0], (
        pull_x,
        lambda fp, g: pull_mat(fp, g[:, None]),
        lambda fp, g: pull_vec(fp, g[:, None])[:, 0],
    )


@op("fp16")
def addr(fp: Arithmetic, x: Array, vec1: Array, vec2: Array, /, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * x + alpha * vec1 * vec2`` for (L,) and (S,), x broadcast to (L, S); products from the left.

    Each step is stored, and so are ``beta`` and ``alpha``, in PyTorch's kernels too.
    """
    _checked("addr", (vec1, 1), (vec2, 1))
    s = Stepwise(fp)
    y = s.mul(s.mul(vec1, bound(fp, alpha))[:, None], vec2)
    _check_input("addr", x, y)
    return fp.add(s.mul(x, bound(fp, beta)), y) if beta else y, (
        lambda fp, g: _scaled(fp, g, beta) if beta else np.zeros_like(g),
        lambda fp, g: _scaled(fp, _product(fp, g, vec2[:, None])[:, 0], alpha),
        lambda fp, g: _scaled(fp, _product(fp, vec1[None], g)[0], alpha),
    )


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * input + alpha * batch1 @ batch2``, summed over the batch by one `addmm` after another, as in PyTorch."""
    shapes = np.shape(plain(batch1)), np.shape(plain(batch2))
    if len(shapes[0]) != 3 or len(shapes[1]) != 3 or shapes[0][0] != shapes[1][0]:
        raise ValueError(f"addbmm: shapes {shapes[0]} and {shapes[1]} do not fit; allowed: (B, L, K) and (B, K, S)")
    if not shapes[0][0]:
        return expand(mul(input, beta), (shapes[0][1], shapes[1][2]))
    y = input
    for k in range(shapes[0][0]):
        y = addmm(y, getitem(batch1, k), getitem(batch2, k), beta=1 if k else beta, alpha=alpha)
    return as_tensor(y)
