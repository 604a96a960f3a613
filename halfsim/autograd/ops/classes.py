"""Losses of classes: the negative log-likelihood, and the cross entropy that PyTorch composes with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import indices, like, named, off_tape
from halfsim.autograd.ops.activation import log_softmax
from halfsim.autograd.ops.elementwise import add, div, mul, neg
from halfsim.autograd.ops.join import index_select
from halfsim.autograd.ops.loss import reduced, reduction_of
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.ops.select import masked_fill
from halfsim.autograd.ops.shape import reshape
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array


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
    soft = isinstance(target, Tensor) or np.asarray(plain(target)).dtype.kind == "f" if _regular(target) else False
    if soft and np.shape(plain(target)) == shape and shape:
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


def _regular(target: Any) -> bool:
    """Whether the target is an array at all; `indices` says it of others."""
    try:
        np.shape(plain(target))
    except ValueError:
        return False
    return True


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
