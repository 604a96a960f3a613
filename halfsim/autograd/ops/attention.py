"""Attention: the fused operation of `torch.nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import choose, largest, shared_backward, spilled
from halfsim.autograd.random import bernoulli
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "scaled_dot_product_attention",
]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale + attn_mask) @ value``, one fused operation.

    ``query`` is (..., L, E), ``key`` (..., S, E), ``value`` (..., S, V), the result (..., L, V). ``attn_mask``,
    broadcast to (..., L, S), is boolean, True where a query may attend, or numbers that are added to the
    scores; ``is_causal`` lets query i attend to the keys up to i, and excludes a mask. ``scale`` is 1/sqrt(E) unless
    given. With ``enable_gqa`` the heads (axis -3) of key and value serve groups of heads of query. ``dropout_p`` drops
    probabilities and is always applied, as in PyTorch. A query that may attend to nothing gives 0.

    Steps: product, times ``scale``, plus mask, minus the row's maximum, exp, sum, division: scores stay in
    ``compute``, as in a flash kernel, and the probabilities are stored, since matrix units take narrow operands; then,
    if any, times ``1 / (1 - dropout_p)`` where kept, stored; the product with ``value``. The backward pass computes
    ``dP = g @ value.T``, ``dS = P * (dP - sum(P * dP))``, stored, then ``dS @ key * scale`` and
    ``dS.T @ query * scale``. -inf in a mask is no trouble; NaN spreads. ``ValueError`` for shapes and numbers that do
    not fit, ``TypeError`` for an integer mask.

    >>> from halfsim import tensor
    >>> x = tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.0)
    tensor([[1. , 0. ],
            [0.5, 0.5]], float32)
    """
    _check(query, key, value, dropout_p, enable_gqa)
    if is_causal and attn_mask is not None:
        raise ValueError("is_causal: True with attn_mask is not allowed; allowed: one of them")
    mask, allowed = split_mask("attn_mask", attn_mask)
    scores, shape = (np.shape(plain(query))[-2], np.shape(plain(key))[-2]), np.shape(plain(attn_mask))
    if any(n not in (1, fits) for n, fits in zip(shape[::-1], scores[::-1], strict=False)):
        raise ValueError(f"attn_mask: shape {shape} is not allowed; allowed: fit for (..., L, S) of {scores}")
    if not enable_gqa:
        return attend(query, key, value, mask, dropout_p, is_causal, scale, allowed)
    query, key, value = (x if isinstance(x, Tensor) else np.asarray(x) for x in (query, key, value))
    heads, shape = key.shape[-3], query.shape
    query = query.reshape(*shape[:-3], heads, shape[-3] // heads, *shape[-2:])
    key, value = (x.reshape(*x.shape[:-2], 1, *x.shape[-2:]) for x in (key, value))
    mask, allowed = (_by_group(m, heads) for m in (mask, allowed))
    y = attend(query, key, value, mask, dropout_p, is_causal, scale, allowed)
    return y.reshape(*shape[:-1], value.shape[-1])


def _by_group(mask: Any, heads: int) -> Any:
    """A mask (..., query heads or 1, L, S) for scores (..., heads, group, L, S)."""
    if mask is None or mask.ndim < 3:
        return mask
    split = (1, 1) if mask.shape[-3] == 1 else (heads, mask.shape[-3] // heads)
    return mask.reshape(*mask.shape[:-3], *split, *mask.shape[-2:])


def split_mask(name: str, mask: Any) -> tuple[Any, Array | None]:
    """A mask as (numbers to add, None) or (None, booleans)."""
    if mask is None:
        return None, None
    values = numbers(mask)
    if values.dtype == np.bool_:
        return None, values
    if values.dtype.kind != "f":
        raise TypeError(f"{name}: dtype {values.dtype} is not allowed; allowed: bool, floating point")
    return mask if isinstance(mask, Tensor) else values, None


def _check(query: Any, key: Any, value: Any, dropout_p: float, grouped: bool) -> None:
    q, k, v = shapes = [np.shape(plain(x)) for x in (query, key, value)]
    if min(map(len, shapes)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            f"scaled_dot_product_attention: query {q}, key {k} and value {v} do not fit; "
            "allowed: (..., L, E), (..., S, E), (..., S, V)"
        )
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p: {dropout_p} is not allowed; allowed: 0 to 1")
    if grouped and (min(map(len, shapes)) < 3 or k[-3] != v[-3] or not k[-3] or q[-3] % k[-3]):
        raise ValueError(
            f"enable_gqa: query {q}, key {k} and value {v} do not fit; allowed: heads of key that divide query's"
        )


def _softmax(fp: Arithmetic, scores: Array) -> Array:
    """The probabilities over the last axis; zeros where every score is -inf."""
    top = largest(scores, (-1,))
    e = fp.exp(fp.sub(scores, choose(top == -np.inf, np.zeros_like(top), top)))
    total = fp.sum(e, -1, keepdims=True)
    return fp.div(e, choose(total == 0, fp.constant(1.0), total))


def _drawn(p: float, query: Any, key: Any, *masks: Any) -> Array | None:
    """Which probabilities chance keeps, drawn once: a formula may run again, and gives the same each time."""
    if not p:
        return None
    shape = np.shape(plain(query))
    q, k = (shape[1:], shape[1:]) if key is None else (shape, np.shape(plain(key)))
    try:
        batch = np.broadcast_shapes(q[:-2], k[:-2])
        shape = np.broadcast_shapes((*batch, q[-2], k[-2]), *(np.shape(plain(m)) for m in masks if m is not None))
    except ValueError:
        return None  # the formula will say what does not fit
    return bernoulli(shape, 1 - p)


@op("fp16")
def _scaled_dot_product_attention(
    fp: Arithmetic,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    attn_mask: Array | None = None,
    /,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    allowed: Array | None = None,
    keep: Array | None = None,
) -> Any:
    """The formula of `scaled_dot_product_attention`; ``query`` alone holds all three on its first axis.

    Probabilities are multiplied by 1 / (1 - dropout_p) where ``keep`` is True, and are 0 elsewhere; without it they
    stay as they are.
    """
    q, k, v = query if key is None or value is None else (query, key, value)
    factor = fp.constant(scale if scale is not None else q.shape[-1] ** -0.5 if q.shape[-1] else 1.0)
    scores = fp.mul(fp.matmul(q, _turned(k)), factor)
    if attn_mask is not None:
        scores = fp.add(scores, attn_mask)
    if is_causal:
        allowed = np.tri(*scores.shape[-2:], dtype=np.bool_)
    if allowed is not None:
        scores = choose(allowed, scores, fp.constant(-np.inf))
    p = spilled(fp, _softmax(fp, scores))

    def drop(fp: Arithmetic, x: Array) -> Array:
        if keep is None:
            return x
        return spilled(fp, fp.mul(fp.keep(x, keep), fp.constant(1 / (1 - dropout_p) if dropout_p < 1 else 0.0)))

    y = fp.matmul(drop(fp, p), v)

    @shared_backward
    def scores_gradient(fp: Arithmetic, g: Array) -> Array:
        dp = drop(fp, fp.matmul(g, _turned(v)))
        return spilled(fp, fp.mul(p, fp.sub(dp, fp.sum(fp.mul(p, dp), -1, keepdims=True))))

    def dq(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(fp.matmul(scores_gradient(fp, g), k), factor)

    def dk(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(fp.matmul(_turned(scores_gradient(fp, g)), q), factor)

    def dv(fp: Arithmetic, g: Array) -> Array:
        return fp.matmul(_turned(drop(fp, p)), g)

    if key is None:
        return y, (lambda fp, g: np.stack([dq(fp, g), dk(fp, g), dv(fp, g)]), None, None, scores_gradient)
    return y, (dq, dk, dv, scores_gradient)


def _turned(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def attend(
    query: Any,
    key: Any = None,
    value: Any = None,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    allowed: Array | None = None,
) -> Tensor:
    """`scaled_dot_product_attention` of operands known to fit; ``query`` alone holds all three on its first axis."""
    keep = _drawn(dropout_p, query, key, attn_mask, allowed)
    return _scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale, allowed=allowed, keep=keep
    )
