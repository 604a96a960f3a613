"""Losses of classes and of probabilities, as PyTorch composes them: what it stores on the way is stored here too."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, bound, choose, indices, like, named, off_tape
from halfsim.autograd.ops.activation import log_softmax
from halfsim.autograd.ops.elementwise import add, div, mul, neg
from halfsim.autograd.ops.index import index_select
from halfsim.autograd.ops.loss import REDUCTIONS, check_shape, reduced, reduction_of, settled
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.ops.select import masked_fill
from halfsim.autograd.ops.shape import reshape
from halfsim.autograd.scope import resolve, scope
from halfsim.autograd.tape import Pullback, op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import Integer, float32, unknown
from halfsim.numerics.inputs import array_of
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "kl_div",
    "nll_loss",
]

# Classes: the negative log-likelihood, and the cross entropy that PyTorch composes with it.


@op("fp32")
@named("nll_loss")
def _nll(
    fp: Arithmetic, log_p: Array, weight: Array | None = None, /, *, target: Array, ignore_index: int, reduction: str
) -> Any:
    axis, shape = int(log_p.ndim > 1), log_p.shape
    valid, chosen = _chosen(target, ignore_index, axis)
    w = None if weight is None else fp.keep(weight.take(chosen.squeeze(axis)), valid)
    loss = fp.keep(-np.take_along_axis(log_p, chosen, axis).squeeze(axis), valid)
    loss = loss if w is None else fp.mul(loss, w)
    total = fp.constant(int(valid.sum())) if w is None else fp.sum(w)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        valid, chosen = _chosen(target, ignore_index, axis)  # anew: until now only the classes are held
        g = -(fp.div(g, total) if reduction == "mean" else g)
        g = fp.keep(np.broadcast_to(g, target.shape), valid)
        out = np.zeros(shape, g.dtype)
        np.put_along_axis(out, chosen, np.expand_dims(g if w is None else fp.mul(g, w), axis), axis)
        return out

    if reduction == "none":
        return loss, pullback
    return (fp.div(fp.sum(loss), total) if reduction == "mean" else fp.sum(loss)), pullback


def _chosen(target: Array, ignore_index: int, axis: int) -> tuple[Array, Array]:
    """Which targets count, and the index of each along the axis of classes (0 for those that do not)."""
    valid = target != ignore_index
    return valid, np.expand_dims(np.where(valid, target, 0), axis)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-input[i, target[i]] * weight[target[i]]``: each, their sum, or the sum over the sum of the weights taken.

    ``input`` is (N, C), (N, C, d1, ...) or (C,), ``target`` has that shape without C and holds classes from 0 to
    C - 1; those equal to ``ignore_index`` add nothing, and a mean of nothing is NaN. Steps: product, sum, division;
    gradient ``-(g / total) * weight``. Under autocast float32. ``ValueError`` for shapes and classes that do not fit,
    ``TypeError`` for classes that are not integers.
    """
    how = reduction_of(reduction, size_average, reduce)
    labels = _labels(np.shape(plain(input)), target, weight, ignore_index)
    return _nll(input, off_tape(weight), target=labels, ignore_index=ignore_index, reduction=how)


def _labels(shape: tuple[int, ...], target: Any, weight: Any, ignore_index: int) -> Array:
    labels = indices("target", target)
    if not shape or labels.shape != shape[:1] * (len(shape) > 1) + shape[2:]:
        allowed = "(N,) and (N, C), or both with more axes"
        raise ValueError(f"target: shape {labels.shape} does not fit input {shape}; allowed: {allowed}")
    classes = shape[int(len(shape) > 1)]
    if weight is not None and np.shape(plain(weight)) != (classes,):
        raise ValueError(f"weight: shape {np.shape(plain(weight))} is not allowed; allowed: ({classes},), a class each")
    known = labels[labels != ignore_index]
    if known.size and not 0 <= known.min() <= known.max() < classes:
        raise ValueError(f"target: classes {known.min()} to {known.max()}; allowed: 0 to {classes - 1}")
    return labels


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-likelihood of classes under softmax: log_softmax, then nll_loss, as PyTorch composes it.

    ``input`` holds logits, (N, C), (N, C, d1, ...) or (C,). ``target`` holds classes, see `nll_loss`, or, if it has
    the shape of ``input``, probabilities p: then the loss is ``-sum(log_p * p * weight)`` over the classes, and its
    mean divides by N d1 ... . ``label_smoothing`` e mixes in ``e / C`` times the loss of all classes. ``ValueError``
    for shapes or classes that do not fit, ``TypeError`` for classes that are not integers.

    >>> from halfsim import tensor
    >>> cross_entropy(tensor([[2.0, 1.0]]), [0])
    tensor(0.31326166, float32)
    """
    how, e = reduction_of(reduction, size_average, reduce), label_smoothing
    if not 0 <= e <= 1:
        raise ValueError(f"label_smoothing: {e} is not allowed; allowed: 0 to 1")
    shape = np.shape(plain(input))
    soft = isinstance(target, Tensor) or array_of(target, "target").dtype.kind == "f"
    if soft and np.shape(plain(target)) == shape and shape:
        if isinstance(target, Tensor) and isinstance(target.format, Integer):
            raise TypeError(f"target: {target.format} of the input's shape is not allowed; allowed: floats, or classes")
        if ignore_index >= 0:
            raise ValueError(f"ignore_index: {ignore_index} is not allowed with probabilities; allowed: classes")
        return _of_probabilities(input, target, weight, how, e)
    labels = _labels(shape, target, weight, ignore_index)
    log_p = log_softmax(input, int(len(shape) > 1))
    loss = _nll(log_p, off_tape(weight), target=labels, ignore_index=ignore_index, reduction=how)
    if not e:
        return loss
    spread = _smoothed(log_p, labels, None if weight is None else like(weight, log_p), labels != ignore_index, how)
    return add(mul(loss, 1 - e), mul(spread, e / shape[int(len(shape) > 1)]))


def _for_classes(weight: Any, ndim: int) -> Tensor:
    return reshape(weight, (-1,) + (1,) * (ndim - 2)) if ndim > 1 else weight


def _of_probabilities(input: Any, target: Any, weight: Any, how: str, smoothing: float) -> Tensor:
    shape = np.shape(plain(input))
    axis = int(len(shape) > 1)
    if weight is not None and np.shape(plain(weight)) != (shape[axis],):
        raise ValueError(f"weight: shape {np.shape(plain(weight))} is not allowed; allowed: ({shape[axis]},)")
    log_p = log_softmax(input, axis)
    target = like(target, log_p)
    if smoothing:
        target = add(mul(target, 1 - smoothing), smoothing / shape[axis])
    loss = mul(log_p, target)
    loss = loss if weight is None else mul(loss, _for_classes(like(weight, log_p), len(shape)))
    if how == "none":
        return neg(sum(loss, axis))
    rows = log_p.size // shape[axis] if shape[axis] else 0
    return div(neg(sum(loss)), rows) if how == "mean" else neg(sum(loss))


def _smoothed(log_p: Tensor, labels: Array, weight: Any, valid: Array, how: str) -> Tensor:
    """The loss of all classes alike, for the targets that are not ignored."""
    loss = log_p if weight is None else mul(log_p, _for_classes(weight, log_p.ndim))
    loss = masked_fill(neg(sum(loss, int(log_p.ndim > 1))), ~valid, 0.0)
    if how != "mean":
        return reduced(loss, how)
    if weight is None:
        return div(sum(loss), int(valid.sum()))
    return div(sum(loss), sum(index_select(weight, 0, labels[valid])))


# Probabilities.


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
