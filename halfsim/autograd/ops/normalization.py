"""Normalisation over rows, groups and channels, with the signatures of ``torch.nn.functional``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.ops import normalized
from halfsim.autograd.ops._common import off_tape
from halfsim.autograd.ops.running import update
from halfsim.autograd.policy import Policy, scope
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axes, of shape ``normalized_shape``.

    One operation, in the steps that `halfsim.autograd.ops.normalized` lists; under ``compute=fp32`` it rounds once,
    at the store. The gradient is ``(n g - hat sum(g hat) - sum(g)) r / n`` with ``g`` times weight. Weight and bias
    have shape ``normalized_shape``. A row with NaN or an infinity is NaN, a constant row is bias. ``ValueError``
    for shapes that do not fit.

    >>> from halfsim import tensor
    >>> layer_norm(tensor([[3.0, 1.0]], "fp16"), (2,), eps=0.0)
    tensor([[ 1., -1.]], float16)
    """
    shape = _normalized("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return normalized.layer_norm(input, weight, bias, ndim=len(shape), eps=eps)


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
    return normalized.rms_norm(input, weight, ndim=len(shape), eps=eps)


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
    return normalized.group_norm(input, weight, bias, groups=int(num_groups), eps=eps)


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

    One operation, in the steps that `halfsim.autograd.ops.normalized` lists. In training the moments are the batch's,
    and running statistics, where given (Tensors), become ``momentum * batch + (1 - momentum) * running``, of the
    unbiased variance, in the steps of the operation `running_average`, stored in their format. Otherwise the
    moments are the running ones. The gradient is ``(g - d sum(g d) / n r r - sum(g) / n) (r weight)`` in training, else
    ``g (r weight)``. Under a Policy the result has the format of ``input``, and statistics and weights keep
    theirs inside, as in PyTorch. ``ValueError`` for shapes that do not fit, for one value a channel in training, and
    without statistics outside it.

    >>> from halfsim import tensor
    >>> batch_norm(tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]], float32)
    """
    shape = _shape(input)
    if len(shape) < 2:
        raise ValueError(f"batch_norm: input {shape} is not allowed; allowed: (N, C, ...)")
    if training and shape[0] * prod(shape[2:]) == 1:
        raise ValueError(f"batch_norm: input {shape} has one value a channel; allowed in training: more than one")
    return _by_channel(
        normalized.batch_norm, "batch_norm", input, (weight, bias, running_mean, running_var), training, momentum, eps
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
    return _by_channel(normalized.instance_norm, "instance_norm", input, parts, use_input_stats, momentum, eps)


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
