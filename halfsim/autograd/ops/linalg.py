"""Products of matrices and vectors, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from operator import index
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_tensor, axis_of
from halfsim.autograd.ops.elementwise import mul
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.ops.shape import reshape
from halfsim.autograd.ops.solve import inv
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "bilinear",
    "bmm",
    "chain_matmul",
    "cross",
    "dot",
    "ger",
    "kron",
    "linalg_cross",
    "linear",
    "matmul",
    "matrix_power",
    "mm",
    "multi_dot",
    "mv",
    "outer",
    "vdot",
    "vecdot",
]


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


@op("fp16")
def matmul(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a @ b`` for (..., M, K) and (..., K, N); one-dimensional operands as in ``np.matmul``.

    The gradient of an operand that serves a batch is one product with it where PyTorch folds the batch into the rows (a
    matrix or a vector; of two with three axes one of batch 1), else products, stored, and their sum.
    """
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: at least one dimension each")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, K) and (..., K, N)")
    left, right = a if a.ndim > 1 else a[None, :], b if b.ndim > 1 else b[:, None]
    y = fp.matmul(left, right)
    full, shape_a, shape_b = y.shape, a.shape, b.shape
    shape = full[:-2] + full[-2:-1] * (a.ndim > 1) + full[-1:] * (b.ndim > 1)
    return y.reshape(shape), (
        lambda fp, g: _unbatched(fp, fp.matmul(g.reshape(full), _turned(right)), left.shape).reshape(shape_a),
        lambda fp, g: _unbatched(fp, fp.matmul(_turned(left), g.reshape(full)), right.shape).reshape(shape_b),
    )


def _unbatched(fp: Arithmetic, g: Array, shape: tuple[int, ...]) -> Array:
    """The sum of a batch of products, of which PyTorch makes one product where it folds the batch."""
    folded = len(shape) == 2 or (g.ndim == 3 and shape[0] == 1)
    return fp.sum_to(g if folded or g.shape == shape else fp.spill(g), shape)


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


def _shaped(x: Array, shape: tuple[int, ...]) -> Array:
    """``x`` in ``shape``: itself where that is its own, for a gradient that is a view would be copied."""
    return x if x.shape == shape else x.reshape(shape)


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
        lambda fp, g: _shaped(fp.matmul(g.reshape(flat).T, rows), weight.shape),
        lambda fp, g: fp.sum(g.reshape(flat), 0).reshape(outs),
    )


@op()
def dot(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The sum of the products of two vectors (N,), accumulated as a matrix product."""
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape} do not fit; allowed: (N,) and (N,)")
    return fp.matmul(a[None], b[:, None]).reshape(()), (lambda fp, g: fp.mul(b, g), lambda fp, g: fp.mul(a, g))


vdot = dot


def outer(input: Any, vec2: Any) -> Tensor:
    """The products of all pairs of two vectors, (N,) and (M,) giving (N, M): one `mul`."""
    return mul(reshape(input, (-1, 1)), reshape(vec2, (1, -1)))


ger = outer


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """The sums of the products along ``dim``, of shapes that broadcast: `mul`, then `sum`."""
    return sum(mul(x, y), dim)


def multi_dot(tensors: Sequence[Any]) -> Tensor:
    """The product of two or more matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors.

    >>> import numpy as np
    >>> multi_dot([np.ones(3), np.ones((3, 4)), np.ones((4, 2))]).shape
    (2,)
    """
    shapes = [_shape(x) for x in tensors]
    if len(shapes) < 2:
        raise ValueError(f"multi_dot: {len(shapes)} tensors are not allowed; allowed: two or more")
    if any(len(s) != 2 for s in shapes[1:-1]) or {len(shapes[0]), len(shapes[-1])} - {1, 2}:
        raise ValueError("multi_dot: dimensions do not fit; allowed: matrices, vectors at the ends")
    rows = [shapes[0] if len(shapes[0]) == 2 else (1, *shapes[0]), *shapes[1:-1]]
    rows.append(shapes[-1] if len(shapes[-1]) == 2 else (*shapes[-1], 1))
    if any(a[1] != b[0] for a, b in pairwise(rows)):
        raise ValueError(f"multi_dot: shapes {' and '.join(map(str, shapes))} do not fit; allowed: (M, K) and (K, N)")
    return _chain(list(tensors), _splits([rows[0][0], *(n for _, n in rows)]), 0, len(rows) - 1)


def chain_matmul(*matrices: Any) -> Tensor:
    """`multi_dot` of matrices alone; of one the matrix itself."""
    if any(len(_shape(x)) != 2 for x in matrices) or not matrices:
        raise ValueError("chain_matmul: dimensions do not fit; allowed: matrices, at least one")
    return multi_dot(matrices) if len(matrices) > 1 else as_tensor(matrices[0])


def _chain(tensors: list[Any], split: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return tensors[i]
    k = split[i, j]
    return matmul(_chain(tensors, split, i, k), _chain(tensors, split, k + 1, j))


def _splits(p: list[int]) -> dict[tuple[int, int], int]:
    """For the matrices (p[i], p[i + 1]) from i to j where to part their product, by the textbook's programme."""
    n = len(p) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [cost[i, k] + cost[k + 1, j] + p[i] * p[k + 1] * p[j + 1] for k in range(i, j)]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(cost[i, j])
    return split


def kron(input: Any, other: Any) -> Tensor:
    """Kronecker's product: every element of ``input`` times ``other``, in blocks; one `mul`.

    >>> from halfsim import tensor
    >>> kron(tensor([1.0, 10.0]), tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.], float32)
    """
    input, other = as_tensor(input, other), as_tensor(other, input)
    a, b = input.shape, other.shape
    ndim = max(len(a), len(b))
    a, b = (1,) * (ndim - len(a)) + a, (1,) * (ndim - len(b)) + b
    x = reshape(input, [n for m in a for n in (m, 1)])
    y = reshape(other, [n for m in b for n in (1, m)])
    return reshape(mul(x, y), [m * n for m, n in zip(a, b, strict=True)])


def cross(input: Any, other: Any, dim: int | None = None) -> Tensor:
    """The cross products of vectors of three along ``dim``, by default the first axis of that length."""
    found = [i for i, n in enumerate(_shape(input)) if n == 3]
    if dim is None and not found:
        raise ValueError(f"cross: shape {_shape(input)} is not allowed; allowed: an axis of length 3")
    return linalg_cross(input, other, dim=found[0] if dim is None else dim)


@op()
def linalg_cross(fp: Arithmetic, x: Array, other: Array, /, axis: int = -1) -> Any:
    """`torch.linalg.cross`: ``a1 * b2 - a2 * b1`` and so on along an axis of length 3, the products stored.

    Shapes broadcast. Gradients ``cross(other, g)`` and ``cross(g, x)``.
    """
    if x.ndim != other.ndim:
        raise ValueError(f"cross: shapes {x.shape} and {other.shape} do not fit; allowed: equally many dimensions")
    along = axis_of(axis, x.ndim)
    if x.shape[along] != 3 or other.shape[along] != 3:
        raise ValueError(f"cross: shapes {x.shape} and {other.shape} do not fit; allowed: length 3 along {axis}")

    def product(fp: Arithmetic, a: Array, b: Array) -> Array:
        (a1, a2), (b1, b2) = ((np.roll(v, -1, along), np.roll(v, -2, along)) for v in (a, b))
        s = Stepwise(fp)
        return fp.sub(s.mul(a1, b2), s.mul(a2, b1))

    return product(fp, x, other), (lambda fp, g: product(fp, other, g), lambda fp, g: product(fp, g, x))


def matrix_power(input: Any, n: int) -> Tensor:
    """The product of ``n`` times the matrices (..., M, M), by squaring; their inverses' for negative ``n``.

    >>> from halfsim import tensor
    >>> matrix_power(tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]], float32)
    """
    shape = _shape(input)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"matrix_power: shape {shape} is not allowed; allowed: (..., M, M)")
    n = index(n)  # a tensor of one would be halved in place
    if n < 0:
        return matrix_power(inv(input), -n)
    if n == 0:
        return as_tensor(np.broadcast_to(np.eye(shape[-1]), shape), input)
    y, square = None, input
    while n:
        y = (square if y is None else matmul(y, square)) if n % 2 else y
        n //= 2
        square = matmul(square, square) if n else square
    return as_tensor(y)


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
