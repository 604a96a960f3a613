"""Values and gradients in float64 are PyTorch's (recorded), and gradients are finite differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.functions import CASES, EQUATIONS, Case, numbers

_FILE = np.load(Path(__file__).parents[2] / "recorded" / "functions.npz")
_ENDS = np.cumsum(_FILE["lengths"])[:-1]
RECORDED = dict(zip(_FILE["labels"].tolist(), np.split(_FILE["values"], _ENDS), strict=True))


def call(case: Case, tensors: Any) -> hs.Tensor:
    module: Any = hs.nn.functional if case.place == "F" else hs.ops
    inputs = [tensors] if case.many else tensors
    return getattr(module, case.ours)(*inputs, *case.rest, **case.options)


def results(function: Any, arrays: list[np.ndarray]) -> np.ndarray:
    tensors = [hs.tensor(x, "fp64", requires_grad=True) for x in arrays]
    with hs.precision("fp64"):
        y = function(tensors)
        y.backward(numbers(y.shape, 3))
    parts = [y.numpy(), *(x.grad.numpy() for x in tensors if x.grad is not None)]
    return np.concatenate([p.reshape(-1) for p in parts])


def test_every_case_has_a_label_of_its_own() -> None:
    assert len({case.label for case in CASES}) == len(CASES)
    assert len(RECORDED) == len(CASES) + len(EQUATIONS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_and_gradients_are_pytorchs(case: Case) -> None:
    got = results(lambda x: call(case, x), case.inputs)
    np.testing.assert_allclose(got, RECORDED[case.label], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_pytorchs(equation: str) -> None:
    arrays = [numbers(shape, seed) for seed, shape in enumerate(EQUATIONS[equation])]
    got = results(lambda x: hs.ops.einsum(equation, *x), arrays)
    np.testing.assert_allclose(got, RECORDED[equation], rtol=1e-9, atol=1e-12)
    assert hs.gradcheck(lambda *x: hs.ops.einsum(equation, *x), [hs.tensor(x, "fp64") for x in arrays])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients_are_finite_differences(case: Case) -> None:
    arrays = [hs.tensor(x, "fp64") for x in case.inputs]
    assert hs.gradcheck(lambda *x: call(case, list(x)), arrays)


def test_the_record_is_what_the_installed_pytorch_gives() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; its recorded results are tested")
    from tests.recorded.record_functions import everything

    for label, values in everything().items():
        np.testing.assert_allclose(RECORDED[label], values, rtol=1e-9, atol=1e-12, err_msg=label)
