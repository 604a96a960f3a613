"""Products of matrices, norms and what solves equations, by the names of ``torch.linalg``."""

from halfsim.autograd.ops import (
    cholesky,
    det,
    diagonal,
    inv,
    linalg_cross,
    linalg_norm,
    linalg_vander,
    matmul,
    matrix_norm,
    matrix_power,
    multi_dot,
    slogdet,
    solve,
    solve_triangular,
    vecdot,
    vector_norm,
)
from halfsim.names import missing as _missing

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "vander",
    "vecdot",
    "vector_norm",
]

cross, norm, vander = linalg_cross, linalg_norm, linalg_vander


def __getattr__(name: str) -> object:
    raise _missing("halfsim.linalg", name)
