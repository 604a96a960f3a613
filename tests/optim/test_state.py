"""Groups, names, closures and state of optimizers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from tests.optim.kinds import KINDS, decayed, small

ANY_SHAPE = sorted({*KINDS} - {"Muon"})
ELEMENTWISE = sorted({*ANY_SHAPE} - {"Adafactor"})


def ready(fmt: str = "fp32", **options: Any) -> tuple[hs.Tensor, hs.Tensor, hs.optim.Optimizer]:
    a, b = hs.tensor([1.0, 2.0], fmt, requires_grad=True), hs.tensor([[3.0]], fmt, requires_grad=True)
    groups = [{"params": [a]}, {"params": [b], "lr": 0.5}]
    optimizer = hs.optim.Adam(groups, lr=0.25, **options)
    a.grad, b.grad = hs.tensor([1.0, -1.0], fmt), hs.tensor([[2.0]], fmt)
    return a, b, optimizer


def test_state_has_pytorchs_layout() -> None:
    _, _, optimizer = ready()
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    saved = optimizer.state_dict()
    assert saved.keys() == {"state", "param_groups"}
    assert saved["state"].keys() == {0, 1}
    assert saved["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in saved["param_groups"]] == [0.25, 0.5]


def test_loaded_values_take_the_parameters_format() -> None:
    a, _, optimizer = ready("fp16")
    values = {"step": np.float32(7), "exp_avg": np.array([0.1, 0.2]), "exp_avg_sq": hs.tensor([1e-9, 0.3], "fp64")}
    groups = optimizer.state_dict()["param_groups"]
    groups[0]["lr"] = 0.125
    optimizer.load_state_dict({"state": {0: values}, "param_groups": groups})
    state = optimizer.state[a]
    assert (state["step"], type(state["step"])) == (7, int)
    assert state["exp_avg"].format is hs.float16
    np.testing.assert_array_equal(state["exp_avg_sq"].numpy(), np.array([1e-9, 0.3], np.float16))
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert optimizer.param_groups[0]["params"][0] is a


BAD_STATE: list[tuple[Any, str]] = [
    (lambda s: s.pop("state"), "allowed is a mapping with keys 'state' and 'param_groups'"),
    (lambda s: s["param_groups"].pop(), "groups of [1] parameters; allowed: [1, 1]"),
    (lambda s: s["param_groups"][0].update(params=[0, 5]), "groups of [2, 1] parameters"),
    (lambda s: s["state"].update({9: {}}), "state of parameter 9, which no group holds"),
    (lambda s: s["state"][1].update(exp_avg=np.zeros(3)), "exp_avg of a tensor has shape (3,), not (1, 1)"),
    (lambda s: s.update(remedy={"name": "kahan"}), "made with kahan"),
]


@pytest.mark.parametrize(("spoil", "text"), BAD_STATE)
def test_a_state_that_does_not_fit_changes_nothing(spoil: Any, text: str) -> None:
    _, _, optimizer = ready()
    optimizer.step()
    before = optimizer.state_dict()
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 9.0
    saved["state"] = {key: dict(value) for key, value in saved["state"].items()}
    spoil(saved)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        optimizer.load_state_dict(saved)
    assert "\n" not in str(caught.value)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["state"][1]["exp_avg"] is before["state"][1]["exp_avg"]


def test_a_state_of_pytorch_switches_a_remedy_on() -> None:
    a, b, plain = ready("fp16")
    plain.step()
    remedied = hs.optim.Adam([{"params": [a]}, {"params": [b]}], master_weights=True)
    remedied.load_state_dict(plain.state_dict())
    remedied.step()
    assert remedied.state[a]["exp_avg"].format is hs.float32
    assert remedied.state[a]["step"] == 2


def test_a_closure_is_called_with_gradients_and_its_loss_returned() -> None:
    w = hs.tensor([3.0], requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=0.25)

    def closure() -> hs.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with hs.no_grad():
        assert optimizer.step(closure).item() == 9
    assert w.item() == 1.5
    assert optimizer.step() is None


def test_gradients_are_forgotten_or_zeroed() -> None:
    a, b, optimizer = ready("fp16")
    b.grad = None
    optimizer.zero_grad(set_to_none=False)
    assert a.grad is not None
    assert (a.grad.numpy().tolist(), a.grad.format, b.grad) == ([0, 0], hs.float16, None)
    optimizer.zero_grad()
    assert a.grad is None


def test_named_parameters_are_taken_as_pytorch_takes_them() -> None:
    model = hs.nn.Linear(2, 1)
    optimizer = hs.optim.SGD(model.named_parameters(), lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    w = hs.tensor([1.0], requires_grad=True)
    hs.optim.SGD([("mine", w)])
    assert w.name == "mine"
    other = hs.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="some names are missing"):
        hs.optim.SGD([("w", w), other])
    with pytest.raises(ValueError, match="groups with and without names"):
        optimizer.add_param_group({"params": [other]})


def test_what_pytorch_refuses_is_refused() -> None:
    w = hs.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="a single Tensor"):
        hs.optim.SGD(w)
    with pytest.raises(TypeError, match="a set has no order"):
        hs.optim.SGD([{"params": {w}}])
    for kind, bad in (
        ("RMSprop", {"alpha": -1}),
        ("RMSprop", {"momentum": -1}),
        ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -1}),
        ("AdamW", {"weight_decay": -1}),
        ("Lion", {"betas": (0.9, 1.0)}),
        ("NAdam", {"momentum_decay": -1}),
        ("RAdam", {"eps": -1}),
        ("Adamax", {"betas": (0.9, 1.0)}),
        ("Adadelta", {"rho": 1.1}),
        ("Adafactor", {"eps": (-1e-30, 1e-3)}),
        ("ASGD", {"weight_decay": -1}),
        ("Rprop", {"lr": -1}),
        ("LBFGS", {"lr": -1}),
    ):
        with pytest.raises(ValueError, match="is not allowed; allowed: numbers from 0"):
            getattr(hs.optim, kind)([w], **bad)


def test_empty_and_0d_parameters_step() -> None:
    for kind in ANY_SHAPE:
        for remedy in ({}, {"master_weights": True}, {"kahan": True}, {"rounding": "stochastic"}):
            none, one = hs.tensor(np.zeros((0, 3)), "fp16", True), hs.tensor(1.0, "fp16", True)
            none.grad, one.grad = hs.tensor(np.zeros((0, 3)), "fp16"), hs.tensor(1.0, "fp16")
            getattr(hs.optim, kind)([none, one], **{**small(kind, 0.25), **remedy}).step()
            assert (none.shape, one.shape, one.item() < 1) == ((0, 3), (), True)


@settings(max_examples=25)
@given(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    st.sampled_from(ELEMENTWISE),
    st.sampled_from(["fp16", "bf16", "fp64"]),
    st.sampled_from([{}, {"master_weights": True}, {"kahan": True}, {"rounding": "stochastic"}]),
)
def test_an_update_knows_no_shape(shape: tuple[int, ...], kind: str, fmt: str, remedy: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal(shape), rng.standard_normal((3, *shape))
    made = []
    for size in (shape, (int(np.prod(shape)),)):
        p = hs.tensor(start.reshape(size), fmt, requires_grad=True)
        optimizer = getattr(hs.optim, kind)([p], lr=0.1, **decayed(kind, 0.01), **remedy)
        for grad in grads:
            p.grad = hs.tensor(grad.reshape(size), fmt)
            optimizer.step()
        assert (p.shape, p.format) == (size, hs.tensor(0.0, fmt).format)
        made.append(p.array.reshape(-1))
    np.testing.assert_array_equal(*made)


def test_adagrads_sums_begin_where_they_are_told() -> None:
    a, b = hs.tensor([1.0], "fp16", True), hs.tensor([1.0], "fp16", True)
    optimizer = hs.optim.Adagrad([a], initial_accumulator_value=0.1)
    optimizer.add_param_group({"params": [b]})
    for p in (a, b):
        assert optimizer.state[p]["sum"].numpy() == np.float16(0.1)
    assert optimizer.state_dict()["state"][1]["step"] == 0


def test_a_group_overrides_what_the_defaults_say() -> None:
    assert "lr: 0.5" in repr(ready()[2])
    assert repr(ready()[2]).startswith("Adam (\nParameter Group 0\n    amsgrad: False")


@pytest.mark.parametrize(("name", "bad"), [("lr", np.inf), ("lr", np.nan), ("eps", -1.0), ("betas", (0.5, 1.0))])
def test_rates_with_which_no_step_can_be_taken_are_not_loaded(name: str, bad: Any) -> None:
    _, _, optimizer = ready()
    before, saved = optimizer.state_dict(), optimizer.state_dict()
    saved["param_groups"][0][name] = bad
    with pytest.raises(ValueError, match=rf"^{name[:4]}.*: .* is not allowed; allowed: "):
        optimizer.load_state_dict(saved)
    assert optimizer.state_dict()["param_groups"] == before["param_groups"]


def test_a_gradient_in_another_format_is_rounded_first() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    w.grad = hs.tensor([0.1], "fp32")
    optimizer = hs.optim.SGD([w], lr=1.0, momentum=0.5)
    optimizer.step()
    assert optimizer.state[w]["momentum_buffer"].format is hs.float16
    assert w.numpy()[0] == np.float16(1) - np.float16(0.1)


@pytest.mark.parametrize(("kind", "key"), [("NAdam", "mu_product"), ("ASGD", "eta"), ("ASGD", "mu")])
def test_numbers_in_a_state_are_not_rounded_to_the_weights_format(kind: str, key: str) -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = getattr(hs.optim, kind)([w])
    saved = {"state": {0: {"step": 1, key: np.array(0.1, np.float32)}}, "param_groups": [{"params": [0]}]}
    optimizer.load_state_dict(saved)
    assert optimizer.state[w][key] == np.float32(0.1)
    assert isinstance(optimizer.state[w][key], float)


def test_a_state_is_a_snapshot_of_rates_and_lists_too() -> None:
    rate = hs.tensor(0.5)
    w = hs.tensor([1.0], requires_grad=True)
    optimizer = hs.optim.LBFGS([w], lr=rate, max_iter=1)

    def closure() -> hs.Tensor:
        optimizer.zero_grad()
        loss = (w * w * w * w).sum()
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    saved = optimizer.state_dict()
    optimizer.step(closure)
    rate.array = rate.array * 2
    assert len(saved["state"][0]["old_dirs"]) == 1
    assert saved["param_groups"][0]["lr"].item() == 0.5
    other = hs.optim.LBFGS([w])
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] is not saved["param_groups"][0]["lr"]
