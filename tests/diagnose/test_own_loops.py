"""Training loops and optimizers that users write themselves: told as the optimizer's, steps counted once."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops

REFERENCES = pytest.mark.parametrize("reference", [None, "fp64"])


class Plain(hs.optim.Optimizer):
    """Gradient descent as PyTorch's tutorials write it."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @hs.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with hs.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * p.grad
        return loss


class Squares(Plain):
    """A second moment in state, with an eps of its own."""

    @hs.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state.setdefault(p, {"square": ops.mul(p, 0.0)})
                state["square"] = state["square"] * 0.9 + p.grad * p.grad * 0.1
                p -= group["lr"] * p.grad / (ops.sqrt(state["square"]) + 1e-8)


class Replaced(Plain):
    """One that gives its parameters new arrays."""

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.array = (p.detach() - group["lr"] * p.grad).array


class Checked(hs.optim.SGD):
    """A step around the one that is there."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert all(p.grad is not None for group in self.param_groups for p in group["params"])
        return super().step(closure)


class Twice(Checked):
    """A step around a step of one's own."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return super().step(closure)


def trained(
    make: Callable[[Any], hs.optim.Optimizer], steps: int = 3, rule: str = "fp16", weights: str = "fp16", **options: Any
) -> tuple[hs.nn.Module, hs.Trace]:
    """A layer after a few steps, and the trace of them."""
    hs.manual_seed(0)
    model = hs.nn.Linear(4, 3).to(weights)
    optimizer = make(model.named_parameters())
    x = np.random.default_rng(0).standard_normal((8, 4))
    with hs.precision(rule), hs.trace(**options) as t:
        for _ in range(steps):
            optimizer.zero_grad()
            (model(hs.tensor(x)) ** 2).mean().backward()
            optimizer.step()
    return model, t


@pytest.mark.parametrize("make", [Plain, Squares, Replaced, Checked, Twice])
def test_steps_are_counted_once(make: Any) -> None:
    _, t = trained(lambda p: make(p, lr=0.01), 5)
    assert t.step == 6
    assert {key[0] for key in t.totals if key[2] in ("sub", "div", "update")} == {"optimizer"}


@REFERENCES
@pytest.mark.parametrize("make", [Plain, Replaced, Checked, Twice, hs.optim.SGD])
@pytest.mark.parametrize(("rule", "lr"), [("fp16", 2e-5), ("bf16", 1e-5)])
def test_lost_updates_are_told_at_the_parameter(make: Any, rule: str, lr: float, reference: str | None) -> None:
    _, t = trained(lambda p: make(p, lr=lr), rule=rule, weights=rule, reference=reference)
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == ("swamping", "optimizer", "update"), f"{found}"
    assert found.path in ("weight", "bias")
    assert "did not move" in found.message
    assert found.where.startswith("test_own_loops.py:")


def test_advice_for_a_step_of_ones_own_is_no_option_that_it_does_not_read() -> None:
    found = trained(lambda p: Plain(p, lr=1e-6))[1].verdict()
    assert found is not None
    assert found.fixes[0].option is None
    assert "master_weights" not in found.fix
    known = trained(lambda p: Checked(p, lr=1e-6))[1].verdict()
    assert known is not None
    assert known.fixes[0].option == {"master_weights": True}


@REFERENCES
def test_an_eps_that_is_lost_in_a_step_of_ones_own(reference: str | None) -> None:
    def make(p: Any) -> hs.optim.Optimizer:
        return Squares([(name, x) for name, x in p], lr=1e-3)

    hs.manual_seed(0)
    w = hs.tensor([1.0, 1.0], "fp16", requires_grad=True)
    optimizer = Squares([w], lr=1e-3)
    with hs.precision("fp16"), hs.trace(reference=reference) as t:
        (w * hs.tensor([0.0, 1.0])).sum().backward()
        optimizer.step()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == ("eps lost", "optimizer", "add"), f"{found}"


@pytest.mark.parametrize(("make", "known"), [(Plain, hs.optim.SGD), (Checked, hs.optim.SGD), (Twice, hs.optim.SGD)])
@pytest.mark.parametrize("rule", ["fp16", "fp32"])
def test_a_healthy_step_raises_no_alarm_and_moves_the_same_weights(make: Any, known: Any, rule: str) -> None:
    weights = "fp32" if rule == "fp32" else "fp16"
    model, t = trained(lambda p: make(p, lr=0.1), rule=rule, weights=weights)
    right, _ = trained(lambda p: known(p, lr=0.1), rule=rule, weights=weights)
    assert getattr(t.verdict(), "klass", "benign rounding") == "benign rounding"
    for p, q in zip(model.parameters(), right.parameters(), strict=True):
        np.testing.assert_allclose(p.array, q.array, atol=2e-3)


def test_a_learning_rate_of_zero_loses_nothing() -> None:
    _, t = trained(lambda p: Plain(p, lr=0.0))
    assert getattr(t.verdict(), "klass", "benign rounding") == "benign rounding"


def test_a_closure_is_told_as_forward_and_backward() -> None:
    w = hs.tensor([1.0, 2.0], requires_grad=True)
    for optimizer in (Plain([w]), Checked([w], lr=0.1), hs.optim.SGD([w], lr=0.1)):

        def closure(optimizer: Any = optimizer) -> hs.Tensor:
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        w.grad = ops.mul(w.detach(), 1.0)
        with hs.trace() as t:
            assert float(optimizer.step(closure).array) > 0
        assert t.step == 2
        assert {key[0] for key in t.totals if key[2] == "sum"} == {"forward", "backward"}
        assert any(key[:1] == ("optimizer",) for key in t.totals)


def test_a_step_that_raises_ends_and_the_next_one_is_counted() -> None:
    class Raising(Plain):
        broken = True

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            if self.broken:
                raise RuntimeError("no")
            return super().step(closure)

    w = hs.tensor([1.0], requires_grad=True)
    optimizer = Raising([w])
    with hs.trace() as t:
        (w * 2.0).sum().backward()
        with pytest.raises(RuntimeError, match="no"):
            optimizer.step()
        assert t.step == 1
        optimizer.broken = False
        optimizer.step()
        assert t.step == 2
        assert hs.autograd.scope.scope().phase == "forward"


def test_a_step_of_ones_own_survives_copies_and_keeps_its_name() -> None:
    w = hs.tensor([1.0], requires_grad=True)
    assert Plain.step.__name__ == "step"
    assert Checked.step.__qualname__ == "Checked.step"
    twin = copy.deepcopy(Plain([w]))
    twin.param_groups[0]["params"][0].grad = hs.tensor([1.0])
    twin.step()
    assert twin.param_groups[0]["params"][0].array[0] == np.float32(0.9)
    assert pickle.loads(pickle.dumps(Plain)) is Plain


def test_a_scaler_steps_a_users_optimizer_and_finds_what_it_forgets() -> None:
    w = hs.tensor([1.0], requires_grad=True)
    optimizer, scaler = Plain([w], lr=0.1), hs.amp.GradScaler(init_scale=1024.0)
    with hs.trace() as t:
        scaler.scale((w * 2.0).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert w.item() == pytest.approx(0.8)
    assert t.step == 2
    assert getattr(t.verdict(), "klass", "benign rounding") == "benign rounding"
    with hs.trace() as t:
        optimizer.zero_grad()
        scaler.scale((w * 2.0).sum()).backward()
        optimizer.step()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.op) == ("scaler", "step")


# Loops without any optimizer.


def in_place(w: hs.Tensor, g: hs.Tensor, rate: float) -> hs.Tensor:
    w -= rate * g
    return w


def renewed(w: hs.Tensor, g: hs.Tensor, rate: float) -> hs.Tensor:
    return w - rate * g


def added(w: hs.Tensor, g: hs.Tensor, rate: float) -> hs.Tensor:
    w += g * -rate
    return w


LOOPS = pytest.mark.parametrize("move", [in_place, renewed, added])


@REFERENCES
@LOOPS
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)])
@pytest.mark.parametrize(("rule", "rate"), [("fp16", 1e-4), ("bf16", 1e-3)])
def test_lost_updates_of_a_loop(
    move: Any, shape: tuple[int, ...], rule: str, rate: float, reference: str | None
) -> None:
    with hs.precision(rule), hs.trace(reference=reference) as t, hs.no_grad():
        w = hs.tensor(np.ones(shape), rule, requires_grad=True)
        g = hs.tensor(np.ones(shape), rule)
        for _ in range(150):
            w = move(w, g, rate)
    assert (w.array == 1).all()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.op) == ("swamping", "add" if move is added else "sub"), f"{found}"
    assert found.where.startswith("test_own_loops.py:")


@LOOPS
def test_a_loop_that_moves_its_weights_raises_no_alarm(move: Any) -> None:
    with hs.precision("fp16"), hs.trace() as t, hs.no_grad():
        w, g = hs.tensor(np.ones(3), "fp16", requires_grad=True), hs.tensor(np.ones(3), "fp16")
        for _ in range(60):
            w = move(w, g, 2.0**-8)
    assert getattr(t.verdict(), "klass", "benign rounding") == "benign rounding"
