"""Images in another size: each element of the result a weighted mean of some of the input's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import named, spilled
from halfsim.autograd.ops._windows import LAYOUT, Taps
from halfsim.autograd.ops._windows import unfold as windows
from halfsim.autograd.ops.pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import Format, float32, unknown, whole
from halfsim.numerics.precision import FP32, FP64
from halfsim.numerics.quantize import Array, rounded

__all__ = [
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


class Line(NamedTuple):
    """An axis of ``size`` elements that becomes ``wanted`` long; ``ratio`` is the step in the input, where given."""

    size: int
    wanted: int
    ratio: float | None


class Mixture(NamedTuple):
    """Element i of the result is the sum over k of ``weight[k, i]`` times the input's element ``where[k, i]``."""

    where: Array
    weight: Array


def cubic(fp: Any, t: Array, a: float = -0.75) -> list[Array]:
    """Keys' weights of the elements at -1, 0, 1 and 2 for the place ``t`` between 0 and 1, in the kernels' steps."""
    one = fp.constant(1.0)
    far = fp.sub(one, t)
    return [_outer(fp, fp.add(t, one), a), _inner(fp, t, a), _inner(fp, far, a), _outer(fp, fp.add(far, one), a)]


def _inner(fp: Any, x: Array, a: float) -> Array:
    """``((a + 2) x - (a + 3)) x x + 1``"""
    y = fp.sub(fp.mul(fp.constant(a + 2), x), fp.constant(a + 3))
    return fp.add(fp.mul(fp.mul(y, x), x), fp.constant(1.0))


def _outer(fp: Any, x: Array, a: float) -> Array:
    """``((a x - 5 a) x + 8 a) x - 4 a``"""
    y = fp.mul(fp.sub(fp.mul(fp.constant(a), x), fp.constant(5 * a)), x)
    return fp.sub(fp.mul(fp.add(y, fp.constant(8 * a)), x), fp.constant(4 * a))


# Where an element of the result lies in the input, and what it is made of: numbers of the kernel and not of the data,
# which it has in float32, or in float64 where it computes in that.


def _step(line: Line, corners: bool, real: Any) -> Any:
    """The distance in the input of two neighbours in the result."""
    if corners:
        return real(line.size - 1) / real(line.wanted - 1) if line.wanted > 1 else real(0)
    return real(line.size) / real(line.wanted) if line.ratio is None else real(line.ratio)


def _nearest(line: Line, exact: bool) -> Array:
    place = np.arange(line.wanted, dtype=np.float32) + np.float32(0.5 if exact else 0)
    return np.minimum(np.floor(place * _step(line, False, np.float32)).astype(np.int64), line.size - 1)


def _places(line: Line, corners: bool, real: Any) -> Array:
    step, i = _step(line, corners, real), np.arange(line.wanted, dtype=real)
    return step * i if corners else step * (i + real(0.5)) - real(0.5)


def _linear(line: Line, corners: bool, real: Any) -> Mixture:
    if line.size == line.wanted:
        return Mixture(np.arange(line.size)[None], np.ones((1, line.size), real))
    place = np.maximum(_places(line, corners, real), real(0))
    first = np.minimum(place.astype(np.int64), line.size - 1)
    part = np.clip(place - first.astype(real), real(0), real(1))
    return Mixture(np.array([first, np.minimum(first + 1, line.size - 1)]), np.array([real(1) - part, part]))


def _cubic(line: Line, corners: bool, real: Any) -> Mixture:
    place = _places(line, corners, real)
    first = np.floor(place)
    index = first.astype(np.int64) + np.arange(-1, 3)[:, None]
    unit = Arithmetic(FP32 if real is np.float32 else FP64)
    return Mixture(index.clip(0, line.size - 1), np.array(cubic(unit, place - first)))


def _sinc(x: Array) -> Array:
    return np.sinc(x).astype(x.dtype)


_FILTERS: dict[str, tuple[int, Callable[[Array], Array]]] = {  # how wide, and the weight at a distance
    "bilinear": (2, lambda x: 1 - x),
    "bicubic": (
        4,
        lambda x: np.where(
            x < 1,
            ((x.dtype.type(1.5)) * x - x.dtype.type(2.5)) * x * x + 1,
            (((x - 5) * x + 8) * x - 4) * -x.dtype.type(0.5),
        ),
    ),
    "lanczos": (6, lambda x: _sinc(x) * _sinc(x / 3)),
}


def _smoothed(line: Line, mode: str, corners: bool, real: Any, storage: Callable[[Array], Array]) -> Mixture:
    """Without aliasing: a filter as wide as the step, whose weights add up to 1."""
    width, weight = _FILTERS[mode]
    step = _step(line, corners, real)
    if line.size == line.wanted:
        return Mixture(np.arange(line.size)[None], np.ones((1, line.size), real))
    support = real(width / 2) * (step if step >= 1 else real(1))
    centre = step * (np.arange(line.wanted, dtype=real) + real(0.5))
    low = np.maximum((centre - support + real(0.5)).astype(np.int64), 0)
    high = np.minimum((centre + support + real(0.5)).astype(np.int64), line.size)
    k = np.arange(ceil(support) * 2 + 1)[:, None]
    inverse = real(1) / step if step >= 1 else real(1)
    x = np.abs((k.astype(real) + (low.astype(real) - centre) + real(0.5)) * inverse)
    weights = np.where((k < high - low) & (x < width / 2), weight(x), real(0)).astype(real)
    total = np.add.accumulate(weights)[-1]
    shares = storage(storage(weights) / np.where(total == 0, real(1), total))
    return Mixture(np.minimum(low + k, line.size - 1), shares)


def _rounded(fp: Arithmetic, grid: Format) -> Callable[[Array], Array]:
    return lambda x: rounded(x, grid, None, fp.precision.mode)


def _mixture(fp: Arithmetic, mode: str, line: Line, corners: bool, smooth: bool) -> Mixture:
    """What an axis of the result is made of, the weights as a unit takes constants."""
    real: Any = np.float32 if float32.contains(fp.precision.compute) else np.float64
    if smooth:
        found = _smoothed(line, mode, corners, real, _rounded(fp, fp.precision.storage))
    else:
        found = (_cubic if mode == "bicubic" else _linear)(line, corners, real)
    return Mixture(found.where, _rounded(fp, fp.precision.compute)(found.weight).astype(fp.dtype))


# The operations.


def _mixed(fp: Arithmetic, x: Array, axis: int, mixture: Mixture) -> Array:
    """The result along one axis: products with the weights, added one after another."""
    column = (-1, *[1] * (x.ndim - 1 - axis))
    parts = [fp.mul(x.take(i, axis), w.reshape(column)) for i, w in zip(*mixture, strict=True)]
    return reduce(fp.add, parts)


def _back(mixture: Mixture, size: int) -> tuple[Taps, Array]:
    """For each element of an axis of ``size`` the elements of the result that it is in, in a row, and its weights."""
    target, weight = mixture.where.T.reshape(-1), mixture.weight.T.reshape(-1)
    source = np.repeat(np.arange(mixture.where.shape[1]), len(mixture.where))
    order, counts = np.argsort(target, kind="stable"), np.bincount(target, minlength=size)
    begin = np.cumsum(counts) - counts
    taps, weights = [], np.zeros((max(1, counts.max(initial=0)), size), weight.dtype)
    for k in range(len(weights)):
        served = np.flatnonzero(counts > k)
        chosen = order[begin[served] + k]
        weights[k, served] = weight[chosen]
        taps.append((k, served, source[chosen]))
    return taps, weights


@op("fp32")
@named("interpolate")
def _interpolate(
    fp: Arithmetic, x: Array, /, mode: str, lines: Sequence[Line], corners: bool = False, smooth: bool = False
) -> Any:
    dims, shape = len(lines), x.shape
    y = x
    for i in reversed(range(dims)):
        y = _mixed(fp, y, 2 + i, _mixture(fp, mode, lines[i], corners, smooth))
        y = spilled(fp, y) if smooth and i else y

    def pullback(fp: Arithmetic, g: Array) -> Array:
        steps, weights = zip(
            *(_back(_mixture(fp, mode, line, corners, smooth), line.size) for line in lines), strict=True
        )
        kernel, sizes = [len(w) for w in weights], [line.size for line in lines]
        each = [
            np.expand_dims(w, [*range(i), *range(i + 1, dims + i), *range(dims + i + 1, 2 * dims)])
            for i, w in enumerate(weights)
        ]
        g = windows(g, steps, kernel, sizes, lead=2)
        by_factors = mode == "bicubic" and not smooth  # as that kernel multiplies
        y = reduce(fp.mul, [g, *each]) if by_factors else fp.mul(g, reduce(fp.mul, each))
        return fp.sum(spilled(fp, y), tuple(range(2, 2 + dims))).reshape(shape)

    return y, pullback


@op("fp32", exact="forward")
@named("upsample_nearest")
def _picked(fp: Arithmetic, x: Array, /, lines: Sequence[Line], exact: bool = False) -> Any:
    dims, shape = len(lines), x.shape
    places = [_nearest(line, exact) for line in lines]
    y = x
    for i, place in enumerate(places):
        y = y.take(place, 2 + i)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        ones = [Mixture(place[None], np.ones((1, place.size))) for place in places]
        steps, weights = zip(*(_back(one, line.size) for one, line in zip(ones, lines, strict=True)), strict=True)
        g = windows(g, steps, [len(w) for w in weights], [line.size for line in lines], lead=2)
        return fp.sum(g, tuple(range(2, 2 + dims))).reshape(shape)

    return y, pullback


# The functions.


_MODES = {  # for how many axes
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
    "lanczos": (2,),
}
_AREA = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)


def interpolate(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """An image x (N, C, L), (N, C, H, W) or (N, C, D, H, W) in another ``size``, or ``scale_factor`` times as large.

    ``mode`` is "nearest" (of PyTorch's kind, or "nearest-exact"), "linear", "bilinear" or "trilinear" by the number of
    axes, "bicubic" (two axes), or "area", which is `halfsim.ops.adaptive_avg_pool2d`. Of neighbours each result is the
    sum of products with weights, along the last axis first; results are rounded to ``compute`` at each step and stored
    once. Places and weights are the kernel's own float32 numbers (float64's where it computes in that), rounded
    to ``compute``. ``align_corners`` puts the corners of both images upon one another instead of their edges.
    ``antialias`` widens the filter by the step of a smaller image ("bilinear", "bicubic", "lanczos" always);
    PyTorch then stores weights and what the first axis gives. With ``recompute_scale_factor`` the step comes from
    the sizes alone.

    The gradient of an element is the sum over the results that it is in, in their order, of gradient times
    weights, each product stored first. PyTorch's CUDA kernels add these in the tensor's format in no certain
    order; here ``accumulate`` says how. ``ValueError`` for sizes and words that do not fit.

    >>> from halfsim import tensor
    >>> interpolate(tensor([[[1.0, 3.0]]]), 4, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]], float32)
    """
    shape = np.shape(plain(input))
    dims = len(shape) - 2
    if mode not in _MODES:
        raise unknown("mode", mode, tuple(_MODES))
    if dims not in _MODES[mode]:
        allowed = " or ".join(f"(N, C, {LAYOUT[n - 1]})" for n in _MODES[mode])
        raise ValueError(f"interpolate: input {shape} with mode {mode!r} is not allowed; allowed: {allowed}")
    plain_mode = mode in ("nearest", "nearest-exact", "area")
    if plain_mode and align_corners is not None:
        raise ValueError(f"align_corners: {align_corners!r} does not go with mode {mode!r}; allowed: None")
    if (antialias and mode not in _FILTERS) or (mode == "lanczos" and (not antialias or align_corners)):
        raise ValueError(
            f"antialias: {antialias} does not go with mode {mode!r}; allowed: True with {', '.join(_FILTERS)}"
        )
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor: True does not go with size; allowed: with scale_factor")
    area = mode == "area"
    lines = _lines(shape[2:], size, scale_factor, bool(recompute_scale_factor) or area, 0 if area else 1)
    if 0 in shape[1:]:
        raise ValueError(f"interpolate: input {shape} has no elements; allowed: none only for want of images")
    if area:
        return _AREA[dims - 1](input, [line.wanted for line in lines])
    if plain_mode:
        return _picked(input, lines=lines, exact=mode == "nearest-exact")
    return _interpolate(input, mode=mode, lines=lines, corners=bool(align_corners), smooth=antialias)


def _lines(shape: tuple[int, ...], size: Any, factor: Any, recompute: bool, least: int) -> list[Line]:
    if (size is None) == (factor is None):
        raise ValueError(f"interpolate: size {size!r} with scale_factor {factor!r}; allowed: one of them")
    given = size if factor is None else factor
    each = list(given) if isinstance(given, (tuple, list)) else [given] * len(shape)
    if len(each) != len(shape):
        name = "scale_factor" if size is None else "size"
        raise ValueError(f"interpolate: {name} {given!r} is not allowed; allowed: a number or {len(shape)} of them")
    if factor is None:
        counts, ratios = [whole("interpolate: size", n) for n in each], [None] * len(shape)
    else:
        counts = [int(n * float(f)) for n, f in zip(shape, each, strict=True)]
        ratios = [None if recompute or not f > 0 else 1.0 / f for f in each]
    if min(counts) < least or 0 in shape:
        raise ValueError(f"interpolate: {shape} to {tuple(counts)} is not allowed; allowed: sizes from {least}")
    return [Line(*line) for line in zip(shape, counts, ratios, strict=True)]


def upsample(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Any, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` by "nearest"."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(
    input: Any, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` by "bilinear" with the corners upon one another."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
