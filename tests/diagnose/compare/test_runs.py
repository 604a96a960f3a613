"""Runs whose differences are known from the bits."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.compare.recorder import SAMPLE, Kept, Step, Store, sampled
from halfsim.diagnose.compare.result import Comparison

X = np.random.default_rng(0).standard_normal((32, 8))
Y = np.random.default_rng(1).integers(0, 3, 32)


def net() -> hs.nn.Sequential:
    return hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.ReLU(), hs.nn.Linear(16, 3))


def training(steps: int = 3, kind: str = "SGD", scaler: Any = None, **options: Any) -> Any:
    def run() -> dict[str, float]:
        hs.manual_seed(1)
        model = net()
        optimizer = getattr(hs.optim, kind)(model.parameters(), **options)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = hs.nn.cross_entropy(model(hs.tensor(X)), Y)
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        return {"loss": loss.item()}

    return run


def fits(found: Any) -> None:
    assert max(map(len, str(found).splitlines())) <= 100


def place(found: Comparison, op: str, phase: str = "forward") -> Any:
    return next(row for row in found.places if (row.op, row.phase) == (op, phase))


def test_one_rounding_is_half_an_ulp() -> None:
    """2049 is a tie: half has 2048, an ulp of 2 there."""
    found = hs.compare(lambda: hs.tensor([2048.0, 1.0]) + hs.tensor([1.0, 1.0]))
    row = place(found, "add")
    assert (row.ulp, row.mean_ulp) == (0.5, 0.25)
    assert row.relative_error == pytest.approx(1 / math.hypot(2049, 2))
    assert found.compared == found.total == 1
    assert found.results[0].relative_error == row.relative_error
    assert found.first_divergence() is None
    assert "no result is off by more than 0.000488 of its norm" in found.verdict().message


def test_an_overflow_is_found_where_it_begins_not_where_it_shows() -> None:
    model = net()

    def run() -> hs.Tensor:
        hidden = model[0](hs.tensor(X)) * 1000.0
        squared = hidden * hidden
        return (squared - squared.mean()) * 1e-6

    found = hs.compare(run, "fp16")
    first, verdict = found.first_divergence(), found.verdict()
    assert first is not None
    assert (first.klass, first.op, first.phase, first.step) == ("overflow", "mul", "forward", 1)
    assert (verdict.klass, verdict.op) == ("overflow", "mul")
    assert "infinite" in verdict.message
    assert found.results[0].relative_error == math.inf
    fits(found)


def test_the_first_divergence_may_come_after_its_cause() -> None:
    """A variance as E[x^2] - E[x]^2: the difference cancels, what is divided by it is off."""

    def run() -> hs.Tensor:
        x = hs.tensor(30 + X)
        variance = (x * x).mean(1) - x.mean(1) * x.mean(1)
        return x.mean(1) / (variance + 1e-2)

    found = hs.compare(run, "fp16")
    assert found.verdict().klass == "cancellation"
    assert found.verdict().op == "sub"
    first = found.first_divergence()
    assert first is not None
    assert first.op in ("add", "div", "sub")


def test_gradients_that_vanish_are_counted() -> None:
    """Of the gradients 2^-30, 2^-24, 1, 1 half holds all but the first."""
    w = hs.tensor([1.0, 1.0, 1.0, 1.0], requires_grad=True)
    found = hs.compare(lambda: (w * np.array([2.0**-30, 2.0**-24, 1.0, 1.0])).sum().backward(), "fp16")
    row = place(found, "mul", "backward")
    assert row.vanished == 0.25
    (layer,) = found.layers
    assert layer.path == ""
    assert layer.vanished == 1 / 8, "four gradients of the sum, too"
    assert layer.cosine == pytest.approx(1.0)
    assert w.grad is None, "as before the runs"


def test_updates_that_are_swallowed() -> None:
    found = hs.compare(training(lr=1e-6), "fp16")
    verdict = found.verdict()
    assert (verdict.klass, verdict.phase, verdict.op) == ("swamping", "optimizer", "update")
    assert found.first_divergence() is None
    assert all(row.updates_lost > 0.9 for row in found.layers if row.cosine is not None)
    assert "no result is off" in verdict.message


def test_an_eps_that_is_zero_in_half() -> None:
    found = hs.compare(training(kind="Adam", lr=1e-3), "fp16")
    assert found.verdict().klass == "eps lost"
    assert found.verdict().phase == "optimizer"
    assert found.results[0].ulp == math.inf
    fits(found)


@pytest.mark.parametrize("rule", ["fp32", "fp16", "amp", "bf16", "tf32"])
def test_healthy_training_is_benign(rule: str) -> None:
    found = hs.compare(training(lr=0.1), rule)
    assert found.verdict().klass == "benign rounding"
    assert found.results[0].relative_error < 0.05
    assert [row.step for row in found.steps] == [1, 2, 3]
    assert all(row.cosine is not None and row.cosine > 0.99 for row in found.steps)
    fits(found)


def test_the_same_precision_agrees_to_the_bit() -> None:
    found = hs.compare(training(), "fp64", lr=0.1) if False else hs.compare(training(lr=0.1), "fp64")
    assert found.largest == 0
    assert all(row.cosine is None or abs(row.cosine - 1) < 1e-15 for row in found.layers)


def test_loss_scales_that_differ_are_no_difference() -> None:
    """The run skips its first steps to find its scale, the reference none; gradients are compared without scale."""
    scaler = hs.amp.GradScaler(init_scale=2.0**22)
    found = hs.compare(training(8, lr=0.01, scaler=scaler), "amp", scaler=scaler)
    assert any("skipped" in note for note in found.notes)
    assert any(row.skipped for row in found.steps)
    assert found.verdict().klass == "benign rounding"
    assert all(row.gradient_error < 0.1 for row in found.steps if not row.skipped)
    assert all(row.relative_error < 0.1 for row in found.steps), "the scaled loss, too"
    assert scaler.get_scale() == 2.0**22
    assert scaler.history == []


def test_infinite_masks_in_both_runs_are_no_trouble() -> None:
    mask = np.triu(np.full((4, 4), -np.inf), 1)
    scores = np.random.default_rng(2).standard_normal((4, 4))
    found = hs.compare(lambda: hs.ops.softmax(hs.tensor(scores) + hs.tensor(mask), axis=-1), "fp16")
    assert found.verdict().klass == "benign rounding"
    found = hs.compare(lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "fp16")
    assert found.verdict().klass == "benign rounding", "the reference divides by zero too"
    found = hs.compare(lambda: (x := hs.tensor([1.0, 300.0]) / hs.tensor([0.0, 1.0])) * x, "fp16")
    assert (found.verdict().klass, found.verdict().op) == ("overflow", "mul"), "and is not the cause of what follows"


def test_a_gradient_of_rounding_errors_alone_is_no_divergence() -> None:
    """A bias before a normalisation has no gradient; what rounding makes of it says nothing."""
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.BatchNorm1d(16), hs.nn.ReLU(), hs.nn.Linear(16, 3))

    def run() -> None:
        hs.nn.cross_entropy(model(hs.tensor(X)), Y).backward()

    found = hs.compare(run, "fp16", model=model)
    assert found.first_divergence() is None
    assert [row.path for row in found.layers] == ["0", "1", "2", "3", ""]


# State.


def test_state_is_restored_between_and_after() -> None:
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.BatchNorm1d(16), hs.nn.Dropout(0.5), hs.nn.Linear(16, 3)).half()
    optimizer = hs.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-4)
    schedule = hs.optim.lr_scheduler.StepLR(optimizer, 1)
    seen: list[Any] = []

    def run() -> float:
        seen.append([(p.array.copy(), p.format.name, p.grad) for p in model.parameters()])
        seen.append((int(model[1].num_batches_tracked), optimizer.param_groups[0]["lr"], len(optimizer.state)))
        seen.append(hs.ops.dropout(hs.tensor(np.ones(64)), 0.5).array != 0)
        model.train()
        for _ in range(2):
            optimizer.zero_grad()
            loss = hs.nn.cross_entropy(model(hs.tensor(X)), Y)
            loss.backward()
            optimizer.step()
            schedule.step()
        return loss.item()

    run()
    model.eval()
    before = {k: np.array(v) for k, v in model.state_dict().items()}
    grads = [p.grad for p in model.parameters()]
    state = [(k, np.array(v)) for s in optimizer.state.values() for k, v in s.items()]
    seen.clear()
    hs.compare(run, "fp16", model=model, optimizer=optimizer, scheduler=schedule)
    for (a, wide, g), (b, half, h) in zip(seen[0], seen[3], strict=True):
        np.testing.assert_array_equal(a, b)
        assert (wide, half) == ("float64", "float16")
        np.testing.assert_array_equal(g.array, h.array)
    assert seen[1] == seen[4] == (2, pytest.approx(1e-4), 6)
    np.testing.assert_array_equal(seen[2], seen[5])
    assert not model.training
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(np.array(value), before[key])
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert {p.format.name for p in model.parameters()} == {"float16"}
    for (_, a), b in zip(state, (v for s in optimizer.state.values() for v in s.values()), strict=True):
        np.testing.assert_array_equal(a, np.array(b))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    assert schedule.last_epoch == 2


def test_the_generators_go_on_as_if_nothing_had_been() -> None:
    rng, drawn = np.random.default_rng(5), []

    def run() -> None:
        drawn.append((rng.random(), np.random.random(), hs.nn.Linear(1, 1).weight.item()))

    hs.manual_seed(3)
    expected = hs.nn.Linear(1, 1).weight.item()
    hs.manual_seed(3)
    hs.compare(run, "fp32", "fp32")
    assert drawn[0] == drawn[1]
    assert drawn[0][2] == expected
    assert hs.nn.Linear(1, 1).weight.item() == expected
    assert rng.random() == np.random.default_rng(5).random()
    hs.compare(run, "fp32", "fp32", seed=3)
    assert drawn[2][2] == expected


def test_a_reference_does_not_lose_what_is_looked_for() -> None:
    """Weights closed over in half: the reference carries them in float64, so their updates are not swallowed there."""
    model = hs.nn.Linear(8, 3).half()
    optimizer = hs.optim.SGD(model.parameters(), lr=1e-6)

    def run() -> None:
        hs.nn.cross_entropy(model(hs.tensor(X)), Y).backward()
        optimizer.step()

    found = hs.compare(run, "fp16", model=model, optimizer=optimizer)
    assert [row.name for row in found.results] == ["weight", "bias"], "of a run that returns nothing"
    assert found.verdict().klass == "swamping"
    assert model.weight.format == hs.float16
    assert model.weight.grad is None


def test_everything_is_restored_when_the_reference_raises() -> None:
    model = hs.nn.Linear(8, 3)
    before = model.weight.array

    def run() -> None:
        model.weight.array = model.weight.array * 0
        raise KeyError("wrong")

    with pytest.raises(KeyError):
        hs.compare(run, "fp16", model=model)
    assert model.weight.array is before


def test_gradients_changed_in_place_are_restored() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    (w * 3.0).sum().backward()
    grad = w.grad
    assert grad is not None

    def run() -> None:
        assert w.grad is not None
        w.grad.array = w.grad.array * 0

    hs.compare(run, "fp16")
    assert w.grad is grad
    assert (grad.item(), grad.format, w.format) == (3.0, hs.float16, hs.float16)


# Different things done.


def test_a_branch_on_data_is_told_not_crashed_on() -> None:
    def run() -> hs.Tensor:
        x = hs.tensor([2048.0]) + 1
        return hs.ops.exp(x * 1e-3) if x.item() > 2048.5 else hs.ops.sqrt(x * 1e-3)

    found = hs.compare(run, "fp16")
    first = found.first_divergence()
    assert first is not None
    assert (first.klass, first.op) == ("structure", "sqrt")
    assert "sqrt" in first.message
    assert "exp" in first.message
    assert found.verdict().klass == "structure"


def test_shapes_and_numbers_of_steps_that_depend_on_data() -> None:
    def masked() -> hs.Tensor:
        x = hs.tensor([2048.0, 1.0]) + 1
        return hs.ops.mul(x[x.array > 2048.5], 2.0)

    found = hs.compare(masked, "fp16")
    assert found.verdict().klass == "structure"
    assert any("not returned alike" in note for note in found.notes)

    def until() -> int:
        w = hs.tensor([1.0], requires_grad=True)
        optimizer = hs.optim.SGD([w], lr=2.0**-12)
        for step in range(1, 5):
            optimizer.zero_grad()
            (w * 1.0).sum().backward()
            optimizer.step()
            if w.item() < 1:
                return step
        return step

    found = hs.compare(until, "fp16")
    assert found.verdict().klass == "structure"
    assert "4 steps" in found.verdict().message


def test_a_run_that_raises_is_told() -> None:
    def run() -> None:
        if not np.isfinite((hs.tensor([300.0]) * 300).item()):
            raise ArithmeticError("loss is\nnot finite")

    found = hs.compare(run, "fp16")
    assert found.verdict().klass == "overflow", "which came first"
    assert found.results == ()
    assert any("ArithmeticError: loss is" in note for note in found.notes)


# Bounds, forms, careless callers.


def test_samples_spread_and_are_bounded() -> None:
    x = np.arange(100_000.0).reshape(100, 1000).T
    some = sampled(x)
    assert some.size <= SAMPLE
    assert len(np.unique(some % 1000)) > 900
    even = sampled(np.arange(81920.0).reshape(8192, 10))
    assert len(np.unique(even % 10)) == 10, "as every 20th element would not"
    np.testing.assert_array_equal(sampled(x[:2]), np.concatenate([x[0], x[1]]))


def test_the_reference_keeps_256_steps_and_80_megabytes() -> None:
    store = Store()
    for n in range(1, 1001):
        if store.wants(n):
            store.put(Step(n))
    assert store.every == 4
    assert sorted(store.steps) == list(range(1, 1001, 4))
    store = Store()
    for n in range(1, 21):
        if store.wants(n):
            store.put(Step(n, nbytes=30 << 20))
    assert store.nbytes <= 80 << 20
    assert 1 in store.steps


def test_long_runs_are_compared_at_every_so_many_steps() -> None:
    w = hs.tensor([1.0], requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=0.01)

    def run() -> None:
        for _ in range(300):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

    found = hs.compare(run, "fp32")
    assert [row.step for row in found.steps][:3] == [1, 3, 5]
    assert "One step in 2 was compared" in str(found)


def test_forms(tmp_path: Any) -> None:
    found = hs.compare(training(lr=0.1), "fp16")
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    facts = json.loads(found.to_json(tmp_path / "c.json"), parse_constant=lambda word: pytest.fail(word))
    assert json.loads((tmp_path / "c.json").read_text()) == facts
    assert facts["schema"] == 1
    assert len(facts["layers"]) == len(found.layers)
    found.to_html(tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http:" not in page
    assert "https:" not in page
    assert "Content-Security-Policy" in page
    assert '<table class="sort">' in found._repr_html_()
    assert found.table().startswith("layer")
    broken = hs.compare(lambda: hs.tensor([300.0]) * 300, "fp16")
    assert '"inf"' in broken.to_json()
    with pytest.raises(AttributeError):
        found.precision = "fp32"  # type: ignore[misc]


def test_long_names_stay_within_100_columns() -> None:
    class Deep(hs.nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            if depth:
                self.a_rather_long_name_of_a_block = Deep(depth - 1)
            else:
                self.layer = hs.nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            return self.layer(x) if "layer" in self._modules else self.a_rather_long_name_of_a_block(x)

    model = Deep(5)
    found = hs.compare(lambda: {"a_very_long_name_of_a_result" * 5: model(hs.tensor(X * 1e6))}, "fp16")
    fits(found)


def test_it_is_no_part_of_what_surrounds_it() -> None:
    with hs.trace() as t, hs.precision("fp16", override=True):
        found = hs.compare(lambda: hs.tensor([2048.0]) + 1, "fp32")
    assert t.count().size == 0
    assert found.results[0].run == 2049


def test_casts_are_no_part_of_the_experiment() -> None:
    """Under float64 there is something to round, under half there is not."""
    found = hs.compare(lambda: (hs.tensor([0.1, 2.0]) * 1).to("fp16") + 1, "fp16")
    assert found.verdict().klass == "benign rounding"
    assert [row.op for row in found.places] == ["mul", "add"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hs.compare(3), TypeError, "run: 3 is not allowed"),  # type: ignore[arg-type]
        (lambda: hs.compare(print, "fp17"), ValueError, "fp17"),
        (lambda: hs.compare(print, reference="fb64"), ValueError, "fb64"),
        (lambda: hs.compare(print, model=3), TypeError, "model: int is not allowed"),
        (lambda: hs.compare(print, optimizer=[hs.nn.Linear(1, 1)]), TypeError, "optimizer: Linear is not"),
        (lambda: hs.compare(print, tolerance=0), ValueError, "tolerance: 0 is not allowed"),
        (lambda: hs.compare(print, tolerance=math.nan), ValueError, "tolerance"),
    ],
)
def test_careless_calls_are_refused_in_one_line(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_run_without_operations_is_benign() -> None:
    found = hs.compare(lambda: None, "fp16")
    assert found.verdict().klass == "benign rounding"
    assert found.compared == 0
    fits(found)
    found = hs.compare(lambda: hs.tensor(np.zeros((0, 3))) + 1, "fp16")
    assert found.largest == 0


def test_kept_weighs_what_is_left_out() -> None:
    assert Kept(np.zeros(10), (10, 10), False, 0.0, 1.0, None).weight == 10


@pytest.mark.parametrize("scale", [1.0, 2.0**600, 2.0**-600])
def test_squares_past_the_range_of_float64_do_not_matter(scale: float) -> None:
    x = np.random.default_rng(0).standard_normal(1000) * scale
    order = "storage=fp64, compute=fp64, accumulate={}"
    run = lambda: hs.tensor(x, "fp64").sum()  # noqa: E731
    found = hs.compare(run, order.format("fp64:sequential"), reference=order.format("exact"))
    assert found.results[0].relative_error == pytest.approx(1.479e-16, rel=1e-3)
    assert found.results[0].ulp == 1
