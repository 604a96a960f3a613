"""The encoder of the Transformer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.attention import MultiheadAttention
from halfsim.nn.containers import ModuleList
from halfsim.nn.dropout import Dropout
from halfsim.nn.linear import Linear
from halfsim.nn.module import Module
from halfsim.nn.normalization import LayerNorm
from halfsim.numerics.formats import unknown, whole


class TransformerEncoderLayer(Module):
    """Self-attention and two linear layers, each added to its input and normalised.

    ``src`` is (L, N, d_model), with ``batch_first`` (N, L, d_model), or (L, d_model) without batch; so is the result.
    ``activation`` is "relu", "gelu" or a function of a tensor; with ``norm_first`` each part normalises its input
    rather than the sum. Masks are those of `MultiheadAttention`: True blocks. Parts and parameters have PyTorch's
    names: ``self_attn``, ``linear1``, ``dropout``, ``linear2``, ``norm1``, ``norm2``, ``dropout1``,
    ``dropout2``. ``ValueError`` for another activation and for sizes and shapes that do not fit.

    >>> import halfsim as hs
    >>> layer = TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(hs.tensor([[[0.0] * 8] * 2] * 5)).shape
    (5, 2, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        if self.norm_first:
            x = src + self._attention(self.norm1(src), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(src + self._attention(src, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed_forward(x))

    def _attention(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Tensor:
        out, _ = self.self_attn(x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)
        return self.dropout1(out)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


def _activation(activation: Any) -> Any:
    """The function that ``activation`` names, or that it is; exact GELU for "gelu"."""
    if callable(activation):
        return activation
    if activation not in ("relu", "gelu"):
        raise unknown("activation", activation, ("relu", "gelu"))
    return ops.relu if activation == "relu" else ops.gelu


class TransformerEncoder(Module):
    """``num_layers`` copies of ``encoder_layer``, one after another, and ``norm`` after the last.

    The copies, in ``layers``, begin with equal weights, as in PyTorch. ``mask`` and ``src_key_padding_mask`` go to
    every layer; ``enable_nested_tensor`` and ``mask_check`` are taken and change nothing, so padded places get
    the values that attention gives them. ``ValueError`` for ``num_layers`` below 1.

    >>> import halfsim as hs
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16, batch_first=True), num_layers=2)
    >>> encoder(hs.tensor([[[0.0] * 8] * 5])).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        if whole("num_layers", num_layers) < 1:
            raise ValueError(f"num_layers: {num_layers} is not allowed; allowed: integers from 1")
        if not isinstance(encoder_layer, Module):
            raise TypeError(f"encoder_layer: {type(encoder_layer).__name__} is not allowed; allowed: Module")
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)
