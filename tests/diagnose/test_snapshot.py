from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.reach import reached
from halfsim.diagnose.snapshot import Snapshot


class Counter(hs.nn.Module):
    """A module that keeps what a run does in every way there is."""

    def __init__(self) -> None:
        super().__init__()
        self.body = hs.nn.Sequential(hs.nn.Linear(3, 4), hs.nn.BatchNorm1d(4), hs.nn.Dropout(0.5))
        self.register_buffer("calls", np.zeros((), np.int64))
        self.register_buffer("seen", hs.tensor([0.0]), persistent=False)
        self.history: list[float] = []

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.seen = self.seen + 1
        y = self.body(x)
        self.history.append(float(y.sum()))
        self.hidden = y
        return y


def experiment(optimizer: str, **remedy: Any) -> tuple[Any, list[Any]]:
    hs.manual_seed(3)
    model = Counter().half()
    opt = getattr(hs.optim, optimizer)(model.parameters(), lr=0.01, **remedy)
    scaler, schedule = hs.amp.GradScaler(init_scale=2.0**24, growth_interval=2), hs.optim.lr_scheduler.StepLR(opt, 2)

    def run() -> list[bytes]:
        for _ in range(5):
            opt.zero_grad()
            x = hs.tensor(np.random.standard_normal((8, 3)), "fp16")
            loss = (model(x) ** 2).mean()
            loss.backward()
            opt.step()
            schedule.step()
        model.body[0].weight.array += np.float32(random.random())  # what a careless user does
        model.eval()
        states = [*model.state_dict().values(), *(x for s in opt.state.values() for x in s.values())]
        values = [np.asarray(getattr(x, "data", x)).tobytes() for x in states]
        return [*values, str(model.history).encode(), str(opt.param_groups[0]["lr"]).encode()]

    return run, [model, opt, scaler, schedule]


@pytest.mark.parametrize(
    ("optimizer", "remedy"),
    [
        ("SGD", {"momentum": 0.9}),
        ("Adam", {}),
        ("AdamW", {"master_weights": True}),
        ("SGD", {"rounding": "stochastic"}),
        ("Adam", {"kahan": True}),
    ],
)
def test_a_run_from_a_snapshot_gives_the_same_bits(optimizer: str, remedy: dict[str, Any]) -> None:
    run, objects = experiment(optimizer, **remedy)
    run()  # from a state that is no longer fresh
    objects[0].train()
    before = Snapshot(*objects, None)
    first = run()
    assert run() != first
    for _ in range(2):
        before.restore()
        assert objects[0].training
        assert run() == first


def test_gradients_attributes_and_hooks_come_back() -> None:
    layer = hs.nn.Linear(2, 1)
    layer(hs.tensor([[1.0, 2.0]])).backward()
    grad, values = layer.weight.grad, layer.weight.grad.numpy()
    before = Snapshot(layer)
    layer.zero_grad()
    layer.note = "a"
    layer.register_forward_hook(lambda *_: None)
    layer.weight.requires_grad = False
    layer.half()
    before.restore()
    assert layer.weight.grad is grad
    assert np.array_equal(grad.numpy(), values)
    assert layer.weight.requires_grad
    assert layer.weight.format == hs.float32
    assert layer.conversion is None
    assert not hasattr(layer, "note")
    assert not layer._hooks.get("after")


def test_a_reference_run_carries_wider_numbers_and_all_come_back() -> None:
    run, (model, opt, *_) = experiment("Adam", master_weights=True)
    run()
    weight, mean = model.body[0].weight, opt.state[model.body[0].weight]["exp_avg"]
    objects = {id(x): (x, x.array, x.format, x.array.copy()) for x in (weight, weight.grad, mean)}
    before = Snapshot(model, opt)
    before.restore(hs.float64)
    assert {x.format for x in (weight, weight.grad, mean)} == {hs.float64}
    assert weight.array.dtype == np.float64
    before.restore()
    assert weight.grad is list(objects.values())[1][0]
    assert opt.state[weight]["exp_avg"] is mean
    for x, data, fmt, values in objects.values():
        assert x.array is data
        assert x.format == fmt
        assert np.array_equal(x.array, values)


def test_what_a_function_names_is_found_and_put_back() -> None:
    constant, own, held = hs.tensor([1.0]), np.random.default_rng(1), [hs.nn.Linear(1, 1)]

    def run() -> Any:
        constant.array += 1
        held[0].weight.array = held[0].weight.array + 1
        return own.random(), constant.item(), held[0].weight.item()

    found = reached(run).objects
    assert {id(x) for x in found} == {id(x) for x in (constant, own, held[0])}
    before, first = Snapshot(*found), run()
    before.restore(hs.float64)
    assert constant.format == hs.float32
    assert held[0].weight.format == hs.float64
    before.restore()
    assert run() == first
    assert reached(len).objects == []


SHARED = hs.tensor([1.0])


def test_what_functions_inside_a_function_name_is_found() -> None:
    def run() -> Any:
        return [(lambda: SHARED)() for _ in range(1)]

    assert [id(x) for x in reached(run).objects] == [id(SHARED)]


def test_random_numbers_go_on_from_the_same_place() -> None:
    stochastic = hs.Precision("storage=fp16, rounding=stochastic")
    x = hs.tensor(np.linspace(0.1, 1, 50))
    with hs.precision(stochastic):
        before = Snapshot()

        def draw() -> tuple[Any, ...]:
            return (hs.nn.Linear(1, 1).weight.item(), np.random.rand(), random.random(), (x * x).numpy().tobytes())

        first = draw()
        assert draw()[3] != first[3]
        hs.manual_seed(9)
        before.restore()
        assert draw() == first


def test_a_scaler_comes_back() -> None:
    scaler = hs.amp.GradScaler(init_scale=4.0)
    p = hs.tensor([1.0], requires_grad=True)
    opt = hs.optim.SGD([p], lr=0.1)
    before = Snapshot(scaler, opt)
    scaler.scale((p * float("inf")).sum()).backward()
    scaler.step(opt)
    scaler.update()
    assert scaler.get_scale() == 2.0
    before.restore()
    assert scaler.get_scale() == 4.0
    assert scaler.history == []


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="state: int is not allowed; allowed: Module, Optimizer, GradScaler"):
        Snapshot(3)
