"""Parameters as one vector and back, and modules that nothing is drawn for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.nn.utils import parameters_to_vector, skip_init, vector_to_parameters


def test_there_and_back() -> None:
    model = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.Linear(2, 1))
    vector = parameters_to_vector(model.parameters())
    assert vector.shape == (11,)
    assert vector.tolist()[:6] == model[0].weight.numpy().reshape(-1).tolist()
    (vector * np.arange(11.0)).sum().backward()
    assert model[0].bias.grad.tolist() == [6, 7]
    before = model[0].weight
    vector_to_parameters(hs.tensor(np.arange(12.0)), model.parameters())
    assert model[0].weight is before
    assert model[1].bias.tolist() == [10]
    half = hs.nn.Linear(1, 1).half()
    vector_to_parameters(hs.tensor([2049.0, 0.1]), half.parameters())
    assert (half.weight.tolist(), half.bias.format) == ([[2048]], hs.float16)


def test_skipping_draws_nothing() -> None:
    hs.manual_seed(3)
    layer = skip_init(hs.nn.Linear, 3, 2, bias=False, device="cpu")
    assert (layer.weight.shape, layer.bias) == ((2, 3), None)
    after = hs.nn.Linear(2, 2).weight.tolist()
    hs.manual_seed(3)
    assert hs.nn.Linear(2, 2).weight.tolist() == after


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: parameters_to_vector([]), ValueError, "parameters: none are not allowed"),
        (lambda: parameters_to_vector([1]), TypeError, "parameters: int is not allowed"),  # type: ignore[list-item]
        (lambda: vector_to_parameters([1.0], []), TypeError, "vec: list is not"),  # type: ignore[arg-type]
        (
            lambda: vector_to_parameters(hs.tensor([1.0]), hs.nn.Linear(1, 1).parameters()),
            ValueError,
            r"vec: shape \(1,",
        ),
        (lambda: skip_init(len), TypeError, "module_cls: len is not allowed"),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
