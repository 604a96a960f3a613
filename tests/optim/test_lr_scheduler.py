"""Schedules against PyTorch's trajectories, to the last bit or two of a double."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.optim import lr_scheduler as s
from tests.recorded.training import METRICS, SCHEDULES, STEPS, rates, scheduled

STEPPED_ALONE = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "training.npz")


def parameters() -> list[hs.Tensor]:
    return [hs.tensor([1.0], requires_grad=True) for _ in range(2)]


def ready(name: str) -> tuple[hs.optim.Optimizer, s.LRScheduler]:
    made: tuple[hs.optim.Optimizer, s.LRScheduler] = scheduled(s, name, parameters(), hs.optim.SGD, hs.optim.Adam)
    return made


def sgd(lr: float = 0.5) -> hs.optim.SGD:
    return hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=lr, momentum=0.9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_momenta_are_pytorchs(name: str) -> None:
    got = rates(name, *ready(name), range(STEPS))
    np.testing.assert_allclose(got, RECORDED[f"schedule.{name}"], rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_live_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    groups = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    theirs = scheduled(torch.optim.lr_scheduler, name, groups, torch.optim.SGD, torch.optim.Adam)
    got, expected = rates(name, *ready(name), range(STEPS)), rates(name, *theirs, range(STEPS))
    np.testing.assert_allclose(got, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_where_it_was_saved(name: str) -> None:
    """Its state is plain data: it survives JSON, as it must in a file without pickle."""
    whole = rates(name, *ready(name), range(STEPS))
    optimizer, schedule = ready(name)
    rates(name, optimizer, schedule, range(11))
    saved = json.loads(json.dumps([schedule.state_dict(), optimizer.state_dict()]))
    after, other = ready(name)
    after.load_state_dict(saved[1])
    other.load_state_dict(saved[0])
    assert rates(name, after, other, range(11, STEPS)) == whole[11:]


@STEPPED_ALONE
def test_one_cycle_refuses_a_step_past_the_end() -> None:
    optimizer = sgd()
    schedule = s.OneCycleLR(optimizer, 1.0, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="Tried to step 4 times. The specified number of total steps is 3"):
        schedule.step()


def test_one_cycle_needs_a_momentum_to_cycle() -> None:
    optimizer = hs.optim.Adagrad(parameters())
    with pytest.raises(ValueError, match="cycle_momentum: this optimizer has neither"):
        s.OneCycleLR(optimizer, 1.0, total_steps=3)
    s.OneCycleLR(optimizer, 1.0, total_steps=3, cycle_momentum=False)


def test_restarts_may_be_told_a_fraction_of_an_epoch() -> None:
    expected = [0.5, 0.5 * (1 + np.cos(np.pi * 0.75)) / 2, 0.5 * (1 + np.cos(np.pi * 1.5 / 4)) / 2]
    schedule = s.CosineAnnealingWarmRestarts(sgd(), 2, 2)
    got = []
    for epoch in (0, 1.5, 3.5):
        schedule.step(epoch)
        got += schedule.get_last_lr()
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    with pytest.raises(ValueError, match="epoch: -1 is not allowed"):
        schedule.step(-1)


@STEPPED_ALONE
def test_a_rate_that_somebody_changes_stays_changed() -> None:
    optimizer = sgd()
    schedule = s.ExponentialLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 4


def test_a_schedule_resumes_from_an_epoch() -> None:
    optimizer = sgd()
    with pytest.raises(KeyError, match="initial_lr: missing in group 0"):
        s.StepLR(optimizer, 2, last_epoch=3)
    optimizer.param_groups[0]["initial_lr"] = 0.5
    optimizer.param_groups[0]["lr"] = 0.25
    schedule = s.CosineAnnealingLR(optimizer, 8, last_epoch=3)
    assert (schedule.last_epoch, schedule.get_last_lr()) == (4, [0.25])


def test_a_plateau_takes_tensors_and_new_groups() -> None:
    optimizer = sgd()
    schedule = s.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    optimizer.add_param_group({"params": parameters()[:1], "lr": 2.0})
    for loss in (hs.tensor(1.0), hs.tensor(1.0), float("nan")):
        schedule.step(loss)
    assert schedule.get_last_lr() == [0.125, 0.5]
    fixed = s.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": parameters()[:1]})
    fixed.step(1.0)
    with pytest.raises(RuntimeError, match="min_lr: 2 values for 3 groups"):
        fixed.step(1.0)


@STEPPED_ALONE
def test_callable_objects_keep_their_attributes() -> None:
    class Rate:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, step: int) -> float:
            self.calls += 1
            return 1.0

    first, second = s.LambdaLR(sgd(), Rate()), s.LambdaLR(sgd(), Rate())
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.lr_lambdas[0].calls == 2  # type: ignore[attr-defined]


def test_pytorchs_counts_of_milestones_are_read() -> None:
    schedule = s.MultiStepLR(sgd(), [1])
    schedule.load_state_dict({"milestones": {2: 1, 5: 2}})
    assert schedule.milestones == [2, 5, 5]


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda o: s.StepLR(None, 2), TypeError, "optimizer: None is not allowed"),
    (lambda o: s.LambdaLR(o, 3), TypeError, "lr_lambda: int is not allowed"),
    (lambda o: s.LambdaLR(o, [abs, abs]), ValueError, "lr_lambda: 2 values for 1 groups"),
    (lambda o: s.ConstantLR(o, factor=2), ValueError, "factor: 2 is not allowed; allowed: numbers from 0 to 1"),
    (lambda o: s.LinearLR(o, start_factor=0), ValueError, "start_factor: 0 is not allowed"),
    (lambda o: s.LinearLR(o, end_factor=1.5), ValueError, "end_factor: 1.5 is not allowed"),
    (lambda o: s.OneCycleLR(o, 1.0), ValueError, "total_steps: missing"),
    (lambda o: s.OneCycleLR(o, 1.0, total_steps=0), ValueError, "total_steps: 0 is not allowed"),
    (lambda o: s.OneCycleLR(o, 1.0, epochs=2), ValueError, "total_steps: missing"),
    (lambda o: s.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=1.5), TypeError, "steps_per_epoch: 1.5"),
    (lambda o: s.OneCycleLR(o, 1.0, total_steps=9, pct_start=2.0), ValueError, "pct_start: 2.0"),
    (lambda o: s.OneCycleLR(o, 1.0, total_steps=9, anneal_strategy="cosine"), ValueError, "did you mean 'cos'"),
    (lambda o: s.OneCycleLR(o, [1.0, 2.0], total_steps=9), ValueError, "max_lr: 2 values for 1 groups"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0: 0 is not allowed"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 2, 1.5), TypeError, "T_mult: 1.5 is not allowed"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 2, eta_min="0"), TypeError, "eta_min: "),
    (lambda o: s.SequentialLR(o, [], []), ValueError, "milestones: 0 schedules and 0 milestones"),
    (lambda o: s.SequentialLR(o, [s.StepLR(o, 2)], [2]), ValueError, "1 schedules and 1 milestones"),
    (lambda o: s.SequentialLR(o, [3], []), TypeError, "schedulers: int at 0 is not allowed"),
    (lambda o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []), ValueError, "ReduceLROnPlateau at 0 needs a metric"),
    (lambda o: s.SequentialLR(o, [s.StepLR(sgd(), 2)], []), ValueError, "the one at 0 has another optimizer"),
    (lambda o: s.ChainedScheduler([]), ValueError, "schedulers: an empty list"),
    (lambda o: s.ReduceLROnPlateau(o, "mim"), ValueError, "did you mean 'min'"),
    (lambda o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor: 1.0 is not allowed"),
    (lambda o: s.ReduceLROnPlateau(o, threshold_mode="relative"), ValueError, "threshold_mode"),
    (lambda o: s.ReduceLROnPlateau(o, min_lr=[1, 2]), ValueError, "min_lr: 2 values for 1 groups"),
]


@pytest.mark.parametrize(("make", "error", "text"), BAD)
def test_bad_arguments_get_one_line(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make(sgd())
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metrics_are_as_many_as_steps() -> None:
    assert len(METRICS) == STEPS


def test_periods_are_positive() -> None:
    with pytest.raises(ValueError, match="step_size: 0 is not allowed; allowed: numbers from 1"):
        s.StepLR(sgd(), 0)
    with pytest.raises(TypeError, match="step_size: 'a' is not allowed; allowed: integers"):
        s.StepLR(sgd(), "a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="T_max: 0 is not allowed; allowed: numbers from above 0"):
        s.CosineAnnealingLR(sgd(), 0)


EARLY = r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`: the first value of the"


def test_a_schedule_that_goes_first_warns_once() -> None:
    """As PyTorch: it asks at the first step whether the optimizer has made one."""
    optimizer = sgd()
    schedule = s.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match=EARLY) as caught:
        schedule.step()
    assert caught[0].filename == __file__, "it points at the caller's line"
    schedule.step()
    other = sgd()
    later = s.StepLR(other, 2)
    other.step()
    later.step()


def test_a_schedule_of_schedules_warns_at_the_callers_line() -> None:
    optimizer = sgd()
    parts = [s.LinearLR(optimizer, 0.5, total_iters=2), s.ExponentialLR(optimizer, 0.5)]
    schedule = s.SequentialLR(optimizer, parts, [2])
    with pytest.warns(UserWarning, match=EARLY) as caught:
        schedule.step()
    assert [w.filename for w in caught] == [__file__]


def test_a_step_of_the_users_own_counts() -> None:
    class Plain(hs.optim.Optimizer):
        def step(self, closure: Any = None) -> None:
            """Move nothing."""

    optimizer = Plain([hs.tensor([1.0], requires_grad=True)], {"lr": 1.0})
    schedule = s.StepLR(optimizer, 2)
    optimizer.step()
    schedule.step()
    assert Plain.step.__doc__ == "Move nothing."


def test_a_step_that_the_scaler_skipped_does_not_count() -> None:
    """PyTorch's GradScaler does not call the optimizer then, and its schedules warn."""
    w = hs.tensor([1.0], requires_grad=True)
    optimizer, scaler = hs.optim.SGD([w], lr=0.5), hs.amp.GradScaler()
    schedule = s.StepLR(optimizer, 2)
    scaler.scale((w * float("inf")).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    with pytest.warns(UserWarning, match=EARLY):
        schedule.step()


def test_a_resumed_schedule_does_not_warn() -> None:
    optimizer = sgd()
    schedule = s.StepLR(optimizer, 2)
    optimizer.step()
    schedule.step()
    fresh = sgd()
    resumed = s.StepLR(fresh, 2)
    resumed.load_state_dict(schedule.state_dict())
    resumed.step()


def test_cyclic_refuses_what_it_does_not_know() -> None:
    for options, text in (
        ({"mode": "triangle"}, "did you mean 'triangular'"),
        ({"scale_mode": "cycles"}, "scale_mode"),
    ):
        with pytest.raises(ValueError, match=text):
            s.CyclicLR(sgd(), 0.1, 0.5, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cycle_momentum: this optimizer has neither"):
        s.CyclicLR(hs.optim.Adagrad(parameters()), 0.1, 0.5)
    with pytest.raises(ValueError, match="max_lr: 2 values for 1 groups"):
        s.CyclicLR(sgd(), 0.1, [0.5, 0.6])


def test_cyclic_keeps_the_attributes_of_a_callable_scale() -> None:
    class Scale:
        factor = 0.0

        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __call__(self, x: float) -> float:
            return self.factor

    first = s.CyclicLR(sgd(), 0.1, 0.5, scale_fn=Scale(0.5))
    second = s.CyclicLR(sgd(), 0.1, 0.5, scale_fn=Scale(2.0))
    second.load_state_dict(first.state_dict())
    assert second.scale_fn(1.0) == 0.5


@STEPPED_ALONE
def test_a_step_to_an_epoch_is_the_closed_form_and_deprecated() -> None:
    optimizer = sgd(1.0)
    schedule = s.StepLR(optimizer, 2, gamma=0.5)
    with pytest.warns(UserWarning, match="is deprecated"):
        schedule.step(5)
    assert (optimizer.param_groups[0]["lr"], schedule.last_epoch) == (0.25, 5)
    plateau = s.ReduceLROnPlateau(optimizer)
    with pytest.warns(UserWarning, match="is deprecated"):
        plateau.step(1.0, epoch=3)
    assert plateau.last_epoch == 3


@STEPPED_ALONE
@pytest.mark.filterwarnings("ignore:.*epoch.* is deprecated:UserWarning")
@pytest.mark.parametrize(
    "name", ["lambda", "step", "multistep", "exponential", "constant", "linear", "polynomial", "cosine"]
)
def test_a_step_to_an_epoch_leads_where_single_steps_do(name: str) -> None:
    optimizer, schedule = ready(name)
    for epoch in (7, 1, 4, 10):
        schedule.step(epoch)
        held = [group["lr"] for group in optimizer.param_groups]
        np.testing.assert_allclose(held, RECORDED[f"schedule.{name}"][epoch, :2], rtol=1e-13, atol=0)


def test_a_schedule_of_ones_own_as_pytorchs_are_written() -> None:
    class InverseRoot(s._LRScheduler):
        def get_lr(self) -> list[float]:
            if not self._get_lr_called_within_step:
                raise AssertionError("called from elsewhere")
            return [rate * (self.last_epoch + 1) ** -0.5 for rate in self.base_lrs]

        def _get_closed_form_lr(self) -> list[float]:
            return [rate * 100 for rate in self.base_lrs]

    optimizer = sgd(1.0)
    schedule = InverseRoot(optimizer)
    for step in range(1, 4):
        optimizer.step()
        schedule.step()
        assert schedule.get_last_lr() == [(step + 1) ** -0.5]
    assert isinstance(schedule, s.LRScheduler)
    with pytest.warns(UserWarning, match="is deprecated"):
        schedule.step(9)
    assert schedule.get_last_lr() == [100.0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_that_are_tensors_follow(name: str) -> None:
    def made(rate: Any) -> Any:
        groups = [{"params": [p], "lr": rate(lr)} for p, lr in zip(parameters(), (0.1, 0.05), strict=True)]
        optimizer = hs.optim.Adam(groups) if "adam" in name else hs.optim.SGD(groups, momentum=0.9)
        return optimizer, SCHEDULES[name](s, optimizer)

    plain, (optimizer, schedule) = made(float), made(hs.tensor)
    held = [group["lr"] for group in optimizer.param_groups]
    for step in range(STEPS):
        for schedules in (plain[1], schedule):
            schedules.optimizer.step()
            schedules.step(*([METRICS[step]] if "plateau" in name else []))
        rates = [float(x) for x in schedule.get_last_lr()]
        np.testing.assert_allclose(rates, plain[1].get_last_lr(), rtol=1e-5, atol=1e-8)
    assert all(group["lr"] is kept for group, kept in zip(optimizer.param_groups, held, strict=True))
