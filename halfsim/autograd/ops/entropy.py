"""Losses of probabilities, as PyTorch composes them: what it stores on the way is stored here too."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import choose, named, off_tape
from halfsim.autograd.ops.elementwise import div
from halfsim.autograd.ops.fused import Stepwise, bound
from halfsim.autograd.ops.loss import REDUCTIONS, check_shape, reduced, reduction_of, settled
from halfsim.autograd.policy import resolve, scope
from halfsim.autograd.tape import Pullback, op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import float32, unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

_EPSILON = float(np.float32(1e-12))  # a float32 in the kernel, whatever it computes in


def _shared_mean(pullback: Pullback, loss: Array, how: str) -> Pullback:
    """A gradient that is divided by the number of losses at the end, where their mean was taken."""
    return pullback if how != "mean" else lambda fp, g: fp.div(fp.spill(pullback(fp, g)), fp.constant(loss.size))


@op()
@named("binary_cross_entropy")
def _bce(fp: Arithmetic, x: Array, target: Array, weight: Array | None = None, /, reduction: str = "none") -> Any:
    one, low = fp.constant(1.0), fp.constant(-100.0)

    def pull_x(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        spread, least = s.mul(s.sub(one, x), x), bound(fp, _EPSILON)
        spread = choose(spread < least, least, spread)  # which keeps -0, where `least` is 0
        return _times(fp, s.div(s.mul(g, s.sub(x, target)), spread), weight)

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return _times(fp, fp.mul(-s.log(s.div(x, s.sub(one, x))), g), weight)

    if (x < 0).any() or (x > 1).any():
        raise ValueError("binary_cross_entropy: input outside 0 to 1 is not allowed; allowed: probabilities")
    s = Stepwise(fp)
    log_x, log_rest = np.maximum(s.log(x), low), np.maximum(s.function("log1p", -x), low)
    each = s.sub(s.mul(s.sub(target, one), log_rest), s.mul(target, log_x))
    loss = _times(fp, each, weight)
    pulls = pull_x, pull_target, lambda fp, g: fp.mul(g, each)
    return settled(fp, loss, reduction), tuple(_shared_mean(pull, loss, reduction) for pull in pulls)


def _times(fp: Arithmetic, y: Array, weight: Array | None) -> Array:
    return y if weight is None else fp.mul(fp.spill(y), weight)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``(t - 1) * log1p(-x) - t * log(x)`` for probabilities x, where no logarithm is below -100; each step stored.

    Gradient ``g * (x - t) / max((1 - x) * x, 1e-12)`` from the left, each step stored; 1e-12 is 0 in float16, where the
    gradient of a right and certain answer is NaN, as in PyTorch. A mean divides gradients by the number of losses at
    the end. ``weight`` broadcasts and is a product of its own. ``ValueError`` for shapes that differ and for values
    outside 0 to 1 (NaN passes); ``RuntimeError`` under autocast, as in PyTorch.
    """
    how = reduction_of(reduction, size_average, reduce)
    rule = scope().rule
    if not isinstance(rule, Precision) and resolve("binary_cross_entropy", "fp16", float32).storage != float32:
        advice = "allowed: binary_cross_entropy_with_logits on what the sigmoid would take"
        raise RuntimeError(f"binary_cross_entropy: unsafe under autocast, where its input is half; {advice}")
    check_shape("binary_cross_entropy", input, target, refuse=True)
    return _bce(input, target, weight, how)


def _log_sigmoid(fp: Arithmetic, x: Array) -> Array:
    """One kernel, see `halfsim.ops.logsigmoid`, and its result stored."""
    return fp.spill(fp.sub(np.minimum(x, fp.constant(0.0)), fp.function("log1p", fp.exp(-np.abs(x)))))


@op("fp32")
@named("binary_cross_entropy_with_logits")
def _bce_with_logits(
    fp: Arithmetic,
    x: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    /,
    reduction: str = "none",
) -> Any:
    one = fp.constant(1.0)

    def pull_x(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        if pos_weight is None:
            slope = s.sub(s.sigmoid(x), target)
        else:
            t = s.mul(pos_weight, target)
            slope = s.sub(s.mul(s.sub(s.add(t, one), target), s.sigmoid(x)), t)
        return _times(fp, fp.mul(slope, g), weight)

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        slope = -x if pos_weight is None else s.sub(_log_sigmoid(fp, -x), s.mul(_log_sigmoid(fp, x), pos_weight))
        return _times(fp, fp.mul(slope, g), weight)

    s = Stepwise(fp)
    y = _log_sigmoid(fp, x)
    if pos_weight is not None:
        y = s.mul(y, s.add(s.mul(s.sub(pos_weight, one), target), one))
    each = fp.sub(s.mul(s.sub(one, target), x), y)
    loss = _times(fp, each, weight)
    pulls = pull_x, pull_target, lambda fp, g: fp.mul(g, fp.spill(each))
    return settled(fp, loss, reduction), tuple(_shared_mean(pull, loss, reduction) for pull in pulls)


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

    Each step is stored, for PyTorch composes it of functions; s is one of them. Gradient ``(sigmoid(x) - t) * g``,
    or with p = pos_weight * t ``((p + 1 - t) * sigmoid(x) - p) * g``, then times ``weight``, then for a mean over the
    number of losses. ``weight`` and ``pos_weight`` broadcast; the second takes no gradient. Under autocast float32.
    ``ValueError`` for shapes of input and target that differ.
    """
    how = reduction_of(reduction, size_average, reduce)
    check_shape("binary_cross_entropy_with_logits", input, target, refuse=True)
    return _bce_with_logits(input, target, weight, off_tape(pos_weight), how)


@op("fp32")
@named("kl_div")
def _kl_div(fp: Arithmetic, x: Array, target: Array, /, log_target: bool) -> Any:
    return (_kl_of_logarithms if log_target else _kl_of_probabilities)(fp, x, target)


def _kl_of_logarithms(fp: Arithmetic, x: Array, target: Array) -> Any:
    s = Stepwise(fp)
    p, d = s.exp(target), s.sub(target, x)

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.add(s.mul(g, p), s.mul(s.mul(g, d), p))

    return fp.mul(p, d), (lambda fp, g: -fp.mul(g, p), pull_target)


def _kl_of_probabilities(fp: Arithmetic, x: Array, target: Array) -> Any:
    """``t * log(t)`` is xlogy in PyTorch, whose gradients by its two operands add up."""
    s, zero = Stepwise(fp), np.equal(target, 0)
    logs = s.log(choose(zero, fp.constant(1.0), target))  # 0 * log(0) is 0

    def pull_target(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        by_factor = s.mul(fp.keep(g, ~zero), logs)
        by_argument = s.div(s.mul(g, target), target)
        return fp.add(s.add(by_factor, by_argument), -s.mul(g, x))

    own = fp.keep(s.mul(target, logs), ~zero)
    return fp.sub(own, s.mul(target, x)), (lambda fp, g: -fp.mul(g, target), pull_target)


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``t * log(t) - t * input`` for log-probabilities ``input``; ``exp(t) * (t - input)`` with ``log_target``.

    The exponential and each product and difference is stored, ``t * log(t)`` being one step, for PyTorch composes it
    of functions; so is each step of the gradients, ``-t * g`` by the input. A target of 0 adds 0 to the loss, and its
    own gradient is NaN. ``reduction`` may also be "batchmean": the sum over the length of the first axis. Under
    autocast float32.
    """
    batch = reduction == "batchmean" and size_average is None and reduce is None
    if reduction not in (*REDUCTIONS, "batchmean"):
        raise unknown("reduction", reduction, (*REDUCTIONS, "batchmean"))
    how = "sum" if batch else reduction_of(reduction, size_average, reduce)
    loss = reduced(_kl_div(input, target, log_target), how)
    shape = np.shape(plain(input))
    return div(loss, shape[0]) if batch and shape else loss
