"""What the GradScaler tells and offers beyond PyTorch's, and PyTorch's small print."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.training import scaled_training

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "training.npz")


def steps(scaler: hs.amp.GradScaler, bad: list[bool]) -> list[float]:
    """The scale after each step, the gradients infinite in the ``bad`` ones."""
    p, scales = hs.tensor([1.0, 2.0], requires_grad=True), []
    p.name = "layer.weight"
    optimizer = hs.optim.SGD([p], lr=0.5)
    for spoiled in bad:
        optimizer.zero_grad()
        scaler.scale((p * 0.0).sum()).backward()
        if spoiled:
            p.grad = hs.tensor([np.inf, 0.0])
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return scales


def test_training_with_a_spoiled_step_is_pytorchs() -> None:
    """Scales, skipped step, clipping of unscaled gradients, factors changed on the way: float64, recorded."""
    x, y = RECORDED["scaler.x"], RECORDED["scaler.y"]
    with hs.precision("fp64"):
        p = hs.tensor(RECORDED["scaler.w"], requires_grad=True)

        def loss_of(step: int) -> hs.Tensor:
            d = hs.tensor(x[step]) @ p.T - hs.tensor(y[step])
            return (d * d).mean()

        def spoil() -> None:
            assert p.grad is not None
            p.grad.array[0, 0] = np.inf

        scaler = hs.amp.GradScaler("cpu", init_scale=128.0, growth_interval=1)
        scales = scaled_training(hs.optim.SGD, scaler, [p], loss_of, spoil, hs.nn.utils.clip_grad_norm_)
    assert scales == RECORDED["scaler.scales"].tolist()
    np.testing.assert_allclose(p.numpy(), RECORDED["scaler.after"], rtol=1e-12)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("pickled", [True, False])
def test_scaled_training_is_plain_training_that_skipped(enabled: bool, pickled: bool) -> None:
    """PyTorch's control experiment: 4 batches, an infinity in the third; growth 2, backoff 1/4, interval 1."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 8, 3)), rng.standard_normal((4, 8, 2))
    start = hs.nn.Linear(3, 2).state_dict()

    def run(scaler: hs.amp.GradScaler | None) -> tuple[list[np.ndarray], float]:
        model = hs.nn.Linear(3, 2)
        model.load_state_dict(start)
        optimizer = hs.optim.SGD(model.parameters(), lr=0.25)
        for i in range(4):
            optimizer.zero_grad()
            d = model(hs.tensor(x[i])) - hs.tensor(y[i])
            loss = (d * d).mean()
            if scaler is None or not enabled:
                loss.backward()
            else:
                scaler.scale(loss).backward()
            if i == 2 and scaler is not None and enabled:
                assert model.weight.grad is not None
                model.weight.grad = hs.tensor(np.full((2, 3), np.inf))
            if scaler is None:
                if i != 2 or not enabled:
                    optimizer.step()
                continue
            scaler.step(optimizer)
            scaler.update()
            scaler = pickle.loads(pickle.dumps(scaler)) if pickled else scaler
        return [p.numpy() for p in model.parameters()], 1.0 if scaler is None else scaler.get_scale()

    control, _ = run(None)
    scaled, scale = run(hs.amp.GradScaler("cpu", 128.0, 2.0, 0.25, 1, enabled))
    for a, b in zip(control, scaled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert scale == (128.0 * 2**3 * 0.25 if enabled else 1.0)


def test_the_history_has_one_record_an_update() -> None:
    scaler = hs.amp.GradScaler(init_scale=8.0, growth_interval=2)
    steps(scaler, [False, False, True, False])
    made = [(r.step, r.scale, r.found_inf, r.overflowed, r.after) for r in scaler.history]
    assert made == [
        (1, 8.0, False, {}, 8.0),
        (2, 8.0, False, {}, 16.0),
        (3, 16.0, True, {"layer.weight": 1}, 8.0),
        (4, 8.0, False, {}, 8.0),
    ]
    assert isinstance(scaler.history[0], hs.amp.ScaleRecord)


def test_it_names_the_parameters_that_overflowed() -> None:
    model = hs.nn.Sequential(hs.nn.Linear(2, 2), hs.nn.ReLU(), hs.nn.Linear(2, 1))
    nameless = hs.tensor([1.0, 1.0], requires_grad=True)
    optimizer = hs.optim.SGD([*model.parameters(), nameless])
    scaler = hs.amp.GradScaler()
    scaler.scale(model(hs.tensor([[1.0, 1.0]])).sum() + nameless.sum()).backward()
    model[2].weight.grad = hs.tensor([[np.inf, 1.0]])
    nameless.grad = hs.tensor([np.nan, -np.inf])
    assert scaler.overflowed == []
    scaler.unscale_(optimizer)
    assert scaler.overflowed == ["2.weight", "parameter 4"]
    scaler.step(optimizer)
    scaler.update()
    assert scaler.overflowed == ["2.weight", "parameter 4"]
    assert scaler.history[-1].overflowed == {"2.weight": 1, "parameter 4": 2}


def test_a_floor_and_a_ceiling_hold() -> None:
    scaler = hs.amp.GradScaler(init_scale=8.0, min_scale=1.0, max_scale=20.0, growth_interval=1)
    assert steps(scaler, [True] * 5) == [4, 2, 1, 1, 1]
    assert steps(scaler, [False] * 6) == [2, 4, 8, 16, 20, 20]
    assert steps(hs.amp.GradScaler(init_scale=2.0), [True] * 3) == [1, 0.5, 0.25]
    for limits in ({"min_scale": 16.0}, {"max_scale": 4.0}):
        with pytest.raises(ValueError, match=r"init_scale: 8.0 is not allowed"):
            hs.amp.GradScaler(init_scale=8.0, **limits)


def test_a_static_scale_skips_but_never_changes() -> None:
    scaler = hs.amp.GradScaler(init_scale=1024.0, dynamic=False, growth_interval=1)
    assert steps(scaler, [False, True, False, True]) == [1024] * 4
    assert [r.found_inf for r in scaler.history] == [False, True, False, True]
    scaler.update(2.0)
    assert scaler.get_scale() == 2


def test_factors_are_read_and_set() -> None:
    scaler = hs.amp.GradScaler("cuda", 8.0, 3.0, 0.25, 1)
    assert (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()) == (3.0, 0.25, 1)
    scaler.set_growth_factor(2.0)
    scaler.set_backoff_factor(0.5)
    scaler.set_growth_interval(2)
    assert steps(scaler, [False, False, True]) == [8, 16, 8]


def test_the_scale_is_what_was_given_until_it_is_used() -> None:
    scaler = hs.amp.GradScaler(init_scale=3.3)
    assert scaler.get_scale() == 3.3
    scaler.scale(hs.tensor(1.0))
    assert scaler.get_scale() == np.float32(3.3)
    other = hs.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    with pytest.raises(AssertionError):
        other.update()
    assert other.scale(hs.tensor(1.0)).item() == np.float32(3.3)


def test_iterables_are_scaled_as_they_are_read() -> None:
    scaler = hs.amp.GradScaler(init_scale=4.0)
    made = scaler.scale(hs.tensor(float(x)) for x in (1, 2))
    assert [x.item() for x in made] == [4, 8]
    for wrong in ("loss", 2.0, np.ones(2)):
        with pytest.raises(ValueError, match="outputs: "):
            scaler.scale(wrong)


def test_errors_are_pytorchs() -> None:
    scaler = hs.amp.GradScaler(init_scale=4.0)
    p = hs.tensor([1.0], requires_grad=True)
    optimizer = hs.optim.SGD([p])
    scaler.scale(p.sum()).backward()
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: 0)
    scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="pickled only"):
        pickle.dumps(scaler)
    for wrong in (hs.tensor([1.0, 2.0]), hs.tensor(1.0, requires_grad=True)):
        with pytest.raises(AssertionError, match="new_scale should be"):
            scaler.update(wrong)
    with pytest.raises(AttributeError, match="new_scale: int is not allowed"):
        scaler.update(3)
    with pytest.raises(TypeError, match="device: 1024.0 is not allowed; allowed: a string"):
        hs.amp.GradScaler(1024.0)  # type: ignore[arg-type]


def test_arguments_of_step_are_handed_on() -> None:
    class Mine(hs.optim.SGD):
        def step(self, *args: Any, **kwargs: Any) -> Any:
            super().step()
            return args, kwargs

    p = hs.tensor([1.0], requires_grad=True)
    optimizer, scaler = Mine([p]), hs.amp.GradScaler()
    scaler.scale(p.sum()).backward()
    assert scaler.step(optimizer, 1, two=2) == ((1,), {"two": 2})


def test_half_gradients_of_master_weights_are_unscaled_into_float32() -> None:
    """2**-20 / 2**16 is no half: unscaled into half it would be zero, and PyTorch refuses it."""
    p = hs.tensor([1.0], "fp16", requires_grad=True)
    p.grad = hs.tensor([2.0**-8], "fp16")
    plain, master = hs.optim.SGD([p], lr=2.0**12), hs.optim.SGD([p], lr=2.0**12, master_weights=True)
    scaler = hs.amp.GradScaler(init_scale=2.0**16)
    scaler.scale(p.sum())
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(plain)
    scaler.step(master)
    scaler.update()
    assert p.grad.format is hs.float32
    assert p.grad.item() == 2.0**-24
    assert master.state[p]["master"].item() == 1 - 2.0**-12


def test_live_against_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(9)
    p = torch.nn.Parameter(torch.ones(2))
    optimizer, q = torch.optim.SGD([p], lr=0.5), hs.tensor([1.0, 1.0], requires_grad=True)
    ours, theirs = hs.amp.GradScaler("cpu", 7.7, 1.9, 0.3, 3), torch.amp.GradScaler("cpu", 7.7, 1.9, 0.3, 3)
    mine = hs.optim.SGD([q], lr=0.5)
    for _ in range(60):
        factor = float(rng.choice([1e-3, np.inf, np.nan], p=[0.8, 0.1, 0.1]))
        optimizer.zero_grad()
        mine.zero_grad()
        theirs.scale((p * p).sum() * factor).backward()
        ours.scale((q * q).sum() * factor).backward()
        for scaler, opt in ((theirs, optimizer), (ours, mine)):
            scaler.step(opt)
            scaler.update()
        assert ours.state_dict() == theirs.state_dict()
        np.testing.assert_array_equal(q.numpy(), p.detach().numpy())
