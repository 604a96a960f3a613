"""Products of matrices, norms and what solves equations, by the names of ``torch.linalg``."""

from halfsim.autograd.ops import (
    cholesky,
    cholesky_ex,
    det,
    diagonal,
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

_public(__name__)
