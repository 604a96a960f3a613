"""Operations that move values and never round."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops.sparse import scatter_sum
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array


@op(exact=True)
def reshape(fp: Arithmetic, x: Array, /, shape: tuple[int, ...]) -> Any:
    """The values in C order in another shape."""
    before = x.shape
    return x.reshape(shape), lambda fp, g: g.reshape(before)


@op(exact=True)
def transpose(fp: Arithmetic, x: Array, /, axes: tuple[int, ...] | None = None) -> Any:
    """The axes permuted; reversed without ``axes``."""
    back = None if axes is None else tuple(np.argsort([a % x.ndim for a in axes]))
    return x.transpose(axes), lambda fp, g: g.transpose(back)


@op()
def getitem(fp: Arithmetic, x: Array, /, index: Any) -> Any:
    """``x[index]``; where an index array picks an element twice its gradients are added as ``accumulate`` says."""
    shape = x.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        if _is_basic(index):
            out = np.zeros(shape, g.dtype)
            out[index] = g
            return out
        where = np.arange(prod(shape)).reshape(shape)[index]
        return scatter_sum(fp, g.reshape(-1), where.reshape(-1), prod(shape)).reshape(shape)

    return np.array(x[index]), pullback


def _is_basic(index: Any) -> bool:
    """Whether ``index`` is made of integers, slices, None and an ellipsis, and so picks no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    integers = (int, np.integer, slice, type(None), type(...))
    return all(isinstance(part, integers) and not isinstance(part, bool) for part in parts)
