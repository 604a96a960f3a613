"""The loss of connectionist temporal classification: sequences of labels without an alignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import indices, named, spilled
from halfsim.autograd.ops.elementwise import div
from halfsim.autograd.ops.loss import reduced, reduction_of
from halfsim.autograd.ops.select import where
from halfsim.autograd.ops.shape import unsqueeze
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "ctc_loss",
]


def _log_sum(fp: Arithmetic, *terms: Array) -> Array:
    """``log(exp(a - m) + exp(b - m) ...) + m``, m the largest, or 0 where all are -inf; each a step."""
    m = np.maximum.reduce(terms)
    m = np.where(np.isneginf(m), m.dtype.type(0), m)
    total = fp.exp(fp.sub(terms[0], m))
    for term in terms[1:]:
        total = fp.add(total, fp.exp(fp.sub(term, m)))
    return fp.add(fp.log(total), m)


def _earlier(x: Array, by: int) -> Array:
    """``x`` (N, S) moved ``by`` places to the right, with -inf in what is free."""
    out = np.full_like(x, -np.inf)
    out[:, by:] = x[:, : x.shape[1] - by]
    return out


def _walk(fp: Arithmetic, log_p: Array, skips: Array, first: Array) -> Array:
    """The logarithms of the sums over all paths that reach each place at each time, (T, N, S), each time stored.

    ``log_p`` (T, N, S) are those of the places' labels, ``skips`` (N, S) says which places may be reached from the one
    before the last, ``first`` (N, S) which may begin. A time whose ``log_p`` is +inf has not begun.
    """
    out = np.empty_like(log_p)
    none = np.full(first.shape, -np.inf, log_p.dtype)
    last = none
    for t, here in enumerate(log_p):
        waits = np.isposinf(here[:, :1])
        begins = np.isposinf(log_p[t - 1][:, :1]) if t else ~waits
        before = _log_sum(fp, last, _earlier(last, 1), np.where(skips, _earlier(last, 2), none))
        path = np.where(begins, np.where(first, here, none), fp.add(before, np.where(waits, none, here)))
        last = out[t] = np.where(waits, none, spilled(fp, path))
    return out


@op("fp32")
@named("ctc_loss")
def _ctc(fp: Arithmetic, log_p: Array, /, *, labels: Array, lengths: tuple[Array, Array], blank: int) -> Any:
    """Of each sequence; ``labels`` (N, L) with ``lengths`` of inputs and of targets, (N,) each."""
    steps, batch, _ = log_p.shape
    inputs, targets = lengths
    places = np.full((batch, 2 * labels.shape[1] + 1), blank)
    places[:, 1::2] = labels
    place, n, t = np.arange(places.shape[1]), np.arange(batch), np.arange(steps)
    used = place <= 2 * targets[:, None]
    skips = np.zeros_like(used)
    skips[:, 2:] = (places[:, 2:] != places[:, :-2]) & used[:, 2:]
    own = log_p[t[:, None, None], n[:, None], places]  # (T, N, S)
    own = np.where(used, own, -np.inf).astype(log_p.dtype)
    alpha = _walk(fp, own, skips, (place < 2) & used)
    end = np.full((batch, 2), -np.inf, log_p.dtype)
    for k in range(2):  # the last blank and the last label
        at = 2 * targets - k
        reached = (at >= 0) & (inputs > 0)
        end[reached, k] = alpha[inputs[reached] - 1, n[reached], at[reached]]
    empty = (inputs == 0) & (targets == 0)  # which nothing spells with certainty
    loss = -np.where(empty, log_p.dtype.type(0), _log_sum(fp, end[:, 0], end[:, 1]))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        late = t[:, None] >= inputs  # (T, N)
        turned = 2 * targets[:, None] - place  # the place counted from the end of each target
        mirror = np.where(turned >= 0, turned, place)
        back = np.where(late[::-1, :, None], np.inf, own[::-1])[:, n[:, None], mirror].astype(log_p.dtype)
        hops = np.zeros_like(used)
        spelled = places[n[:, None], mirror]
        hops[:, 2:] = (spelled[:, 2:] != spelled[:, :-2]) & used[:, 2:]
        beta = _walk(fp, back, hops, (place < 2) & used)[::-1][:, n[:, None], mirror]
        both = fp.add(alpha, beta)
        sums = np.full(log_p.shape, -np.inf, log_p.dtype)
        for s in place[::-1]:
            met = np.where(used[:, s], both[:, :, s], -np.inf).astype(log_p.dtype)
            sums[:, n, places[:, s]] = _log_sum(fp, sums[:, n, places[:, s]], met)
        nll = np.where(np.isposinf(loss), np.nan, loss)[:, None] if np.isposinf(loss).any() else loss[:, None]
        share = fp.exp(fp.sub(fp.add(sums, nll.astype(log_p.dtype)), log_p))
        pulled = fp.mul(fp.sub(fp.exp(log_p), share), g[:, None])
        return np.where((late | np.isposinf(loss) & (g == 0))[..., None], log_p.dtype.type(0), pulled)

    return loss, pullback


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """How unlikely ``targets`` are: minus the logarithm of the sum over all alignments of their probability.

    ``log_probs`` (T, N, C) are logarithms of probabilities, as of `log_softmax`; ``targets`` (N, S) classes, or all of
    them one after another, (sum of the lengths,); lengths (N,), or numbers where N is left out everywhere. Class
    ``blank`` separates labels and fills time. A mean divides each loss by its length (1 at least) first. A target that
    does not fit its input has an infinite loss and NaN gradients, both 0 with ``zero_infinity``.

    The recursion stores ``log(exp(a - m) + exp(b - m) + exp(c - m)) + m + log_p`` for each time and place. The gradient
    is PyTorch's, ``(exp(log_p) - exp(s + loss - log_p)) * g`` with s the same sum over the paths through a class: that
    of what a `log_softmax` took, and right only behind one. PyTorch has no half kernel. Under autocast float32.
    ``ValueError`` for shapes, lengths and classes that do not fit.

    >>> from halfsim import tensor
    >>> ctc_loss(tensor([[[0.5, 0.5]]] * 2).log(), [[1]], [2], [1], reduction="sum")  # "-1", "1-" and "11" of four
    tensor(0.2876821, float32)
    """
    how, single = reduction_of(reduction), np.ndim(plain(log_probs)) == 2
    if single:
        log_probs = unsqueeze(log_probs, 1)
    shape = np.shape(plain(log_probs))
    if len(shape) != 3 or not shape[2]:
        raise ValueError(f"log_probs: shape {shape} is not allowed; allowed: (T, N, C), (T, C)")
    steps, batch, classes = shape
    lengths = tuple(
        _lengths(name, x, batch, single)
        for name, x in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    )
    if not 0 <= blank < classes:
        raise ValueError(f"blank: {blank} is not allowed; allowed: 0 to {classes - 1}")
    if lengths[0].max(initial=0) > steps:
        raise ValueError(f"input_lengths: {lengths[0].max()} is not allowed; allowed: 0 to {steps}")
    labels = _targets(indices("targets", targets), lengths[1], classes)
    loss = _ctc(log_probs, labels=labels, lengths=lengths, blank=blank)
    if zero_infinity:
        loss = where(np.isposinf(loss.array), 0.0, loss)
    if how == "mean":
        loss = div(loss, tensor(np.maximum(lengths[1], 1), loss.format))
    return loss.reshape(()) if single and how == "none" else reduced(loss, how)


def _lengths(name: str, given: Any, batch: int, single: bool) -> Array:
    found = indices(name, given)
    if found.shape != (batch,) and not (single and not found.ndim):
        raise ValueError(f"{name}: shape {found.shape} is not allowed; allowed: ({batch},)")
    if found.size and found.min() < 0:
        raise ValueError(f"{name}: {found.min()} is not allowed; allowed: lengths from 0")
    return found.reshape(-1)


def _targets(targets: Array, lengths: Array, classes: int) -> Array:
    """Targets as rows (N, longest), with class 0 behind the end of each."""
    most = int(lengths.max(initial=0))
    if targets.ndim == 1 and targets.size == lengths.sum():
        rows = np.zeros((len(lengths), most), np.int64)
        rows[np.arange(most) < lengths[:, None]] = targets
    elif targets.ndim == 2 and len(targets) == len(lengths) and targets.shape[1] >= most:
        rows = np.where(np.arange(most) < lengths[:, None], targets[:, :most], 0)
    else:
        allowed = f"({len(lengths)}, {most} or more), ({int(lengths.sum())},)"
        raise ValueError(f"targets: shape {targets.shape} does not fit target_lengths; allowed: {allowed}")
    if rows.size and not 0 <= rows.min() <= rows.max() < classes:
        raise ValueError(f"targets: classes {rows.min()} to {rows.max()}; allowed: 0 to {classes - 1}")
    return rows
