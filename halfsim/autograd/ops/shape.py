"""Operations that move values and never round."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
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


@op(exact="forward")
def getitem(fp: Arithmetic, x: Array, /, index: Any) -> Any:
    """``x[index]``; where an index array picks an element twice its gradients are added, each sum rounded."""
    shape = x.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(shape, g.dtype)
        seen = np.zeros(shape, np.int64)
        np.add.at(seen, index, 1)
        if seen.max(initial=0) <= 1:
            out[index] = g
            return out
        where = np.broadcast_to(np.arange(out.size).reshape(shape)[index], g.shape).reshape(-1)
        flat, values = out.reshape(-1), g.reshape(-1)
        for i, k in enumerate(where):
            flat[k] = fp.add(flat[k], values[i])
        return out

    return np.array(x[index]), pullback
