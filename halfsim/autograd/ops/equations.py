"""What is made of solutions of equations and of singular values, by the names of `torch.linalg`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, integer_tensor
from halfsim.autograd.ops.norms import matrix_norm
from halfsim.autograd.ops.shape import moveaxis, reshape, swapaxes
from halfsim.autograd.ops.singular import svdvals
from halfsim.autograd.ops.solve import cholesky, inv, solve, solve_triangular
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.quantize import Array
from halfsim.options import shown

__all__ = [
    "cholesky_ex",
    "inv_ex",
    "linalg_cond",
    "matrix_rank",
    "solve_ex",
    "tensorinv",
    "tensorsolve",
    "triangular_solve",
]


class Inverse(NamedTuple):
    """Inverses, and for each whether there was one: 0, or the number of the first pivot that is zero."""

    inverse: Any
    info: Any


class Solution(NamedTuple):
    """Solutions, and for each whether there was one: 0, or the number of the first pivot that is zero."""

    result: Any
    info: Any


class Factor(NamedTuple):
    """Triangular factors, and for each 0, or the order of the first leading minor that is not positive."""

    L: Any
    info: Any


class Triangular(NamedTuple):
    """The solution of a triangular system, and its matrix."""

    solution: Any
    cloned_coefficient: Any


def _attempted(name: str, function: Callable[..., Tensor], tried: Callable[[Array], int], A: Any, strict: bool) -> Any:  # noqa: N803
    """The result of ``function``, NaN where it fails, and for each matrix what ``tried`` finds there."""
    try:
        y = function(A)
    except ValueError as error:
        x = numbers(A, np.float64)
        if strict or x.ndim < 2 or x.shape[-1] != x.shape[-2] or "shape" in str(error):
            raise
        info = np.array([tried(m) for m in x.reshape(-1, *x.shape[-2:])], np.int32).reshape(x.shape[:-2])
        if not info.any():
            raise
        good = OPS["where"]((info == 0)[..., None, None], A, np.eye(x.shape[-1]))
        y = function(good)
        y = OPS["where"]((info == 0).reshape(*info.shape, *[1] * (2 if y.ndim >= x.ndim else 1)), y, np.nan)
        return y, integer_tensor(info)
    return y, integer_tensor(np.zeros(np.shape(plain(A))[:-2], np.int32))


def _minor(x: Array) -> int:
    """The order of the first leading minor of a symmetric matrix that is not positive."""
    for k in range(1, len(x) + 1):
        try:
            np.linalg.cholesky(x[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


def _pivot(x: Array) -> int:
    """The number of the first pivot of a matrix that is zero in elimination."""
    x = x.copy()
    for k in range(len(x)):
        best = k + int(np.argmax(np.abs(x[k:, k])))
        if x[best, k] == 0:
            return k + 1
        x[[k, best]] = x[[best, k]]
        x[k + 1 :] -= np.outer(x[k + 1 :, k] / x[k, k], x[k])
    return 0


def inv_ex(A: Any, *, check_errors: bool = False) -> Inverse:  # noqa: N803  # PyTorch's name
    """`inv`, and ``info``, which is not 0 for a matrix without inverse: its result is NaN, unless ``check_errors``."""
    return Inverse(*_attempted("inv_ex", inv, _pivot, A, check_errors))


def cholesky_ex(input: Any, *, upper: bool = False, check_errors: bool = False) -> Factor:
    """`cholesky`, and ``info``, which is not 0 for a matrix that has no such factor: its result is NaN.

    >>> from halfsim import tensor
    >>> cholesky_ex(tensor([[1.0, 2.0], [2.0, 1.0]])).info
    tensor(2, int32)
    """
    return Factor(*_attempted("cholesky_ex", lambda x: cholesky(x, upper=upper), _minor, input, check_errors))


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Solution:  # noqa: N803
    """`solve`, and ``info``, which is not 0 for a matrix without inverse: its result is NaN, unless ``check_errors``.

    >>> from halfsim import tensor
    >>> solve_ex(tensor([[1.0, 1.0], [1.0, 1.0]]), tensor([[1.0], [2.0]])).info
    tensor(2, int32)
    """
    return Solution(*_attempted("solve_ex", lambda a: solve(a, B, left=left), _pivot, A, check_errors))


def triangular_solve(
    b: Any,
    A: Any,  # noqa: N803
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Triangular:
    """The solution x of ``A @ x = b``, or ``A.T @ x = b``, with one triangle of A, and A: `solve_triangular`."""
    shape = np.shape(plain(A))
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"triangular_solve: shape {shape} is not allowed; allowed: (..., M, M)")
    matrix = swapaxes(A, -1, -2) if transpose else A
    found = solve_triangular(matrix, b, upper=upper != transpose, unitriangular=unitriangular)
    return Triangular(found, as_tensor(A))


def linalg_cond(A: Any, p: float | str | None = None) -> Tensor:  # noqa: N803
    """`torch.linalg.cond`: how much a system of equations magnifies errors, ``norm(A, p) * norm(inv(A), p)``.

    Without ``p``, and for 2 and -2, it is the quotient of the largest singular value and the smallest, or theirs.
    Infinite for a singular matrix.
    """
    if p in (None, 2, -2):
        s = svdvals(A)
        ends = (s[..., 0], s[..., -1]) if p != -2 else (s[..., -1], s[..., 0])
        return OPS["div"](*ends)
    y, info = inv_ex(A)
    size = OPS["mul"](matrix_norm(A, p), matrix_norm(y, p))
    return OPS["where"](info.array == 0, size, np.inf) if info.array.any() else size


def matrix_rank(
    A: Any,  # noqa: N803
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """The number (int64) of singular values above ``max(atol, rtol * the largest)``; no gradient.

    ``rtol`` is by default the longer side times the format's ``eps``, or 0 where ``atol`` is given. (``tol``, the
    second argument, is an ``rtol`` of the new spelling and an ``atol`` of the old one, as in PyTorch the old one.)
    """
    x = as_tensor(A)
    for name, bound in (("tol", tol), ("atol", atol), ("rtol", rtol)):
        if bound is not None and not np.isfinite(numbers(bound)).all():
            raise ValueError(f"{name}: {shown(bound)} is not allowed; allowed: finite numbers")
    s = svdvals(x.detach())
    most = s.array.max(-1, keepdims=True, initial=0.0)
    absolute = numbers(0.0 if tol is None and atol is None else tol if atol is None else atol)
    default = max(x.shape[-2:]) * s.format.eps if tol is None and not (absolute > 0).any() else 0.0
    relative = numbers(default if rtol is None else rtol)
    bound = np.maximum(absolute[..., None], relative[..., None] * most)
    return integer_tensor(np.asarray(np.count_nonzero(s.array > bound, -1), np.int64))


def tensorinv(A: Any, ind: int = 2) -> Tensor:  # noqa: N803
    """The inverse of the matrix that the first ``ind`` axes make with the others: (a, b, c, d) gives (c, d, a, b)."""
    shape = np.shape(plain(A))
    if ind < 1 or prod(shape[:ind]) != prod(shape[ind:]):
        raise ValueError(f"ind: {ind} of shape {shape} is not allowed; allowed: one that makes a square matrix")
    return reshape(inv(reshape(A, (prod(shape[:ind]), -1))), (*shape[ind:], *shape[:ind]))


def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None) -> Tensor:  # noqa: N803
    """The x with ``tensordot(A, x, x.ndim) = B``; the axes ``dims`` of A are first moved to the end."""
    A = as_tensor(A)
    if dims is not None:
        A = moveaxis(A, tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = np.shape(plain(B))
    rest = A.shape[len(shape) :]
    if prod(shape) != prod(rest):
        raise ValueError(f"tensorsolve: {A.shape} and {shape} do not fit; allowed: as many values as unknowns")
    return reshape(solve(reshape(A, (prod(shape), -1)), reshape(B, -1)), rest)
