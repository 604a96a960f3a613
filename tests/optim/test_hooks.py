"""Hooks around steps and states, and PyTorch's options of execution."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


def ready(lr: Any = 0.5) -> tuple[hs.Tensor, hs.optim.Optimizer]:
    w = hs.tensor([1.0], requires_grad=True)
    w.grad = hs.tensor([1.0])
    return w, hs.optim.SGD([w], lr=lr)


def test_step_hooks_run_in_pytorchs_order() -> None:
    w, optimizer = ready()
    said: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(lambda o, args, kwargs: said.append("pre all")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: said.append("post all")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: said.append(f"pre {w.item()} {args[0] is o}")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: said.append(f"post {w.item()}")),
    ]
    optimizer.step()
    assert said == ["pre all", "pre 1.0 True", "post 0.5", "post all"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(said) == 4


def test_a_pre_hook_may_change_the_arguments() -> None:
    w, optimizer = ready()
    calls: list[int] = []

    def closure() -> float:
        calls.append(1)
        return 3.0

    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, closure), {}))
    assert optimizer.step() == 3.0
    assert (calls, w.item()) == ([1], 0.5)
    handle.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 7)
    with pytest.raises(RuntimeError, match="hook: returned int; allowed: None, or a pair"):
        optimizer.step()


def test_a_step_that_calls_its_parents_runs_hooks_once() -> None:
    class Mine(hs.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    w = hs.tensor([1.0], requires_grad=True)
    w.grad = hs.tensor([1.0])
    optimizer = Mine([w], lr=0.5)
    said: list[float] = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: said.append(w.item()))
    optimizer.step()
    assert said == [0.5]


def test_hooks_of_states() -> None:
    _, optimizer = ready()
    said: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: said.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: said.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "mine": 1})
    saved = optimizer.state_dict()
    assert (said, saved["mine"]) == (["first", "second"], 1)

    def halved(o: Any, state: dict[str, Any]) -> dict[str, Any]:
        groups = [{**group, "lr": group["lr"] / 2} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(halved)
    optimizer.register_load_state_dict_post_hook(lambda o: said.append(f"loaded {o.param_groups[0]['lr']}"))
    optimizer.load_state_dict(saved)
    assert said[2:] == ["loaded 0.25"]


def test_copies_leave_hooks_behind() -> None:
    w, optimizer = ready()
    optimizer.register_step_post_hook(lambda o, args, kwargs: None)
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        other.step()
        (p,) = other.param_groups[0]["params"]
        assert (p.item(), w.item()) == (0.0, 0.5)


def test_defaults_have_what_pytorchs_have() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for kind in ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop"):
        _compare(torch, kind, 1)
    for kind in ("Adafactor", "Muon", "LBFGS"):
        _compare(torch, kind, 2)


def _compare(torch: Any, kind: str, dimensions: int) -> None:
    theirs = getattr(torch.optim, kind)([torch.nn.Parameter(torch.zeros((2,) * dimensions))])
    ours = getattr(hs.optim, kind)([hs.tensor(np.zeros((2,) * dimensions), requires_grad=True)])
    assert ours.defaults == theirs.defaults
    assert ours.param_groups[0].keys() == theirs.param_groups[0].keys()


def test_options_of_execution_change_nothing() -> None:
    values = []
    for options in ({}, {"foreach": True}, {"fused": False, "capturable": True, "differentiable": False}):
        w = hs.tensor([1.0], requires_grad=True)
        w.grad = hs.tensor([0.3])
        hs.optim.AdamW([w], **options).step()
        values.append(w.item())
    assert len({*values}) == 1


def test_state_of_a_new_parameter_is_an_empty_dict() -> None:
    w, optimizer = ready()
    assert optimizer.state[w] == {}


@pytest.mark.parametrize("rate", [hs.tensor(0.1), hs.tensor([[0.1]]), np.array(0.1, np.float32)])
def test_a_rate_that_is_a_tensor_counts_at_each_step(rate: Any) -> None:
    w, optimizer = ready(rate)
    optimizer.step()
    assert w.item() == np.float32(1) - np.float32(0.1)
    assert optimizer.param_groups[0]["lr"] is rate
    schedule = hs.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    schedule.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.05)
    last = schedule.get_last_lr()[0]
    assert (last is rate, float(last)) == (False, pytest.approx(0.05))
    before = w.item()
    optimizer.step()
    assert w.item() == pytest.approx(before - 0.05)


BAD: list[tuple[Any, str]] = [
    (
        lambda w: hs.optim.SGD([w], lr=hs.tensor([0.1, 0.2])),
        "lr: a tensor of shape (2,) is not allowed; allowed: a number",
    ),
    (lambda w: hs.optim.Adam([w], betas=(0.9, hs.tensor(0.9))), "betas: a number and a tensor is not allowed"),
    (lambda w: hs.optim.Adam([w], lr=hs.tensor(0.1), foreach=True), "foreach: True with a tensor for lr or betas"),
    (lambda w: hs.optim.Rprop([w], etas=(1.0, 0.5)), "etas: (1.0, 0.5) is not allowed; allowed: 0 < etas[0] < 1"),
    (lambda w: hs.optim.Adafactor([w], d=0.5), "d: 0.5 is not allowed; allowed: numbers from 1"),
    (lambda w: hs.optim.Adafactor([w], beta2_decay=0.8), "beta2_decay: 0.8 is not allowed; allowed: numbers up to 0"),
    (lambda w: hs.optim.Muon([w]), "params: a tensor has 1 dimensions; allowed: 2"),
    (lambda w: hs.optim.Muon([w], ns_steps=100), "ns_steps: 100 is not allowed"),
    (lambda w: hs.optim.Muon([w], ns_coefficients=(1, 2)), "ns_coefficients: 2 numbers are not allowed; allowed: 3"),
    (lambda w: hs.optim.Muon([w], adjust_lr_fn="orignal"), "did you mean 'original'"),
    (lambda w: hs.optim.LBFGS([w], line_search_fn="wolfe"), "line_search_fn: 'wolfe' is not allowed"),
    (lambda w: hs.optim.LBFGS([{"params": [w]}, {"params": []}]), "params: a second group is not allowed"),
    (lambda w: hs.optim.LBFGS([w]).step(), "closure: NoneType is not allowed"),
    (lambda w: hs.optim.SparseAdam([w]), "SparseAdam: sparse gradients are not simulated; allowed: Adam"),
    (lambda w: hs.optim.Adafactor([w], eps=0.5), "eps: 0.5 is not allowed; allowed: a pair"),
    (lambda w: hs.optim.Rprop([w], step_sizes=3), "step_sizes: 3 is not allowed; allowed: a pair"),
]


@pytest.mark.parametrize(("make", "text"), BAD)
def test_what_is_refused_is_refused_in_one_line(make: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make(hs.tensor([1.0], requires_grad=True))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
