"""Normalizations: of batches, layers, groups, vectors, and of neighbouring channels."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.scope import scoped
from halfsim.numerics.precision import native
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import FORMATS, axis_of, numbers


@row("BatchNormalization")
def batch_normalization(
    x: Any, scale: Any, bias: Any, mean: Any, variance: Any, /, *, epsilon: float, momentum: float = 0.9,
    training_mode: int = 0, spatial: int = 1, since: int,
) -> Any:  # fmt: skip
    """Channels with given mean and variance, or with the batch's own, which then move the given ones."""
    if not spatial and x.ndim > 2:
        raise ValueError("spatial: 0 is not allowed; allowed: 1")
    if not training_mode:
        return ops.batch_norm(x, mean, variance, scale, bias, False, 0.1, epsilon)
    over = (0, *range(2, x.ndim))
    y = ops.batch_norm(x, None, None, scale, bias, True, 0.1, epsilon)
    found = ops.mean(x, over), ops.var(x, over, correction=0)
    kept = [ops.add(ops.mul(old, momentum), ops.mul(new, 1 - momentum))
            for old, new in zip((mean, variance), found, strict=True)]  # fmt: skip
    return (y, *kept)


@row("InstanceNormalization")
def instance_normalization(x: Any, scale: Any, bias: Any, /, *, epsilon: float) -> Any:
    """Each channel of each sample by itself."""
    return ops.instance_norm(x, None, None, scale, bias, True, 0.1, epsilon)


def _fits(weight: Any, shape: tuple[int, ...]) -> bool:
    return weight is None or tuple(weight.shape) == shape


@row("LayerNormalization")
def layer_normalization(
    x: Any, scale: Any, bias: Any = None, /, *, axis: int, epsilon: float, wanted: int, elements: Sequence[int]
) -> Any:
    """The axes from ``axis`` on by their mean and variance, which are float32 though ``x`` is half in the file."""
    over = tuple(range(axis_of(axis, x.ndim), x.ndim))
    shape = tuple(x.shape[over[0] :])
    if _fits(scale, shape) and _fits(bias, shape):
        y = ops.layer_norm(x, shape, scale, bias, epsilon)
    else:
        y = ops.mul(ops.layer_norm(x, shape, None, None, epsilon), scale)
        y = y if bias is None else ops.add(y, bias)
    if wanted < 2:
        return y
    own = native(FORMATS[elements[1]]) if elements[1] != elements[0] else None
    with contextlib.nullcontext() if own is None else scoped(rule=own, base=""):
        spread = ops.var(x, over, keepdims=True, correction=0)
        return y, ops.mean(x, over, True), ops.rsqrt(ops.add(spread, epsilon))


@row("RMSNormalization")
def rms_normalization(x: Any, scale: Any, /, *, axis: int, epsilon: float) -> Any:
    """The axes from ``axis`` on by their root mean square."""
    shape = tuple(x.shape[axis_of(axis, x.ndim) :])
    if _fits(scale, shape):
        return ops.rms_norm(x, shape, scale, epsilon)
    return ops.mul(ops.rms_norm(x, shape, None, epsilon), scale)


@row("GroupNormalization")
def group_normalization(x: Any, scale: Any, bias: Any, /, *, epsilon: float, num_groups: int, since: int) -> Any:
    """Groups of channels, by weights of each channel or, before version 21, of each group."""
    if since < 21 or scale.shape[0] != x.shape[1]:
        each = np.arange(x.shape[1]) // (x.shape[1] // num_groups)
        scale, bias = ops.index_select(scale, 0, each), ops.index_select(bias, 0, each)
    return ops.group_norm(x, num_groups, scale, bias, epsilon)


@row("LpNormalization")
def lp_normalization(x: Any, /, *, axis: int, p: int) -> Any:
    """Vectors along an axis by their norm; those of zeros stay."""
    norm = ops.vector_norm(x, p, axis, True)
    return ops.div(x, ops.where(numbers(norm) == 0, ops.ones_like(norm), norm))


@row("LRN")
def lrn(x: Any, /, *, alpha: float, beta: float, bias: float, size: int) -> Any:
    """Each channel by its neighbours' mean square."""
    y = x if size % 2 else ops.flip(x, (1,))  # of an even number ours has the odd one before it
    y = ops.local_response_norm(y, size, alpha, beta, bias)
    return y if size % 2 else ops.flip(y, (1,))


@row("Dropout")
def dropout(x: Any, ratio: Any = None, training: Any = None, /, *, seed: int | None = None, wanted: int) -> Any:
    """What it is given, or in training some of it, the rest larger; and which."""
    keep = np.ones(tuple(x.shape), np.bool_)
    rate = 0.5 if ratio is None else float(np.asarray(numbers(ratio)).reshape(-1)[0])
    if training is None or not np.asarray(training).any() or rate == 0:
        return (x, keep)[: max(wanted, 1)]
    keep = np.random.RandomState(seed).uniform(0, 1, tuple(x.shape)) >= rate  # as the reference draws
    y = ops.mul(ops.where(keep, x, ops.zeros_like(x)), 1 / (1 - rate))
    return (y, keep)[: max(wanted, 1)]
