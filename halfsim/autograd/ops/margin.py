"""Losses that ask for a margin between scores or distances, as PyTorch computes them.

`multi_margin_loss` and `multilabel_margin_loss` take the steps of its CUDA kernels, which alone know half; the others
are composed of operations, on every device alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_category, as_tensor, bound, indices, like, named, off_tape
from halfsim.autograd.ops.activation import logsigmoid
from halfsim.autograd.ops.creation import full_like
from halfsim.autograd.ops.distance import pairwise_distance
from halfsim.autograd.ops.elementwise import add, div, mul, neg, sub
from halfsim.autograd.ops.loss import check_shape, reduced, reduction_of, settled
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.ops.select import clamp, minimum, where
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

# Two scores or distances, or one and a sign.


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(margin - x, 0)`` where it is -1, and both added elsewhere.

    Input and target broadcast; the margin is stored in the format of ``x``. Composed of `sub`, `clamp`, `where` and
    `add`; under autocast float32.

    >>> from halfsim import tensor
    >>> hinge_embedding_loss(tensor([0.25, 0.25]), [1, -1], reduction="none")
    tensor([0.25, 0.75], float32)
    """
    how = reduction_of(reduction, size_average, reduce)
    (x,), goal = as_category("fp32", input), numbers(target)
    apart = where(goal != 1, clamp(sub(full_like(x, margin), x), 0.0), 0.0)
    alike = where(goal != -1, x, 0.0)
    return reduced(add(apart, alike), how)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(-target * (input1 - input2) + margin, 0)``: a target of 1 wants the first larger, of -1 the second.

    Composed of those operations; under autocast float32. ``ValueError`` unless all have as many axes.

    >>> from halfsim import tensor
    >>> margin_ranking_loss(tensor([3.0, 3.0]), tensor([1.0, 1.0]), [1, -1], reduction="none")
    tensor([0., 2.], float32)
    """
    how = reduction_of(reduction, size_average, reduce)
    shapes = [np.shape(plain(x)) for x in (input1, input2, target)]
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"margin_ranking_loss: shapes {shapes} do not fit; allowed: as many axes each")
    a, b = as_category("fp32", input1, input2)
    (target,) = as_category("fp32", target)
    d = sub(a, b)
    return reduced(clamp(add(mul(neg(like(target, d)), d), margin), 0.0), how)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(margin + d(anchor, positive) - d(anchor, negative), 0)``, d the `pairwise_distance` along the last axis.

    With ``swap`` the smaller of d(anchor, negative) and d(positive, negative) counts. Composed of those operations;
    under autocast float32. ``ValueError`` for a margin that is not positive and for unequally many axes.

    >>> from halfsim import tensor
    >>> triplet_margin_loss(tensor([[0.0, 0.0]]), tensor([[3.0, 4.0]]), tensor([[0.0, 2.0]]), eps=0.0)
    tensor(4., float32)
    """
    how = reduction_of(reduction, size_average, reduce)
    anchor, positive, negative = as_category("fp32", anchor, positive, negative)
    return _triplet(anchor, positive, negative, lambda a, b: pairwise_distance(a, b, p, eps), margin, swap, how)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own, a function of two tensors; else `pairwise_distance`."""
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction_of(reduction))


def _triplet(
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable[[Any, Any], Tensor],
    margin: float,
    swap: bool,
    how: str,
) -> Tensor:
    if not margin > 0:
        raise ValueError(f"margin: {margin} is not allowed; allowed: positive numbers")
    given = (anchor, positive, negative)
    first = next((x for x in given if isinstance(x, Tensor)), None)
    anchor, positive, negative = (as_tensor(x, first) for x in given)
    shapes = [x.shape for x in (anchor, positive, negative)]
    if len({len(shape) for shape in shapes}) > 1:
        listed = "anchor {}, positive {}, negative {}".format(*shapes)
        raise ValueError(f"{listed}: shapes do not fit; allowed: as many axes each")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(sub(add(near, margin), far), 0.0), how)


@op("fp32")
@named("soft_margin_loss")
def _soft_margin(fp: Arithmetic, x: Array, target: Array, /, reduction: str = "none") -> Any:
    s = Stepwise(fp)
    loss = fp.function("log1p", s.exp(s.mul(-x, target)))
    part = 1 / (loss.size or np.nan) if reduction == "mean" else 1.0

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        z = s.exp(s.mul(-target, x))
        pulled = s.mul(s.mul(target, z), fp.constant(-part))
        return fp.mul(s.div(pulled, s.add(z, fp.constant(1.0))), g)

    return settled(fp, loss, reduction), pullback


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log1p(exp(-x * target))`` for targets 1 and -1, each step stored.

    Gradient ``target * z * -1 / (z + 1) * g`` from the left with ``z = exp(-target * x)``, each step stored, and -1 / n
    for -1 in a mean of n; where exp overflows the loss is infinite and the gradient NaN, as in PyTorch. The target
    takes none. Under autocast float32.

    >>> from halfsim import tensor
    >>> soft_margin_loss(tensor([0.0, 11.5], "fp16"), [1, -1], reduction="none")
    tensor([0.6934,    inf], float16)
    """
    how = reduction_of(reduction, size_average, reduce)
    target = off_tape(target) if isinstance(target, Tensor) else numbers(target)
    return _soft_margin(input, target, how)


# Classes.


@op("fp32")
@named("multi_margin_loss")
def _multi_margin(
    fp: Arithmetic, x: Array, weight: Array | None = None, /, *, target: Array, p: int, margin: float, reduction: str
) -> Any:
    shape, rows = x.shape, x.reshape(len(target), -1)
    count, classes = rows.shape
    n, total = np.arange(count), fp.constant(count * classes if reduction == "mean" else classes)
    k = bound(fp, margin)
    w = None if weight is None else weight.reshape(-1)[target][:, None]

    def distances(fp: Arithmetic) -> tuple[Array, Array]:
        s = Stepwise(fp)
        z = s.add(s.sub(k, rows[n, target])[:, None], rows)
        counts = z > 0
        counts[n, target] = False
        return fp.keep(z, counts), counts

    def pullback(fp: Arithmetic, g: Array) -> Array:
        z, counts = distances(fp)
        part = fp.div(fp.constant(1.0), total)
        h = np.full(rows.shape, part, fp.dtype) if p == 1 else fp.mul(fp.mul(fp.constant(2.0), part), z)
        h = fp.spill(fp.keep(h if w is None else fp.mul(h, w), counts))
        h[n, target] = fp.spill(-fp.sum(h, 1))
        return fp.mul(h, g.reshape(-1, 1)).reshape(shape)

    s, (z, _) = Stepwise(fp), distances(fp)
    h = z if p == 1 else s.mul(z, z)
    loss = fp.div(fp.sum(h if w is None else s.mul(h, w), 1), total)
    return loss if reduction == "none" else fp.sum(fp.spill(loss)), pullback


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of ``max(margin - x[t] + x[i], 0)**p`` over classes i other than the target t, over their number C.

    ``input`` is (N, C), (C,) or a number, ``target`` (N,), (1,) or a number; ``weight`` (C,) multiplies by that of the
    target. Each step of a term is stored, their sum and its quotient are not; gradients ``1 / C``, or
    ``2 / C`` times the term's base, times the weight, stored, then times ``g``, and the negative sum of a row, stored,
    for its target. A mean divides by N C in place of C, before the sum over the rows. Steps of PyTorch's CUDA kernel.
    Under autocast float32. ``ValueError`` for shapes, classes and p (1 or 2) that do not fit.
    """
    how, labels, shape = (
        reduction_of(reduction, size_average, reduce),
        indices("target", target),
        np.shape(plain(input)),
    )
    if p not in (1, 2):
        raise ValueError(f"p: {p} is not allowed; allowed: 1, 2")
    count, classes = shape[0] if len(shape) == 2 else 1, (shape or (1,))[-1]
    if len(shape) > 2 or not classes or labels.ndim > 1 or labels.size != count:
        allowed = "(N, C) and (N,), (C,) and a number"
        raise ValueError(f"target: shape {labels.shape} does not fit input {shape}; allowed: {allowed}")
    if weight is not None and np.shape(plain(weight)) != (classes,):
        raise ValueError(f"weight: shape {np.shape(plain(weight))} is not allowed; allowed: ({classes},), a class each")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"target: classes {labels.min()} to {labels.max()}; allowed: 0 to {classes - 1}")
    options: dict[str, Any] = {"target": labels.reshape(-1), "p": p, "margin": margin, "reduction": how}
    loss = _multi_margin(input, off_tape(weight), **options)
    return loss.reshape(()) if not labels.ndim else loss


@op("fp32")
@named("multilabel_margin_loss")
def _multilabel_margin(fp: Arithmetic, x: Array, /, *, target: Array, reduction: str) -> Any:
    shape, rows = x.shape, x.reshape(target.shape)
    count, classes = target.shape
    listed = np.cumprod(target >= 0, axis=1) == 1  # a negative class ends the list
    n, one = np.arange(count), fp.constant(1.0)
    others = np.ones((count, classes), np.bool_)
    others[np.nonzero(listed)[0], target[listed]] = False

    def steps(fp: Arithmetic) -> Any:
        """For each place in the lists of targets: who has one there, its class, and how far every other class is."""
        s = Stepwise(fp)
        for k in range(int(listed.sum(1).max(initial=0))):
            has, label = listed[:, k], np.where(listed[:, k], target[:, k], 0)
            z = s.add(s.sub(one, rows[n, label])[:, None], rows)
            yield has, label, z, (z > 0) & others & has[:, None]

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s, total = Stepwise(fp), count * classes if reduction == "mean" else classes
        part, out = fp.spill(np.full(rows.shape, fp.div(one, fp.constant(total)), fp.dtype)), np.zeros_like(rows)
        for has, label, _, counts in steps(fp):
            h = fp.keep(part, counts)
            out = s.add(out, h)
            out[n, label] = s.sub(out[n, label], fp.keep(fp.spill(fp.sum(h, 1)), has))
        return fp.mul(out, g.reshape(-1, 1)).reshape(shape)

    terms = [fp.keep(z, counts) for _, _, z, counts in steps(fp)]
    each = np.concatenate(terms, 1) if terms else np.zeros((count, 1), fp.dtype)
    loss = fp.div(fp.sum(each, 1), fp.constant(classes))
    if reduction == "mean":
        loss = fp.div(loss, fp.constant(count))
    return loss if reduction == "none" else fp.sum(fp.spill(loss)), pullback


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of ``max(1 - x[t] + x[i], 0)`` over targets t and classes i that are none, over the number C of all.

    ``input`` is (N, C), (C,) or a number, and so is ``target``: each row lists classes until a negative one ends it.
    The terms are stored, their sum and its quotients by C (and N for a mean) are not; gradients add 1 / C (1 / N C),
    as stored, target by target, each sum stored, and are then multiplied by ``g``. Steps of PyTorch's CUDA kernel.
    Under autocast float32. ``ValueError`` for shapes and classes that do not fit.
    """
    how, labels, shape = (
        reduction_of(reduction, size_average, reduce),
        indices("target", target),
        np.shape(plain(input)),
    )
    if len(shape) > 2 or not (shape or (1,))[-1] or (labels.shape or (1,)) != (shape or (1,)):
        allowed = "equal shapes (N, C) or (C,), one class at least"
        raise ValueError(f"target: shape {labels.shape} does not fit input {shape}; allowed: {allowed}")
    classes = (shape or (1,))[-1]
    if labels.size and not -1 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"target: classes {labels.min()} to {labels.max()}; allowed: -1 to {classes - 1}")
    loss = _multilabel_margin(input, target=labels.reshape(-1, classes), reduction=how)
    return loss.reshape(()) if len(shape) < 2 else loss


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t * logsigmoid(x) + (1 - t) * logsigmoid(-x))``, times ``weight``, the mean over the last axis, of C classes.

    Then the mean or the sum over the rows. Composed of those operations, the mean over the classes of `sum` and `div`.
    """
    how = reduction_of(reduction, size_average, reduce)
    check_shape("multilabel_soft_margin_loss", input, target)
    if not np.ndim(plain(input)):
        raise ValueError("multilabel_soft_margin_loss: input has no axes; allowed: (..., C)")
    yes = logsigmoid(input)
    goal = like(target, yes)
    loss = neg(add(mul(goal, yes), mul(sub(1.0, goal), logsigmoid(neg(input)))))
    loss = loss if weight is None else mul(loss, weight)
    return reduced(div(sum(loss, -1), loss.shape[-1]), how)
