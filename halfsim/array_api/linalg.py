"""The array API's extension for linear algebra, without what needs factorizations that are not simulated."""

from __future__ import annotations

from typing import Any

from halfsim.array_api._dtypes import adopted
from halfsim.array_api._statistics import sum as _sum
from halfsim.autograd.numpy_protocol import numpy_functions
from halfsim.autograd.operators import OPS
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.options import guarded_names

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "slogdet",
    "solve",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The product of matrices."""
    return OPS["matmul"](*adopted(x1, x2))


def matrix_transpose(x: Any, /) -> Tensor:
    """The last two axes swapped."""
    if x.ndim < 2:
        raise ValueError(f"x: shape {x.shape} is not allowed; allowed: at least two axes")
    return OPS["swapaxes"](x, -1, -2)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Tensor:
    """The sum of products over the last axes of one and the first of the other, or over the pairs ``axes``."""
    return OPS["tensordot"](*adopted(x1, x2), axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The sum of products along an axis."""
    a, b = adopted(x1, x2)
    if not -min(a.ndim, b.ndim) <= axis < 0 or a.shape[axis] != b.shape[axis]:
        raise ValueError(f"axis: {axis} of shapes {a.shape} and {b.shape} is not allowed; allowed: equal, below zero")
    return _sum(OPS["mul"](a, b), axis=axis, dtype=a.dtype)


def outer(x1: Any, x2: Any, /) -> Tensor:
    """The products of each value of one vector with each of the other."""
    a, b = adopted(x1, x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"x1, x2: shapes {a.shape} and {b.shape} are not allowed; allowed: vectors")
    return OPS["mul"](OPS["unsqueeze"](a, 1), b)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product along an axis of length 3."""
    return OPS["linalg_cross"](*OPS["broadcast_tensors"](*adopted(x1, x2)), axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the last two axes."""
    return OPS["diagonal"](x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sums of these."""
    return _sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm over axes, or of all values."""
    return OPS["norm"](x, ord, axis, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """A norm of matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf."""
    return OPS["matrix_norm"](x, ord, (-2, -1), keepdims)


def matrix_power(x: Any, n: int, /) -> Tensor:
    """The product of ``n`` times the matrix."""
    return OPS["matrix_power"](x, n)


def svdvals(x: Any, /) -> Tensor:
    """The singular values of matrices, the largest first: LAPACK's in float64, rounded once."""
    return OPS["svdvals"](x)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are above ``rtol`` times the largest."""
    return OPS["matrix_rank"](x, rtol=rtol)


def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices."""
    return OPS["cholesky"](x, upper=upper)


def det(x: Any, /) -> Tensor:
    """The determinants of matrices."""
    return OPS["det"](x)


def slogdet(x: Any, /) -> Any:
    """The signs of determinants and the logarithms of their magnitudes."""
    return OPS["slogdet"](x)


def inv(x: Any, /) -> Tensor:
    """The inverses of matrices."""
    return OPS["inv"](x)


def solve(x1: Any, x2: Any, /) -> Tensor:
    """What ``x1`` times gives ``x2``: a vector, or a stack of matrices."""
    return numpy_functions["linalg.solve"](*adopted(x1, x2))


guarded_names(globals(), __all__)
public(__name__)
