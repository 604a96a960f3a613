"""Multi-head attention."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops.attention import attend, split_mask
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.init import xavier_normal_, xavier_uniform_
from halfsim.nn.linear import NonDynamicallyQuantizableLinear
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array


def _zeros(*shape: int) -> Parameter:
    return Parameter(tensor(np.zeros(shape, np.float32)))


class MultiheadAttention(Module):
    """Attention in ``num_heads`` heads between linear projections, as PyTorch composes it.

    ``query`` is (L, N, embed_dim), ``key`` (S, N, kdim), ``value`` (S, N, vdim), with ``batch_first`` the batch comes
    first, without batch it is left out. ``attn_mask`` is (L, S) or (N * heads, L, S), ``key_padding_mask`` (N, S):
    booleans, True where attention is *blocked*, or numbers that are added to the scores. Returns ``(out, weights)``:
    out as query, weights (N, L, S), averaged over the heads unless told otherwise, or None without ``need_weights``.

    With ``need_weights`` the steps are operations of their own: the query times 1/sqrt(head_dim), a product with the
    keys plus the mask, softmax, dropout, a product with the values; a row blocked everywhere is NaN. Without, it is
    one `halfsim.ops.scaled_dot_product_attention`, and such a row is 0. Parameters are PyTorch's: ``in_proj_weight``
    (or ``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight`` where kdim or vdim differ), ``in_proj_bias``,
    ``bias_k``, ``bias_v``, ``out_proj.weight``, ``out_proj.bias``. ``is_causal`` only promises that
    ``attn_mask`` is causal. ``add_bias_kv`` lends keys and values a learnt one more, ``add_zero_attn`` one of zeros,
    which no mask blocks. ``ValueError`` for sizes, shapes and masks that do not fit.

    >>> import halfsim as hs
    >>> x = hs.tensor(np.ones((5, 2, 8)))
    >>> out, weights = MultiheadAttention(8, 2)(x, x, x)
    >>> out.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        for name, size in (("embed_dim", embed_dim), ("num_heads", num_heads)):
            if whole(name, size) < 1:
                raise ValueError(f"{name}: {size} is not allowed; allowed: integers from 1")
        if embed_dim % num_heads:
            raise ValueError(f"num_heads: {num_heads} is not allowed; allowed: divisors of embed_dim {embed_dim}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout: {dropout} is not allowed; allowed: 0 to 1")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._packed = self.kdim == self.vdim == embed_dim
        names = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        for name, size in names.items():
            setattr(self, name, None if self._packed else _zeros(embed_dim, size))
        self.in_proj_weight = _zeros(3 * embed_dim, embed_dim) if self._packed else None
        self.in_proj_bias = _zeros(3 * embed_dim) if bias else None
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias = _zeros(embed_dim)
        self.bias_k, self.bias_v = (_zeros(1, 1, embed_dim) if add_bias_kv else None for _ in range(2))
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the weights, in PyTorch's order: those of ``out_proj`` came first."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                xavier_uniform_(weight)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                xavier_normal_(bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        if is_causal and attn_mask is None:
            raise ValueError(
                "is_causal: True without attn_mask is not allowed; allowed: with the mask that it describes"
            )
        single = np.ndim(plain(query)) == 2
        self_attention, shared = query is key is value, key is value
        query, key, value = (_batched(x, single, self.batch_first) for x in (query, key, value))
        self._check(query, key, value)
        if self._packed and self_attention:
            parts = [self._heads(self._linear(query, self.in_proj_weight, 0, 3), 3)]
        elif self._packed and shared:
            pair = self._heads(self._linear(key, self.in_proj_weight, 1, 3), 2)
            parts = [self._heads(self._linear(query, self.in_proj_weight, 0, 1))[0], pair[0], pair[1]]
        else:
            parts = [
                self._heads(self._linear(x, w, i, i + 1))[0]
                for i, (x, w) in enumerate(self._weights(query, key, value))
            ]
        lengths = [x.shape[1 if self.batch_first else 0] for x in (query, key)]
        numbers, blocked = self._masks(attn_mask, key_padding_mask, query.shape[0 if self.batch_first else 1], *lengths)
        for more in self._extra_rows():
            q, k, v = parts if len(parts) == 3 else (parts[0][i] for i in range(3))
            parts = [q, self._longer(k, more[0]), self._longer(v, more[1])]
            numbers, blocked = _padded(numbers), _padded(blocked)
        attention = self._composed if need_weights else self._fused
        out, weights = attention(parts, numbers, blocked)
        out = out.transpose((0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        out = self.out_proj(out.reshape(*query.shape[:2], self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            out, weights = out.reshape(-1, self.embed_dim), None if weights is None else weights[0]
        return out, weights

    def _fused(self, parts: list[Tensor], numbers: Any, blocked: Array | None) -> tuple[Tensor, None]:
        allowed = None if blocked is None else ~blocked
        q, k, v = parts if len(parts) == 3 else (parts[0], None, None)
        return attend(q, k, v, numbers, self.dropout if self.training else 0.0, allowed=allowed), None

    def _composed(self, parts: list[Tensor], numbers: Any, blocked: Array | None) -> tuple[Tensor, Tensor]:
        """Attention in PyTorch's steps for ``need_weights``."""
        q, k, v = parts if len(parts) == 3 else (parts[0][i] for i in range(3))
        q, keys = q * (1.0 / self.head_dim) ** 0.5, k.transpose(0, 1, 3, 2)
        if blocked is not None:
            block = np.where(blocked, np.float32(-np.inf), np.float32(0))
            numbers = block if numbers is None else ops.add(numbers, block)
        weights = ops.softmax(ops.matmul(q, keys) if numbers is None else ops.baddbmm(numbers, q, keys), -1)
        if self.training and self.dropout:
            weights = ops.dropout(weights, self.dropout, True)
        return ops.matmul(weights, v), weights

    def _weights(self, *inputs: Any) -> list[tuple[Any, Parameter | None]]:
        """Each input with the matrix that holds its projection."""
        names = ["in_proj_weight"] * 3 if self._packed else ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
        return [(x, getattr(self, name)) for x, name in zip(inputs, names, strict=True)]

    def _linear(self, x: Any, weight: Any, first: int, last: int) -> Tensor:
        """The projection of ``x`` by parts ``first`` to ``last`` of query, key and value."""
        bias, part = self.in_proj_bias, slice(first * self.embed_dim, last * self.embed_dim)
        whole_weight = not self._packed or last - first == 3
        weight = weight if whole_weight else weight[part]
        return ops.linear(x, weight, bias if bias is None or last - first == 3 else bias[part])

    def _heads(self, x: Tensor, parts: int = 1) -> Tensor:
        """A projection (N, L, parts * E) or (L, N, parts * E) as (parts, N, heads, L, head_dim)."""
        x = x.reshape(*x.shape[:2], parts, self.num_heads, self.head_dim)
        return x.transpose((2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4))

    def _extra_rows(self) -> list[tuple[Tensor, Tensor]]:
        """A key and a value (embed_dim values each) for every place that comes after those of the input."""
        learnt = [] if self.bias_k is None or self.bias_v is None else [(self.bias_k, self.bias_v)]
        zero = tensor(np.zeros(self.embed_dim), self.out_proj.weight.format)
        return learnt + [(zero, zero)] * self.add_zero_attn

    def _longer(self, x: Tensor, bias: Tensor) -> Tensor:
        """Keys or values (N, heads, S, head_dim) and one more."""
        more = bias.reshape(1, self.num_heads, 1, self.head_dim)[np.zeros(x.shape[0], np.intp)]
        return ops.cat([x, more], 2)

    def _masks(self, attn: Any, padding: Any, batch: int, length: int, keys: int) -> tuple[Any, Array | None]:
        """Both masks as numbers to add and booleans that block, each (N or 1, heads or 1, L or 1, S) or None."""
        shapes: dict[str, dict[tuple[int, ...], tuple[int, ...]]] = {
            "attn_mask": {(length, keys): (1, 1), (batch * self.num_heads, length, keys): (batch, self.num_heads)},
            "key_padding_mask": {(batch, keys): (batch, 1, 1), (keys,): (1, 1, 1)},
        }
        numbers: list[Any] = []
        blocked: Array | None = None
        for (name, allowed), mask in zip(shapes.items(), (attn, padding), strict=True):
            added, block = split_mask(name, mask)
            if mask is None:
                continue
            shape = np.shape(plain(mask))
            if shape not in allowed or (len(shape) == 1 and batch > 1):
                listed = " or ".join(str(s) for s in allowed if len(s) > 1)
                raise ValueError(f"{name}: shape {shape} is not allowed; allowed: {listed}")
            full = allowed[shape] + ((length, keys) if name == "attn_mask" else (keys,))
            if block is not None:
                blocked = block.reshape(full) if blocked is None else blocked | block.reshape(full)
            else:
                numbers.append(self._as_operand(added).reshape(full))
        return numbers[0] if len(numbers) == 1 else ops.add(*numbers) if numbers else None, blocked

    def _as_operand(self, mask: Any) -> Tensor:
        """A mask of numbers as a tensor; an array takes the format of the weights."""
        return mask if isinstance(mask, Tensor) else tensor(mask, self.out_proj.weight.format)

    def _check(self, query: Any, key: Any, value: Any) -> None:
        shapes = [x.shape for x in (query, key, value)]
        sizes, batch = (self.embed_dim, self.kdim, self.vdim), 0 if self.batch_first else 1
        fits = all(len(s) == 3 and s[2] == size for s, size in zip(shapes, sizes, strict=True))
        if not fits or shapes[1][:2] != shapes[2][:2] or shapes[0][batch] != shapes[1][batch]:
            listed = "query {}, key {}, value {}".format(*shapes)
            layout = (
                "(N, L, {0}), (N, S, {1}), (N, S, {2})" if self.batch_first else "(L, N, {0}), (S, N, {1}), (S, N, {2})"
            )
            raise ValueError(f"{listed}: shapes do not fit; allowed: {layout.format(*sizes)}, or all without N")


def _batched(x: Any, single: bool, batch_first: bool) -> Any:
    """``x`` with an axis for the batch, if it is two-dimensional as all three should be then."""
    x = x if isinstance(x, Tensor) else np.asarray(x)
    if not single or x.ndim != 2:
        return x
    return x.reshape(*((1, x.shape[0]) if batch_first else (x.shape[0], 1)), x.shape[1])


def _padded(mask: Any) -> Any:
    """A mask (..., S) with one more key, which nothing blocks."""
    if mask is None:
        return None
    column = np.zeros((*mask.shape[:-1], 1), np.bool_ if isinstance(mask, np.ndarray) else np.float32)
    return np.concatenate([mask, column], -1) if isinstance(mask, np.ndarray) else ops.cat([mask, column], -1)


class _Projection(NamedTuple):
    """A linear layer of tensors that belong to somebody else."""

    weight: Any
    bias: Any

    def __call__(self, x: Any) -> Tensor:
        return ops.linear(x, self.weight, self.bias)


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: None = None,
    static_v: None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `halfsim.nn.MultiheadAttention` computes, of (L, N, E) and weights that are given.

    ``static_k`` and ``static_v`` are refused.
    """
    size = np.shape(plain(query))[-1]
    if size != embed_dim_to_check or num_heads < 1 or size % num_heads:
        given = f"{embed_dim_to_check} with {num_heads} heads"
        raise ValueError(f"embed_dim_to_check: {given} is not allowed; allowed: {size}, in equal heads")
    layer = MultiheadAttention.__new__(MultiheadAttention)
    Module.__init__(layer)
    separate = {"q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight, "v_proj_weight": v_proj_weight}
    layer.__dict__.update(
        separate if use_separate_proj_weight else dict.fromkeys(separate),
        embed_dim=size,
        num_heads=num_heads,
        head_dim=size // num_heads,
        kdim=np.shape(plain(key))[-1],
        vdim=np.shape(plain(value))[-1],
        dropout=dropout_p,
        batch_first=False,
        add_zero_attn=add_zero_attn,
        _packed=not use_separate_proj_weight,
        in_proj_weight=None if use_separate_proj_weight else in_proj_weight,
        in_proj_bias=in_proj_bias,
        out_proj=_Projection(out_proj_weight, out_proj_bias),
        bias_k=bias_k,
        bias_v=bias_v,
        training=training,
    )
    masks = key_padding_mask, need_weights, attn_mask
    return layer.forward(query, key, value, *masks, average_attn_weights, is_causal)
