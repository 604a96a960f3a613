"""Random Hadamard transforms: a large number is spread over its neighbours, so that a block has no outlier."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from halfsim.numerics._grid import Array
from halfsim.numerics.rounding import Stochastic


@lru_cache(maxsize=16)
def _signs(count: int, seed: int) -> Array:
    """Random signs of the rows of a Hadamard matrix."""
    return 1.0 - 2.0 * Stochastic(seed=seed, bits=1).draw(count).astype(np.float64)


def turned(x: Array, n: int, seed: int, back: bool = False) -> Array:
    """``x``, in float64, with each ``n`` neighbours, a power of two, on its last axis turned, or turned ``back``.

    The matrix is orthogonal, its rows have random signs by ``seed``. A product of two arrays that are both turned along
    the axis summed over is the product of the arrays. What is missing from the last group is zero.
    """
    size, signs = x.shape[-1], _signs(n, seed)
    groups = -(-size // n)
    y = np.zeros((*x.shape[:-1], groups * n))
    y[..., :size] = x
    y = y.reshape(*x.shape[:-1], groups, n)
    y = y if back else y * signs
    step = 1
    while step < n:  # sums and differences of pairs, Sylvester's construction
        pairs = y.reshape(*y.shape[:-1], n // (2 * step), 2, step)
        y = np.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], -2).reshape(y.shape)
        step *= 2
    y = y / math.sqrt(n)
    y = y * signs if back else y
    return y.reshape(*x.shape[:-1], groups * n)
