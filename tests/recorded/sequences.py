"""The sequence layers whose results are recorded: built and called with ``torch.nn`` and ``halfsim.nn`` alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

PADDING = np.array([[False, False, False, True], [False, True, False, False]])
LATE = np.array([[False, False, False, False], [False, False, False, True]])
CAUSAL = np.triu(np.ones((4, 4), np.bool_), 1)


def wave(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers between -1 and 1 that need no recording."""
    return np.sin(1.7 * np.arange(prod(shape)) + 0.37 * seed**2 + seed).reshape(shape)


class Case:
    """A module, the shapes of its inputs (nested as they are passed), and its keywords."""

    def __init__(self, build: Callable[[Any], Any], *shapes: Any, **keywords: Any) -> None:
        self.build, self.shapes, self.keywords = build, shapes, keywords

    def inputs(self, tensor: Callable[[np.ndarray], Any]) -> tuple[list[Any], list[Any]]:
        """The positional arguments, and all tensors in them in order."""
        leaves: list[Any] = []

        def make(shape: Any) -> Any:
            if shape and isinstance(shape[0], tuple):
                return tuple(make(inner) for inner in shape)
            leaves.append(tensor(wave(shape, len(leaves) + 1)))
            return leaves[-1]

        return [make(shape) for shape in self.shapes], leaves


def state(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights for a module."""
    return {name: 0.6 * wave(shape, 10 + i) for i, (name, shape) in enumerate(shapes.items())}


def flat(outputs: Any) -> Iterator[Any]:
    for out in outputs if isinstance(outputs, tuple) else [outputs]:
        if isinstance(out, tuple):
            yield from flat(out)
        elif out is not None:
            yield out


def _encoder(activation: str, norm_first: bool, **options: Any) -> Callable[[Any], Any]:
    def build(nn: Any) -> Any:
        layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0, activation, norm_first=norm_first, batch_first=True, **options)
        norm = nn.LayerNorm(4) if norm_first else None
        return nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)

    return build


def _decoder(activation: str, norm_first: bool, **options: Any) -> Callable[[Any], Any]:
    def build(nn: Any) -> Any:
        layer = nn.TransformerDecoderLayer(4, 2, 6, 0.0, activation, norm_first=norm_first, batch_first=True, **options)
        return nn.TransformerDecoder(layer, 2, nn.LayerNorm(4) if norm_first else None)

    return build


CASES: dict[str, Case] = {
    "rnn": Case(lambda nn: nn.RNN(3, 4, 2), (5, 2, 3), (2, 2, 4)),
    "rnn_relu": Case(lambda nn: nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True), (2, 5, 3)),
    "rnn_single": Case(lambda nn: nn.RNN(3, 4, bidirectional=True), (5, 3), (2, 4)),
    "lstm": Case(lambda nn: nn.LSTM(3, 4, 2, bidirectional=True), (5, 2, 3), ((4, 2, 4), (4, 2, 4))),
    "lstm_first": Case(lambda nn: nn.LSTM(3, 4, batch_first=True, bias=False), (2, 5, 3)),
    "gru": Case(lambda nn: nn.GRU(3, 4, 2, bidirectional=True), (5, 2, 3), (4, 2, 4)),
    "gru_single": Case(lambda nn: nn.GRU(3, 4, bias=False), (5, 3)),
    "rnn_cell": Case(lambda nn: nn.RNNCell(3, 4, nonlinearity="relu"), (2, 3), (2, 4)),
    "lstm_cell": Case(lambda nn: nn.LSTMCell(3, 4), (2, 3), ((2, 4), (2, 4))),
    "gru_cell": Case(lambda nn: nn.GRUCell(3, 4), (3,), (4,)),
    "attention": Case(lambda nn: nn.MultiheadAttention(4, 2), (4, 2, 4), (4, 2, 4), (4, 2, 4)),
    "attention_masks": Case(
        lambda nn: nn.MultiheadAttention(4, 2, batch_first=True, bias=False),
        *[(2, 4, 4)] * 3,
        key_padding_mask=PADDING,
        attn_mask=CAUSAL,
        average_attn_weights=False,
    ),
    "attention_fused": Case(
        lambda nn: nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        (3, 2, 4),
        (4, 2, 3),
        (4, 2, 5),
        key_padding_mask=PADDING,
        need_weights=False,
    ),
    "attention_learnt": Case(
        lambda nn: nn.MultiheadAttention(4, 2, add_bias_kv=True), *[(4, 4)] * 3, attn_mask=wave((4, 4), 5)
    ),
    "encoder": Case(_encoder("relu", False), (2, 4, 4), src_key_padding_mask=PADDING),
    "encoder_first": Case(_encoder("gelu", True), (2, 4, 4), mask=CAUSAL),
    "encoder_plain": Case(_encoder("relu", False, bias=False, layer_norm_eps=1e-3), (2, 4, 4)),
    "lstm_projected": Case(lambda nn: nn.LSTM(3, 4, proj_size=2, batch_first=True, bias=False), (2, 5, 3)),
    "lstm_projected_ways": Case(
        lambda nn: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), (5, 2, 3), ((4, 2, 2), (4, 2, 4))
    ),
    "attention_zero": Case(
        lambda nn: nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=5, batch_first=True),
        (2, 3, 4),
        (2, 4, 3),
        (2, 4, 5),
        average_attn_weights=False,
    ),
    "decoder": Case(_decoder("relu", False), (2, 4, 4), (2, 3, 4), tgt_mask=CAUSAL, tgt_key_padding_mask=LATE),
    "decoder_first": Case(
        _decoder("gelu", True, bias=False),
        (2, 3, 4),
        (2, 4, 4),
        memory_mask=CAUSAL[:3],
        memory_key_padding_mask=PADDING,
    ),
    "transformer": Case(
        lambda nn: nn.Transformer(4, 2, 1, 1, 6, 0.0), (4, 2, 4), (3, 2, 4), src_mask=CAUSAL, tgt_mask=CAUSAL[:3, :3]
    ),
}
