from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import halfsim as hs

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "modules.npz")


def test_output_and_gradient_are_pytorchs() -> None:
    with hs.precision("fp64"):
        layer = hs.nn.Embedding(7, 3, padding_idx=2)
        layer.load_state_dict({"weight": RECORDED["embedding.weight"]})
        y = layer(RECORDED["embedding.x"])
        y.backward(RECORDED["embedding.g"])
    np.testing.assert_array_equal(y.numpy(), RECORDED["embedding.y"])
    assert layer.weight.grad is not None
    np.testing.assert_allclose(layer.weight.grad.numpy(), RECORDED["embedding.dweight"], rtol=1e-12, atol=1e-15)


def test_weights_are_normal_and_padding_is_zero() -> None:
    layer = hs.nn.Embedding(1000, 8, padding_idx=-1)
    assert layer.padding_idx == 999
    assert layer.weight.format is hs.float32
    values = layer.weight.numpy()
    assert (values[999] == 0).all()
    assert values.std() == pytest.approx(1, abs=0.03)
    assert repr(layer) == "Embedding(1000, 8, padding_idx=999)"
    with hs.precision("fp64"):
        assert hs.nn.Embedding(2, 3).weight.format is hs.float64


def test_pretrained_rows_are_frozen_unless_asked() -> None:
    rows = np.float32([[1, 2], [3, 4], [5, 6]])
    layer = hs.nn.Embedding.from_pretrained(rows, padding_idx=0)
    assert not layer.weight.requires_grad
    assert layer([2, 0]).numpy().tolist() == [[5, 6], [1, 2]], "the padding row keeps its values"
    for kind in (hs.nn.Embedding, hs.nn.EmbeddingBag):
        assert kind.from_pretrained(hs.tensor(rows, "fp16"), freeze=False).weight.requires_grad
        assert not kind.from_pretrained(hs.tensor(rows, "fp16")).weight.requires_grad
    assert hs.nn.Embedding.from_pretrained(hs.tensor(rows, "fp16")).weight.format is hs.float16


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.nn.Embedding(-1, 2), "num_embeddings: -1 is not allowed"),
    (lambda: hs.nn.Embedding(2, 2.5), "embedding_dim: 2.5 is not allowed"),  # type: ignore[arg-type]
    (lambda: hs.nn.Embedding(3, 2, padding_idx=3), "padding_idx: 3 is not allowed; allowed: -3 to 2"),
    (lambda: hs.nn.Embedding(3, 2, max_norm=1.0, norm_type=0)([1]), "norm_type: 0 is not allowed"),
    (lambda: hs.nn.Embedding(3, 2, _weight=np.ones((2, 2))), "_weight: shape (2, 2) is not allowed; allowed: (3, 2)"),
    (lambda: hs.nn.Embedding.from_pretrained(np.ones(3)), "embeddings: shape (3,) is not allowed"),
    (lambda: hs.nn.Embedding(3, 2)([3]), "input: rows 3 to 3 of 3; allowed: 0 to 2"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=".") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
