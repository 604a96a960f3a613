"""The formulas of normalisation: what a row, a group or a channel is worth beside its mean and its deviation.

All of these take the same steps forward, each rounded to ``compute``: the sum, over n (the mean), the difference,
its square, their sum, over n (the variance), plus eps, the square root, 1 over it (r), difference times r, times
weight, plus bias. Gradients go by the formulas of PyTorch's CUDA kernels; of the forward pass they keep only the
mean and r, and form differences anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array

Axes = tuple[int, ...]


def _count(fp: Arithmetic, x: Array, axes: Axes) -> Any:
    return fp.constant(prod(x.shape[a] for a in axes))


def _mean(fp: Arithmetic, x: Array, axes: Axes) -> Array:
    return fp.div(fp.sum(x, axes, True), _count(fp, x, axes))


def _inverse(fp: Arithmetic, variance: Array, eps: float) -> Array:
    """``1 / sqrt(variance + eps)``, the r of the formulas: three steps."""
    return fp.div(fp.constant(1), fp.sqrt(fp.add(variance, fp.constant(eps))))


def _affine(fp: Arithmetic, x: Array, weight: Array | None, bias: Array | None) -> Array:
    x = x if weight is None else fp.mul(x, weight)
    return x if bias is None else fp.add(x, bias)


def _row_gradient(fp: Arithmetic, g: Array, hat: Array, r: Array, axes: Axes, centred: bool = True) -> Array:
    """``(n g - hat sum(g hat) - sum(g)) r / n``, without ``sum(g)`` where no mean was taken off."""
    n = _count(fp, g, axes)
    y = fp.sub(fp.mul(g, n), fp.mul(hat, fp.sum(fp.mul(g, hat), axes, True)))
    y = fp.sub(y, fp.sum(g, axes, True)) if centred else y
    return fp.mul(y, fp.div(r, n))


def _rows(fp: Arithmetic, x: Array, weight: Array | None, bias: Array | None, axes: Axes, eps: float) -> Any:
    """Layer and group normalisation: over ``axes``, with weight and bias for each place along them."""
    mean = _mean(fp, x, axes)
    d = fp.sub(x, mean)
    r = _inverse(fp, _mean(fp, fp.mul(d, d), axes), eps)

    def hat(fp: Arithmetic) -> Array:
        return fp.mul(fp.sub(x, mean), r)

    return _affine(fp, fp.mul(d, r), weight, bias), (
        lambda fp, g: _row_gradient(fp, _affine(fp, g, weight, None), hat(fp), r, axes),
        lambda fp, g: fp.mul(g, hat(fp)),
        lambda fp, g: g,
    )


def _layer_norm(
    fp: Arithmetic,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    ndim: int = 1,
    eps: float = 1e-5,
) -> Any:
    return _rows(fp, x, weight, bias, tuple(range(x.ndim - ndim, x.ndim)), eps)


def _group_norm(
    fp: Arithmetic,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    groups: int = 1,
    eps: float = 1e-5,
) -> Any:
    shape, channels = x.shape, x.shape[1]
    grouped = (shape[0], groups, channels // groups, prod(shape[2:]))
    each = (groups, channels // groups, 1)
    weight, bias = (p if p is None else p.reshape(each) for p in (weight, bias))
    y, pullbacks = _rows(fp, x.reshape(grouped), weight, bias, (2, 3), eps)

    def ungrouped(pullback: Callable[[Arithmetic, Array], Array], per_channel: bool) -> Any:
        def call(fp: Arithmetic, g: Array) -> Array:
            grad = pullback(fp, g.reshape(grouped))
            return fp.sum(grad, (0, 3)).reshape(channels) if per_channel else grad.reshape(shape)

        return call

    return y.reshape(shape), tuple(ungrouped(pullback, i > 0) for i, pullback in enumerate(pullbacks))


def _rms_norm(fp: Arithmetic, x: Array, weight: Array | None = None, /, ndim: int = 1, eps: float | None = None) -> Any:
    axes = tuple(range(x.ndim - ndim, x.ndim))
    r = _inverse(fp, _mean(fp, fp.mul(x, x), axes), fp.precision.compute.eps if eps is None else eps)
    return _affine(fp, fp.mul(x, r), weight, None), (
        lambda fp, g: _row_gradient(fp, _affine(fp, g, weight, None), fp.mul(x, r), r, axes, centred=False),
        lambda fp, g: fp.mul(g, fp.mul(x, r)),
    )


def _channels(
    fp: Arithmetic, x: Array, parts: Sequence[Array | None], axes: Axes, eps: float, moments: list[Array] | None
) -> Any:
    """Batch and instance normalisation: weight, bias, and given mean and variance if any, for each channel.

    ``moments``, an empty list, takes mean and variance of its own, which running averages ask for. With these
    ``dx = (g - d sum(g d) / n r r - sum(g) / n) (r weight)``; else ``g (r weight)``.
    """
    column = (-1, *[1] * (x.ndim - 2))
    weight, bias, mean, variance = (p if p is None else p.reshape(column) for p in parts)
    own = mean is None
    centre = _mean(fp, x, axes) if mean is None else mean
    d = fp.sub(x, centre)
    variance = _mean(fp, fp.mul(d, d), axes) if variance is None else variance
    if own and moments is not None and not moments:  # of the first run: a trace runs it again, in its reference
        moments += [centre.reshape(centre.shape[:2]), variance.reshape(centre.shape[:2])]
    r = _inverse(fp, variance, eps)

    def dx(fp: Arithmetic, g: Array) -> Array:
        scale, n = _affine(fp, r, weight, None), _count(fp, x, axes)
        if own:
            d = fp.sub(x, centre)
            slope = fp.mul(fp.mul(fp.div(fp.sum(fp.mul(g, d), axes, True), n), r), r)
            g = fp.sub(fp.sub(g, fp.mul(d, slope)), fp.div(fp.sum(g, axes, True), n))
        return fp.mul(g, scale)

    def dweight(fp: Arithmetic, g: Array) -> Array:
        per_channel = fp.mul(fp.sum(fp.mul(g, fp.sub(x, centre)), axes, True), r)
        return per_channel.reshape(per_channel.shape[:2])

    def dbias(fp: Arithmetic, g: Array) -> Array:
        per_channel = fp.sum(g, axes, True)
        return per_channel.reshape(per_channel.shape[:2])

    return _affine(fp, fp.mul(d, r), weight, bias), (dx, dweight, dbias)


def _batch_norm(
    fp: Arithmetic,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    mean: Array | None = None,
    variance: Array | None = None,
    /,
    eps: float = 1e-5,
    moments: Any = None,
) -> Any:
    return _channels(fp, x, (weight, bias, mean, variance), (0, *range(2, x.ndim)), eps, moments)


def _instance_norm(
    fp: Arithmetic,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    mean: Array | None = None,
    variance: Array | None = None,
    /,
    eps: float = 1e-5,
    moments: Any = None,
) -> Any:
    return _channels(fp, x, (weight, bias, mean, variance), tuple(range(2, x.ndim)), eps, moments)


layer_norm, group_norm, rms_norm = op("fp32")(_layer_norm), op("fp32")(_group_norm), op("fp32")(_rms_norm)
batch_norm, instance_norm = op()(_batch_norm), op()(_instance_norm)
