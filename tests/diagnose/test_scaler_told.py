"""What is told of loss scaling: skipped steps that are a search are none, a scaler that is stuck or misused is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from halfsim.autograd.overrides import overriding
from tests.diagnose.inputs import said

REFERENCES = pytest.mark.parametrize("reference", [None, "fp64"])
Loss = Callable[[hs.Tensor, hs.Tensor], hs.Tensor]


def trained(
    loss: Loss,
    steps: int = 30,
    scaler: hs.amp.GradScaler | None = None,
    make: Callable[[Any], hs.optim.Optimizer] = lambda p: hs.optim.SGD(p, lr=1e-6),
    between: Callable[[Any, Any, Any], None] = lambda scaler, optimizer, model: None,
    scale: float = 1.0,
    reference: str | None = None,
) -> tuple[hs.nn.Module, hs.amp.GradScaler, hs.Trace]:
    """A small regression under autocast; ``between`` is called between backward and step."""
    hs.manual_seed(0)
    rng = np.random.default_rng(0)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.ReLU(), hs.nn.Linear(16, 4))
    x, y = scale * rng.standard_normal((16, 8)), rng.standard_normal((16, 4))
    optimizer, scaler = make(model.parameters()), scaler or hs.amp.GradScaler()
    with hs.trace(reference=reference) as t:
        for _ in range(steps):
            optimizer.zero_grad()
            with hs.amp.autocast():
                value = loss(model(hs.tensor(x)), hs.tensor(y))
            scaler.scale(value).backward()
            between(scaler, optimizer, model)
            scaler.step(optimizer)
            scaler.update()
    return model, scaler, t


def mse(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    return hs.nn.functional.mse_loss(y, target)


def summed(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    return y.sum()


def far(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    return hs.nn.functional.mse_loss(y, target + 3000.0)


def steep(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    return ((y - y.detach()) * 1e5).sum()


def root_of_nothing(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    return ops.sqrt(y * 0.0).sum() + mse(y, target)


def zero_over_zero(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
    z = y * 0.0
    return (z / z).sum() + mse(y, target)


@REFERENCES
@pytest.mark.parametrize("loss", [mse, summed, far])
@pytest.mark.parametrize("first", [2.0**16, 2.0**24])
def test_a_search_for_the_scale_is_no_trouble(loss: Loss, first: float, reference: str | None) -> None:
    _, _, t = trained(loss, scaler=hs.amp.GradScaler(init_scale=first), reference=reference)
    assert any(skipped for _, _, skipped in t.scales) or first == 2.0**16
    assert not t.scales[-1][2]
    assert said(t.verdict()) == "benign", f"{t.verdict()}"
    assert t.report().findings == ()


@REFERENCES
@pytest.mark.parametrize(
    "scaler",
    [lambda: hs.amp.GradScaler(min_scale=1.0), lambda: hs.amp.GradScaler(init_scale=4096.0, min_scale=64.0),
     lambda: hs.amp.GradScaler(init_scale=1024.0, dynamic=False)],
)  # fmt: skip
def test_a_scaler_at_its_floor_is_a_finding_of_its_own(scaler: Any, reference: str | None) -> None:
    _, _, t = trained(steep, 60, scaler(), reference=reference)
    assert all(skipped for _, _, skipped in t.scales)
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == ("scaler", "backward", "mul"), f"{found}"
    assert found.values["skipped"] == 60
    assert "all 60 steps were skipped" in found.message
    assert "a smaller scale would mend it" in found.message
    assert found.where.startswith("test_scaler_told.py:")


@REFERENCES
@pytest.mark.parametrize(
    ("loss", "op", "what"), [(root_of_nothing, "sqrt", "infinite"), (zero_over_zero, "div", "NaN")]
)
def test_what_no_scale_mends_is_said_to_be_so(loss: Loss, op: str, what: str, reference: str | None) -> None:
    _, scaler, t = trained(loss, 30, reference=reference)
    assert all(skipped for _, _, skipped in t.scales)
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.op) == ("scaler", op), f"{found}"
    assert "all 30 steps were skipped" in found.message
    assert f"became {what} first in {op}" in found.message
    assert "no scale mends it" in found.message
    assert found.fix.startswith("no scale mends it")
    assert "scale down" not in found.fix
    assert f"{scaler.get_scale():.3g}" in found.message or f"{2 * scaler.get_scale():.3g}" in found.message


@pytest.mark.parametrize(
    "scaler",
    [lambda: hs.amp.GradScaler(min_scale=1.0), lambda: hs.amp.GradScaler(init_scale=4096.0, min_scale=64.0),
     lambda: hs.amp.GradScaler(init_scale=1024.0, dynamic=False)],
)  # fmt: skip
def test_the_advice_for_a_scaler_at_its_floor_mends_it(scaler: Any) -> None:
    make = lambda p: hs.optim.SGD(p, lr=1e-12)  # noqa: E731
    found = trained(steep, 30, scaler(), make)[2].verdict()
    assert found is not None
    assert found.fixes[0].option is not None
    with overriding(found.fixes[0].option):
        _, _, t = trained(steep, 30, scaler(), make)
    assert not t.scales[-1][2]
    assert said(t.verdict()) == "benign", f"{t.verdict()}"


@REFERENCES
def test_steps_that_went_well_before_it_got_stuck_are_told_apart(reference: str | None) -> None:
    calls = []

    def sometimes(y: hs.Tensor, target: hs.Tensor) -> hs.Tensor:
        calls.append(1)
        return mse(y, target) if len(calls) <= 10 else root_of_nothing(y, target)

    found = trained(sometimes, 60, reference=reference)[2].verdict()
    assert found is not None
    assert found.klass == "scaler"
    assert "the last 50 steps were skipped" in found.message
    assert found.values["taken"] == 10


def test_the_same_sentence_with_and_without_a_reference() -> None:
    for loss, scaler in ((steep, hs.amp.GradScaler(min_scale=1.0)), (root_of_nothing, None)):
        plain, watched = (
            trained(loss, 30, scaler and hs.amp.GradScaler(min_scale=1.0), reference=r)[2] for r in (None, "fp64")
        )
        assert said(plain.verdict()) == said(watched.verdict())


# Misuse.


def clip_norm(scaler: Any, optimizer: Any, model: Any) -> None:
    hs.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def clip_value(scaler: Any, optimizer: Any, model: Any) -> None:
    hs.nn.utils.clip_grad_value_(model.parameters(), 1.0)


def unscale_then_clip(scaler: Any, optimizer: Any, model: Any) -> None:
    scaler.unscale_(optimizer)
    hs.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


@REFERENCES
@pytest.mark.parametrize(("between", "op"), [(clip_norm, "clip_grad_norm_"), (clip_value, "clip_grad_value_")])
def test_clipping_before_unscaling(between: Any, op: str, reference: str | None) -> None:
    found = trained(mse, 5, between=between, reference=reference)[2].verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == ("scaler", "optimizer", op), f"{found}"
    assert "65536" in found.message
    assert "unscale_" in found.fix
    assert found.where.startswith("test_scaler_told.py:")


@REFERENCES
def test_clipping_after_unscaling_is_right(reference: str | None) -> None:
    assert said(trained(mse, 5, between=unscale_then_clip, reference=reference)[2].verdict()) == "benign"


@REFERENCES
@pytest.mark.parametrize("early", [True, False])
def test_accumulating_after_unscaling(early: bool, reference: str | None) -> None:
    w = hs.tensor(np.ones(4), requires_grad=True)
    w.name = "w"
    optimizer, scaler = hs.optim.SGD([w], lr=1e-4), hs.amp.GradScaler()
    with hs.trace(reference=reference) as t:
        for i in range(2):
            scaler.scale((w * 0.5).sum()).backward()
            if early and i == 0:
                scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    found = t.verdict()
    if not early:
        assert said(found) == "benign"
        return
    assert found is not None
    assert (found.klass, found.op) == ("scaler", "accumulate"), f"{found}"
    assert "65536" in found.message
    assert "w" in found.message
    assert "after the last backward()" in found.fix


@REFERENCES
def test_a_step_without_unscaling(reference: str | None) -> None:
    w = hs.tensor(np.ones(4), requires_grad=True)
    optimizer, scaler = hs.optim.Adam([w], lr=1e-4), hs.amp.GradScaler()
    with hs.trace(reference=reference) as t:
        scaler.scale((w * 0.5).sum()).backward()
        optimizer.step()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == ("scaler", "optimizer", "step"), f"{found}"
    assert "scaler.step(optimizer)" in found.fix
