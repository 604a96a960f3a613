"""Sums, means and maxima of rows of a table picked by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import indices, named
from halfsim.autograd.ops.embedding import padding, row_indices, shorten
from halfsim.autograd.ops.index import scatter_sum
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array

__all__ = [
    "embedding_bag",
]

MODES = ("sum", "mean", "max")


@op()
@named("embedding_bag")
def _bags(
    fp: Arithmetic,
    weight: Array,
    factors: Array | None = None,
    /,
    *,
    rows: Array,
    bags: Array,
    count: int,
    mode: str,
    by_count: bool,
) -> Any:
    """``rows`` (K,) of ``weight`` in ``bags`` (K,) from 0 to ``count`` - 1, in order."""
    size, picked = len(weight), weight[rows]
    members = np.maximum(np.bincount(bags, minlength=count), 1).astype(weight.dtype)[:, None]

    def pull_weight(fp: Arithmetic, g: Array) -> Array:
        g = g[bags] if mode == "sum" else fp.div(g[bags], members[bags])
        scale = np.ones((len(rows), 1), g.dtype)
        if by_count:
            scale = fp.div(fp.constant(1.0), np.bincount(rows, minlength=size)[rows].astype(g.dtype)[:, None])
        if factors is not None:
            scale = fp.mul(scale, factors[:, None])
        return scatter_sum(fp, fp.mul(g, scale), rows, size)

    def pull_factors(fp: Arithmetic, g: Array) -> Array:
        return fp.sum(fp.mul(g[bags], picked), 1)

    total = scatter_sum(fp, picked if factors is None else fp.mul(picked, factors[:, None]), bags, count)
    return (total if mode == "sum" else fp.div(total, members)), (pull_weight, pull_factors)


@op(exact="forward")
@named("embedding_bag_max")
def _largest(fp: Arithmetic, weight: Array, /, *, rows: Array, bags: Array, count: int) -> Any:
    """Of each bag and column the first of the largest values, NaN only where it is the bag's first; 0 of nothing."""
    (size, width), column = weight.shape, np.arange(weight.shape[1])
    members = np.bincount(bags, minlength=count)
    starts = np.cumsum(members) - members
    best = np.zeros((count, width), np.int64)
    for k in range(int(members.max(initial=0))):
        has = np.flatnonzero(members > k)
        row = rows[starts[has] + k][:, None]
        larger = weight[row, column] > weight[best[has], column] if k else np.True_
        best[has] = np.where(larger, row, best[has])
    full = members > 0

    def pullback(fp: Arithmetic, g: Array) -> Array:
        places = (best[full] * width + column).reshape(-1)
        return scatter_sum(fp, g[full].reshape(-1), places, size * width).reshape(size, width)

    y = weight[best, column] if size else np.zeros((count, width), weight.dtype)
    return np.where(full[:, None], y, weight.dtype.type(0)), pullback


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of ``weight`` (size, width) in each bag of indices, (bags, width).

    ``input`` (B, K) holds B bags, or (N,) bags that begin at ``offsets`` (B,), the first at 0; with
    ``include_last_offset`` the last of them is where the last bag ends. Indices equal to ``padding_idx`` are left out,
    and take no gradient; an empty bag gives 0. ``per_sample_weights`` (shape of the input) multiply the rows of a sum,
    not stored. Sums are accumulated, a mean then divides. Gradients: ``g`` (over the bag's size for a mean) times the
    factor (with ``scale_grad_by_freq`` 1 over the number of the row's occurrences, times the weight), summed by row as
    ``accumulate`` says; a maximum's goes to the first largest. Steps of PyTorch's CUDA kernels. ``max_norm`` as
    `embedding`; ``sparse`` changes nothing here. ``ValueError`` for shapes, indices, offsets and modes that do not fit.

    >>> from halfsim import tensor
    >>> embedding_bag([0, 1, 1], tensor([[1.0, 2.0], [3.0, 4.0]]), [0, 2], mode="sum")
    tensor([[4., 6.],
            [3., 4.]], float32)
    """
    shape = np.shape(plain(weight))
    if len(shape) != 2:
        raise ValueError(f"embedding_bag: weight {shape} is not allowed; allowed: (size, width)")
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError("mode: 'max' with scale_grad_by_freq or sparse is not allowed; allowed: without them")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"per_sample_weights: mode {mode!r} is not allowed; allowed: 'sum'")
    rows = row_indices(input, shape[0])
    if per_sample_weights is not None and np.shape(plain(per_sample_weights)) != rows.shape:
        given = np.shape(plain(per_sample_weights))
        raise ValueError(f"per_sample_weights: shape {given} does not fit input {rows.shape}; allowed: the same")
    starts = _starts(rows, offsets, include_last_offset)
    if max_norm is not None:
        shorten(weight, rows, max_norm, norm_type)
    bags = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rows, skipped = rows.reshape(-1)[: len(bags)], padding(padding_idx, shape[0])
    kept = np.flatnonzero(rows != skipped) if skipped is not None else slice(len(bags))
    places: dict[str, Any] = {"rows": rows[kept], "bags": bags[kept], "count": len(starts) - 1}
    if mode == "max":
        return _largest(weight, **places)
    if per_sample_weights is not None:
        factors = per_sample_weights if isinstance(per_sample_weights, Tensor) else np.asarray(per_sample_weights)
        per_sample_weights = factors.reshape(-1)[kept]
    return _bags(weight, per_sample_weights, **places, mode=mode, by_count=scale_grad_by_freq)


def _starts(rows: Array, offsets: Any, last: bool) -> Array:
    """Where each bag begins in the flattened rows, and where the last one ends."""
    if rows.ndim == 2:
        if offsets is not None:
            raise ValueError("offsets: not allowed with an input of two axes; allowed: None, since each row is a bag")
        return np.arange(len(rows) + 1) * rows.shape[1]
    if rows.ndim != 1:
        raise ValueError(f"input: shape {rows.shape} is not allowed; allowed: (N,) with offsets, (B, K)")
    if offsets is None:
        raise ValueError("offsets: missing; allowed: (B,) integers, where each bag begins")
    starts = indices("offsets", offsets)
    if starts.ndim != 1 or (last and not starts.size):
        raise ValueError(f"offsets: shape {starts.shape} is not allowed; allowed: (B,)")
    if starts.size and (starts[0] != 0 or starts[-1] > len(rows) or (np.diff(starts) < 0).any()):
        raise ValueError(f"offsets: allowed: from 0 upwards, at most the length of the input, {len(rows)}")
    return starts if last else np.append(starts, len(rows) if starts.size else 0)
