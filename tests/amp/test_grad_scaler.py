from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import halfsim as hs

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "torch.npz")


def ready(scale: float = 8.0, fmt: str = "fp32", **options: float) -> tuple[hs.Tensor, hs.optim.SGD, hs.amp.GradScaler]:
    p = hs.tensor([1.0, 2.0], fmt, requires_grad=True)
    return p, hs.optim.SGD([p], lr=0.5), hs.amp.GradScaler(init_scale=scale, **options)


def test_the_scale_and_the_weights_follow_pytorch() -> None:
    p = hs.tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = hs.optim.SGD([p], lr=0.125)
    scaler = hs.amp.GradScaler(init_scale=128.0, growth_interval=3, growth_factor=4.0, backoff_factor=0.25)
    for step in range(40):
        optimizer.zero_grad()
        factor = np.inf if step in (2, 9, 10, 11, 25) else np.nan if step == 30 else 1.0
        scaler.scale((p * p).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == RECORDED["scales"][step]
        np.testing.assert_array_equal(p.numpy(), RECORDED["scaled_weights"][step])


def test_a_0d_half_loss_is_scaled_into_float32_and_others_stay() -> None:
    scaler = hs.amp.GradScaler()
    assert scaler.scale(hs.tensor(2.0, "fp16")).item() == 2**17
    assert scaler.scale(hs.tensor(2.0, "fp16")).format is hs.float32
    assert scaler.scale(hs.tensor([2.0], "fp16")).item() == np.inf
    assert scaler.scale(hs.tensor(2.0, "fp64")).format is hs.float64
    nested = scaler.scale([hs.tensor(1.0), (hs.tensor(2.0),)])
    assert isinstance(nested[1], tuple)
    assert nested[1][0].item() == 2**17
    with pytest.raises(ValueError, match="outputs: float"):
        scaler.scale(1.0)


def test_unscale_divides_once_and_finds_infinities() -> None:
    p, optimizer, scaler = ready()
    scaler.scale(p.sum()).backward()
    assert p.grad is not None
    assert p.grad.numpy().tolist() == [8, 8]
    scaler.unscale_(optimizer)
    assert p.grad.numpy().tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert p.numpy().tolist() == [0.5, 1.5]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    assert scaler.get_scale() == 8


def test_one_bad_gradient_skips_its_optimizer_only_and_halves_the_scale() -> None:
    p, first, scaler = ready()
    q = hs.tensor([1.0], requires_grad=True)
    second = hs.optim.SGD([q], lr=0.5)
    scaler.scale(p.sum() + q.sum()).backward()
    p.grad = hs.tensor([np.inf, 0.0], "fp32")
    with hs.trace() as t:
        assert scaler.step(first) is None
        scaler.step(second)
    scaler.update()
    assert t.step == 3
    assert (p.numpy().tolist(), q.item(), scaler.get_scale()) == ([1, 2], 0.5, 4)


def test_misuse_raises_what_torch_raises() -> None:
    p, optimizer, scaler = ready()
    with pytest.raises(AssertionError):
        scaler.step(optimizer)
    scaler.scale(p.sum())
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(optimizer)
    with pytest.raises(AssertionError):
        hs.amp.GradScaler(growth_factor=1.0)
    with pytest.raises(AssertionError):
        hs.amp.GradScaler(backoff_factor=1.0)
    half, optimizer, scaler = ready(fmt="fp16")
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(optimizer)


def test_the_scale_has_no_floor_and_grows_only_while_finite() -> None:
    p, optimizer, scaler = ready(2.0)
    for _ in range(200):
        p.grad = None
        scaler.scale(p.sum() * np.inf).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 0
    p, optimizer, scaler = ready(2.0**127, growth_interval=1)
    scaler.scale(p.sum() * 0.0).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**127
    scaler.update(4.0)
    assert scaler.get_scale() == 4


def test_disabled_it_does_nothing() -> None:
    p, optimizer, _ = ready()
    scaler = hs.amp.GradScaler(enabled=False)
    loss = p.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1.0, {}, False)
    assert p.numpy().tolist() == [0.5, 1.5]
    scaler.load_state_dict({})


def test_state_comes_back() -> None:
    p, optimizer, scaler = ready(growth_interval=5)
    scaler.scale(p.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    other = hs.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert other.state_dict()["_growth_tracker"] == 1
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})


def test_what_was_not_checked_moves_no_scale() -> None:
    p, _, scaler = ready(growth_interval=1)
    idle = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)])
    scaler.scale(p.sum())
    scaler.unscale_(idle)
    with pytest.raises(AssertionError, match="prior to update"):
        scaler.update()
    assert scaler.get_scale() == 8
    half = hs.tensor([1.0], "fp16", requires_grad=True)
    refused = hs.optim.SGD([half])
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(refused)
    with pytest.raises(AssertionError):
        scaler.update()
    assert scaler.get_scale() == 8


def test_gradients_dropped_after_unscaling_are_no_error() -> None:
    p, optimizer, scaler = ready()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    p.grad = None
    scaler.step(optimizer)
    scaler.update()
    assert p.numpy().tolist() == [1, 2]


def test_factors_are_kept_in_double() -> None:
    """Recorded from torch 2.13: 3.3 * 1.1**6 * 0.7**5 by way of float32 scales and double factors."""
    p, optimizer, scaler = ready(3.3, growth_factor=1.1, backoff_factor=0.7, growth_interval=1)
    expected = np.float32(3.3)
    for bad in (False, True, False, False, True, True, False, True):
        p.grad = None
        scaler.scale(p.sum() * (np.inf if bad else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        expected = np.float32(np.float64(expected) * (0.7 if bad else 1.1))
        assert scaler.get_scale() == expected


def test_an_empty_list_starts_nothing_and_a_new_scale_is_a_float() -> None:
    p, optimizer, scaler = ready()
    assert scaler.scale([]) == []
    with pytest.raises(AssertionError):
        scaler.unscale_(optimizer)
    scaler.scale(p.sum())
    scaler.update(hs.tensor([5.0]))
    assert scaler.get_scale() == 5
    for wrong in ("3", 3):
        with pytest.raises(TypeError, match="new_scale"):
            scaler.update(wrong)  # type: ignore[arg-type]
    assert hs.amp.GradScaler(init_scale=1e39).scale(hs.tensor(1.0)).item() == np.inf
