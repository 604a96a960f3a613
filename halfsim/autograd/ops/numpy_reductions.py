"""NumPy's reductions and statistics on tensors, with NumPy's arguments and defaults: values alone, never with places.

Sums, means and moments go by the accumulator in force. `median` is the mean of the two middle values. Quantiles lie
between two neighbours in NumPy's steps: their difference, its product with the share, and the sum, each stored; the
shares are exact before they are stored.
"""

# ruff: noqa: D103

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.making import get_default_dtype, tensor
from halfsim.autograd.numpy_protocol import as_numpy, simulates
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, distinct, like
from halfsim.autograd.ops.numpy_functions import shape_of
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import Integer, as_dtype
from halfsim.numerics.quantize import Array


def _chosen(a: Any, where: Any, otherwise: Any) -> Any:
    """``a`` with ``otherwise`` where the mask ``where`` is false."""
    return a if where is True else OPS["where"](as_numpy(where), a, otherwise)


def _sums(op: str, neutral: float, join: str) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        y = OPS[op](_chosen(a, where, neutral), axis, keepdims, dtype=dtype)
        return y if initial is None else OPS[join](y, initial)

    return reduce


def _extremes(op: str, neutral: float, join: str) -> Callable[..., Any]:
    def reduce(
        a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        numeric = initial is not None and initial == initial  # NaN is none
        y = OPS[op](_chosen(a, where, initial if numeric else neutral), axis, keepdims)
        return y if initial is None else OPS[join](y, initial)

    return reduce


sum = simulates("sum")(_sums("sum", 0.0, "add"))
simulates("prod")(_sums("prod", 1.0, "mul"))
max = simulates("max", "amax")(_extremes("max_values", -np.inf, "maximum"))
min = simulates("min", "amin")(_extremes("min_values", np.inf, "minimum"))


def _places(op: str) -> Callable[..., Any]:
    return lambda a, axis=None, out=None, keepdims=False: OPS[op](a, axis, keepdims)


simulates("argmax")(_places("argmax"))
simulates("argmin")(_places("argmin"))


@simulates()
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, where: Any = True
) -> Any:
    if where is True:
        return OPS["mean"](a, axis, keepdims, dtype=dtype)
    return _moments(a if dtype is None else a.to(as_dtype(dtype)), axis, keepdims, where)[0]


def _moments(a: Any, axis: Any, keepdims: bool, where: Any, ddof: float = 0) -> tuple[Any, Any]:
    """Mean and variance of the values where a mask is true: sums over counts."""
    mask = np.broadcast_to(as_numpy(where), shape_of(a))
    axes = distinct(axis, mask.ndim)
    number = np.asarray(np.count_nonzero(mask, axes, keepdims=True), np.float64)

    def over(x: Any, count: Array) -> Any:
        y = OPS["div"](OPS["sum"](OPS["where"](mask, x, 0.0), axes, True), count)
        return y if keepdims else OPS["squeeze"](y, axes)

    average = over(a, number)
    d = OPS["sub"](a, average if keepdims else OPS["reshape"](average, number.shape))
    return average, over(OPS["square"](d), np.maximum(number - ddof, 0))


def _variance(root: bool) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        *,
        where: Any = True,
        mean: Any = None,
        correction: float | None = None,
    ) -> Any:
        a, ddof = (
            as_tensor(a) if dtype is None else as_tensor(a).to(as_dtype(dtype)),
            ddof if correction is None else correction,
        )
        if mean is not None:
            raise TypeError(f"numpy.{'std' if root else 'var'} with mean= is not simulated; allowed: without it")
        if where is True:
            return OPS["std" if root else "var"](a, axis, keepdims=keepdims, correction=ddof)
        y = _moments(a, axis, keepdims, where, ddof)[1]
        return OPS["sqrt"](y) if root else y

    return reduce


simulates("var")(_variance(False))
simulates("std")(_variance(True))


def _running(op: str, neutral: float) -> Callable[..., Any]:
    def cumulative(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
        x, along = (OPS["flatten"](a), 0) if axis is None else (a, axis)
        return OPS[op](x, along, dtype=dtype)

    def from_start(
        x: Any, axis: int | None = None, dtype: Any = None, out: None = None, include_initial: bool = False
    ) -> Any:
        along = 0 if axis is None else axis
        if axis is None and len(shape_of(x)) != 1:
            raise ValueError(f"axis: None is not allowed for shape {shape_of(x)}; allowed: an axis")
        y = OPS[op](x, along, dtype=dtype)
        first = OPS["full_like"](y.narrow(along, 0, 1) if shape_of(y)[along] else y, neutral)
        return OPS["cat"]([first, y], along) if include_initial else y

    simulates(op)(cumulative)
    simulates({"cumsum": "cumulative_sum", "cumprod": "cumulative_prod"}[op])(from_start)
    return cumulative


cumsum, cumprod = _running("cumsum", 0), _running("cumprod", 1)


@simulates()
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    return OPS["sub"](max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


@simulates()
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    axes, shape = distinct(axis, len(shape_of(a))), shape_of(a)
    if weights is None:
        count = float(np.prod([shape[i] for i in axes]))
        y = OPS["mean"](a, axes, keepdims)
        return (y, OPS["full_like"](y, count)) if returned else y
    w = like(weights, a) if isinstance(a, Tensor) else as_tensor(weights)
    if w.shape != shape:
        if w.shape != tuple(shape[i] for i in axes):
            raise ValueError(
                f"weights: shape {w.shape} does not fit {shape} and axis {axis}; allowed: that of the axis"
            )
        w = OPS["reshape"](w, [n if i in axes else 1 for i, n in enumerate(shape)])
    w = OPS["expand"](w, shape)
    scale = OPS["sum"](w, axes, keepdims)
    y = OPS["div"](OPS["sum"](OPS["mul"](a, w), axes, keepdims), scale)
    return (y, scale) if returned else y


# What leaves NaN out.


def _without_nan(name: str, function: Callable[..., Any], neutral: float, empty: float | None = None) -> None:
    """``function`` of the values that are no NaN; where all are, ``empty``."""

    def reduce(a: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        nan = np.isnan(as_numpy(a))
        y = function(OPS["where"](nan, neutral, a), axis, *args, **kwargs)
        return y if empty is None else OPS["where"](nan.all(axis=axis).reshape(y.shape), empty, y)

    reduce.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    simulates(name)(reduce)


_without_nan("nansum", sum, 0.0)
_without_nan("nanprod", _sums("prod", 1.0, "mul"), 1.0)
_without_nan("nanmax", _extremes("max_values", -np.inf, "fmax"), -np.inf, np.nan)
_without_nan("nanmin", _extremes("min_values", np.inf, "fmin"), np.inf, np.nan)
_without_nan("nancumsum", cumsum, 0.0)
_without_nan("nancumprod", cumprod, 1.0)


@simulates()
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    return OPS["nanmean"](a, axis, keepdims, dtype=dtype)


def _nan_variance(root: bool) -> Callable[..., Any]:
    def reduce(
        a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False
    ) -> Any:
        return _variance(root)(a, axis, dtype, None, ddof, keepdims, where=~np.isnan(as_numpy(a)))

    return reduce


simulates("nanvar")(_nan_variance(False))
simulates("nanstd")(_nan_variance(True))


# Order.


@simulates()
def sort(a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: bool | None = None) -> Any:
    return OPS["sort"](OPS["flatten"](a) if axis is None else a, -1 if axis is None else axis).values


@simulates()
def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None) -> Any:
    return sort(a, axis)  # which is in order on both sides too


def _rows(a: Any, axis: Any) -> tuple[Any, list[int], list[int]]:
    """The values over ``axis`` in order along a last axis, the shape without ``axis``, and that with ones there."""
    shape = shape_of(a)
    axes = distinct(axis, len(shape))
    kept = [n for i, n in enumerate(shape) if i not in axes]
    moved = OPS["moveaxis"](a, axes, tuple(range(len(kept), len(shape)))) if axes else a
    rows = OPS["sort"](OPS["reshape"](moved, (*kept, int(np.prod([shape[i] for i in axes])))), -1).values
    return rows, kept, [1 if i in axes else n for i, n in enumerate(shape)]


def _counts(rows: Any, skip: bool) -> Array:
    """How many values each row has: without its NaN, which come last, or all, of which a NaN is then the only one."""
    x = plain(rows)
    number = np.count_nonzero(~np.isnan(x), -1)
    return np.asarray(number if skip else np.where(number < x.shape[-1], -1, x.shape[-1]))


def _at(rows: Any, places: Array) -> Any:
    """The values of each row at its ``places``; the last of a row, a NaN, where they are below zero."""
    return OPS["take_along_dim"](rows, np.where(places < 0, places + shape_of(rows)[-1], places), -1)


def _median(skip: bool) -> Callable[..., Any]:
    def reduce(
        a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
    ) -> Any:
        rows, kept, ones = _rows(as_tensor(a), axis)
        count = _counts(rows, skip)[..., None]
        middle = np.concatenate([(count - 1) // 2, count // 2], -1)
        pair = _at(rows, np.where(count > 0, middle, -1))
        return OPS["reshape"](OPS["mean"](pair, -1), ones if keepdims else kept)

    return reduce


simulates("median")(_median(False))
simulates("nanmedian")(_median(True))

# Hyndman and Fan's continuous definitions: a share q of n values is at n q + alpha + q (1 - alpha - beta) - 1.
_METHODS = {
    "linear": (1.0, 1.0), "lower": (1.0, 1.0), "higher": (1.0, 1.0), "midpoint": (1.0, 1.0), "nearest": (1.0, 1.0),
    "hazen": (0.5, 0.5), "weibull": (0.0, 0.0), "interpolated_inverted_cdf": (0.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
_SHARES: dict[str, Callable[[Array, Array], Array]] = {
    "lower": lambda share, low: np.zeros_like(share),
    "higher": lambda share, low: np.asarray(share > 0, np.float64),
    "midpoint": lambda share, low: np.where(share > 0, 0.5, 0.0),
    "nearest": lambda share, low: np.asarray((share > 0.5) | ((share == 0.5) & (low % 2 == 1)), np.float64),
}


def _quantile(a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip: bool) -> Any:
    a, shares = as_tensor(a), numbers(q, np.float64)
    a = a.to(get_default_dtype()) if isinstance(a.format, Integer) else a
    if method not in _METHODS:
        raise TypeError(f"numpy.quantile with method={method!r} is not simulated; allowed: {', '.join(_METHODS)}")
    if shares.size and not (shares.min() >= 0 and shares.max() <= 1):
        raise ValueError("q: shares outside 0 to 1 are not allowed; allowed: 0 to 1, percentiles 0 to 100")
    rows, kept, ones = _rows(a, axis)
    count = _counts(rows, skip)[..., None]
    alpha, beta = _METHODS[method]
    last = np.maximum(count - 1, 0)
    place = np.clip(count * shares.reshape(-1) + alpha + shares.reshape(-1) * (1 - alpha - beta) - 1, 0, last)
    low = np.floor(place).astype(np.int64)
    share = place - low
    share = _SHARES[method](share, low) if method in _SHARES else share
    high = np.minimum(low + 1, last)
    low, high = (np.where(count > 0, x, -1) for x in (low, high))
    y = _between(_at(rows, low), _at(rows, high), tensor(share, a.format))
    y = OPS["moveaxis"](y, -1, 0)
    return OPS["reshape"](y, (*shares.shape, *(ones if keepdims else kept)))


def _between(low: Any, high: Any, share: Any) -> Any:
    """``low + d * share``, or from ``high`` where that is nearer, with d the difference; equal ones stay."""
    d = OPS["sub"](high, low)
    up = OPS["add"](low, OPS["mul"](d, share))
    down = OPS["sub"](high, OPS["mul"](d, OPS["sub"](1.0, share)))
    return OPS["where"](plain(low) == plain(high), low, OPS["where"](plain(share) >= 0.5, down, up))


def _quantiles(name: str, scale: float, skip: bool) -> None:
    def reduce(
        a: Any,
        q: Any,
        axis: Any = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
    ) -> Any:
        return _quantile(a, numbers(q, np.float64) / scale, axis, method, keepdims, skip)

    simulates(name)(reduce)


_quantiles("quantile", 1, False)
_quantiles("percentile", 100, False)
_quantiles("nanquantile", 1, True)
_quantiles("nanpercentile", 100, True)


# Counts of values in bins, and how values vary together.


@simulates()
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: None = None) -> Any:
    edges = np.histogram_bin_edges(as_numpy(a).astype(np.float64), as_numpy(bins), range)
    return tensor(edges, a.format if isinstance(a, Tensor) and not isinstance(a.format, Integer) else None)


@simulates()
def histogram(a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None) -> Any:
    edges = histogram_bin_edges(a, bins, range)
    values, borders = (numbers(x, np.float64) for x in (OPS["flatten"](a), edges))
    if weights is None:
        counts = np.histogram(values, borders)[0]
        found: Any = OPS["as_tensor"](counts)
    else:
        places = np.searchsorted(borders, values, "right") - 1
        places = np.where(values == borders[-1], len(borders) - 2, places)
        inside = np.flatnonzero((places >= 0) & (places < len(borders) - 1))
        chosen = OPS["index_select"](OPS["flatten"](as_tensor(weights, a)), 0, inside)
        found = OPS["index_add"](OPS["zeros"](len(borders) - 1, dtype=chosen.dtype), 0, places[inside], chosen)
    if density:
        found = OPS["div"](OPS["div"](tensor(found, edges.format), OPS["diff"](edges)), OPS["sum"](found))
    return found, edges


@simulates()
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    return OPS["bincount"](x, weights, minlength)


def _variables(m: Any, y: Any, rowvar: bool) -> Any:
    """The variables as rows."""

    def rows(x: Any) -> Any:
        x = as_tensor(x, m)
        return OPS["reshape"](x, (1, -1)) if x.ndim < 2 else x if rowvar else OPS["transpose"](x)

    return rows(m) if y is None else OPS["cat"]([rows(m), rows(y)], 0)


@simulates()
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Any:
    less = (0 if bias else 1) if ddof is None else ddof
    c = OPS["cov"](_variables(m, y, rowvar), correction=less, fweights=fweights, aweights=aweights)
    return OPS["squeeze"](c)


@simulates()
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    return OPS["squeeze"](OPS["corrcoef"](_variables(x, y, rowvar)))
