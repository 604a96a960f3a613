"""The Transformer: its encoder, its decoder, and both together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.attention import MultiheadAttention
from halfsim.nn.containers import ModuleList
from halfsim.nn.dropout import Dropout
from halfsim.nn.init import xavier_uniform_
from halfsim.nn.linear import Linear
from halfsim.nn.module import Module
from halfsim.nn.normalization import LayerNorm
from halfsim.nn.recurrent import layer_count
from halfsim.numerics.formats import unknown


class _Layer(Module):
    """What both layers share: attentions by name, two linear layers, a norm and a dropout for each of these parts."""

    _attentions: tuple[str, ...]

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
        for name in self._attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first))
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, eps=layer_norm_eps, bias=bias))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(dropout))
        for i in parts[:-1]:  # of what an attention gives
            getattr(self, f"dropout{i}")._across = batch_first
        self.activation = _activation(activation)


class TransformerEncoderLayer(_Layer):
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

    _attentions = ("self_attn",)

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


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to ``memory`` and two linear layers, each added to its input and normalised.

    ``tgt`` is as ``src`` of `TransformerEncoderLayer`, ``memory`` what the encoder made. Parts and parameters have
    PyTorch's names: ``self_attn``, ``multihead_attn``, ``linear1``, ``dropout``, ``linear2``, ``norm1`` to ``norm3``,
    ``dropout1`` to ``dropout3``. Arguments and errors as there.

    >>> import halfsim as hs
    >>> layer = TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(hs.tensor([[[0.0] * 8] * 2] * 5), hs.tensor([[[0.0] * 8] * 2] * 7)).shape
    (5, 2, 8)
    """

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def itself(x: Any) -> Tensor:
            options: dict[str, Any] = {"need_weights": False, "attn_mask": tgt_mask, "is_causal": tgt_is_causal}
            return self.dropout1(self.self_attn(x, x, x, tgt_key_padding_mask, **options)[0])

        def other(x: Any) -> Tensor:
            options: dict[str, Any] = {"need_weights": False, "attn_mask": memory_mask, "is_causal": memory_is_causal}
            return self.dropout2(self.multihead_attn(x, memory, memory, memory_key_padding_mask, **options)[0])

        def forth(x: Any) -> Tensor:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        for part, norm in ((itself, self.norm1), (other, self.norm2), (forth, self.norm3)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


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
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


def _copies(layer: Module, count: int) -> ModuleList:
    """``count`` layers that begin alike."""
    return ModuleList([copy.deepcopy(layer) for _ in range(layer_count(count))])


class TransformerDecoder(Module):
    """``num_layers`` copies of ``decoder_layer``, one after another, and ``norm`` after the last; masks go to each.

    >>> import halfsim as hs
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16, batch_first=True), num_layers=2)
    >>> decoder(hs.tensor([[[0.0] * 8] * 5]), hs.tensor([[[0.0] * 8] * 7])).shape
    (1, 5, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
        }
        for layer in self.layers:
            tgt = layer(tgt, memory, **masks, tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of ``src`` and a decoder of ``tgt`` that attends to what it made; see their layers for the arguments.

    Both have a `LayerNorm` at the end; matrices are drawn by `init.xavier_uniform_`. ``src`` and ``tgt`` are
    (L, N, d_model), with ``batch_first`` (N, L, d_model), or both without N, and the result is as ``tgt``.
    ``ValueError`` for shapes that do not fit.

    >>> import halfsim as hs
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(hs.tensor([[[0.0] * 8] * 7]), hs.tensor([[[0.0] * 8] * 5])).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes: Any = (d_model, nhead, dim_feedforward, dropout, activation)
        options: Any = (layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias)

        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*sizes, *options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*sizes, *options)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for parameter in self.parameters():
            if parameter.ndim > 1:
                xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        shapes = [np.shape(plain(x)) for x in (src, tgt)]
        batch = 0 if self.batch_first else 1
        fits = all(len(s) in (2, 3) and s[-1] == self.d_model for s in shapes) and len(shapes[0]) == len(shapes[1])
        if not fits or (len(shapes[0]) == 3 and shapes[0][batch] != shapes[1][batch]):
            layout = f"(N, L, {self.d_model})" if self.batch_first else f"(L, N, {self.d_model})"
            raise ValueError(f"src {shapes[0]}, tgt {shapes[1]}: shapes do not fit; allowed: {layout}, or without N")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        masks = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
        }
        return self.decoder(tgt, memory, **masks, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: object = None, dtype: object = None) -> Tensor:
        """A mask (sz, sz) of numbers to add: -inf for keys after the query, 0 elsewhere.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]], float32)
        """
        return tensor(np.triu(np.full((sz, sz), -np.inf, np.float32), 1), dtype)
