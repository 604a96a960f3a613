"""Reductions, accumulated as the precision in force says."""

from __future__ import annotations

import builtins
from math import prod as size_of
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import (
    Picked,
    Stepwise,
    choose,
    distinct,
    integer_tensor,
    largest,
    named,
    spread,
    typed,
)
from halfsim.autograd.ops.elementwise import div
from halfsim.autograd.ops.select import maximum, minimum
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.quantize import Array
from halfsim.options import refused, shown

__all__ = [
    "amax",
    "amin",
    "aminmax",
    "argmax",
    "argmin",
    "logsumexp",
    "max",
    "mean",
    "min",
    "nanmean",
    "nansum",
    "prod",
    "std",
    "std_mean",
    "sum",
    "sum_to_size",
    "var",
    "var_mean",
]


@typed
@op("fp32")
def sum(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis`` (an int, a tuple, None for all)."""
    axes, shape = distinct(axis, x.ndim), x.shape
    return fp.sum(x, axes, keepdims), lambda fp, g: spread(g, shape, axes)


@typed
@op()
def mean(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis``, then one division by the number of terms; NaN where there are none."""
    axes, shape = distinct(axis, x.ndim), x.shape
    n = fp.constant(size_of(shape[a] for a in axes))
    return fp.div(fp.sum(x, axes, keepdims), n), lambda fp, g: spread(fp.div(g, n), shape, axes)


@typed
@op()
def nansum(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The `sum` of the elements that are no NaN, which take its gradient."""
    axes, shape, number = distinct(axis, x.ndim), x.shape, ~np.isnan(x)
    return fp.sum(fp.keep(x, number), axes, keepdims), lambda fp, g: fp.keep(spread(g, shape, axes), number)


def nanmean(input: Any, dim: Axis = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`nansum` over the number of elements that are no NaN."""
    number = ~np.isnan(numbers(input))
    count = np.count_nonzero(number, distinct(dim, number.ndim), keepdims=keepdim)
    return div(nansum(input, dim, keepdim, dtype=dtype), np.asarray(count, np.float64))


@op()
def var(
    fp: Arithmetic,
    x: Array,
    /,
    axis: Axis | bool = None,
    unbiased: bool | None = None,
    keepdims: bool = False,
    *,
    correction: float | None = 1,
) -> Any:
    """``sum((x - mean)**2) / (n - correction)`` in the steps mean, difference, square, sum, division.

    Gradient ``g * (2 / (n - correction)) * (x - mean)``, the mean, the difference and the first product stored.

    Infinite (or NaN) where no terms are left over after the correction. ``unbiased`` is PyTorch's old spelling of a
    correction of 1 or 0, and so is a bool in the place of ``axis``; None is 1.
    """
    return _variance(fp, x, axis, keepdims, _correction(axis, correction, unbiased))


def _correction(axis: Any, correction: float | None, unbiased: bool | None) -> float:
    unbiased = axis if isinstance(axis, bool) else unbiased
    return int(unbiased) if unbiased is not None else 1 if correction is None else correction


def _variance(fp: Arithmetic, x: Array, axis: Any, keepdims: bool, correction: float) -> Any:
    axes, shape = distinct(None if isinstance(axis, bool) else axis, x.ndim), x.shape
    count = size_of(shape[a] for a in axes)
    n, free = fp.constant(count), fp.constant(builtins.max(count - correction, 0))
    d = fp.sub(x, fp.div(fp.sum(x, axes, keepdims=True), n))
    y = fp.div(fp.sum(fp.mul(d, d), axes, keepdims), free)
    factor = fp.constant(2.0 / (count - correction)) if count > correction else fp.div(fp.constant(2.0), free)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        mean = s.div(fp.sum(x, axes, keepdims=True), n)
        return fp.mul(spread(s.mul(g, factor), shape, axes), s.sub(x, mean))

    return y, pullback


def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = 1
) -> tuple[Tensor, Tensor]:
    """`var` and `mean`."""
    over = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)


def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = 1
) -> tuple[Tensor, Tensor]:
    """`std` and `mean`."""
    over = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)


@op()
def std(
    fp: Arithmetic,
    x: Array,
    /,
    axis: Axis | bool = None,
    unbiased: bool | None = None,
    keepdims: bool = False,
    *,
    correction: float | None = 1,
) -> Any:
    """The square root of `var`, one step more; gradient 0 where it is 0, as in PyTorch."""
    y, pull = _variance(fp, x, axis, keepdims, _correction(axis, correction, unbiased))
    y = fp.sqrt(y)
    return y, lambda fp, g: pull(fp, fp.keep(_over_twice(fp, g, y), y != 0))


def _over_twice(fp: Arithmetic, g: Array, y: Array) -> Array:
    s = Stepwise(fp)
    twice = s.mul(y, fp.constant(2.0))
    return s.div(g, choose(y != 0, twice, fp.constant(1.0)))  # no pole where it is left out


@typed
@op("fp32")
def prod(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over ``axis``: halves are multiplied with halves, each product rounded, until one is left.

    1 where there are no factors. Gradient ``g * (y / x)``; the one zero among factors gets ``g`` times the product
    of the others.
    """
    axes, shape = distinct(axis, x.ndim), x.shape
    y = _product(fp, x, axes)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        whole, zero = spread(g, shape, axes), np.equal(x, 0)
        if not zero.any():
            return fp.mul(whole, Stepwise(fp).div(spread(y, shape, axes), x))
        count = spread(np.count_nonzero(zero, axes), shape, axes)
        others = spread(_product(fp, np.where(zero, x.dtype.type(1), x), axes), shape, axes)
        others = fp.div(others, np.where(zero, x.dtype.type(1), x))
        return fp.keep(fp.mul(whole, others), count == zero)  # no zero, or this is the only one

    return y.reshape(_kept(shape, axes, keepdims)), pullback


def _product(fp: Arithmetic, x: Array, axes: tuple[int, ...]) -> Array:
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = x.transpose(axes + kept).reshape(-1, *(x.shape[a] for a in kept)) if x.size else x[:0]
    if not x.size:
        return np.ones([x.shape[a] for a in kept], x.dtype)
    while len(rows) > 1:
        half = len(rows) // 2
        rest = rows[2 * half :]
        rows = fp.mul(rows[:half], rows[half : 2 * half])
        rows = np.concatenate([rows, rest]) if len(rest) else rows
    return rows[0]


@op("fp32")
def logsumexp(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x - m))) + m`` with m the maximum over ``axis`` (0 where it is infinite), each step stored.

    Gradient ``g * exp(x - y)``, each step stored: NaN where all are -inf, as in PyTorch.
    """
    axes, shape = distinct(axis, x.ndim), x.shape
    m = largest(x, axes)
    m = fp.keep(m, ~np.isinf(m))
    s = Stepwise(fp)
    total = s.log(fp.spill(fp.sum(s.exp(s.sub(x, m)), axes, keepdims=True)))
    y = fp.add(total, m).reshape(_kept(shape, axes, keepdims))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(spread(g, shape, axes), s.exp(s.sub(x, spread(y, shape, axes))))

    return y, pullback


@op(exact=True)
@named("max")
def _max(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over ``axis``; NaN if there is one.

    As in PyTorch the gradient goes to the first of equal values along one axis; without ``axis`` and along
    several they share it (see `amax`).
    """
    return (
        _extreme(fp, x, axis, keepdims, np.argmax) if _single(axis) else _shared_extreme(fp, x, axis, keepdims, np.max)
    )


@op(exact=True)
@named("min")
def _min(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest value over ``axis``, as `max`."""
    return (
        _extreme(fp, x, axis, keepdims, np.argmin) if _single(axis) else _shared_extreme(fp, x, axis, keepdims, np.min)
    )


@op(exact=True)
def amax(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over ``axis``; equal ones share the gradient, divided by their number."""
    return _shared_extreme(fp, x, axis, keepdims, np.max)


@op(exact=True)
def amin(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest value over ``axis``, as `amax`."""
    return _shared_extreme(fp, x, axis, keepdims, np.min)


def max(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:
    """The largest value, or along ``dim`` the largest values and their places; of two tensors `maximum`.

    NaN if there is one. The gradient goes to the first of equal values along one axis; of all values, and along a
    tuple of axes (which gives values alone), they share it.

    >>> from halfsim import tensor
    >>> max(tensor([[1.0, 3.0]]), 1).indices, max(tensor([1.0, 3.0]))
    (tensor([1], int64), tensor(3., float32))
    """
    return _most("max", maximum, np.argmax, input, _one_of(dim, axis), keepdim or keepdims, other)


def min(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:
    """The smallest value, or along ``dim`` the smallest values and their places; of two tensors `minimum`; as `max`."""
    return _most("min", minimum, np.argmin, input, _one_of(dim, axis), keepdim or keepdims, other)


def _one_of(dim: Any, axis: Any) -> Any:
    """PyTorch's name for axes, or NumPy's."""
    if dim is not None and axis is not None:
        raise TypeError("dim: it is not allowed beside axis; allowed: one of them")
    if axis is not None and not isinstance(axis, (int, np.integer, tuple, list)):
        raise refused("axis", axis, "integers, a tuple of integers, None")
    return dim if axis is None else axis


def _most(name: str, of_two: Any, find: Any, input: Any, dim: Any, keepdim: bool, other: Any) -> Any:
    if other is not None and dim is not None:
        raise TypeError(f"{name}: other and dim are not allowed together; allowed: one of them")
    other = dim if isinstance(dim, (Tensor, np.ndarray)) else other
    if dim is not other and not isinstance(dim, (int, np.integer, tuple, list, type(None))):
        raise refused("dim", dim, "integers, a tuple of integers, None")
    if other is not None:
        return of_two(input, other)
    values = OPS[f"{name}_values"](input, dim, keepdim)
    return Picked(values, _place(find, input, dim, keepdim)) if _single(dim) else values


OPS["max_values"], OPS["min_values"] = _max, _min


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest value, of all or along ``dim``; as `amin` and `amax`."""
    return Extremes(amin(input, dim, keepdim), amax(input, dim, keepdim))


class Extremes(NamedTuple):
    """The smallest values, and the largest."""

    min: Any
    max: Any


def argmax(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """The place (int64) of the first of the largest values along ``dim`` (or ``axis``), or in the flattened tensor."""
    return _place(np.argmax, input, dim if axis is None else axis, keepdim or keepdims)


def argmin(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """The place (int64) of the first of the smallest values along ``dim`` (or ``axis``), or in the flattened tensor."""
    return _place(np.argmin, input, dim if axis is None else axis, keepdim or keepdims)


def _place(find: Any, input: Any, dim: int | None, keepdim: bool) -> Tensor:
    x = numbers(input)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"input: {shown(input)} is not allowed; allowed: a tensor, an array, a number")
    _check_elements(x, dim, distinct(dim, x.ndim))
    return integer_tensor(np.asarray(find(x, axis=dim if x.ndim else None, keepdims=keepdim)))


def _single(axis: Axis) -> bool:
    return axis is not None and not isinstance(axis, (tuple, list))


def _check_elements(x: Array, axis: Axis, axes: tuple[int, ...]) -> None:
    if any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"axis: {axis} of an input {x.shape} has no elements; allowed: axes with elements")


def _kept(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> list[int]:
    return [1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes]


def _extreme(fp: Arithmetic, x: Array, axis: Axis, keepdims: bool, find: Any) -> Any:
    axes, shape = distinct(axis, x.ndim), x.shape
    _check_elements(x, axis, axes)
    if not axes:
        return x, lambda fp, g: g
    first = np.expand_dims(find(x, axes[0]), axes[0])

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(shape, g.dtype)
        np.put_along_axis(out, first, g.reshape(first.shape), axes[0])
        return out

    return np.take_along_axis(x, first, axes[0]).reshape(_kept(shape, axes, keepdims)), pullback


def _shared_extreme(fp: Arithmetic, x: Array, axis: Axis, keepdims: bool, find: Any) -> Any:
    axes = distinct(axis, x.ndim)
    _check_elements(x, axis, axes)
    y = np.asarray(find(x, axes, keepdims=True))
    ties = np.equal(x, y) | np.isnan(x)
    return y.reshape(_kept(x.shape, axes, keepdims)), lambda fp, g: _shared(fp, g, ties, axes)


def _shared(fp: Arithmetic, g: Array, ties: Array, axes: tuple[int, ...]) -> Array:
    """A gradient for each of the ``ties``, divided by their number."""
    count = ties.sum(axes, keepdims=True)
    g = g.reshape(count.shape)
    share = g if (count == 1).all() else fp.div(g, count.astype(g.dtype))
    return fp.keep(spread(share, ties.shape, axes), ties)


def sum_to_size(input: Any, *size: Any) -> Tensor:
    """The sum over the axes along which ``size`` (a tuple or integers) would have to be broadcast to ``input``."""
    wanted = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape = np.shape(plain(input))
    extra = len(shape) - len(wanted)
    if extra < 0 or any(n not in (1, m) for n, m in zip(wanted, shape[extra:], strict=True)):
        raise ValueError(f"size: {wanted} does not fit input {shape}; allowed: sizes that broadcast to it")
    axes = tuple(i for i in range(len(shape)) if i < extra or (wanted[i - extra] == 1 != shape[i]))
    return OPS["reshape"](sum(input, axes) if axes or not wanted else input, wanted)
