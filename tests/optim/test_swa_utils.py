"""Averaged models, their BatchNorm statistics and SWALR against PyTorch, and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.optim import swa_utils as swa

AVERAGES: list[tuple[str, tuple[float, ...]]] = [
    ("", ()),
    ("get_ema_avg_fn", (0.9,)),
    ("get_ema_multi_avg_fn", (0.9,)),
    ("get_swa_avg_fn", ()),
    ("get_swa_multi_avg_fn", ()),
]


def model(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def averaged(module: Any, net: Any, name: str, arguments: tuple[float, ...], **options: Any) -> Any:
    given = {"multi_avg_fn" if "multi" in name else "avg_fn": getattr(module, name)(*arguments)} if name else {}
    return module.AveragedModel(net, **given, **options)


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("fmt", ["float64", "float16"])
@pytest.mark.parametrize(("name", "arguments"), AVERAGES)
def test_averages_are_pytorchs(name: str, arguments: tuple[float, ...], fmt: str, buffers: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if buffers and name == "get_swa_multi_avg_fn":
        pytest.skip("PyTorch divides integers there, which it refuses")
    theirs, ours, rng = model(torch.nn).to(getattr(torch, fmt)), model(hs.nn).to(fmt), np.random.default_rng(0)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    expected = averaged(torch.optim.swa_utils, theirs, name, arguments, use_buffers=buffers)
    got = averaged(swa, ours, name, arguments, use_buffers=buffers)
    for _ in range(4):
        state = {k: rng.standard_normal(v.shape).astype(fmt) for k, v in theirs.state_dict().items() if v.ndim}
        theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
        ours.load_state_dict(state, strict=False)
        expected.update_parameters(theirs)
        got.update_parameters(ours)
    saved, want = got.state_dict(), expected.state_dict()
    assert list(saved) == list(want)
    rtol = 1e-12 if fmt == "float64" else 1e-3 if "multi" in name else 0  # where PyTorch rounds its numbers to half
    for key, value in want.items():
        np.testing.assert_allclose(np.asarray(saved[key]), value.numpy(), rtol=rtol, atol=0)


def test_the_mean_and_the_exponential_average_by_hand() -> None:
    net = hs.nn.Linear(1, 1, bias=False)
    mean, fading = swa.AveragedModel(net), swa.AveragedModel(net, multi_avg_fn=swa.get_ema_multi_avg_fn(0.75))
    for value in (1.0, 3.0, 8.0):
        net.weight.array = net.weight.array * 0 + value
        mean.update_parameters(net)
        fading.update_parameters(net)
    assert mean.module.weight.item() == 4
    assert fading.module.weight.item() == 0.75 * (0.75 * 1 + 0.25 * 3) + 0.25 * 8
    assert (int(mean.n_averaged), net.weight.item()) == (3, 8.0)
    assert mean(hs.tensor([[2.0]])).item() == 8.0


def test_buffers_are_averaged_or_copied() -> None:
    net = hs.nn.BatchNorm1d(1)
    copied, taken = swa.AveragedModel(net), swa.AveragedModel(net, use_buffers=True)
    for value in (1.0, 3.0):
        net.running_mean.array = net.running_mean.array * 0 + value
        net.num_batches_tracked = np.array(int(value) * 3 + (value > 1), np.int64)
        copied.update_parameters(net)
        taken.update_parameters(net)
    assert copied.module.running_mean.item() == 3
    assert int(copied.module.num_batches_tracked) == 10
    assert taken.module.running_mean.item() == 2
    assert int(taken.module.num_batches_tracked) == 6, "of 3 and 10, cut off"
    assert copied.module.running_mean is not net.running_mean


def test_a_mean_in_half_that_stands_still_is_told() -> None:
    net = hs.nn.Linear(1, 1, bias=False).half()
    net.weight.array = net.weight.array * 0 + 1
    averaged = swa.AveragedModel(net, avg_fn=swa.get_ema_avg_fn(0.999))
    averaged.update_parameters(net)
    net.weight.array = net.weight.array * 0 + 1.0625
    with hs.trace() as t:
        averaged.update_parameters(net)
    assert averaged.module.weight.item() == 1
    assert t.first("swamping") is not None


def test_statistics_of_batch_norm_are_computed_anew() -> None:
    rng = np.random.default_rng(1)
    batches = [rng.standard_normal((5, 3)) for _ in range(4)]
    net = hs.nn.Sequential(hs.nn.BatchNorm1d(3)).double()
    net(hs.tensor(batches[0], "fp64"))
    net.eval()
    swa.update_bn([(hs.tensor(x, "fp64"), 0) for x in batches], net)
    np.testing.assert_allclose(net[0].running_mean.numpy(), np.mean([x.mean(0) for x in batches], 0), rtol=1e-12)
    np.testing.assert_allclose(net[0].running_var.numpy(), np.mean([x.var(0, ddof=1) for x in batches], 0), rtol=1e-12)
    assert (int(net[0].num_batches_tracked), net[0].momentum, net.training) == (4, 0.1, False)
    swa.update_bn(iter([]), hs.nn.Linear(1, 1))  # nothing to do


@pytest.mark.parametrize("strategy", ["linear", "cos"])
def test_swalr_goes_along_its_curve(strategy: str) -> None:
    optimizer = hs.optim.SGD([hs.tensor([0.0], requires_grad=True)], lr=0.5)
    schedule = swa.SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy=strategy)
    for share in (0.25, 0.5, 0.75, 1, 1, 1):
        optimizer.step()
        schedule.step()
        gone = share if strategy == "linear" else (1 - math.cos(math.pi * share)) / 2
        assert schedule.get_last_lr() == pytest.approx([0.1 * gone + 0.5 * (1 - gone)], rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 5, "anneal_strategy": "linear"}, {"anneal_epochs": 0}])
def test_swalr_is_pytorchs(options: dict[str, Any]) -> None:
    def rates(optim: Any, module: Any, tensor: Any) -> list[list[float]]:
        optimizer = optim.SGD([{"params": [tensor()]}, {"params": [tensor()], "lr": 0.5}], lr=0.1)
        schedule, found = module.SWALR(optimizer, [0.05, 0.07], **options), []
        for _ in range(14):
            found.append(list(schedule.get_last_lr()))
            optimizer.step()
            schedule.step()
        return found

    got = rates(hs.optim, swa, lambda: hs.tensor([0.0], requires_grad=True))
    first = 0 if options.get("anneal_epochs") == 0 else 1
    np.testing.assert_allclose(got[0], [[0.05, 0.07], [0.1, 0.5]][first], rtol=1e-15)
    np.testing.assert_allclose(got[-1], [0.05, 0.07], rtol=1e-15)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert got == rates(torch.optim, torch.optim.swa_utils, lambda: torch.zeros(1, requires_grad=True))


BAD: list[tuple[Any, str]] = [
    (lambda: swa.get_ema_avg_fn(1.5), "decay: 1.5 is not allowed; allowed: numbers from 0"),
    (lambda: swa.get_ema_multi_avg_fn(-0.5), "decay: -0.5 is not allowed"),
    (
        lambda: swa.AveragedModel(
            hs.nn.Linear(1, 1), avg_fn=swa.get_swa_avg_fn(), multi_avg_fn=swa.get_swa_multi_avg_fn()
        ),
        "avg_fn, multi_avg_fn: both are not allowed",
    ),
    (lambda: swa.SWALR(hs.optim.SGD([hs.tensor([1.0])]), 0.1, anneal_strategy="cosine"), "did you mean 'cos'"),
    (lambda: swa.SWALR(hs.optim.SGD([hs.tensor([1.0])]), 0.1, anneal_epochs=-1), "anneal_epochs: -1 is not allowed"),
]


@pytest.mark.parametrize(("make", "text"), BAD)
def test_bad_arguments_get_one_line(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        make()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_of_ones_own_changes_averages_in_place() -> None:
    def half_way(averages: Any, currents: Any, n: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            average.copy_((average + current) * 0.5)

    net = hs.nn.Linear(1, 1, bias=False)
    averaged = swa.AveragedModel(net, multi_avg_fn=half_way)
    for value in (1.0, 3.0, 8.0):
        net.weight.array = net.weight.array * 0 + value
        averaged.update_parameters(net)
    assert averaged.module.weight.item() == 5.0
    assert averaged.module.weight.is_leaf
