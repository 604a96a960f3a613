"""Optimizers against trajectories recorded from PyTorch: bit for bit in float16, to 1e-12 in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.oracles import same
from tests.recorded.settings import OPTIMIZERS

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "torch.npz")


def trajectory(kind: str, options: dict[str, Any], fmt: str) -> np.ndarray:
    p = hs.tensor(RECORDED["start"], fmt, requires_grad=True)
    optimizer = getattr(hs.optim, kind)([p], **options)
    steps = []
    for grad in RECORDED["grads"]:
        p.grad = hs.tensor(grad, fmt)
        optimizer.step()
        steps.append(p.numpy())
    return np.array(steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float16_trajectories_are_pytorchs_bit_for_bit(name: str) -> None:
    got, expected = trajectory(*OPTIMIZERS[name], "float16"), RECORDED[f"{name}_float16"]
    assert same(got, expected).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_trajectories_agree(name: str) -> None:
    np.testing.assert_allclose(
        trajectory(*OPTIMIZERS[name], "float64"), RECORDED[f"{name}_float64"], rtol=1e-12, atol=1e-300
    )


def test_a_training_run_in_float64_is_pytorchs() -> None:
    with hs.precision("fp64"):
        model = hs.nn.Sequential(hs.nn.Linear(6, 5), hs.nn.ReLU(), hs.nn.Linear(5, 4)).double()
        model.load_state_dict({key: RECORDED[f"before.{key}"] for key in model.state_dict()})
        optimizer = hs.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        losses = []
        for step in range(5):
            optimizer.zero_grad()
            loss = hs.nn.cross_entropy(model(RECORDED["x"]), RECORDED["y"])
            loss.backward()
            if step == 0:
                for name, p in model.named_parameters():
                    assert p.grad is not None
                    np.testing.assert_allclose(p.grad.numpy(), RECORDED[f"grad.{name}"], rtol=1e-12, atol=1e-16)
            optimizer.step()
            losses.append(loss.item())
        np.testing.assert_allclose(losses, RECORDED["losses"], rtol=1e-12)
        for name, value in model.state_dict().items():
            np.testing.assert_allclose(value.numpy(), RECORDED[f"after.{name}"], rtol=1e-11, atol=1e-15)


def test_a_lost_update_is_lost_from_the_bits() -> None:
    """From w = 1 the next half below is 2**-11 away: 2**-12 is a tie that stays at 0x3C00, 2**-11 arrives."""
    for step, code in ((2.0**-12, 0x3C00), (2.0**-11, 0x3BFF)):
        w = hs.tensor([1.0], "fp16", requires_grad=True)
        w.grad = hs.tensor([step], "fp16")
        hs.optim.SGD([w], lr=1.0).step()
        assert w.bits()[0] == code
    w = hs.tensor([1.0], "fp32", requires_grad=True)
    w.grad = hs.tensor([2.0**-12], "fp32")
    hs.optim.SGD([w], lr=1.0).step()
    assert w.item() == 1 - 2.0**-12


@pytest.mark.parametrize("rule", ["fp16", "pure_fp16"])
def test_adam_fails_in_half_because_eps_is_zero(rule: str) -> None:
    """The chain from the bits: 1e-8 encodes as 0, (1 - beta2) * g**2 as 0, so the first step divides by zero."""
    assert hs.encode(1e-8) == 0
    assert hs.encode(0.001 * 1e-4**2) == 0
    with hs.precision(rule), hs.trace() as t:
        w = hs.tensor([1.0, 1.0], "fp16", requires_grad=True)
        w.grad = hs.tensor([1e-4, 0.0], "fp16")
        optimizer = hs.optim.Adam([w])
        optimizer.step()
    assert optimizer.state[w]["exp_avg_sq"].bits().tolist() == [0, 0]
    assert [hex(b) for b in w.bits()] == ["0xfc00", hex(int(hs.encode(w.array)[1]))]
    assert np.isneginf(w.array[0])
    assert np.isnan(w.array[1]), "a zero gradient gives 0 / (0 + 0)"
    first = t.first()
    assert first is not None
    assert (first.klass, first.phase, first.op, first.tensor, first.step) == (
        "eps lost",
        "optimizer",
        "Adam",
        "eps",
        1,
    )
    assert first.message.startswith("eps = 1e-08 is zero in float16")


def test_adam_with_a_larger_eps_lives() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    w.grad = hs.tensor([1e-4], "fp16")
    hs.optim.Adam([w], eps=1e-4).step()
    assert 0.99 < w.item() <= 1


def test_groups_state_and_missing_gradients() -> None:
    a, b, c = (hs.tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = hs.optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.25)
    optimizer.add_param_group({"params": [c]})
    for p in (a, b):
        p.grad = hs.tensor([1.0])
    optimizer.step()
    assert (a.item(), b.item(), c.item()) == (0.75, 0.5, 1.0)
    optimizer.zero_grad()
    assert a.grad is None


BAD: list[tuple[Any, str]] = [
    (lambda p: hs.optim.SGD([]), "params: an empty list"),
    (lambda p: hs.optim.SGD([p, p]), "is given twice"),
    (lambda p: hs.optim.SGD([p], lr=-1), "lr: -1 is not allowed"),
    (lambda p: hs.optim.SGD([p], lr=float("nan")), "lr: nan"),
    (lambda p: hs.optim.SGD([p], momentum=-0.1), "momentum"),
    (lambda p: hs.optim.SGD([p], nesterov=True), "nesterov: allowed only with momentum"),
    (lambda p: hs.optim.Adam([p], betas=(1.0, 0.9)), "beta1: 1.0 is not allowed"),
    (lambda p: hs.optim.Adam([p], eps=-1e-8), "eps"),
]


@pytest.mark.parametrize(("make", "text"), BAD)
def test_bad_hyper_parameters_get_one_line(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        make(hs.tensor([1.0], requires_grad=True))
    assert "\n" not in str(caught.value)


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="params: float is not allowed"):
        hs.optim.SGD([1.0])


def test_the_momentum_buffer_is_its_own() -> None:
    p = hs.tensor([3.0], requires_grad=True)
    p.grad = hs.tensor([1.0])
    optimizer = hs.optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()
    p.grad.array *= 0
    assert optimizer.state[p]["momentum_buffer"].item() == 1


def test_leaves_and_fitting_gradients_only() -> None:
    p = hs.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match="result of an operation"):
        hs.optim.SGD([p * 2])
    with pytest.raises(ValueError, match=r"grad: shape \(2,\) is not allowed; allowed: \(\)"):
        p.grad = hs.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="grad: a Tensor of int64 is not allowed; allowed: a Tensor of floats, None"):
        p.grad = hs.tensor(1)
    p.grad = hs.tensor(1.0)
    p.data = hs.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"grad: shape \(\) does not fit"):
        hs.optim.SGD([p]).step()
    with pytest.raises(TypeError, match="params: a group is a dict"):
        hs.optim.SGD([{"params": [p]}, p])
    assert hs.optim.SGD([p], lr=np.float32(0.1)).param_groups[0]["lr"] == np.float32(0.1)


def test_careless_arguments_get_one_line() -> None:
    model = hs.nn.Sequential(hs.nn.Linear(2, 1))
    for given in (model, model[0]):
        with pytest.raises(TypeError, match=r"params: .* is not allowed; allowed: model.parameters\(\), a list"):
            hs.optim.SGD(given, lr=0.1)  # type: ignore[arg-type]
    for kind in (hs.optim.Adam, hs.optim.AdamW, hs.optim.NAdam, hs.optim.Lion):
        with pytest.raises(TypeError, match="betas: 0.9 is not allowed; allowed: a pair"):
            kind(model.parameters(), betas=0.9)
    with pytest.raises(TypeError, match=r"grad: ndarray \(1, 2\) is not allowed; allowed: a Tensor of floats, None"):
        model[0].weight.grad = np.ones((1, 2))
    with pytest.raises(NotImplementedError, match="LBFGS: update is not defined, .*; allowed: step"):
        hs.optim.LBFGS(model.parameters()).update(None, None, {}, {})  # type: ignore[arg-type]
