"""Softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array

_REDUCTIONS = ("mean", "sum", "none")


@op("fp32")
def softmax(fp: Arithmetic, x: Array, /, axis: int = -1) -> Any:
    """``e / sum(e)`` with ``e = exp(x - max(x))``."""
    e = fp.exp(fp.sub(x, x.max(axis, keepdims=True, initial=-np.inf)))
    y = fp.div(e, fp.sum(e, axis, keepdims=True))
    return y, lambda fp, g: fp.mul(y, fp.sub(g, fp.sum(fp.mul(g, y), axis, keepdims=True)))


@op("fp32")
def log_softmax(fp: Arithmetic, x: Array, /, axis: int = -1) -> Any:
    """``d - log(sum(exp(d)))`` with ``d = x - max(x)``."""
    d = fp.sub(x, x.max(axis, keepdims=True, initial=-np.inf))
    y = fp.sub(d, fp.log(fp.sum(fp.exp(d), axis, keepdims=True)))
    return y, lambda fp, g: fp.sub(g, fp.mul(fp.exp(y), fp.sum(g, axis, keepdims=True)))


@op("fp32")
def nll_loss(fp: Arithmetic, log_p: Array, /, target: Any, reduction: str = "mean") -> Any:
    """``-log_p[i, target[i]]``: their sum divided by their number ("mean"), the sum, or each ("none")."""
    labels = _labels(log_p, target, reduction)
    picked = -np.take_along_axis(log_p, labels[:, None], 1)[:, 0]
    n, shape = fp.constant(len(labels)), log_p.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(shape, g.dtype)
        np.put_along_axis(out, labels[:, None], -(fp.div(g, n) if reduction == "mean" else g).reshape(-1, 1), 1)
        return out

    if reduction == "none":
        return picked, pullback
    total = fp.sum(picked)
    return fp.div(total, n) if reduction == "mean" else total, pullback


def cross_entropy(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of classes under softmax: log_softmax, then nll_loss, as PyTorch composes it.

    ``input`` (N, C) holds logits, ``target`` (N,) integer classes from 0 to C - 1; ``reduction`` is "mean",
    "sum" or "none". ``ValueError`` for shapes or classes that do not fit, ``TypeError`` for classes that
    are not integers.

    >>> from halfsim import tensor
    >>> cross_entropy(tensor([[2.0, 1.0]]), [0])
    tensor(0.31326166, float32)
    """
    return nll_loss(log_softmax(input, -1), target, reduction)


def _labels(log_p: Array, target: Any, reduction: str) -> Array:
    try:
        labels = np.asarray(target)
    except ValueError:
        raise ValueError("target: rows of unequal length are not allowed; allowed: (N,) integer classes") from None
    if reduction not in _REDUCTIONS:
        raise unknown("reduction", reduction, _REDUCTIONS)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"target: dtype {labels.dtype} is not allowed; allowed: integer classes")
    if log_p.ndim != 2 or labels.shape != log_p.shape[:1]:
        raise ValueError(f"target: shape {labels.shape} does not fit input {log_p.shape}; allowed: (N,) and (N, C)")
    if labels.size and not 0 <= labels.min() <= labels.max() < log_p.shape[1]:
        raise ValueError(f"target: classes {labels.min()} to {labels.max()}; allowed: 0 to {log_p.shape[1] - 1}")
    return labels
