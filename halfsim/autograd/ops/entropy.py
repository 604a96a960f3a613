"""Losses of probabilities, composed as in PyTorch: a kernel for each element, then `mean` or `sum`."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import named, off_tape
from halfsim.autograd.ops.elementwise import div, mul
from halfsim.autograd.ops.loss import REDUCTIONS, check_shape, reduced, reduction_of
from halfsim.autograd.policy import resolve, scope
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import float32, unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

_EPSILON = float(np.float32(1e-12))  # a float32 in the kernel, whatever it computes in


@op()
@named("binary_cross_entropy")
def _bce(fp: Arithmetic, x: Array, target: Array, /) -> Any:
    one, low = fp.constant(1.0), fp.constant(-100.0)

    def pull_x(fp: Arithmetic, g: Array) -> Array:
        spread = np.maximum(fp.mul(fp.sub(one, x), x), fp.constant(_EPSILON))
        return fp.div(fp.mul(g, fp.sub(x, target)), spread)

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(g, fp.sub(fp.function("log1p", -x), fp.log(x)))

    if (x < 0).any() or (x > 1).any():
        raise ValueError("binary_cross_entropy: input outside 0 to 1 is not allowed; allowed: probabilities")
    log_x, log_rest = np.maximum(fp.log(x), low), np.maximum(fp.function("log1p", -x), low)
    return fp.sub(fp.mul(fp.sub(target, one), log_rest), fp.mul(target, log_x)), (pull_x, pull_target)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``(t - 1) * log1p(-x) - t * log(x)`` for probabilities x, where no logarithm is below -100.

    Gradient ``g * (x - t) / max((1 - x) * x, 1e-12)`` from the left; 1e-12 is 0 where ``compute`` is float16.
    ``weight`` broadcasts and is a product of its own. ``ValueError`` for shapes that differ and for values outside 0
    to 1 (NaN passes); ``RuntimeError`` under autocast, as in PyTorch.
    """
    how = reduction_of(reduction, size_average, reduce)
    rule = scope().rule
    if not isinstance(rule, Precision) and resolve("binary_cross_entropy", "fp16", float32).storage != float32:
        advice = "allowed: binary_cross_entropy_with_logits on what the sigmoid would take"
        raise RuntimeError(f"binary_cross_entropy: unsafe under autocast, where its input is half; {advice}")
    check_shape("binary_cross_entropy", input, target, refuse=True)
    loss = _bce(input, target)
    return reduced(loss if weight is None else mul(loss, weight), how)


@op("fp32")
@named("binary_cross_entropy_with_logits")
def _bce_with_logits(fp: Arithmetic, x: Array, target: Array, pos_weight: Array | None = None, /) -> Any:
    one = fp.constant(1.0)

    def log_sigmoid(fp: Arithmetic) -> Array:
        return fp.sub(np.minimum(x, fp.constant(0.0)), fp.function("log1p", fp.exp(-np.abs(x))))

    def pull_x(fp: Arithmetic, g: Array) -> Array:
        if pos_weight is None:
            return fp.mul(fp.sub(fp.sigmoid(x), target), g)
        t = fp.mul(pos_weight, target)
        return fp.mul(fp.sub(fp.mul(fp.sub(fp.add(t, one), target), fp.sigmoid(x)), t), g)

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        slope = x if pos_weight is None else fp.add(x, fp.mul(log_sigmoid(fp), fp.sub(pos_weight, one)))
        return -fp.mul(slope, g)

    y = log_sigmoid(fp)
    if pos_weight is not None:
        y = fp.mul(y, fp.add(fp.mul(fp.sub(pos_weight, one), target), one))
    return fp.sub(fp.mul(fp.sub(one, target), x), y), (pull_x, pull_target)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """``(1 - t) * x - s * w`` with ``s = min(x, 0) - log1p(exp(-abs(x)))`` and ``w = (pos_weight - 1) * t + 1``.

    Gradient ``(sigmoid(x) - t) * g``, or with p = pos_weight * t ``((p + 1 - t) * sigmoid(x) - p) * g``. ``weight`` and
    ``pos_weight`` broadcast; the first is a product of its own. Under autocast float32. ``ValueError`` for shapes of
    input and target that differ.
    """
    how = reduction_of(reduction, size_average, reduce)
    check_shape("binary_cross_entropy_with_logits", input, target, refuse=True)
    loss = _bce_with_logits(input, target, off_tape(pos_weight))
    return reduced(loss if weight is None else mul(loss, weight), how)


@op("fp32")
@named("kl_div")
def _kl_div(fp: Arithmetic, x: Array, target: Array, /, log_target: bool) -> Any:
    if log_target:
        p = fp.exp(target)
        d = fp.sub(target, x)
        return fp.mul(p, d), (
            lambda fp, g: -fp.mul(p, g),
            lambda fp, g: fp.add(fp.mul(fp.mul(g, d), p), fp.mul(g, p)),
        )
    some = target != 0
    logs = fp.log(np.where(some, target, target.dtype.type(1)))
    one = fp.constant(1.0)
    return fp.sub(fp.mul(target, logs), fp.mul(target, x)), (
        lambda fp, g: -fp.mul(target, g),
        lambda fp, g: fp.mul(g, fp.sub(fp.add(logs, np.where(some, one, fp.constant(0.0))), x)),
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``t * log(t) - t * input`` for log-probabilities ``input``; ``exp(t) * (t - input)`` with ``log_target``.

    ``reduction`` may also be "batchmean": the sum over the length of the first axis. Gradient ``-t * g``. A target of
    0 adds 0. Under autocast float32.
    """
    batch = reduction == "batchmean" and size_average is None and reduce is None
    if reduction not in (*REDUCTIONS, "batchmean"):
        raise unknown("reduction", reduction, (*REDUCTIONS, "batchmean"))
    how = "sum" if batch else reduction_of(reduction, size_average, reduce)
    loss = reduced(_kl_div(input, target, log_target), how)
    shape = np.shape(plain(input))
    return div(loss, shape[0]) if batch and shape else loss
