"""Order: sorting, the largest and smallest with their places, medians, quantiles, counts of values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import Picked, axis_of, integer_tensor
from halfsim.autograd.ops.elementwise import lerp, mul, sub
from halfsim.autograd.ops.index import take_along_dim
from halfsim.autograd.ops.join import stack
from halfsim.autograd.ops.shape import flatten, reshape, squeeze
from halfsim.autograd.tensor import Tensor, numbers, plain, whole
from halfsim.numerics.inputs import array_of
from halfsim.numerics.quantize import Array
from halfsim.options import refused

__all__ = [
    "argsort",
    "bincount",
    "bucketize",
    "cummax",
    "cummin",
    "histc",
    "histogram",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


def picked(input: Any, places: Array, along: int, keepdim: bool = True) -> Picked:
    """The elements of ``input`` at ``places`` along an axis, on the tape, and the places."""
    values, found = take_along_dim(input, places, along), integer_tensor(places)
    return Picked(values, found) if keepdim else Picked(squeeze(values, along), squeeze(found, along))


def _values(input: Any) -> Array:
    """The values, at least a vector."""
    return np.atleast_1d(numbers(input))


def _order(x: Array, along: int, descending: bool, stable: bool = True) -> Array:
    """The indices that sort: NaN is the largest, and equal ones keep their order."""
    if not descending:
        return np.argsort(x, along, kind="stable")
    back = np.flip(x, along)
    return x.shape[along] - 1 - np.flip(np.argsort(back, along, kind="stable"), along)


def _as_given(input: Any, found: Picked) -> Picked:
    """The result for a number: without axes."""
    return found if np.ndim(plain(input)) else Picked(*(reshape(x, ()) for x in found))


def _vector(input: Any) -> Any:
    return input if np.ndim(plain(input)) else reshape(input, (1,))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Picked:
    """The values along ``dim`` in order, and their places; NaN comes last (first if descending).

    Equal ones keep their order. The gradient of a value goes to where it was.

    >>> from halfsim import tensor
    >>> sort(tensor([3.0, 1.0, 2.0]))
    Picked(values=tensor([1., 2., 3.], float32), indices=tensor([1, 2, 0], int64))
    """
    x = _values(input)
    along = axis_of(dim, x.ndim)
    return _as_given(input, picked(_vector(input), _order(x, along, descending), along))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The places (int64) that sort the values along ``dim``; equal ones keep their order."""
    x = _values(input)
    return integer_tensor(_order(x, axis_of(dim, x.ndim), descending).reshape(np.shape(plain(input))))


def msort(input: Any) -> Tensor:
    """The values in order along the first axis."""
    return sort(input, 0).values


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Picked:
    """The ``k`` largest values along ``dim`` (smallest without ``largest``) in order, and their places.

    NaN counts as the largest. ``ValueError`` for a k past the length of the axis.
    """
    x = _values(input)
    along = axis_of(dim, x.ndim)
    if not 0 <= k <= x.shape[along]:
        raise ValueError(f"k: {k} is not allowed; allowed: 0 to {x.shape[along]}")
    order = np.take(_order(x, along, largest), np.arange(k), along)
    return (
        _as_given(input, picked(_vector(input), order, along))
        if k == 1 or np.ndim(plain(input))
        else Picked(*(reshape(y, (0,)) for y in picked(_vector(input), order, along)))
    )


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Picked:
    """The ``k``-th smallest value along ``dim``, counted from 1, and its place."""
    x = _values(input)
    along = axis_of(dim, x.ndim)
    if not 1 <= k <= x.shape[along]:
        raise ValueError(f"k: {k} is not allowed; allowed: 1 to {x.shape[along]}")
    places = np.take(_order(x, along, False), [k - 1], along)
    return _as_given(input, picked(_vector(input), places, along, keepdim or not np.ndim(plain(input))))


def _middle(x: Array, along: int, ignore: bool) -> Array:
    """The place of the lower median along an axis; that of the first NaN where there is one and none is ignored."""
    order, length = _order(x, along, False), x.shape[along]
    count = (
        length - np.count_nonzero(np.isnan(x), along, keepdims=True)
        if ignore
        else np.full_like(order.take([0], along), length)
    )
    places = np.take_along_axis(order, np.maximum(count - 1, 0) // 2, along)
    if ignore or x.dtype.kind != "f":
        return places
    broken = np.isnan(x)
    return np.where(broken.any(along, keepdims=True), np.argmax(broken, along, keepdims=True), places)


def _median(input: Any, dim: int | None, keepdim: bool, ignore: bool) -> Any:
    x = _values(input)
    if not x.size and dim is None:
        return tensor(np.nan, input.dtype if isinstance(input, Tensor) else None)
    if dim is None:
        return reshape(take_along_dim(flatten(input), _middle(x.reshape(-1), 0, ignore), 0), ())
    along = axis_of(dim, x.ndim)
    if not x.shape[along]:
        raise ValueError(f"dim: {dim} of an input {x.shape} has no elements; allowed: axes with elements")
    return _as_given(
        input, picked(_vector(input), _middle(x, along, ignore), along, keepdim or not np.ndim(plain(input)))
    )


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median: the lower of the two in the middle, as in PyTorch; NaN if there is one.

    Of all values, one tensor without axes; along ``dim`` the values and their places.
    """
    return _median(input, dim, keepdim, False)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the values that are not NaN."""
    return _median(input, dim, keepdim, True)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Picked:
    """The most frequent value along ``dim``, the smallest of several, and the last of its places."""
    x = _values(input)
    along = axis_of(dim, x.ndim)
    if not x.shape[along]:
        raise ValueError(f"dim: {dim} of an input {x.shape} has no elements; allowed: axes with elements")
    rows = np.moveaxis(x, along, -1)
    places = np.empty(rows.shape[:-1], np.int64)
    for at in np.ndindex(places.shape):
        values, counts = np.unique(rows[at], return_counts=True)
        places[at] = np.flatnonzero(rows[at] == values[np.argmax(counts)])[-1] if not np.isnan(values).all() else 0
    found = np.expand_dims(places, along)
    return _as_given(input, picked(_vector(input), found, along, keepdim or not np.ndim(plain(input))))


def _running(input: Any, dim: int, better: Callable[..., Any]) -> Picked:
    x = _values(input)
    along = axis_of(dim, x.ndim)
    rows = np.moveaxis(x, along, 0)
    places = np.zeros(rows.shape, np.int64)
    for i in range(1, len(rows)):
        best = np.take_along_axis(rows, places[i - 1][None], 0)[0]
        with np.errstate(invalid="ignore"):
            taken = better(rows[i], best) | np.isnan(rows[i])  # the last of equal ones, and every NaN
        places[i] = np.where(taken & ~(np.isnan(best) & ~np.isnan(rows[i])), i, places[i - 1])
    return _as_given(input, picked(_vector(input), np.moveaxis(places, 0, along), along))


def cummax(input: Any, dim: int) -> Picked:
    """The largest value so far along ``dim``, and its place (the last of equal ones); NaN stays."""
    return _running(input, dim, np.greater_equal)


def cummin(input: Any, dim: int) -> Picked:
    """The smallest value so far along ``dim``, and its place (the last of equal ones); NaN stays."""
    return _running(input, dim, np.less_equal)


_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore: bool) -> Tensor:
    chances = np.atleast_1d(numbers(q, np.float64))
    if chances.ndim > 1 or (chances.size and not (chances.min() >= 0 and chances.max() <= 1)):
        raise ValueError(
            f"q: shape {chances.shape} or a value outside 0 to 1 is not allowed; allowed: numbers from 0 to 1"
        )
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(
            f"interpolation: {interpolation!r} is not allowed; allowed: linear, lower, higher, midpoint, nearest"
        )
    shape = np.shape(plain(input))
    given = flatten(input) if dim is None else _vector(input)
    x = _values(given)
    along = axis_of(0 if dim is None else dim, x.ndim)
    if not x.size:
        raise ValueError(f"input: shape {shape} has no values; allowed: at least one")
    order = _order(x, along, False)
    broken = np.isnan(x)
    count = x.shape[along] - (np.count_nonzero(broken, along, keepdims=True) if ignore else 0)
    results = []
    moves = interpolation == "linear" and isinstance(q, Tensor) and q.requires_grad  # with q the result does too
    for i, chance in enumerate(chances):
        at = np.broadcast_to(np.maximum(chance * (np.asarray(count) - 1), 0), order.take([0], along).shape)
        lower, upper = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
        if interpolation == "nearest":
            lower = upper = np.rint(at).astype(np.int64)
        upper = lower if interpolation == "lower" else upper
        lower = upper if interpolation == "higher" else lower
        part: Any = 0.5 * (upper > lower) if interpolation == "midpoint" else at - np.floor(at)
        if moves:
            part = sub(mul(reshape(q, (-1,))[i], np.maximum(np.asarray(count, x.dtype) - 1, 0)), np.floor(at))
        a, b = (take_along_dim(given, np.take_along_axis(order, k, along), along) for k in (lower, upper))
        y = lerp(a, b, part)
        if not ignore and broken.any():
            y = y + tensor(np.where(broken.any(along, keepdims=True), np.nan, 0.0), y.dtype)
        results.append(y if keepdim and dim is not None and shape else squeeze(y, along))
    if keepdim and dim is None:
        results = [reshape(y, (1,) * len(shape)) for y in results]
    return results[0] if not np.ndim(plain(q)) else stack(results)


def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which the share ``q`` of the values lies, between the two nearest by ``interpolation``.

    Of all values or along ``dim``; for several ``q`` along a new first axis. NaN where there is one. One `lerp` of the
    two neighbours, rounded as that is; their places are exact, as PyTorch's are not in half.
    """
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the values that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different values (or slices along ``dim``) in order, where each came from, and how often; no gradient."""
    x = numbers(input)
    found = np.unique(x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    shape = x.shape if dim is None else (x.shape[axis_of(dim, x.ndim)],)
    parts = [
        _like(found[0], input),
        integer_tensor(found[1].reshape(shape).astype(np.int64)),
        integer_tensor(found[2].astype(np.int64)),
    ]
    return _chosen(parts, return_inverse, return_counts)


def _like(values: Array, input: Any) -> Tensor:
    """Values picked from ``input``, off the tape, in its format."""
    return Tensor(values, input.format) if isinstance(input, Tensor) else tensor(values)


def _chosen(parts: list[Tensor], inverse: bool, counts: bool) -> Any:
    kept = [parts[0], *([parts[1]] if inverse else []), *([parts[2]] if counts else [])]
    return kept[0] if len(kept) == 1 else tuple(kept)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values (or slices along ``dim``) without those that equal the one before; no gradient."""
    x = numbers(input)
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, axis_of(dim, x.ndim), 0)
    flat = rows.reshape(len(rows), prod(rows.shape[1:]))
    first = np.ones(len(rows), np.bool_)
    first[1:] = (flat[1:] != flat[:-1]).any(1) if flat.shape[1] else False
    starts = np.flatnonzero(first)
    inverse = (np.cumsum(first) - 1).reshape(x.shape if dim is None else -1)
    kept = rows[starts] if dim is None else np.moveaxis(rows[starts], 0, axis_of(dim, x.ndim))
    counts = np.diff(np.append(starts, len(rows)))
    return _chosen([_like(kept, input), integer_tensor(inverse), integer_tensor(counts)], return_inverse, return_counts)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of the integers 0, 1, 2, ... occurs in ``input`` (N,), or the sum of its ``weights`` (float64)."""
    x = array_of(whole(input), "input")
    if x.dtype.kind not in "iu" and x.size:
        raise TypeError(f"input: dtype {getattr(input, 'dtype', x.dtype)} is not allowed; allowed: integers")
    if x.ndim != 1 or (x.size and x.min() < 0) or minlength < 0:
        raise ValueError(f"input: shape {x.shape} or a negative number is not allowed; allowed: (N,), integers from 0")
    if weights is None:
        return integer_tensor(np.bincount(x.astype(np.int64), minlength=minlength).astype(np.int64))
    return tensor(np.bincount(x.astype(np.int64), numbers(weights), minlength), "float64")


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many values fall into each of ``bins`` equal parts of ``min`` to ``max`` (of all if these are equal)."""
    x = numbers(input, np.float64).reshape(-1)
    if bins < 1 or max < min:
        raise ValueError(f"bins, min, max: {bins}, {min}, {max} are not allowed; allowed: bins from 1, min <= max")
    low, high = (float(min), float(max)) if min != max or not x.size else (x.min(), x.max())
    low, high = (low - 1, high + 1) if low == high else (low, high)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"input: the range {low} to {high} is not finite; allowed: finite values, or min and max")
    with np.errstate(all="ignore"):  # of values far outside the range
        counts = np.histogram(x, bins, (low, high))[0].astype(np.float64)
    return tensor(counts, input.dtype if isinstance(input, Tensor) else None)


def histogram(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """NumPy's histogram, in float64 and rounded to the format of ``input``: the counts, and the edges of the bins."""
    x, edges = numbers(input, np.float64), numbers(bins)
    if range is not None and numbers(range).shape != (2,):
        raise refused("range", range, "a tuple of two numbers")
    weights = None if weight is None else numbers(weight, np.float64).ravel()
    counts, edges = np.histogram(x.reshape(-1), edges if edges.ndim else int(edges), range, density, weights)
    dtype = input.dtype if isinstance(input, Tensor) else None
    return Histogram(tensor(counts.astype(np.float64), dtype), tensor(edges.astype(np.float64), dtype))


class Histogram(NamedTuple):
    """Counts of values, and the edges of the bins that they fell into."""

    hist: Any
    bin_edges: Any


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where each value would be put into a sequence (..., N) in order: before equal ones, or after them."""
    rows, x = numbers(sorted_sequence), numbers(input)
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"side: {side!r} with right={right} is not allowed; allowed: left, right")
    if rows.ndim > 1 and rows.shape[:-1] != x.shape[:-1]:
        raise ValueError(f"input: shape {x.shape} does not fit {rows.shape}; allowed: the same but for the last axis")
    order = None if sorter is None else numbers(sorter)
    where: Any = "right" if right or side == "right" else "left"
    if rows.ndim == 1:
        found = np.searchsorted(rows, x, where, order)
    else:
        found = np.empty(x.shape, np.int64)
        for at in np.ndindex(rows.shape[:-1]):
            found[at] = np.searchsorted(rows[at], x[at], where, None if order is None else order[at])
    return integer_tensor(np.asarray(found, np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of boundaries (N,), in order, that lie below each value, or with ``right`` at or below it."""
    if np.ndim(plain(boundaries)) != 1:
        raise ValueError(f"boundaries: shape {np.shape(plain(boundaries))} is not allowed; allowed: (N,)")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
