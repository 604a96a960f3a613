"""Images sampled at the places of a grid, and the grid of an affine map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import Stepwise, shared_backward, spilled
from halfsim.autograd.ops.index import scatter_sum
from halfsim.autograd.ops.resample import cubic
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import float64, unknown, whole
from halfsim.numerics.quantize import Array, container, rounded

__all__ = [
    "affine_grid",
    "grid_sample",
    "grid_sampler_2d",
    "grid_sampler_3d",
]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


class Tap(NamedTuple):
    """One element of an axis for every place: where it is, whether that is inside, its weight and how that rises."""

    where: Array
    inside: Array
    weight: Array
    slope: Array


class Axis(NamedTuple):
    size: int
    mode: str
    padding: str
    corners: bool


def _unnormalized(fp: Arithmetic, place: Array, axis: Axis) -> Array:
    """From -1 to 1 into elements: -1 and 1 are the corners' centres, or the image's edges."""
    one, two = fp.constant(1.0), fp.constant(2.0)
    if axis.corners:
        return fp.mul(fp.div(fp.add(place, one), two), fp.constant(axis.size - 1))
    return fp.div(fp.sub(fp.mul(fp.add(place, one), fp.constant(axis.size)), one), two)


def _bounded(u: Any, x: Array, axis: Axis, above: np.ufunc = np.fmax) -> tuple[Array, Array]:
    """``x`` on the image, by the padding's rule, and -1, 0 or 1: how it moves with ``x``.

    ``above`` says whether NaN becomes the first element, as on the way forward, or stays outside.
    """
    slope = np.ones_like(x)
    if axis.padding == "reflection":
        x, slope = _reflected(u, x, axis)
    if axis.padding != "zeros":
        last = x.dtype.type(axis.size - 1)
        slope = slope * ((x > 0) & (x < last))
        x = np.minimum(last, above(x, x.dtype.type(0)))
    lost = ~(np.abs(x) < 2**31 - 1)  # NaN too, as where a place becomes an integer
    return np.where(lost, x.dtype.type(-100), x), slope


def _reflected(u: Any, x: Array, axis: Axis) -> tuple[Array, Array]:
    low, span = (0.0, axis.size - 1) if axis.corners else (-0.5, axis.size)
    if not span:
        return np.zeros_like(x), np.zeros_like(x)
    least, length = u.constant(low), u.constant(float(span))
    from_low = u.sub(x, least)
    x = np.abs(from_low)
    extra, odd = np.fmod(x, length), np.floor(u.div(x, length)) % 2 == 1
    return u.add(np.where(odd, u.sub(length, extra), extra), least), np.where(odd != (from_low < 0), -1, 1)


def _taps(u: Any, x: Array, axis: Axis) -> list[Tap]:
    """The elements that a place ``x`` of an axis takes part of."""
    if axis.mode == "nearest":
        return [_tap(np.rint(x), axis, np.ones_like(x), np.zeros_like(x))]
    first = np.floor(x)
    if axis.mode == "bilinear":
        after, one = u.sub(u.add(first, u.constant(1.0)), x), np.ones_like(x)
        return [_tap(first, axis, after, -one), _tap(first + 1, axis, u.sub(x, first), one)]
    part = u.sub(x, first)
    weights, slopes = cubic(u, part), _cubic_slopes(u, part)
    places = [_bounded(u, first + x.dtype.type(k), axis)[0] for k in range(-1, 3)]
    return [_tap(place, axis, w, d) for place, w, d in zip(places, weights, slopes, strict=True)]


def _tap(place: Array, axis: Axis, weight: Array, slope: Array) -> Tap:
    inside = (place >= 0) & (place < axis.size)
    return Tap(np.where(inside, place, 0).astype(np.int64), inside, weight, slope)


def _cubic_slopes(u: Any, t: Array, a: float = -0.75) -> list[Array]:
    """How the weights of `halfsim.autograd.ops.resample.cubic` rise with ``t``, in the kernel's steps."""

    def outer(x: Array, sign: int) -> Array:
        y = u.sub(u.mul(u.constant(sign * 3 * a), x), u.constant(10 * a))
        return u.add(u.mul(y, x), u.constant(sign * 8 * a))

    def inner(x: Array, sign: int) -> Array:
        return u.mul(u.sub(u.mul(u.constant(sign * 3 * (a + 2)), x), u.constant(2 * (a + 3))), x)

    ahead = [u.sub(u.constant(float(k)), t) for k in (-1, 1, 2)]
    return [-y for y in (outer(ahead[0], -1), inner(-t, -1), inner(ahead[1], 1), outer(ahead[2], 1))]


def _corners(u: Any, grid: Array, axes: Sequence[Axis], fp: Arithmetic) -> tuple[list[tuple[Tap, ...]], list[Array]]:
    """The elements around each place, the last axis' fastest, and for each axis how a place moves with the grid's."""
    taps, moves, backward = [], [], u is not fp
    for i, axis in enumerate(axes):
        x = _unnormalized(fp, grid[..., len(axes) - 1 - i], axis)
        x = spilled(fp, x) if backward else x
        if axis.mode == "bicubic":  # which leaves the image, and whose elements then come back
            move = np.ones_like(x)
        else:
            x, move = _bounded(u, x, axis, np.maximum if backward else np.fmax)
        taps.append(_taps(u, x, axis))
        moves.append(u.mul(move, u.constant((axis.size - 1 if axis.corners else axis.size) / 2)))
    return list(product(*taps)), moves


def _flat(corner: Sequence[Tap], axes: Sequence[Axis]) -> tuple[Array, Array]:
    index = np.zeros(1, np.int64)
    for tap, axis in zip(corner, axes, strict=True):
        index = index * axis.size + tap.where
    return index, np.logical_and.reduce([tap.inside for tap in corner])


@op()
def grid_sample(
    fp: Arithmetic,
    x: Array,
    grid: Array,
    /,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """An image x (N, C, H, W) or (N, C, D, H, W) at the places ``grid`` (N, ..., 2 or 3): the result is (N, C, ...).

    A place is (column, row) or (column, row, plane), each from -1 to 1 across the image: between its edges, or with
    ``align_corners`` between its corners' centres. ``mode`` is "bilinear" (2 neighbours an axis), "nearest" (the
    even one of two that are as near), or "bicubic" (4 neighbours, images of two axes). Beyond the image
    ``padding_mode`` puts "zeros", the "border", or its "reflection"; NaN is beyond it, or the first element.

    A result is the sum of neighbours times weights (which are products over the axes, the last first), in that order,
    or of two axes in turn for "bicubic"; each step is rounded to ``compute`` and the result stored. PyTorch's
    CUDA kernels store every step of the gradients, places and weights included, and so does this: x has
    gradient times weight, summed over places as ``accumulate`` says (in CUDA's kernels in the format of the tensor in
    no certain order); the grid the sum over channels and neighbours of value, the weight's slope, the other
    weights and gradient, times half the size, and 0 where a place is bounded. ``ValueError`` for shapes and words that
    do not fit.

    >>> from halfsim import tensor
    >>> grid_sample(tensor([[[[1.0, 3.0]]]]), tensor([[[[0.0, 0.0], [-0.5, 0.0]]]]))
    tensor([[[[2., 1.]]]], float32)
    """
    axes = _checked(x, grid, mode, padding_mode, bool(align_corners))
    lead, size, places = x.shape[:2], x.shape[2:], grid.shape[1:-1]
    flat = x.reshape(*lead, prod(size))
    grid = grid.reshape(len(grid), prod(places), len(axes))

    def value(corner: Sequence[Tap]) -> Array:
        """The element for each place and channel, zero outside."""
        index, inside = _flat(corner, axes)
        return fp.keep(np.take_along_axis(flat, index[:, None], -1), inside[:, None])

    def sampled() -> Array:
        corners, _ = _corners(fp, grid, axes, fp)
        if mode == "nearest":
            return value(corners[0])
        if mode == "bicubic":
            rows = [corners[i : i + 4] for i in range(0, 16, 4)]
            across = [reduce(fp.add, [fp.mul(value(c), c[1].weight[:, None]) for c in row]) for row in rows]
            return reduce(fp.add, [fp.mul(y, row[0][0].weight[:, None]) for y, row in zip(across, rows, strict=True)])
        y = np.zeros((*lead, grid.shape[1]), fp.dtype)
        for corner in corners:
            weight = reduce(fp.mul, [tap.weight for tap in reversed(corner)])
            y = fp.add(y, fp.mul(value(corner), weight[:, None]))
        return y

    def around(fp: Arithmetic, g: Array) -> tuple[Any, Any, Array]:
        u = Stepwise(fp)
        return u, _corners(u, grid, axes, fp), g.reshape(*lead, prod(places))

    shared = shared_backward(around)

    def dx(fp: Arithmetic, g: Array) -> Array:
        u, (corners, _), g = shared(fp, g)
        parts, where, inside = [], [], []
        for corner in corners:
            weights = [tap.weight[:, None] for tap in reversed(corner)]
            part = reduce(u.mul, [g, *weights]) if mode == "bicubic" else u.mul(reduce(u.mul, weights), g)
            index, seen = _flat(corner, axes)
            parts.append(part.transpose(0, 2, 1))
            where.append(index + np.arange(lead[0])[:, None] * prod(size))
            inside.append(seen)
        chosen = np.stack(inside, -1).reshape(-1)
        values = np.stack(parts, 2).reshape(chosen.size, lead[1])[chosen]
        total = scatter_sum(fp, values, np.stack(where, -1).reshape(-1)[chosen], lead[0] * prod(size))
        return total.reshape(lead[0], *size, lead[1]).transpose(0, len(size) + 1, *range(1, len(size) + 1))

    def dgrid(fp: Arithmetic, g: Array) -> Array:
        u, (corners, moves), g = shared(fp, g)
        out = np.zeros((*grid.shape[:2], len(axes)), fp.dtype)
        for a in range(len(axes)) if mode != "nearest" else ():
            terms = []
            for corner in corners:
                others = [corner[i].weight[:, None] for i in reversed(range(len(axes))) if i != a]
                terms.append(reduce(u.mul, [value(corner), corner[a].slope[:, None], *others, g]))
            total = spilled(fp, fp.sum(np.stack(terms, 2), (1, 2)))
            out[..., len(axes) - 1 - a] = u.mul(moves[a], total)
        return out.reshape(len(grid), *places, len(axes))

    return sampled().reshape(*lead, *places), (dx, dgrid)


def _checked(x: Array, grid: Array, mode: str, padding: str, corners: bool) -> list[Axis]:
    if mode not in _MODES:
        raise unknown("mode", mode, _MODES)
    if padding not in _PADDING:
        raise unknown("padding_mode", padding, _PADDING)
    dims = x.ndim - 2
    if dims not in (2, 3) or grid.ndim != x.ndim or grid.shape[-1] != dims or len(x) != len(grid):
        allowed = "(N, C, H, W) with (N, ..., ..., 2), (N, C, D, H, W) with (N, ..., ..., ..., 3)"
        raise ValueError(f"grid_sample: input {x.shape} with grid {grid.shape} is not allowed; allowed: {allowed}")
    if 0 in x.shape[2:]:
        raise ValueError(f"grid_sample: input {x.shape} has no elements; allowed: none only for images and channels")
    if mode == "bicubic" and dims == 3:
        raise ValueError(f"mode: 'bicubic' does not go with input {x.shape}; allowed: (N, C, H, W)")
    return [Axis(n, mode, padding, corners) for n in x.shape[2:]]


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places (N, H, W, 2) that the maps ``theta`` (N, 2, 3) give an image of ``size`` (N, C, H, W).

    Or (N, D, H, W, 3) of (N, 3, 4) and (N, C, D, H, W). As in PyTorch the numbers from -1 to 1 along each axis (between
    corners' centres with ``align_corners``) are made in the format of ``theta``, each step rounded, and one
    `halfsim.ops.matmul` maps them; the gradient of ``theta`` is that product's. ``ValueError`` for shapes that do not
    fit.

    >>> from halfsim import tensor
    >>> affine_grid(tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]]), (1, 1, 1, 2))
    tensor([[[[-0.5,  0.5],
              [ 0.5,  0.5]]]], float32)
    """
    theta = theta if isinstance(theta, Tensor) else tensor(plain(theta))
    numbers = [whole("affine_grid: size", n) for n in size]
    dims = len(numbers) - 2
    if dims not in (2, 3) or theta.shape != (numbers[0], dims, dims + 1) or min(numbers) < 1:
        allowed = "(N, 2, 3) with (N, C, H, W), (N, 3, 4) with (N, C, D, H, W)"
        raise ValueError(f"affine_grid: theta {theta.shape} with size {size} is not allowed; allowed: {allowed}")
    spatial = numbers[2:]
    lines = [_line(n, bool(align_corners), theta.format) for n in spatial]
    base = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(spatial)], -1)
    base = np.broadcast_to(base.reshape(-1, dims + 1), (numbers[0], prod(spatial), dims + 1))
    places = OPS["matmul"](tensor(base, theta.format), OPS["swapaxes"](theta, 1, 2))
    return OPS["reshape"](places, (numbers[0], *spatial, dims))


def _line(count: int, corners: bool, fmt: Any) -> Array:
    """``count`` numbers from -1 to 1, from either end to the middle, every step rounded to ``fmt``."""
    if count == 1:
        return np.zeros(1)

    def step(x: Any) -> Array:
        return rounded(np.asarray(x, container(float64)), fmt, None, None)

    i = np.arange(count)
    width, last = step(2 / step(count - 1)), step(count - 1)
    left, right = step(-1 + step(width * step(i))), step(1 - step(width * step(count - 1 - i)))
    line = np.where(i < count // 2, left, right)
    return line if corners else step(step(line * last) / step(count))


def _sampler(name: str, dims: int) -> Any:
    def sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
        if np.ndim(plain(input)) != dims + 2:
            raise ValueError(f"{name}: input {np.shape(plain(input))} is not allowed; allowed: {dims + 2} dimensions")
        for option, words, given in (
            ("interpolation_mode", _MODES, interpolation_mode),
            ("padding_mode", _PADDING, padding_mode),
        ):
            if not 0 <= given < 3:
                raise ValueError(f"{option}: {given} is not allowed; allowed: 0 to 2, which are {', '.join(words)}")
        return OPS["grid_sample"](input, grid, _MODES[interpolation_mode], _PADDING[padding_mode], align_corners)

    sampler.__name__ = sampler.__qualname__ = name
    sampler.__doc__ = "`grid_sample`, its modes by their numbers."
    return sampler


grid_sampler_2d, grid_sampler_3d = _sampler("grid_sampler_2d", 2), _sampler("grid_sampler_3d", 3)
