"""Attention: the fused operation of `torch.nn.functional`, and the same in blocks, as flash attention computes it."""

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
    "flash_attention",
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
    q, k, v = (np.shape(plain(x)) for x in (query, key, value))
    _check("scaled_dot_product_attention", q, k, v)
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p: {dropout_p} is not allowed; allowed: 0 to 1")
    if enable_gqa and (min(map(len, (q, k, v))) < 3 or k[-3] != v[-3] or not k[-3] or q[-3] % k[-3]):
        raise ValueError(
            f"enable_gqa: query {q}, key {k} and value {v} do not fit; allowed: heads of key that divide query's"
        )
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


def _check(name: str, q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> None:
    if min(map(len, (q, k, v))) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            f"{name}: query {q}, key {k} and value {v} do not fit; allowed: (..., L, E), (..., S, E), (..., S, V)"
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
    factor = _factor(fp, q, scale)
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


def _factor(fp: Arithmetic, q: Array, scale: float | None) -> Any:
    """What scores are multiplied by: ``scale``, 1/sqrt(E) unless given."""
    return fp.constant(scale if scale is not None else q.shape[-1] ** -0.5 if q.shape[-1] else 1.0)


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


_TIED = 1e-3  # scores as close as this to the largest count as several; from the code of arXiv 2510.04212


@op("fp16")
def flash_attention(
    fp: Arithmetic,
    query: Array,
    key: Array,
    value: Array,
    /,
    is_causal: bool = False,
    scale: float | None = None,
    block: int = 64,
    raise_ties: float | None = None,
) -> Any:
    """``softmax(query @ key.T * scale) @ value`` in blocks of keys, in the steps of FlashAttention 2 (Dao 2023).

    ``query`` is (..., L, E), ``key`` (..., S, E), ``value`` (..., S, V), the result (..., L, V); ``is_causal`` lets
    query i attend to the keys up to i; ``scale`` is 1/sqrt(E) unless given. The exact result is that of
    `scaled_dot_product_attention`; the roundings are others, since no row of probabilities is ever whole.

    Steps, for each ``block`` keys: scores by product, times ``scale``; the running maximum; ``exp(scores - maximum)``,
    which is added to the running sum, and is stored, since matrix units take narrow operands, for the product with the
    values; running sum and output are multiplied by ``exp(old maximum - new)`` before their parts are added. At the
    end the output is divided by the sum and stored. A block's product is formed as ``accumulate`` says, the running
    numbers stay in ``compute``: "bf16" is a kernel that keeps them in float32 and rounds its result once, while
    "storage=bf16, compute=bf16, accumulate=fp32" is code made of bfloat16 tensors, which rounds the output before it is
    divided. The backward pass keeps the result O and ``log(sum) + maximum`` of each row, and forms the probabilities P
    anew, block by block: ``delta = sum(g * O)``, ``dS = P * (g @ value.T - delta)``, stored, then ``dS @ key * scale``,
    ``dS.T @ query * scale`` and ``P.T @ g``, P stored there.

    ``raise_ties``, a number above 1, is the remedy of Qiu and Yao (arXiv 2510.04212): where several scores of a
    row's block lie within 0.001 of their maximum, that is multiplied by this number if it is positive, and is 0 if
    it is negative, so that no probability is exactly 1; a maximum of 0 stays. Too large a number makes every
    probability of a row 0, and the row NaN. A query that may attend to nothing gives 0; NaN spreads. ``ValueError`` for
    shapes and numbers that do not fit.

    >>> from halfsim import tensor
    >>> x = tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> flash_attention(x, x, x, is_causal=True, scale=0.0, block=1)
    tensor([[1. , 0. ],
            [0.5, 0.5]], float32)
    """
    q, k, v = query, key, value
    _check("flash_attention", q.shape, k.shape, v.shape)
    if block < 1:
        raise ValueError(f"block: {block} is not allowed; allowed: 1 or more keys")
    if raise_ties is not None and not 1 < raise_ties < np.inf:
        raise ValueError(f"raise_ties: {raise_ties} is not allowed; allowed: None, a number above 1")
    factor = _factor(fp, q, scale)
    blocks = [slice(start, start + block) for start in range(0, max(k.shape[-2], 1), block)]

    def scores_of(fp: Arithmetic, at: slice) -> Array:
        scores = fp.mul(fp.matmul(q, _turned(k[..., at, :])), factor)
        if is_causal:
            seen = np.tri(scores.shape[-2], scores.shape[-1], -at.start, dtype=np.bool_)
            scores = choose(seen, scores, fp.constant(-np.inf))
        return scores

    top: Any = None
    total: Any = None
    y: Any = None
    for at in blocks:
        scores = scores_of(fp, at)
        new = _raised(fp, scores, raise_ties)
        if top is not None:
            new = np.maximum(top, new)
        shift = choose(new == -np.inf, np.zeros_like(new), new)
        e = fp.exp(fp.sub(scores, shift))
        sums, part = fp.sum(e, -1, keepdims=True), fp.matmul(spilled(fp, e), v[..., at, :])
        if top is not None:
            rest = fp.exp(fp.sub(top, shift))
            sums, part = fp.add(fp.mul(total, rest), sums), fp.add(fp.mul(y, rest), part)
        top, total, y = new, sums, part
    alone = top == -np.inf
    total = choose(alone, fp.constant(1.0), total)
    y = fp.div(y, total)
    lse = fp.add(choose(alone, np.zeros_like(top), top), fp.log(total))

    @shared_backward
    def gradients(fp: Arithmetic, g: Array) -> tuple[Array, Array, Array]:
        delta = fp.sum(fp.mul(g, y), -1, keepdims=True)
        dq: Any = None
        dk, dv = [], []
        for at in blocks:
            p = fp.exp(fp.sub(scores_of(fp, at), lse))
            dv.append(fp.matmul(_turned(spilled(fp, p)), g))
            ds = spilled(fp, fp.mul(p, fp.sub(fp.matmul(g, _turned(v[..., at, :])), delta)))
            dk.append(fp.mul(fp.matmul(_turned(ds), q), factor))
            part = fp.matmul(ds, k[..., at, :])
            dq = part if dq is None else fp.add(dq, part)
        return fp.mul(dq, factor), np.concatenate(dk, -2), np.concatenate(dv, -2)

    return y, tuple(lambda fp, g, i=i: gradients(fp, g)[i] for i in range(3))


def _raised(fp: Arithmetic, scores: Array, factor: float | None) -> Array:
    """The largest score of each row; where several tie for it, times ``factor`` or 0, which is larger."""
    top = largest(scores, (-1,))
    if factor is None:
        return top
    several = np.count_nonzero(top - plain(scores) <= _TIED, -1, keepdims=True) > 1
    raised = np.maximum(plain(fp.mul(top, fp.constant(factor))), 0)
    return choose(several & np.isfinite(top), raised.astype(top.dtype), top)
