"""Products of matrices, norms and what solves equations, by the names of ``torch.linalg``."""

from typing import Any as _Any

from halfsim.autograd.ops import (
    cholesky,
    cholesky_ex,
    det,
    inv,
    inv_ex,
    linalg_cond,
    linalg_cross,
    linalg_norm,
    linalg_vander,
    matmul,
    matrix_norm,
    matrix_power,
    matrix_rank,
    multi_dot,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    svdvals,
    tensorinv,
    tensorsolve,
    vecdot,
    vector_norm,
)
from halfsim.autograd.ops import diagonal as _diagonal
from halfsim.autograd.tensor import Tensor as _Tensor
from halfsim.names import public as _public

__all__ = [
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "inv",
    "inv_ex",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

cond, cross, norm, vander = linalg_cond, linalg_cross, linalg_norm, linalg_vander


def diagonal(A: _Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> _Tensor:  # noqa: N803  # PyTorch's name
    """The diagonal of each matrix in the last two axes of ``A``, as the last axis; `halfsim.diagonal` takes the first.

    >>> diagonal([[[1.0, 2.0], [3.0, 4.0]]])
    tensor([[1., 4.]], float32)
    """
    return _diagonal(A, offset, dim1, dim2)


_public(__name__)
