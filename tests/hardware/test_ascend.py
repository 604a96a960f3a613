"""Ascend 910A: what its only mode does to a loss scaler, and what a trace says of it."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware import device


def steps(name: str, count: int = 4) -> tuple[hs.amp.GradScaler, hs.nn.Linear, list[list[float]], hs.Trace]:
    """Training steps whose gradients, 60 and 80, do not fit into float16 once they are scaled."""
    hs.manual_seed(0)
    layer = hs.nn.Linear(2, 1, bias=False)
    optimizer = hs.optim.SGD(layer.parameters(), lr=0.125)
    scaler = hs.amp.GradScaler(init_scale=2.0**15, growth_interval=1)
    x, gradients = hs.tensor([[60.0, 80.0]], "fp16"), []
    with hs.trace() as trace:
        for _ in range(count):
            optimizer.zero_grad()
            with hs.precision(device(name).precision("fp16")):
                scaler.scale(layer(x).sum()).backward()
            scaler.step(optimizer)
            gradients.append(layer.weight.grad.tolist()[0])
            scaler.update()
    return scaler, layer, gradients, trace


def test_a_loss_scaler_never_fires_and_the_weights_take_clipped_gradients() -> None:
    scaler, layer, gradients, _ = steps("Ascend 910A")
    assert not any(record.found_inf for record in scaler.history)
    assert [record.after for record in scaler.history] == [2.0**16, 2.0**17, 2.0**18, 2.0**19]
    for power, gradient in zip((15, 16, 17, 18), gradients, strict=True):
        assert gradient == [np.float32(65504 * 2.0**-power)] * 2, "the largest number, unscaled: not 60 and 80"
    hs.manual_seed(0)
    moved = layer.weight.numpy() - hs.nn.Linear(2, 1, bias=False).weight.numpy()
    assert np.allclose(moved, -0.125 * np.sum(gradients, axis=0)), "of what they were given"


def test_a_trace_tells_of_the_clipped_gradients() -> None:
    verdict = steps("Ascend 910A", 1)[3].verdict()
    assert (verdict.klass, verdict.phase) == ("clipped", "backward")
    assert "65504" in verdict.message
    assert steps("A100", 1)[3].verdict().klass == "benign rounding", "there the scaler does its work"


def test_elsewhere_the_scaler_skips_and_backs_off_until_they_fit() -> None:
    scaler, _, gradients, _ = steps("A100", 8)
    assert [record.found_inf for record in scaler.history][:5] == [True] * 5
    fitting = [g for record, g in zip(scaler.history, gradients, strict=True) if not record.found_inf]
    assert fitting
    assert all(g == [60.0, 80.0] for g in fitting)


def test_later_models_follow_ieee_by_default() -> None:
    for name in ("Ascend 910B", "Ascend 910C"):
        assert device(name).precision() == hs.Precision("fp16")
        assert device(name).precision("bf16") == hs.Precision("bf16")
        assert "INF_NAN_MODE_ENABLE" in device(name).note


@pytest.mark.parametrize("name", ["Ascend 910A", "Ascend 910B"])
def test_no_sums_are_described(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: no unit takes fp16, for nobody has described the bits of its sums"):
        device(name).matmul([[1.0]], [[1.0]])
    with pytest.raises(ValueError, match=f"{name}: no unit takes fp16 to fp16"):
        device(name).precision("fp16", "fp16")
    assert "INF_NAN_MODE_ENABLE" in str(device(name))
