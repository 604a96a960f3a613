"""Sequence layers against PyTorch itself, where it is installed, with its own random weights and many options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.sequences import flat

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

MASK = np.triu(np.ones((6, 6), np.bool_), 1)
PADDING = np.arange(6) >= np.array([[6], [4], [2]])


def agree(build: Any, *shapes: tuple[int, ...], **keywords: Any) -> None:
    """Outputs, gradients of inputs and of parameters in float64, to 1e-9."""
    torch.manual_seed(0)
    theirs = build(torch.nn).double()
    with hs.precision("fp64"):
        ours = build(hs.nn)
        ours.load_state_dict({name: values.numpy() for name, values in theirs.state_dict().items()})
        assert list(ours.state_dict()) == list(theirs.state_dict())
        arrays = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes)]
        x = [hs.tensor(a, requires_grad=True) for a in arrays]
        t = [torch.tensor(a, requires_grad=True) for a in arrays]
        outputs = list(flat(ours(*x, **keywords)))
        torches = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in keywords.items()}
        expected = list(flat(theirs(*t, **torches)))
        for i, (out, reference) in enumerate(zip(outputs, expected, strict=True)):
            np.testing.assert_allclose(out.numpy(), reference.detach().numpy(), rtol=1e-9, atol=1e-11)
            g = np.random.default_rng(100 + i).standard_normal(out.shape)
            out.backward(g, retain_graph=True)
            reference.backward(torch.tensor(g), retain_graph=True)
    pairs = [*zip(x, t, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for mine, other in pairs:
        assert mine.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_recurrent(kind: str, bidirectional: bool, layers: int) -> None:
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": layers == 3}
    agree(lambda nn: getattr(nn, kind)(4, 5, batch_first=bidirectional, **options), (3, 6, 4))


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("masks", [{}, {"attn_mask": MASK}, {"attn_mask": MASK, "key_padding_mask": PADDING}])
def test_attention(heads: int, need_weights: bool, masks: dict[str, Any]) -> None:
    def build(nn: Any) -> Any:
        return nn.MultiheadAttention(8, heads, vdim=4 if heads == 1 else None, batch_first=True)

    value = (3, 6, 4) if heads == 1 else (3, 6, 8)
    agree(build, (3, 6, 8), (3, 6, 8), value, need_weights=need_weights, **masks)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder(norm_first: bool, activation: str) -> None:
    def build(nn: Any) -> Any:
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation, norm_first=norm_first)
        return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)

    agree(build, (6, 3, 8), mask=MASK, src_key_padding_mask=PADDING)
