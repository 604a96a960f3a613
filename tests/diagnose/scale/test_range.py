"""Intervals known from the exponents of hand-made gradients, and held against real runs at their ends."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.diagnose.scale.gradients import Tally

X = np.random.default_rng(0).standard_normal((32, 8))
Y = np.random.default_rng(1).integers(0, 3, 32)


def product(factors: Any, start: Any = None) -> Any:
    """A step whose gradients are ``factors``, times those of a sum, which are 1."""
    w = hs.tensor(np.ones(len(factors)), requires_grad=True)
    return lambda: (w * np.asarray(factors, np.float64)).sum().backward()


def test_the_interval_is_that_of_the_exponents() -> None:
    """2^-30 is kept from 2^6 on, where it is the smallest subnormal; the 1 of the sum overflows at 2^16."""
    found = hs.loss_scale_range(product([2.0**-20, 2.0**-30]), lost=0)
    assert (found.low, found.normal, found.high) == (2.0**6, 2.0**16, 2.0**15)
    assert found.recommended == 2.0**10
    (layer,) = found.layers
    assert (layer.smallest, layer.largest) == (2.0**-30, 1.0)
    assert layer.histogram == {-30: 1, -20: 1, 0: 3}
    assert (layer.zero_share, layer.subnormal_share) == (1 / 5, 1 / 5)


@pytest.mark.parametrize(
    ("value", "low"),
    [(2.0**-25, 2.0), (1.0009765625 * 2.0**-25, 1.0), (2.0**-24, 1.0), (1.9990234375 * 2.0**-26, 1.0 * 2)],
)
def test_half_the_smallest_subnormal_is_rounded_to_zero_and_what_is_past_it_is_not(value: float, low: float) -> None:
    assert hs.loss_scale_range(product([value]), lost=0).low == low


def test_a_share_may_be_lost() -> None:
    step = product([2.0**-40] * 5 + [2.0**-20] * 89)  # with 95 gradients of the sum, 189 in all
    assert hs.loss_scale_range(step, lost=0.0).low == 2.0**16
    assert hs.loss_scale_range(step, lost=5 / 189).low == 2.0**-4
    assert hs.loss_scale_range(step, lost=4.9 / 189).low == 2.0**16


def test_the_largest_gradient_decides_with_its_rounding() -> None:
    """65520 is the tie that goes to infinity; 65504 is the largest half."""
    assert hs.loss_scale_range(product([65504.0])).high == 1.0
    assert hs.loss_scale_range(product([65519.0])).high == 1.0
    assert hs.loss_scale_range(product([65520.0])).high == 0.5
    assert hs.loss_scale_range(product([32752.0])).high == 2.0
    assert hs.loss_scale_range(product([32760.0])).high == 1.0


def test_no_scale_may_suit_all_and_the_layers_that_conflict_are_named() -> None:
    class Two(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = Scale(2.0**-36), Scale(2.0**8)

        def forward(self) -> Any:
            return self.small() + self.large()

    class Scale(hs.nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.weight, self.by = hs.nn.Parameter([1.0]), by

        def forward(self) -> Any:
            return (self.weight * self.by).sum()

    model = Two()
    found = hs.loss_scale_range(lambda: model().backward())
    assert found.empty
    assert found.recommended is None
    assert (found.low, found.high) == (2.0**12, 2.0**7)
    assert found.conflict is not None
    assert [row.path for row in found.conflict] == ["small", "large"]
    assert "no loss scale suits all layers: small needs 2^12" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100


def test_other_formats_and_flushed_subnormals() -> None:
    found = hs.loss_scale_range(product([2.0**-140]), "bf16", lost=0)
    assert (found.low, found.normal) == (2.0**7, 2.0**14)
    found = hs.loss_scale_range(product([2.0**-20]), "storage=fp16, subnormals=flush", lost=0)
    assert found.low == found.normal == 2.0**6


def net() -> hs.nn.Sequential:
    hs.manual_seed(0)
    return hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.Tanh(), hs.nn.Linear(16, 16), hs.nn.ReLU(), hs.nn.Linear(16, 3))


def gradients_overflow(model: hs.nn.Module, scale: float, rule: str) -> bool:
    """Whether a real backward pass at a scale makes an infinity."""
    seen: list[bool] = []

    class Watch(hs.Trace):
        def record(self, event: Any, arrays: Any = None) -> None:
            if event.phase == "backward":
                seen.extend(not np.isfinite(arrays[name]).all() for name in ("gradient", "result") if name in arrays)

    from halfsim.autograd.trace.trace import tracing

    with hs.precision(rule), tracing(Watch()):
        loss = hs.nn.cross_entropy(model(hs.tensor(X)), Y)
        loss.backward(np.full(loss.shape, scale))
    model.zero_grad()
    return any(seen)


@pytest.mark.parametrize("rule", ["fp16", "amp"])
@pytest.mark.parametrize("half", [False, True])
def test_at_high_nothing_overflows_and_at_twice_that_something_does(rule: str, half: bool) -> None:
    model = net().half() if half else net()
    model[4].weight.array = model[4].weight.array * 64  # so that it is a layer that decides, not the loss
    found = hs.loss_scale_range(lambda: hs.nn.cross_entropy(model(hs.tensor(X)), Y).backward(), rule)
    assert not gradients_overflow(model, found.high, rule)
    assert gradients_overflow(model, 2 * found.high, rule)
    assert all(p.grad is None for p in model.parameters())
    assert {p.format.name for p in model.parameters()} == {"float16" if half else "float32"}


def test_at_low_few_gradients_vanish_and_at_half_of_it_more() -> None:
    model = net()
    for index in (2, 4):
        model[index].weight.array = model[index].weight.array * 2.0**-9

    def backward(scale: float) -> Any:
        loss = hs.nn.cross_entropy(model(hs.tensor(X)), Y)
        loss.backward(np.full(loss.shape, scale))
        model.zero_grad()

    found = hs.loss_scale_range(lambda: backward(1.0), "fp16", lost=0.01)
    assert found.low > 1
    shares = []
    for scale in (found.low / 2, found.low):
        with hs.precision("fp16"), hs.trace() as t:
            backward(scale)
        layers: dict[str, list[int]] = {}
        for (phase, path, _, _), counts in t.totals.items():
            if phase == "backward":
                both = layers.setdefault(path, [0, 0])
                both[0] += counts.flushed
                both[1] += counts.nonzero
        shares.append(max(flushed / nonzero for flushed, nonzero in layers.values()))
    assert shares[0] > 0.01 >= shares[1]


def test_a_steps_own_scaler_and_update_count_and_are_undone() -> None:
    model = net()
    optimizer, scaler = hs.optim.SGD(model.parameters(), lr=0.1), hs.amp.GradScaler(init_scale=256.0)

    def step() -> None:
        optimizer.zero_grad()
        scaler.scale(hs.nn.cross_entropy(model(hs.tensor(X)), Y)).backward()
        scaler.step(optimizer)
        scaler.update()

    before = model[0].weight.array
    plain = hs.loss_scale_range(lambda: hs.nn.cross_entropy(model(hs.tensor(X)), Y).backward(), "amp")
    scaled = hs.loss_scale_range(step, "amp", model=model, optimizer=optimizer, scaler=scaler)
    assert (scaled.low, scaled.high) == (plain.low, plain.high)
    assert model[0].weight.array is before
    assert scaler.history == []


def test_a_forward_overflow_is_told() -> None:
    w = hs.tensor([300.0], requires_grad=True)
    found = hs.loss_scale_range(lambda: (w * w).sum().backward())
    assert "The forward pass overflows float16, first in mul" in str(found)


def test_gradients_that_are_not_finite_are_counted_apart() -> None:
    found = Tally()
    for part in ([0.0, 1e-7, 1.0], [np.inf, np.nan, -2.0]):
        found.add(np.float32(part), hs.float16)
    assert found == Tally(zeros=1, nonzero=3, subnormal=1, broken=2)
    assert found.size == 6


@settings(max_examples=30)
@given(st.lists(st.integers(-60, 15), min_size=1, max_size=12), st.sampled_from([0.0, 0.1, 0.5]))
def test_counts_agree_with_counting(exponents: list[int], lost: float) -> None:
    factors = 2.0 ** np.array(exponents)
    found = hs.loss_scale_range(product(factors), lost=lost)
    every = np.concatenate([factors, np.ones(len(factors) + 1)])

    def share(scale: float) -> float:
        return float(np.mean(hs.round_to(every * scale, "fp16") == 0))

    assert share(found.low) <= lost < share(found.low / 2)
    assert np.isfinite(hs.round_to(every * found.high, "fp16")).all()
    assert not np.isfinite(hs.round_to(every * found.high * 2, "fp16")).all()
    assert sum(found.layers[0].histogram.values()) == len(every)


def test_forms(tmp_path: Any) -> None:
    found = hs.loss_scale_range(product([2.0**-20]))
    assert pickle.loads(pickle.dumps(found)) == found
    facts = json.loads(found.to_json(tmp_path / "s.json"))
    assert (facts["schema"], facts["high"]) == (1, found.high)
    found.to_html(tmp_path / "s.html")
    assert "0 becomes zero" in (tmp_path / "s.html").read_text(encoding="utf-8")
    assert '<table class="sort">' in found._repr_html_()
    text = str(found)
    assert "Recommended: 2^" in text
    assert max(map(len, text.splitlines())) <= 100


def test_wide_histograms_and_many_layers_stay_within_100_columns() -> None:
    model = hs.nn.Sequential(*(hs.nn.Linear(2, 2) for _ in range(40)))
    found = hs.loss_scale_range(lambda: model(hs.tensor(np.ones((2, 2)))).sum().backward(), "bf16")
    assert max(map(len, str(found).splitlines())) <= 100
    assert len(found.layers) == 41


def test_gradients_that_are_all_zero_suit_any_scale() -> None:
    w = hs.tensor([0.0], requires_grad=True)
    found = hs.loss_scale_range(lambda: (w * 0.0).backward(np.zeros(1)))
    assert (found.low, found.high, found.recommended) == (0.0, math.inf, 1.0)
    assert "any" in str(found)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hs.loss_scale_range(3), TypeError, "step: 3 is not allowed"),  # type: ignore[arg-type]
        (lambda: hs.loss_scale_range(lambda: None), ValueError, "step: no gradient was stored in half"),
        (lambda: hs.loss_scale_range(product([1.0]), "fp64"), ValueError, "no gradient was stored"),
        (lambda: hs.loss_scale_range(product([1.0]), "fp17"), ValueError, "fp17"),
        (lambda: hs.loss_scale_range(product([1.0]), lost=1), ValueError, "lost: 1 is not allowed"),
        (lambda: hs.loss_scale_range(product([1.0]), model=3), TypeError, "model: int is not allowed"),
    ],
)
def test_careless_calls_are_refused_in_one_line(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)
