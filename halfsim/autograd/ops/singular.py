"""Singular values of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
from halfsim.numerics.formats import float64
from halfsim.numerics.quantize import Array

__all__ = ["svdvals"]


@op("fp32")
def svdvals(fp: Arithmetic, A: Array, /) -> Any:  # noqa: N803  # PyTorch's name
    """The singular values (..., K) of matrices (..., M, N), the largest first; K is the shorter side.

    LAPACK's, computed in float64 and rounded once: no format's own steps are simulated. The gradient is
    ``U @ diag(g) @ Vh``, in float64 and rounded once too. NaN in a matrix gives NaN.

    >>> from halfsim import tensor
    >>> svdvals(tensor([[3.0, 0.0], [0.0, -4.0]]))
    tensor([4., 3.], float32)
    """
    if A.ndim < 2:
        raise ValueError(f"svdvals: shape {A.shape} is not allowed; allowed: (..., M, N)")
    wide = np.asarray(A, np.float64)
    broken = np.asarray(~np.isfinite(wide).all((-2, -1), keepdims=True))
    u, s, vh = np.linalg.svd(np.where(broken, 0.0, wide), full_matrices=False)
    s = np.where(broken[..., 0], np.nan, s)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        return fp.read(np.where(broken, np.nan, (u * np.asarray(g, np.float64)[..., None, :]) @ vh), float64)

    return fp.read(s, float64), pullback
