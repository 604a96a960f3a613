"""Systems of linear equations by elimination, every product and difference a step that is rounded to ``compute``.

Nothing is accumulated: from each row a multiple of the pivot's row is taken away, as in a textbook. All of it is one
kernel, whose result is stored.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import shared_backward
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "inv",
    "inverse",
    "logdet",
    "slogdet",
    "solve",
    "solve_triangular",
]


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _square(name: str, x: Array) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name}: shape {x.shape} is not allowed; allowed: (..., M, M)")


def _factored(fp: Arithmetic, a: Array) -> tuple[Array, Array, Array]:
    """(B, M, M) with rows exchanged so that pivots are the largest of their columns, as factors L (below the diagonal,
    whose own is 1) and U in one array; the order of rows; its sign.
    """
    lu, batch, n = np.array(a), np.arange(len(a)), a.shape[-1]
    rows, sign = np.tile(np.arange(n), (len(a), 1)), np.ones(len(a), a.dtype)
    for k in range(n):
        pivot = k + np.argmax(np.abs(lu[:, k:, k]), 1)
        for x in (lu, rows):
            x[batch, k], x[batch, pivot] = x[batch, pivot], x[batch, k].copy()
        sign = np.where(pivot == k, sign, -sign)
        below, rest = slice(k + 1, None), lu[:, k, k, None]
        lu[:, below, k] = fp.keep(fp.div(lu[:, below, k], np.where(rest == 0, rest.dtype.type(1), rest)), rest != 0)
        lu[:, below, below] = fp.sub(lu[:, below, below], fp.mul(lu[:, below, k, None], lu[:, None, k, below]))
    return lu, rows, sign


def _lower(fp: Arithmetic, a: Array, b: Array, unit: bool = False) -> Array:
    """The solution x of ``a @ x = b`` with the lower triangle of ``a``, or with a diagonal of ones."""
    x = np.array(b)  # which refuses tensors: nothing here goes on a tape
    for k in range(a.shape[-1]):
        if not unit:
            x[:, k] = fp.div(x[:, k], a[:, k, k, None])
        x[:, k + 1 :] = fp.sub(x[:, k + 1 :], fp.mul(a[:, k + 1 :, k, None], x[:, None, k]))
    return x


def _upper(fp: Arithmetic, a: Array, b: Array, unit: bool = False) -> Array:
    """The same with the upper triangle."""
    return _lower(fp, a[:, ::-1, ::-1], b[:, ::-1], unit)[:, ::-1]


def _solved(name: str, fp: Arithmetic, a: Array, b: Array) -> Array:
    """The solution x of ``a @ x = b`` for (..., M, M) and (..., M, K), of one batch or of several that broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(prod(batch), *x.shape[-2:]) for x in (a, b))
    lu, rows, _ = _factored(fp, a)
    if not np.diagonal(lu, 0, 1, 2).all():
        raise ValueError(f"{name}: a matrix is singular; allowed: matrices that have an inverse")
    x = _upper(fp, lu, _lower(fp, lu, np.take_along_axis(b, rows[:, :, None], 1), unit=True))
    return x.reshape(*batch, *b.shape[-2:])


@op()
def solve(fp: Arithmetic, a: Array, b: Array, /, *, left: bool = True) -> Any:
    """The solution x of ``a @ x = b`` for a (..., M, M) and b (..., M, K) or (..., M), or, without ``left``, of x @ a.

    By elimination with exchange of rows. Gradients ``solve(a.T, g)``, and minus its product with ``x.T``.
    ``ValueError`` for a singular matrix.

    >>> from halfsim import tensor
    >>> solve(tensor([[2.0, 0.0], [1.0, 1.0]]), tensor([2.0, 3.0]))
    tensor([1., 2.], float32)
    """
    _square("solve", a)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    matrix = b[..., None] if vector else b
    if not left:
        if vector:
            raise ValueError("left: False is not allowed with vectors; allowed: True")
        a, matrix = _turned(a), _turned(matrix)
    if matrix.shape[-2] != a.shape[-1]:
        raise ValueError(f"solve: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, M) and (..., M, K)")
    x, shape = _solved("solve", fp, a, matrix), b.shape
    back = shared_backward(
        lambda fp, g: _solved("solve", fp, _turned(a), g[..., None] if vector else g if left else _turned(g))
    )

    def pull_a(fp: Arithmetic, g: Array) -> Array:
        slope = -fp.matmul(back(fp, g), _turned(x))
        return slope if left else _turned(slope)

    def pull_b(fp: Arithmetic, g: Array) -> Array:
        slope = back(fp, g)[..., 0] if vector else back(fp, g) if left else _turned(back(fp, g))
        return fp.sum_to(slope, shape)

    return (x[..., 0] if vector else x if left else _turned(x)), (pull_a, pull_b)


@op()
def inv(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse of matrices (..., M, M), by elimination; gradient ``-y.T @ g @ y.T``. ``ValueError`` if singular.

    >>> from halfsim import tensor
    >>> inv(tensor([[2.0, 0.0], [1.0, 1.0]]))
    tensor([[ 0.5,  0. ],
            [-0.5,  1. ]], float32)
    """
    _square("inv", x)
    y = _solved("inv", fp, x, np.eye(x.shape[-1], dtype=x.dtype))
    return y, lambda fp, g: -fp.matmul(_turned(y), fp.matmul(g, _turned(y)))


@op()
def det(fp: Arithmetic, x: Array, /) -> Any:
    """The determinant of matrices (..., M, M), the product of the pivots of elimination.

    Gradient ``g * y * inv(x).T``. It is refused for singular matrices.
    """
    _square("det", x)
    lu, _, y = _factored(fp, x.reshape(prod(x.shape[:-2]), *x.shape[-2:]))
    for k in range(x.shape[-1]):
        y = fp.mul(y, lu[:, k, k])
    y = y.reshape(x.shape[:-2])

    def pullback(fp: Arithmetic, g: Array) -> Array:
        scale = fp.mul(g, y)[..., None, None]
        return _solved("det", fp, _turned(x), fp.mul(scale, np.eye(x.shape[-1], dtype=g.dtype)))

    return y, pullback


@op()
def solve_triangular(
    fp: Arithmetic, a: Array, b: Array, /, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The solution x of ``a @ x = b`` (without ``left`` of ``x @ a = b``) with one triangle of a (..., M, M).

    With ``unitriangular`` the diagonal is taken as ones. Gradients as those of `solve`, within the triangle.
    """
    _square("solve_triangular", a)
    if b.ndim < 2 or b.shape[-2 if left else -1] != a.shape[-1]:
        raise ValueError(f"solve_triangular: {a.shape} and {b.shape} do not fit; allowed: (..., M, M), (..., M, K)")
    matrix, rows = (a, b) if left else (_turned(a), _turned(b))
    above = upper == left

    def solved(fp: Arithmetic, a: Array, b: Array, above: bool) -> Array:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(v, (*batch, *v.shape[-2:])).reshape(prod(batch), *v.shape[-2:]) for v in (a, b))
        return (_upper if above else _lower)(fp, a, b, unitriangular).reshape(*batch, *b.shape[-2:])

    x = solved(fp, matrix, rows, above)
    back = shared_backward(lambda fp, g: solved(fp, _turned(matrix), g if left else _turned(g), not above))
    triangle = np.tri(a.shape[-1], k=-1 if unitriangular else 0, dtype=np.bool_)

    def pull_a(fp: Arithmetic, g: Array) -> Array:
        slope = -fp.matmul(back(fp, g), _turned(x))
        slope = slope if left else _turned(slope)
        return fp.keep(slope, np.broadcast_to(triangle.T if upper else triangle, slope.shape))

    def pull_b(fp: Arithmetic, g: Array) -> Array:
        return back(fp, g) if left else _turned(back(fp, g))

    return (x if left else _turned(x)), (pull_a, pull_b)


@op()
def cholesky(fp: Arithmetic, x: Array, /, *, upper: bool = False) -> Any:
    """The triangular factor L (with ``upper`` its transpose) of positive definite matrices ``x = L @ L.T``.

    Only the lower triangle of x (with ``upper`` the upper) is read. Gradient ``L**-T @ phi(L.T @ g) @ L**-1``, made
    symmetric, phi the lower triangle with half the diagonal. ``ValueError`` for matrices not positive definite.

    >>> from halfsim import tensor
    >>> cholesky(tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]], float32)
    """
    _square("cholesky", x)
    shape, n = x.shape, x.shape[-1]
    y = np.tril((_turned(x) if upper else x).reshape(prod(shape[:-2]), n, n))
    for k in range(n):
        if (y[:, k, k] <= 0).any():
            raise ValueError("cholesky: a matrix is not positive definite; allowed: positive definite ones")
        y[:, k, k] = fp.sqrt(y[:, k, k])
        y[:, k + 1 :, k] = fp.div(y[:, k + 1 :, k], y[:, k, k, None])
        column = y[:, k + 1 :, k]
        y[:, k + 1 :, k + 1 :] = np.tril(fp.sub(y[:, k + 1 :, k + 1 :], fp.mul(column[:, :, None], column[:, None])))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        g = (_turned(g) if upper else g).reshape(y.shape)
        half = fp.constant(0.5)
        phi = np.tril(fp.matmul(_turned(y), g))
        i = np.arange(n)
        phi[:, i, i] = fp.mul(phi[:, i, i], half)
        phi = _upper(fp, _turned(y), phi)
        phi = _turned(_upper(fp, _turned(y), _turned(phi)))
        return fp.mul(fp.add(phi, _turned(phi)), half).reshape(shape)

    out = y.reshape(shape)
    return (_turned(out) if upper else out), pullback


inverse = inv


def _by_factor(fp: Arithmetic, name: str, factor: Array, b: Array, upper: bool) -> Array:
    """The solution x of ``L @ L.T @ x = b`` for (..., M, M) and (..., M, K), L in one triangle of ``factor``."""
    _square(name, factor)
    if b.ndim < 2 or b.shape[-2] != factor.shape[-1]:
        raise ValueError(f"{name}: {b.shape} and {factor.shape} do not fit; allowed: (..., M, K) and (..., M, M)")
    batch = np.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
    low = _turned(factor) if upper else factor
    low, b = (np.broadcast_to(v, (*batch, *v.shape[-2:])).reshape(prod(batch), *v.shape[-2:]) for v in (low, b))
    return _upper(fp, _turned(low), _lower(fp, low, b)).reshape(*batch, *b.shape[-2:])


def _factor_slope(fp: Arithmetic, factor: Array, product: Array, upper: bool) -> Array:
    """The gradient of a factor: minus it times ``product`` made symmetric, as in PyTorch in both triangles."""
    both = fp.add(product, _turned(product))
    slope = -fp.matmul(factor, both) if upper else -fp.matmul(both, factor)
    return fp.sum_to(slope, factor.shape)


@op()
def cholesky_solve(fp: Arithmetic, B: Array, L: Array, /, upper: bool = False) -> Any:  # noqa: N803  # PyTorch's names
    """The solution x of ``L @ L.T @ x = B``, with ``upper`` of ``L.T @ L @ x``; one triangle of L is read.

    Gradients ``s = cholesky_solve(g, L)``, and minus the product of ``s @ x.T``, made symmetric, with L.

    >>> from halfsim import tensor
    >>> cholesky_solve(tensor([[4.0], [8.0]]), tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([[1.],
            [8.]], float32)
    """
    x, shape = _by_factor(fp, "cholesky_solve", L, B, upper), B.shape
    back = shared_backward(lambda fp, g: _by_factor(fp, "cholesky_solve", L, g, upper))
    return x, (
        lambda fp, g: fp.sum_to(back(fp, g), shape),
        lambda fp, g: _factor_slope(fp, L, fp.matmul(back(fp, g), _turned(x)), upper),
    )


@op()
def cholesky_inverse(fp: Arithmetic, L: Array, /, upper: bool = False) -> Any:  # noqa: N803
    """The inverse of ``L @ L.T``, with ``upper`` of ``L.T @ L``; one triangle of L is read.

    Gradient minus the product of ``y @ (g + g.T) @ y`` with L.
    """
    _square("cholesky_inverse", L)
    y = _by_factor(fp, "cholesky_inverse", L, np.eye(L.shape[-1], dtype=L.dtype), upper)
    return y, lambda fp, g: _factor_slope(fp, L, fp.matmul(fp.matmul(y, g), y), upper)


def logdet(input: Any) -> Tensor:
    """The logarithm of the determinant of matrices (..., M, M): `det`, then `log`; NaN where that is negative."""
    return OPS["log"](det(input))


class SignLog(NamedTuple):
    """The sign of a determinant, and the logarithm of its magnitude."""

    sign: Any
    logabsdet: Any


def slogdet(input: Any) -> SignLog:
    """The sign of the determinant of matrices (..., M, M) and the logarithm of its magnitude: `det`, `sign`, `log`."""
    value = det(input)
    return SignLog(OPS["sign"](value), OPS["log"](OPS["abs"](value)))
