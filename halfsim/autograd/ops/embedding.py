"""Rows of a table picked by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import indices as whole_numbers
from halfsim.autograd.ops._common import named
from halfsim.autograd.ops.index import scatter_sum
from halfsim.autograd.scope import resolve_for
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "embedding",
]


def _embedding(
    fp: Arithmetic, weight: Array, /, indices: Array, padding_idx: int | None = None, by_count: bool = False
) -> Any:
    size, width = weight.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        where, rows = indices.reshape(-1), g.reshape(-1, width)
        if padding_idx is not None:
            kept = where != padding_idx
            where, rows = where[kept], rows[kept]
        if by_count:
            counts = np.bincount(where, minlength=size)[where].astype(rows.dtype)
            rows = fp.mul(rows, fp.div(fp.constant(1.0), counts[:, None]))
        return scatter_sum(fp, rows, where, size)

    return weight[indices], pullback


_pick = op()(_embedding)


@op()
@named("shorten_rows")
def _renorm(fp: Arithmetic, rows: Array, /, max_norm: float, norm_type: float) -> Any:
    """Each row (N, width) of a norm above ``max_norm`` times ``max_norm / (norm + 1e-7)``."""
    if norm_type == 2:
        norms = fp.sqrt(fp.sum(fp.mul(rows, rows), 1, keepdims=True))
    elif np.isinf(norm_type):
        norms = np.abs(rows).max(1, keepdims=True, initial=0)
    else:
        powers = fp.pow(np.abs(rows), fp.constant(norm_type))
        norms = fp.pow(fp.sum(powers, 1, keepdims=True), fp.constant(1 / norm_type))
    limit = fp.constant(max_norm)
    scaled = fp.mul(rows, fp.div(limit, fp.add(norms, fp.constant(1e-7))))
    return np.where(norms > limit, scaled, rows), ()


def shorten(weight: Any, rows: Array, max_norm: float, norm_type: float) -> None:
    """Let ``weight`` take an array in which the norms of ``rows`` are at most ``max_norm``."""
    if not isinstance(weight, Tensor):
        raise TypeError(f"max_norm: the weight is a {type(weight).__name__}, which cannot be changed; allowed: Tensor")
    if not norm_type > 0:
        raise ValueError(f"norm_type: {norm_type} is not allowed; allowed: positive numbers, inf")
    met, values = np.unique(rows), weight.array.copy()
    given = Tensor(values[met], weight.format)
    values[met] = apply(SPECS["shorten_rows"], (given,), (max_norm, norm_type), None, resolve_for(weight.format)).array
    weight.array = values


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` (size, width) at the integers ``input`` (...), giving (..., width).

    The gradient of a row is the sum of those of its occurrences, in their order, accumulated as ``accumulate`` says;
    the row ``padding_idx`` takes none, and with ``scale_grad_by_freq`` each is first multiplied by 1 over the number of
    its row's occurrences. With ``max_norm`` the weight itself (a Tensor) changes first: rows that are picked and whose
    norm of order ``norm_type`` exceeds it are multiplied by ``max_norm / (norm + 1e-7)``. ``sparse`` changes nothing
    here. ``ValueError`` for indices outside 0 to size - 1, ``TypeError`` for indices that are no integers.

    >>> from halfsim import tensor
    >>> embedding([1, 0], tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]], float32)
    """
    shape = np.shape(plain(weight))
    if len(shape) != 2:
        raise ValueError(f"embedding: weight {shape} is not allowed; allowed: (size, width)")
    rows = row_indices(input, shape[0])
    if max_norm is not None:
        shorten(weight, rows, max_norm, norm_type)
    return _pick(weight, indices=rows, padding_idx=padding(padding_idx, shape[0]), by_count=scale_grad_by_freq)


def row_indices(input: Any, size: int) -> Array:
    """``input`` as an array of integers that are rows of a table of ``size``."""
    indices = whole_numbers("input", input)
    if indices.size and not 0 <= indices.min() <= indices.max() < size:
        allowed = f"0 to {size - 1}" if size else "none"
        raise ValueError(f"input: rows {indices.min()} to {indices.max()} of {size}; allowed: {allowed}")
    return indices


def padding(index: int | None, size: int) -> int | None:
    """``padding_idx`` counted from the beginning."""
    if index is not None and not -size <= index < size:
        raise ValueError(f"padding_idx: {index} is not allowed; allowed: {-size} to {size - 1}, None")
    return index if index is None else index % size
