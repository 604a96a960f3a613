"""Layers begin at PyTorch's weights, and drop what it drops, for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Linear", (7, 5), {}),
    ("Linear", (300, 40), {"bias": False}),
    ("Bilinear", (3, 4, 5), {}),
    ("Conv1d", (4, 6, 3), {}),
    ("Conv2d", (4, 6, 3), {"groups": 2}),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2}),
    ("Embedding", (10, 7), {}),
    ("Embedding", (2, 3), {"padding_idx": 1}),
    ("RNN", (3, 4), {"num_layers": 2, "bidirectional": True}),
    ("LSTM", (3, 4), {"num_layers": 2}),
    ("GRU", (3, 4), {"bias": False}),
    ("LSTMCell", (3, 4), {}),
    ("MultiheadAttention", (8, 2), {}),
    ("MultiheadAttention", (8, 2), {"kdim": 3, "add_bias_kv": True}),
    ("TransformerEncoderLayer", (8, 2, 16), {}),
]
FIRST: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("uniform_", (3, 5), {}),
    ("normal_", (30, 5), {"std": 0.3}),
    ("trunc_normal_", (30, 50), {}),
    ("trunc_normal_", (30, 5), {"a": -0.1, "b": 0.1}),
    ("trunc_normal_", (30, 5), {"mean": 2.9, "a": 3.0, "b": 4.0, "std": 0.1}),
    ("xavier_uniform_", (30, 5), {"gain": 2.0}),
    ("xavier_normal_", (30, 5, 3), {}),
    ("kaiming_uniform_", (30, 5), {"nonlinearity": "relu"}),
    ("kaiming_normal_", (30, 5), {"mode": "fan_out"}),
    ("orthogonal_", (5, 30), {"gain": 2.0}),
    ("sparse_", (30, 5), {"sparsity": 0.25}),
]


def test_a_layers_weights_are_the_recorded_ones() -> None:
    """``torch.manual_seed(0); torch.nn.Linear(3, 2)`` of PyTorch 2.13."""
    hs.manual_seed(0)
    layer = hs.nn.Linear(3, 2)
    expected = [[-0.00432251766, 0.30971583724, -0.47518533468], [-0.42489460111, -0.22236897051, 0.15482072532]]
    np.testing.assert_array_equal(layer.weight.numpy(), np.array(expected, np.float32))


@pytest.mark.parametrize(("name", "sizes", "options"), LAYERS, ids=lambda x: str(x))
def test_layers_have_pytorchs_weights(name: str, sizes: tuple[Any, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(11)
    theirs = getattr(torch.nn, name)(*sizes, **options).state_dict()
    hs.manual_seed(11)
    ours = getattr(hs.nn, name)(*sizes, **options).state_dict()
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_array_equal(value.numpy(), theirs[key].numpy(), key)
    np.testing.assert_array_equal(hs.autograd.random.uniform(1), torch.rand(1).numpy(), "the stream goes on alike")


@pytest.mark.parametrize("fmt", ["float32", "float16", "float64"])
@pytest.mark.parametrize(("name", "shape", "options"), FIRST, ids=lambda x: str(x))
def test_first_weights_are_pytorchs(name: str, shape: tuple[int, ...], options: dict[str, Any], fmt: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if name == "orthogonal_" and fmt == "float16":
        pytest.skip("PyTorch has no QR decomposition in half")
    if options.get("a") == 3.0 and fmt == "float16":
        pytest.skip("PyTorch rounds the density by which it accepts to half at each step")
    torch.manual_seed(11)
    theirs = getattr(torch.nn.init, name)(torch.empty(shape, dtype=getattr(torch, fmt)), **options).numpy()
    hs.manual_seed(11)
    ours = getattr(hs.nn.init, name)(hs.tensor(np.zeros(shape), fmt), **options).numpy()
    if name == "orthogonal_" or fmt == "float64":  # the machine's QR decomposition, logarithm, sine and cosine
        np.testing.assert_allclose(ours, theirs, atol=1e-6 if fmt == "float32" else 1e-14)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "shape", "p"), [("dropout", (5, 7), 0.3), ("dropout1d", (5, 7, 4), 0.6), ("dropout2d", (5, 7, 2, 2), 0.5)]
)
def test_dropout_takes_pytorchs_masks(name: str, shape: tuple[int, ...], p: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(1)
    theirs = getattr(torch.nn.functional, name)(torch.ones(shape), p)
    hs.manual_seed(1)
    np.testing.assert_array_equal(getattr(hs.ops, name)(hs.tensor(np.ones(shape), "fp32"), p).numpy(), theirs.numpy())


def test_attention_drops_what_pytorch_drops(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    values = rng.normal(size=(3, 2, 4, 5, 8)).astype(np.float32)
    torch.manual_seed(1)
    theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, values), dropout_p=0.4)
    hs.manual_seed(1)
    ours = hs.ops.scaled_dot_product_attention(*map(hs.tensor, values), dropout_p=0.4)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
