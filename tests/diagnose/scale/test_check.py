"""The ends of an interval of loss scales, run: what a gradient that became zero takes with it is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.trace.trace import tracing

X = np.random.default_rng(0).standard_normal((16, 8))


class Chained(hs.nn.Module):
    """All gradients of ``b`` are made of one of ``a``'s, which is the square of ``small``."""

    def __init__(self, small: float = 2.0**-15, size: int = 1003) -> None:
        super().__init__()
        self.a, self.b = hs.nn.Module(), hs.nn.Module()
        self.a.weight, self.b.weight = (
            hs.nn.Parameter(np.full(size - 1, 2.0**-6)),
            hs.nn.Parameter(np.full(2000, 2.0**-20)),
        )
        factors = np.ones(size)
        factors[0] = small
        self.a.forward = lambda h: (hs.ops.cat([h, self.a.weight]) * factors * factors).sum()
        self.b.forward = lambda: self.b.weight.sum().reshape(1) * 2.0**12

    def forward(self) -> Any:
        return self.a(self.b())


def zero_in_b(model: Chained, scale: float, rule: str = "fp16") -> int:
    with hs.precision(rule):
        model().backward(np.array(scale))
    assert model.b.weight.grad is not None
    count = int(np.count_nonzero(model.b.weight.grad.array == 0))
    model.zero_grad()
    return count


def test_what_a_lost_gradient_takes_with_it_is_counted() -> None:
    """One of some 4,000 gradients of a may be lost; all 2,000 of b are made of it."""
    model = Chained()
    found = hs.loss_scale_range(lambda: model().backward())
    rows = {row.path: row for row in found.layers}
    assert rows["a"].low < 1
    assert rows["b"].low == found.low == 2.0**6
    assert rows["b"].zero_share == 1.0
    for scale in (2.0**-4, 1.0, 32.0):
        assert zero_in_b(model, scale) == 2000
    for scale in (found.low, found.recommended, found.high):
        assert scale is not None
        assert zero_in_b(model, scale) == 0
    assert all(p.grad is None and not p.hooks for p in model.parameters())


def test_where_no_scale_brings_them_back_none_is_recommended() -> None:
    model = Chained(2.0**-21)
    found = hs.loss_scale_range(lambda: model().backward())
    assert found.empty
    assert found.recommended is None
    assert found.conflict is not None
    assert found.conflict[0].path == "b"
    assert zero_in_b(model, found.high) == 2000


def test_the_scale_of_gradients_added_over_passes_is_that_of_each() -> None:
    w = hs.tensor(np.ones(3), "fp16", requires_grad=True)

    def step() -> None:
        for _ in range(2):
            (w * np.array([2.0**-13, 2.0**-10, 1.0]) * np.array([2.0**-13, 2.0**-10, 1.0])).sum().backward()

    found = hs.loss_scale_range(step, lost=0)
    assert (found.low, found.high) == (4.0, 2.0**14), "their sum is 2"
    assert w.grad is None


def test_a_scaler_of_the_steps_own_is_scaled_with_it() -> None:
    model = Chained()
    scaler, optimizer = hs.amp.GradScaler(init_scale=2.0**8), hs.optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        scaler.scale(model()).backward()
        scaler.step(optimizer)
        scaler.update()

    found = hs.loss_scale_range(step, model=model, optimizer=optimizer, scaler=scaler)
    assert {row.path: row.low for row in found.layers}["b"] == 2.0**6
    assert scaler.get_scale() == 2.0**8


def test_a_model_that_the_step_makes_in_half_is_seen_without_bounds() -> None:
    """Its weights are made in the wide format, so that their gradients are not lost before they are counted."""

    def run(half: bool) -> Callable[[], None]:
        def step() -> None:
            hs.manual_seed(0)
            layer = hs.nn.Linear(8, 3, bias=False)
            layer = layer.half() if half else layer
            (layer(hs.tensor(X * 2.0**-6)) * 2.0**-14 * 2.0**-8).sum().backward()

        return step

    half, single = hs.loss_scale_range(run(True)), hs.loss_scale_range(run(False))
    assert (half.low, half.high) == (single.low, single.high)
    assert half.low > 1


def test_a_step_that_is_another_at_every_call_is_told() -> None:
    counts = iter(range(1, 100))

    def step() -> None:
        w = hs.tensor(np.ones(next(counts)), requires_grad=True)
        (w * 2.0**-20).sum().backward()

    found = hs.loss_scale_range(step)
    assert found.notes == (
        "The step does not do the same at every scale, so that the ends could not be tried: see seed=",
    )


def test_zeros_of_the_forward_pass_are_no_matter_of_the_scale() -> None:
    """Activations that are zero in half make zero gradients at any scale."""
    w = hs.tensor(np.ones(4), requires_grad=True)
    small, large = np.array([2.0**-13, 1.0, 1.0, 1.0]), np.array([2.0**15, 1.0, 1.0, 1.0])
    found = hs.loss_scale_range(lambda: (w * small * small * large).square().sum().backward(), lost=0)
    assert not found.empty
    assert "of the nonzero gradients are zero at any scale" in found.notes[0]


@pytest.mark.parametrize("rule", ["fp16", "amp", "bf16", "pure_fp16"])
@pytest.mark.parametrize("seed", range(8))
def test_random_models_keep_what_is_claimed_at_both_ends(seed: int, rule: str) -> None:
    draw = np.random.default_rng(seed)
    hs.manual_seed(seed + 10)
    width = int(draw.integers(4, 24))
    norm: Any = hs.nn.BatchNorm1d(width) if seed % 3 == 0 else hs.nn.LayerNorm(width) if seed % 3 == 1 else hs.nn.Tanh()
    model = hs.nn.Sequential(hs.nn.Linear(8, width), norm, hs.nn.ReLU(), hs.nn.Linear(width, 3))
    for p in model.parameters():
        p.array = p.array * np.float32(2.0 ** draw.integers(-9, 2))
    if seed % 2:
        model = model.to("bf16" if rule == "bf16" else "fp16")
    labels = draw.integers(0, 3, 16)

    def backward(scale: float) -> None:
        loss = hs.nn.cross_entropy(model(hs.tensor(X)), labels)
        loss.backward(np.full(loss.shape, scale))
        model.zero_grad()

    lost = float(draw.choice([0.0, 0.001, 0.01, 0.1]))
    found = hs.loss_scale_range(lambda: backward(1.0), rule, lost=lost, model=model)
    told = any("at any scale" in note for note in found.notes)
    if found.empty:
        assert found.conflict is not None
        return
    shares, broken = counted(lambda: backward(found.low), rule)
    assert told or max(shares.values()) <= lost
    assert not broken
    assert not counted(lambda: backward(found.high), rule)[1]


def counted(run: Callable[[], None], rule: str) -> tuple[dict[str, float], bool]:
    """The share of a layer's gradients that their rounding made zero, and whether any is infinite or NaN."""
    broken: list[bool] = []

    class Watch(hs.Trace):
        def record(self, event: Any, arrays: Any = None) -> None:
            super().record(event, arrays)
            if event.phase == "backward":
                broken.append(not np.isfinite(arrays["result"]).all())

    with hs.precision(rule), tracing(Watch()) as t:
        run()
    sums: dict[str, list[int]] = {}
    for (phase, path, _, _), counts in t.totals.items():
        if phase == "backward":
            both = sums.setdefault(path, [0, 0])
            both[0] += counts.flushed
            both[1] += counts.nonzero
    return {path: flushed / max(1, nonzero) for path, (flushed, nonzero) in sums.items()}, any(broken)
