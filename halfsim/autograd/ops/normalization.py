"""Normalisation over rows, groups and channels, with the signatures of ``torch.nn.functional``.

All of them take the same steps forward, each rounded to ``compute``: the sum, over n (the mean), the difference,
its square, their sum, over n (the variance), plus eps, the square root, 1 over it (r), difference times r, times
weight, plus bias. Gradients go by the formulas of PyTorch's CUDA kernels; of the forward pass they keep only the
mean and r, and form differences anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import like, off_tape
from halfsim.autograd.policy import Policy
from halfsim.autograd.scope import resolve_for, scope
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]

# Averages that layers keep from batch to batch, off the tape.


@op()
def running_average(fp: Arithmetic, x: Array, /, batch: Array, momentum: float, factor: float = 1.0) -> Any:
    """``batch * factor * momentum + x * (1 - momentum)``: a step for every sign, none for a factor of 1.

    ``batch`` comes from inside another operation, in that one's ``compute``.
    """
    value = batch if factor == 1 else fp.mul(batch, fp.constant(factor))
    old, new = fp.mul(x, fp.constant(1 - momentum)), fp.mul(value, fp.constant(momentum))
    return fp.add(new, old), lambda fp, g: fp.mul(g, fp.constant(1 - momentum))


def update(running: Any, batch: Array, momentum: float, factor: float, label: str) -> None:
    """Move ``running`` (C,) towards ``batch`` (N, C): in its own format, each of the N alone, then their mean."""
    if not isinstance(running, Tensor):
        raise TypeError(f"{label}: {type(running).__name__} cannot be updated; allowed: Tensor, None")
    options = {"batch": batch, "momentum": momentum, "factor": factor}
    precision = resolve_for(running.format)
    new = apply(SPECS["running_average"], (running.detach(),), (), options, precision, label)
    if len(batch) > 1:
        new = apply(SPECS["mean"], (new,), (0,), None, precision, label)
    data = np.ascontiguousarray(new.array.reshape(running.shape))
    observer = active()
    if observer is not None:
        goal = batch.reshape(-1, running.size).mean(0) * factor
        observer.averaged(running.array, data, goal, running.format, label)
    running.array = data


# The formulas: what a row, a group or a channel is worth beside its mean and its deviation.


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


def _per_place(pullback: Callable[[Arithmetic, Array], Array], shape: tuple[int, ...]) -> Any:
    """``pullback`` summed over the rows to ``shape`` inside the kernel, in ``compute``."""
    return lambda fp, g: fp.sum_to(pullback(fp, g), shape)


def _layer_norm(
    fp: Arithmetic,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    ndim: int = 1,
    eps: float = 1e-5,
) -> Any:
    y, (dx, dweight, dbias) = _rows(fp, x, weight, bias, tuple(range(x.ndim - ndim, x.ndim)), eps)
    shape = x.shape[x.ndim - ndim :]
    return y, (dx, _per_place(dweight, shape), _per_place(dbias, shape))


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
        _per_place(lambda fp, g: fp.mul(g, fp.mul(x, r)), x.shape[x.ndim - ndim :]),
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


_by_row, _by_group, _by_size = op("fp32")(_layer_norm), op("fp32")(_group_norm), op("fp32")(_rms_norm)
_of_batch, _of_instance = op()(_batch_norm), op()(_instance_norm)


# The functions.


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axes, of shape ``normalized_shape``.

    One operation, in the steps that `halfsim.autograd.ops.normalization` lists; under ``compute=fp32`` it rounds once,
    at the store. The gradient is ``(n g - hat sum(g hat) - sum(g)) r / n`` with ``g`` times weight. Weight and bias
    have shape ``normalized_shape``. A row with NaN or an infinity is NaN, a constant row is bias. ``ValueError``
    for shapes that do not fit.

    >>> from halfsim import tensor
    >>> layer_norm(tensor([[3.0, 1.0]], "fp16"), (2,), eps=0.0)
    tensor([[ 1., -1.]], float16)
    """
    shape = _normalized("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return _by_row(input, weight, bias, ndim=len(shape), eps=eps)


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Tensor:
    """``x / sqrt(mean(x**2) + eps) * weight`` over the last axes, of shape ``normalized_shape``.

    One operation in the steps square, sum, over n, plus eps, square root, 1 over it (r), x times r, times weight; the
    gradient is ``(n g - hat sum(g hat)) r / n`` with ``g`` times weight. Without ``eps`` it is that of the
    format in which the operation computes, as in PyTorch: float32's for float16 tensors in kernels that
    compute in float32, float64's under ``precision("fp64")``. ``ValueError`` for shapes that do not fit.

    >>> from halfsim import tensor
    >>> rms_norm(tensor([[3.0, 3.0]]), (2,), eps=0.0)
    tensor([[1., 1.]], float32)
    """
    shape = _normalized("rms_norm", input, normalized_shape, weight=weight)
    return _by_size(input, weight, ndim=len(shape), eps=eps)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for x (N, C, ...) over groups of C / num_groups channels.

    Steps and gradient are those of `layer_norm`; weight and bias are (C,). ``ValueError`` for shapes that do not fit,
    and for one value a group in a batch of one.
    """
    shape = _shape(input)
    if len(shape) < 2 or not isinstance(num_groups, (int, np.integer)) or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups!r} groups of {shape}; allowed: (N, C, ...), C a multiple of groups")
    if shape[0] * shape[1] // num_groups * prod(shape[2:]) == 1:
        raise ValueError(f"group_norm: input {shape} has one value a group; allowed: more than one")
    _per_channel("group_norm", shape[1], weight=weight, bias=bias)
    return _by_group(input, weight, bias, groups=int(num_groups), eps=eps)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for x (N, C, ...), over all axes but the channels' (C,).

    One operation, in the steps listed at the top of this file. In training the moments are the batch's,
    and running statistics, where given (Tensors), become ``momentum * batch + (1 - momentum) * running``, of the
    unbiased variance, in the steps of the operation `running_average`, stored in their format. Otherwise the
    moments are the running ones. The gradient is ``(g - d sum(g d) / n r r - sum(g) / n) (r weight)`` in training, else
    ``g (r weight)``. Under a Policy the result has the format of ``input``, and statistics and weights keep
    theirs inside, as in PyTorch. ``ValueError`` for shapes that do not fit, for one value a channel in training, and
    without statistics outside it.

    >>> from halfsim import tensor
    >>> batch_norm(tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-9)
    tensor([[-1.],
            [ 1.]], float32)
    """
    shape = _shape(input)
    if len(shape) < 2:
        raise ValueError(f"batch_norm: input {shape} is not allowed; allowed: (N, C, ...)")
    if training and shape[0] * prod(shape[2:]) == 1:
        raise ValueError(f"batch_norm: input {shape} has one value a channel; allowed in training: more than one")
    if not training and not eps >= 0:
        raise ValueError(f"batch_norm: eps {eps!r} is not allowed; allowed: numbers from 0")
    if training and not eps > 0:
        raise ValueError(f"batch_norm: eps {eps!r} is not allowed; allowed in training: positive numbers")
    return _by_channel(
        _of_batch, "batch_norm", input, (weight, bias, running_mean, running_var), training, momentum, eps
    )


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` of every example for itself: x (N, C, ...), over the axes after the channels'.

    Running statistics become the mean over the batch of each example's average, both steps stored. ``ValueError`` as
    for `batch_norm`, and for one value a channel with ``use_input_stats``.
    """
    shape = _shape(input)
    if len(shape) < 3:
        raise ValueError(f"instance_norm: input {shape} is not allowed; allowed: (N, C, L, ...)")
    if use_input_stats and prod(shape[2:]) == 1:
        raise ValueError(f"instance_norm: input {shape} has one value a channel; allowed: more than one")
    parts = (weight, bias, running_mean, running_var)
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm: one running statistic is not allowed; allowed: both, neither")
    return _by_channel(_of_instance, "instance_norm", input, parts, use_input_stats, momentum, eps)


def _by_channel(
    call: Callable[..., Tensor], name: str, x: Any, parts: Sequence[Any], own: bool, momentum: float, eps: float
) -> Tensor:
    weight, bias, mean, variance = parts
    shape = _shape(x)
    _per_channel(name, shape[1], weight=weight, bias=bias, running_mean=mean, running_var=variance)
    if not own and (mean is None or variance is None):
        raise ValueError(f"{name}: running statistics are missing; allowed without them: statistics of the input")
    moments: list[Array] = []
    given = (None, None) if own else (off_tape(mean), off_tape(variance))
    y = call(x, weight, bias, *given, eps=eps, moments=moments)
    if own and y.size:
        count = prod(shape[2:]) * (shape[0] if name == "batch_norm" else 1)
        factors = (1.0, count / (count - 1))
        for label, running, batch, factor in zip(
            ("running_mean", "running_var"), parts[2:], moments, factors, strict=True
        ):
            if running is not None:
                update(running, batch, momentum, factor, label)
    mixed = isinstance(x, Tensor) and isinstance(scope().rule, Policy)
    return y.to(x.format) if mixed else y


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(plain(x))


def _normalized(name: str, x: Any, normalized_shape: Any, **parts: Any) -> tuple[int, ...]:
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    given = _shape(x)
    if not shape or given[-len(shape) :] != shape:
        raise ValueError(f"{name}: input {given} does not end in normalized_shape {shape}; allowed: (..., *shape)")
    for what, part in parts.items():
        if part is not None and _shape(part) != shape:
            raise ValueError(f"{name}: {what} {_shape(part)} does not fit; allowed: {shape}")
    return shape


def _per_channel(name: str, channels: int, **parts: Any) -> None:
    for what, part in parts.items():
        if part is not None and _shape(part) != (channels,):
            raise ValueError(f"{name}: {what} {_shape(part)} does not fit {channels} channels; allowed: ({channels},)")


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """``x / (k + alpha m)**beta``, m being the mean of the squares in ``size`` neighbouring channels of x (N, C, ...).

    Channels beyond the first and last are zeros. As in PyTorch that is a composition of square, `avg_pool3d` (of
    `avg_pool2d` for three dimensions), product, sum, power and quotient, each stored: in float16 the square of 256 is
    infinite, and the result 0. ``ValueError`` for fewer than three dimensions and sizes below 1.

    >>> from halfsim import tensor
    >>> local_response_norm(tensor([[[1.0], [2.0]]]), 1, alpha=1.0, beta=1.0, k=0.0)
    tensor([[[1. ],
             [0.5]]], float32)
    """
    shape = _shape(input)
    if len(shape) < 3 or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"local_response_norm: size {size!r} of {shape}; allowed: from 1, of (N, C, L, ...)")
    x = like(input, tensor(0.0))
    if not x.size:
        return x
    flat = (shape[0], 1, *shape[1:3], *([prod(shape[3:])] if len(shape) > 3 else []))
    kernel, pool = (int(size), *[1] * (len(flat) - 3)), OPS["avg_pool2d" if len(shape) == 3 else "avg_pool3d"]
    around = OPS["pad"]((x * x).reshape(flat), (*[0] * (2 * len(flat) - 6), size // 2, (size - 1) // 2))
    mean = pool(around, kernel, 1).reshape(shape)
    return x / (mean * alpha + k) ** beta
