"""Parametrized parameters: PyTorch's names, values and gradients."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.nn.utils.parametrizations import spectral_norm, weight_norm
from halfsim.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations


class Double(hs.nn.Module):
    def forward(self, x: Any) -> Any:
        return 2 * x

    def right_inverse(self, value: Any) -> Any:
        return value / 2


class Positive(hs.nn.Module):
    def forward(self, x: Any) -> Any:
        return hs.ops.exp(x)


def test_a_parameter_is_made_of_others() -> None:
    layer = hs.nn.Linear(2, 3)
    given = layer.weight.numpy()
    assert register_parametrization(layer, "weight", Double()) is layer
    np.testing.assert_array_equal(layer.weight.numpy(), given)
    np.testing.assert_array_equal(layer.parametrizations.weight.original.numpy(), given / 2)
    assert list(dict(layer.named_parameters())) == ["bias", "parametrizations.weight.original"]
    assert (is_parametrized(layer), is_parametrized(layer, "bias"), type(layer).__name__) == (
        True, False, "ParametrizedLinear"
    )  # fmt: skip
    layer.weight = hs.tensor(np.full((3, 2), 4.0))
    assert layer.parametrizations.weight.original.tolist() == [[2, 2]] * 3
    layer(hs.tensor(np.ones((1, 2)))).sum().backward()
    assert layer.parametrizations.weight.original.grad.tolist() == [[2, 2]] * 3
    other = copy.deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    assert other.weight.tolist() == layer.weight.tolist()
    register_parametrization(layer, "weight", Positive())
    np.testing.assert_allclose(layer.weight.numpy(), np.exp(4.0), rtol=1e-6)
    remove_parametrizations(layer, "weight")
    assert (type(layer) is hs.nn.Linear, is_parametrized(layer)) == (True, False)
    assert list(layer.state_dict()) == ["bias", "weight"]
    remove_parametrizations(register_parametrization(layer, "bias", Double()), "bias", leave_parametrized=False)
    assert isinstance(layer.bias, hs.nn.Parameter)


CASES: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("weight_norm", "Linear", (4, 3), {}),
    ("weight_norm", "Linear", (4, 3), {"dim": 1}),
    ("weight_norm", "Linear", (4, 3), {"dim": None}),
    ("weight_norm", "Conv2d", (2, 3, 3), {}),
    ("spectral_norm", "Linear", (4, 3), {}),
    ("spectral_norm", "Linear", (4, 3), {"n_power_iterations": 3, "dim": 1}),
    ("spectral_norm", "Linear", (4, 3), {"name": "bias"}),
    ("spectral_norm", "Conv2d", (2, 3, 3), {}),
    ("spectral_norm", "ConvTranspose1d", (2, 3, 3), {}),
]


@pytest.mark.parametrize(("norm", "kind", "sizes", "options"), CASES, ids=str)
def test_the_installed_pytorch_gives_the_same(norm: str, kind: str, sizes: Any, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(2)
    theirs = getattr(torch.nn.utils.parametrizations, norm)(getattr(torch.nn, kind)(*sizes).double(), **options)
    hs.manual_seed(2)
    ours = getattr(hs.nn.utils.parametrizations, norm)(getattr(hs.nn, kind)(*sizes).to("fp64"), **options)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[key].numpy(), rtol=1e-9, atol=1e-12, err_msg=key)
    shape = (2, 4) if kind == "Linear" else (2, 2, 8) if kind.endswith("1d") else (2, 2, 8, 8)
    x = np.random.default_rng(0).normal(size=shape)
    for _ in range(2):
        out, expected_out = ours(hs.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(out.numpy(), expected_out.detach().numpy(), rtol=1e-9, atol=1e-12)
        (out * out).sum().backward()
        (expected_out * expected_out).sum().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-11)
    ours.eval()
    theirs.eval()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-9)


def test_the_largest_singular_value_becomes_one(rng: np.random.Generator) -> None:
    layer = hs.nn.Linear(6, 5)
    layer.weight = hs.nn.Parameter(rng.normal(size=(5, 6)))
    spectral_norm(layer, n_power_iterations=200)
    assert np.linalg.svd(layer.weight.numpy())[1][0] == pytest.approx(1)
    lengths = weight_norm(layer, "bias").parametrizations.bias.original0
    np.testing.assert_allclose(lengths.numpy(), np.abs(layer.bias.numpy()), rtol=1e-6)


OLDER: list[tuple[str, dict[str, Any]]] = [
    ("weight_norm", {}),
    ("weight_norm", {"dim": None}),
    ("spectral_norm", {}),
    ("spectral_norm", {"n_power_iterations": 3, "dim": 1}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("norm", "options"), OLDER, ids=str)
def test_the_older_names_are_pytorchs_too(norm: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(2)
    theirs = getattr(torch.nn.utils, norm)(torch.nn.Linear(4, 3).double(), **options)
    hs.manual_seed(2)
    ours = getattr(hs.nn.utils, norm)(hs.nn.Linear(4, 3).to("fp64"), **options)
    x = np.random.default_rng(0).normal(size=(2, 4))
    for _ in range(2):
        out, expected = ours(hs.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
        (out * out).sum().backward()
        (expected * expected).sum().backward()
    states = ours.state_dict(), theirs.state_dict()
    assert list(states[0]) == list(states[1])
    for key, value in states[0].items():
        np.testing.assert_allclose(value.numpy(), states[1][key].numpy(), rtol=1e-9, atol=1e-12, err_msg=key)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-11)
    getattr(hs.nn.utils, f"remove_{norm}")(ours)
    getattr(torch.nn.utils, f"remove_{norm}")(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-9)
    with pytest.raises(ValueError, match="name: 'weight' is not allowed"):
        getattr(hs.nn.utils, f"remove_{norm}")(ours)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: register_parametrization(hs.nn.Linear(1, 1), "wait", Double()), "tensor_name: 'wait' is not allowed"),
        (lambda: register_parametrization(hs.nn.Linear(2, 3), "weight", hs.nn.Flatten(0)), r"gives shape \(6,\)"),
        (lambda: remove_parametrizations(hs.nn.Linear(1, 1), "weight"), "tensor_name: 'weight' is not allowed"),
        (
            lambda: remove_parametrizations(weight_norm(hs.nn.Linear(1, 1)), "weight", False),
            "leave_parametrized: False",
        ),
        (lambda: spectral_norm(hs.nn.Linear(1, 1), "wait"), "name: 'wait' is not allowed"),
        (lambda: spectral_norm(hs.nn.Linear(1, 1), dim=2), "dim: 2 is not allowed; allowed: -2 to 1"),
        (lambda: spectral_norm(hs.nn.Linear(1, 1), n_power_iterations=0), "n_power_iterations: 0 is not allowed"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_a_value_is_not_assigned_without_an_inverse() -> None:
    layer = register_parametrization(hs.nn.Linear(1, 1), "weight", Positive())
    with pytest.raises(RuntimeError, match="Positive: has no right_inverse"):
        layer.weight = hs.tensor([[1.0]])
