"""Running sums, products and extremes along an axis, differences, and integrals by trapezoids."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.making import get_default_dtype
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import Stepwise, as_tensor, axis_of, choose, distinct, typed
from halfsim.autograd.ops.elementwise import add, div, mul, sub
from halfsim.autograd.ops.index import getitem
from halfsim.autograd.ops.join import cat
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import INTEGERS, Integer
from halfsim.numerics.quantize import Array

__all__ = [
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "diff",
    "gradient",
    "logcumsumexp",
    "trapezoid",
    "trapz",
]


def _flipped(fp: Arithmetic, x: Array, along: int) -> Array:
    """The running sums from the end."""
    return np.flip(fp.cumsum(np.flip(x, along), along), along)


@typed
@op("fp32")
def cumsum(fp: Arithmetic, x: Array, /, axis: int = 0) -> Any:
    """The running sums along ``axis``, each formed as ``accumulate`` says."""
    if not distinct(index(axis), x.ndim):  # a number
        return x, lambda fp, g: g
    along = axis_of(axis, x.ndim)
    return fp.cumsum(x, along), lambda fp, g: _flipped(fp, g, along)


@typed
@op("fp32")
def cumprod(fp: Arithmetic, x: Array, /, axis: int = 0) -> Any:
    """The running products along ``axis``, each rounded.

    Gradient ``s / x`` with s the running sums of ``g * y`` from the end, both stored; the first zero gets those of g
    times the products of the others, and what follows it nothing.

    >>> from halfsim import tensor
    >>> cumprod(tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 2., 6.], float32)
    """
    if not distinct(index(axis), x.ndim):
        return x, lambda fp, g: g
    along = axis_of(axis, x.ndim)
    y = _products(fp, x, along)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        zero = np.equal(x, 0)
        sums = fp.spill(_flipped(fp, Stepwise(fp).mul(g, y), along))
        slope = fp.div(sums, np.where(zero, x.dtype.type(1), x))
        if not zero.any():
            return slope
        count = np.cumsum(zero, along)
        first = zero & (count == 1)
        others = _products(fp, np.where(first, x.dtype.type(1), x), along)
        at_zero = _flipped(fp, fp.keep(fp.mul(g, others), count > 0), along)
        return choose(first, at_zero, fp.keep(slope, count == 0))

    return y, pullback


def _products(fp: Arithmetic, x: Array, along: int) -> Array:
    rows = np.moveaxis(x, along, 0)
    found = list(rows[:1])
    for row in rows[1:]:
        found.append(fp.mul(found[-1], row))
    return np.stack(found, along) if found else x


@op()
def logcumsumexp(fp: Arithmetic, x: Array, /, axis: int) -> Any:
    """``log(cumsum(exp(x)))`` along ``axis``, each from the one before as `logaddexp` without leaving ``compute``.

    Gradient ``exp(t + x)``, with t the same of ``log(g) - y`` from the end, of positive and negative g apart; each
    step stored.
    """
    if not distinct(index(axis), x.ndim):
        return x, lambda fp, g: g
    along = axis_of(axis, x.ndim)
    y = _log_sums(fp, x, along)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)

        def part(g: Array) -> Array:
            log = choose(g > 0, s.log(np.where(g > 0, g, g.dtype.type(1))), np.full_like(g, -np.inf))
            t = np.flip(fp.spill(_log_sums(fp, np.flip(s.sub(log, y), along), along)), along)
            return s.exp(s.add(t, x))

        return fp.sub(part(g), part(-g))

    return y, pullback


def _log_sums(fp: Arithmetic, x: Array, along: int) -> Array:
    rows = np.moveaxis(x, along, 0)
    found = list(rows[:1])
    for row in rows[1:]:
        last = found[-1]
        more = fp.function("log1p", fp.exp(-np.abs(fp.sub(row, last))))
        found.append(choose(np.isinf(row) & np.equal(row, last), row, fp.add(np.maximum(row, last), more)))
    return np.stack(found, along) if found else x


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours along ``dim``, ``n`` times over: each a `sub`, with more put at the ends first.

    >>> from halfsim import tensor
    >>> diff(tensor([1.0, 4.0, 9.0])), diff(tensor([1.0, 4.0, 9.0]), 2)
    (tensor([3., 5.], float32), tensor([2.], float32))
    """
    if n < 0:
        raise ValueError(f"n: {n} is not allowed; allowed: integers from 0")
    if not np.ndim(plain(input)):
        raise ValueError("diff: a number is not allowed; allowed: at least one dimension")
    along = axis_of(dim, np.ndim(plain(input)))
    if not n:
        for name, more in (("prepend", prepend), ("append", append)):
            others = [n for a, n in enumerate(np.shape(plain(input))) if a != along]
            given = [n for a, n in enumerate(np.shape(plain(more))) if a != along]
            if more is not None and numbers(more).ndim and given != others:
                raise ValueError(f"{name}: shape {np.shape(plain(more))} does not fit; allowed: as many axes as input")
        return as_tensor(input)
    y = cat([x for x in (prepend, input, append) if x is not None], along)
    step = OPS["ne"] if y.format == INTEGERS["bool"] else sub  # of bools where they change, as in PyTorch
    for _ in range(min(n, y.shape[along])):
        y = step(_part(y, along, 1, None), _part(y, along, 0, -1))
    return y


def _part(x: Any, along: int, start: int, stop: int | None) -> Tensor:
    return getitem(x, (slice(None),) * along + (slice(start, stop),))


def gradient(input: Any, *, spacing: Any = 1, dim: Axis = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """The slopes along each axis of ``dim``: quotients of differences of both neighbours, at the ends of one.

    ``spacing`` is the distance of neighbours, or one for each axis, or for each axis a tensor of their places. With
    ``edge_order`` 2 those at the ends are of a parabola through three. Composed of `sub`, `mul`, `add` and `div`.

    >>> from halfsim import tensor
    >>> gradient(tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.], float32),)
    """
    shape = np.shape(plain(input))
    axes = distinct(dim, len(shape))
    if edge_order not in (1, 2) or any(shape[a] <= edge_order for a in axes):
        given = f"{edge_order} of an input {shape}"
        raise ValueError(f"edge_order: {given} is not allowed; allowed: 1, 2, fewer than the values along an axis")
    spacing = 1 if spacing is None else spacing
    several = isinstance(spacing, (list, tuple))
    each = list(spacing) if several else [spacing] * len(axes)
    if len(each) != len(axes):
        raise ValueError(f"spacing: {len(each)} of them do not fit {len(axes)} axes; allowed: one for each")
    for by in each if several else [spacing]:
        numbers(by)  # which refuses anything else
    if not shape and dim is not None:
        raise ValueError(f"dim: {dim} is not allowed; allowed: None for a number")
    x = as_tensor(input)
    x = x.to(get_default_dtype()) if isinstance(x.format, Integer) else x
    return tuple(_slopes(x, a, by, edge_order) for a, by in zip(axes, each, strict=True))


def _slopes(x: Tensor, along: int, by: Any, edge_order: int) -> Tensor:
    even, length = not np.ndim(plain(by)), x.shape[along]
    if not even and np.shape(plain(by)) != (length,):
        raise ValueError(f"spacing: shape {np.shape(plain(by))} does not fit an axis of {length}; allowed: ({length},)")

    def weighed(first: int, last: int | None, weights: Any) -> Tensor:
        """The sum of neighbours from ``first`` on, each times its weight."""
        count = len(weights)
        ends = [None if last is None else last + k for k in range(count)]
        ends = [None if end == 0 else end for end in ends]
        parts = [mul(_part(x, along, first + k, end), w) for k, (end, w) in enumerate(zip(ends, weights, strict=True))]
        y = parts[0]
        for part in parts[1:]:
            y = add(y, part)
        return y

    def shaped(values: Any) -> Any:
        return np.asarray(values).reshape(-1, *[1] * (x.ndim - along - 1))

    if even:
        steps, h = np.ones(length - 1), by
        middle = div(sub(_part(x, along, 2, None), _part(x, along, 0, -2)), by * 2)
    else:
        steps, h = np.diff(numbers(by, np.float64)), 1
        a, b = steps[:-1], steps[1:]
        middle = weighed(0, -2, [shaped(-b / (a * (a + b))), shaped((b - a) / (a * b)), shaped(a / (b * (a + b)))])

    def edge(first: int, a: float, b: float | None, turned: bool) -> Tensor:
        if b is None:
            weights = [-1 / a, 1 / a]
        else:
            weights = [-(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))]
            weights = [-w for w in weights[::-1]] if turned else weights
        found = getitem(x, (slice(None),) * along + (slice(first, first + len(weights)),))
        scaled = mul(found, shaped(weights))
        total = sum(scaled, along, True)
        return div(total, h) if even else total

    near = edge(0, steps[0], steps[1] if edge_order == 2 else None, False)
    far = edge(length - edge_order - 1, steps[-1], steps[-2] if edge_order == 2 else None, True)
    return cat([near, middle, far], along)


def trapezoid(y: Any, x: Any = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral of ``y`` along ``dim`` by trapezoids, at the points ``x`` or at distances ``dx`` (1).

    As in PyTorch: ``(sum(y) - (first + last) * 0.5) * dx``, or ``sum((left + right) * diff(x)) / 2``.

    >>> from halfsim import tensor
    >>> trapezoid(tensor([1.0, 3.0, 2.0]))
    tensor(4.5, float32)
    """
    along = _check_points("trapezoid", y, x, dx, dim)
    if not np.shape(plain(y))[along]:
        return sum(y, along)
    if x is None:
        ends = add(*(getitem(y, (slice(None),) * along + (k,)) for k in (0, -1)))
        return mul(sub(sum(y, along), mul(ends, 0.5)), 1 if dx is None else dx)
    return div(sum(_areas(y, x, along), along - np.ndim(plain(y))), 2.0)


trapz = trapezoid


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The running sums of the trapezoids of `trapezoid`, one fewer than there are points."""
    along = _check_points("cumulative_trapezoid", y, x, dx, dim)
    if x is None:
        pairs = add(_part(y, along, 1, None), _part(y, along, 0, -1))
        return cumsum(mul(pairs, (1 if dx is None else dx) / 2.0), along)
    return div(cumsum(_areas(y, x, along), along - np.ndim(plain(y))), 2.0)


def _check_points(name: str, y: Any, x: Any, dx: Any, dim: int) -> int:
    if x is not None and dx is not None:
        raise TypeError(f"{name}: both x and dx are not allowed; allowed: one of them")
    shape, points = np.shape(plain(y)), np.shape(plain(x))
    along = axis_of(dim, len(shape))
    if not shape or (x is not None and not points):
        raise ValueError(f"{name}: a number is not allowed; allowed: at least one dimension")
    if x is not None and points[-1 if len(points) == 1 else along - len(shape)] not in (1, shape[along]):
        raise ValueError(f"{name}: y {shape} and x {points} do not fit along {dim}; allowed: one length")
    return along


def _areas(y: Any, x: Any, along: int) -> Tensor:
    """Twice the trapezoids."""
    ndim, points = np.ndim(plain(y)), np.ndim(plain(x))
    if points == 1:
        widths = diff(x).reshape([-1 if i == along else 1 for i in range(ndim)])
    else:
        widths = diff(x, dim=along - ndim)
    return mul(add(_part(y, along, 1, None), _part(y, along, 0, -1)), widths)
