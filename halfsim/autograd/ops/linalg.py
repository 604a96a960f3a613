"""Matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
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


@op("fp16")
def linear(fp: Arithmetic, x: Array, weight: Array, bias: Array | None = None, /) -> Any:
    """``x @ weight.T + bias`` for x (..., in), weight (out, in), bias (out): a product, then a sum."""
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input {x.shape} does not fit weight {weight.shape}; allowed: (..., in) and (out, in)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape}; allowed: (out,)")
    rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
    y = fp.matmul(rows, weight.T)
    y = y if bias is None else fp.add(y, bias)
    shape, flat = x.shape, y.shape  # the formulas below must not hold y itself
    return y.reshape(*shape[:-1], weight.shape[0]), (
        lambda fp, g: fp.matmul(g.reshape(flat), weight).reshape(shape),
        lambda fp, g: fp.matmul(g.reshape(flat).T, rows),
        lambda fp, g: fp.sum(g.reshape(flat), 0),
    )
