"""Products of matrices and vectors, and what is made of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import as_category, axis_of, named
from halfsim.autograd.ops.elementwise import div, mul
from halfsim.autograd.ops.reduce import norm, sum
from halfsim.autograd.ops.select import clamp
from halfsim.autograd.ops.shape import expand, reshape
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


@op("fp16")
def matmul(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a @ b`` for (..., M, K) and (..., K, N); one-dimensional operands as in ``np.matmul``."""
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: at least one dimension each")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, K) and (..., K, N)")
    left, right = a if a.ndim > 1 else a[None, :], b if b.ndim > 1 else b[:, None]
    y = fp.matmul(left, right)
    full, shape_a, shape_b = y.shape, a.shape, b.shape
    shape = full[:-2] + full[-2:-1] * (a.ndim > 1) + full[-1:] * (b.ndim > 1)
    return y.reshape(shape), (
        lambda fp, g: fp.sum_to(fp.matmul(g.reshape(full), _turned(right)), left.shape).reshape(shape_a),
        lambda fp, g: fp.sum_to(fp.matmul(_turned(left), g.reshape(full)), right.shape).reshape(shape_b),
    )


def mm(input: Any, mat2: Any) -> Tensor:
    """`matmul` of two matrices."""
    return _product("mm", input, mat2, (2, 2))


def mv(input: Any, vec: Any) -> Tensor:
    """`matmul` of a matrix and a vector."""
    return _product("mv", input, vec, (2, 1))


def bmm(input: Any, mat2: Any) -> Tensor:
    """`matmul` of two batches of matrices, (B, M, K) and (B, K, N)."""
    a, b = _shape(input), _shape(mat2)
    if a[:1] != b[:1]:
        raise ValueError(f"bmm: shapes {a} and {b} do not fit; allowed: (B, M, K) and (B, K, N)")
    return _product("bmm", input, mat2, (3, 3))


def _product(name: str, a: Any, b: Any, dimensions: tuple[int, int]) -> Tensor:
    shapes = _shape(a), _shape(b)
    if (len(shapes[0]), len(shapes[1])) != dimensions:
        allowed = " and ".join(f"{n} dimensions" for n in dimensions)
        raise ValueError(f"{name}: shapes {shapes[0]} and {shapes[1]} do not fit; allowed: {allowed}")
    return matmul(a, b)


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(plain(x))


@op("fp16")
def linear(fp: Arithmetic, x: Array, weight: Array, bias: Array | None = None, /) -> Any:
    """``x @ weight.T + bias`` for x (..., in), weight (out, in), bias (out): a product, then a sum.

    A weight (in,) goes with a 0-d bias and gives (...).
    """
    if weight.ndim not in (1, 2) or not x.ndim or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear: input {x.shape} does not fit weight {weight.shape}; allowed: (..., in) and (out, in)"
        )
    outs = weight.shape[:-1]
    if bias is not None and bias.shape != outs:
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape}; allowed: {outs}")
    rows, matrix = x.reshape(prod(x.shape[:-1]), x.shape[-1]), np.atleast_2d(weight)
    y = fp.matmul(rows, matrix.T)
    y = y if bias is None else fp.add(y, bias)
    shape, flat = x.shape, y.shape  # the formulas below must not hold y itself
    return y.reshape((*shape[:-1], *outs)), (
        lambda fp, g: fp.matmul(g.reshape(flat), matrix).reshape(shape),
        lambda fp, g: fp.matmul(g.reshape(flat).T, rows).reshape(weight.shape),
        lambda fp, g: fp.sum(g.reshape(flat), 0).reshape(outs),
    )


@op()
def dot(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The sum of the products of two vectors (N,), accumulated as a matrix product."""
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape} do not fit; allowed: (N,) and (N,)")
    return fp.matmul(a[None], b[:, None]).reshape(()), (lambda fp, g: fp.mul(b, g), lambda fp, g: fp.mul(a, g))


def outer(input: Any, vec2: Any) -> Tensor:
    """The products of all pairs of two vectors, (N,) and (M,) giving (N, M): one `mul`."""
    return mul(reshape(input, (-1, 1)), reshape(vec2, (1, -1)))


@op()
def bilinear(fp: Arithmetic, input1: Array, input2: Array, weight: Array, bias: Array | None = None, /) -> Any:
    """``input1 @ weight[o] @ input2 + bias[o]`` for (..., I), (..., J), weight (O, I, J), bias (O,), giving (..., O).

    Steps: the product over I, that over J, the sum. Gradients: with ``s = g * input2`` a product over (O, J) for input1
    and one over the rows for weight; for input2 the product over I again and one over O.
    """
    x1, x2 = input1, input2
    if weight.ndim != 3 or x1.shape[-1:] != weight.shape[1:2] or x2.shape[-1:] != weight.shape[2:]:
        shapes = f"{x1.shape} and {x2.shape} do not fit weight {weight.shape}"
        raise ValueError(f"bilinear: inputs {shapes}; allowed: (..., I), (..., J), (O, I, J)")
    if x1.shape[:-1] != x2.shape[:-1]:
        raise ValueError(f"bilinear: inputs {x1.shape} and {x2.shape} do not fit; allowed: equal ones but for the last")
    outs, i, j = weight.shape
    if bias is not None and bias.shape != (outs,):
        raise ValueError(f"bilinear: bias {bias.shape} does not fit weight {weight.shape}; allowed: ({outs},)")
    a, b, lead = x1.reshape(prod(x1.shape[:-1]), i), x2.reshape(prod(x2.shape[:-1]), j), x1.shape[:-1]
    flat = weight.transpose(1, 0, 2).reshape(i, outs * j)

    def half(fp: Arithmetic) -> Array:
        return fp.matmul(a, flat).reshape(len(a), outs, j)

    def spread(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(g.reshape(-1, outs, 1), b[:, None, :]).reshape(-1, outs * j)

    y = fp.matmul(half(fp), b[:, :, None]).reshape(-1, outs)
    y = y if bias is None else fp.add(y, bias)
    return y.reshape(*lead, outs), (
        lambda fp, g: fp.matmul(spread(fp, g), flat.T).reshape(*lead, i),
        lambda fp, g: fp.matmul(g.reshape(-1, 1, outs), half(fp)).reshape(*lead, j),
        lambda fp, g: fp.matmul(a.T, spread(fp, g)).reshape(i, outs, j).transpose(1, 0, 2),
        lambda fp, g: fp.sum(g.reshape(-1, outs), 0),
    )


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(norm(x), eps)`` along ``dim``, composed of `norm`, `clamp`, `div`; eps is 0 in float16."""
    return div(input, clamp(norm(input, p, _axis(input, dim), keepdims=True), eps))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``sum((x1 / max(n1, eps)) * (x2 / max(n2, eps)))`` along ``dim``, n the norms; composed of those operations.

    The bound is none to the gradient, as in PyTorch: it is that of the norm. Operands of different shapes are first
    broadcast, ``dim`` is an axis of the common shape. Under autocast all of it is float32.
    """
    shapes = _shape(x1), _shape(x2)
    if shapes[0] != shapes[1]:
        try:
            x1, x2 = (expand(x, np.broadcast_shapes(*shapes)) for x in (x1, x2))
        except ValueError:
            listed = "cosine_similarity: shapes {} and {} do not fit".format(*shapes)
            raise ValueError(f"{listed}; allowed: shapes that broadcast") from None
    a, b = (_unit(x, dim, eps) for x in as_category("fp32", x1, x2))
    return sum(mul(a, b), dim)


@op()
@named("at_least")
def _at_least(fp: Arithmetic, x: Array, /, low: float) -> Any:
    return np.maximum(x, fp.constant(low)), lambda fp, g: g


def _unit(x: Any, dim: int, eps: float) -> Tensor:
    return div(x, _at_least(norm(x, 2, _axis(x, dim), keepdims=True), eps))


def _axis(x: Any, dim: int) -> int:
    return axis_of(dim, np.ndim(plain(x)))
