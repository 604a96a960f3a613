"""`hs.mend`: fixes are applied to the run itself, measured against float64, and leave nothing behind."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.policy import carried_in
from halfsim.cli import main
from halfsim.diagnose import mend as mending
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.fix import keys
from halfsim.diagnose.outcome import distance
from halfsim.diagnose.reach import reached

Run = Callable[[], Any]


def norm() -> hs.Tensor:
    return (hs.tensor([300.0, 1.0]) ** 2).mean().sqrt()


def log_of_softmax() -> hs.Tensor:
    return hs.ops.log(hs.ops.softmax(hs.tensor([20.0, 0.0, 1.0]), -1)).sum()


def log_of_sum_of_exp() -> hs.Tensor:
    return hs.ops.log(hs.ops.exp(hs.tensor([12.0, 13.0])).sum())


def additive_mask() -> hs.Tensor:
    scores = hs.tensor([[1.0, 2.0], [3.0, 4.0]]) + hs.tensor([[0.0, -60000.0], [0.0, 0.0]]) * 10.0
    return hs.ops.softmax(scores - scores.max(-1, keepdims=True)[0], -1)


def trained(make: Callable[[list[hs.Tensor]], Any], slope: float = 1.0, steps: int = 100) -> Run:
    """A half weight of 1 under a loss of one slope."""

    def run() -> hs.Tensor:
        w = hs.tensor([1.0], "fp16", requires_grad=True)
        optimizer = make([w])
        for _ in range(steps):
            optimizer.zero_grad()
            (w * slope).sum().backward()
            optimizer.step()
        return w

    return run


def options(found: hs.Mended) -> dict[str, bool]:
    """The options tried, and whether each mends."""
    return {name: one.mends for one in found.tried if one.applied for name in one.fix.option or {}}


def with_fixes(monkeypatch: pytest.MonkeyPatch, *fixes: hs.Fix) -> None:
    """Let these fixes be tried, and these alone."""
    monkeypatch.setattr(mending, "fixes_for", lambda finding: list(fixes))
    monkeypatch.setattr(mending, "smallest", lambda *given: None)


# Policies.


@pytest.mark.parametrize(
    ("run", "klass", "kept"),
    [
        (norm, "overflow", {"@pow", "@mean"}),
        (log_of_softmax, "underflow", {"@softmax", "@log"}),
        (log_of_sum_of_exp, "overflow", {"@exp", "@sum", "@log"}),
    ],
)
def test_the_set_of_operations_is_found_and_its_policy_alone_gives_the_bits(
    run: Run, klass: str, kept: set[str]
) -> None:
    found = hs.mend(run)
    assert found.finding is not None
    assert found.finding.klass == klass
    assert found.best is not None
    assert found.best.policy is not None
    assert keys(found.best.policy) == {"default": "fp16", **dict.fromkeys(kept, "fp32")}
    first = found.tried[0]
    assert first.mends
    assert first.error < 1e-2 < found.error
    with hs.precision(found.best.policy):
        again = run()
    with hs.precision("fp64"):
        exact = run()
    assert distance({"y": again.data.astype(float)}, {"y": exact.data}) == first.error


@pytest.mark.parametrize("run", [norm, log_of_softmax, log_of_sum_of_exp])
def test_of_the_set_nothing_can_be_left_out(run: Run) -> None:
    best = hs.mend(run).best
    assert best is not None
    assert best.policy is not None
    rules = keys(best.policy)
    for op in set(rules) - {"default"}:
        with hs.precision({name: spec for name, spec in rules.items() if name != op}):
            assert not np.isfinite(run().data).all()


def test_best_policy_gives_the_bits_of_the_mended_run() -> None:
    seen: dict[bytes, bool] = {}

    def run() -> hs.Tensor:
        hs.manual_seed(3)
        x = hs.ops.dropout(hs.tensor(np.linspace(200.0, 400.0, 64)), 0.5, training=True)
        return (x * x).mean().sqrt()

    def accept(y: hs.Tensor) -> bool:
        return seen.setdefault(y.data.tobytes(), bool(np.isfinite(y.data).all()))

    found = hs.mend(run, accept=accept)
    assert found.best is not None
    with hs.precision(found.best.policy):
        assert seen[run().data.tobytes()]


def test_in_a_module_the_policy_names_its_path() -> None:
    class Net(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = hs.nn.Linear(4, 4), hs.nn.Linear(4, 1)

        def forward(self, x: hs.Tensor) -> hs.Tensor:
            return self.last(hs.ops.tanh(self.first(x) * 1e-4))

    net = Net()
    net.first.weight.data[:] = 9000.0
    found = hs.mend(lambda: net(hs.tensor([[3.0, 3.0, 3.0, 3.0]])))
    assert found.best is not None
    assert found.best.policy is not None
    assert keys(found.best.policy) == {"default": "fp16", "@mul": "fp32", "first@linear": "fp32"}
    assert "keep mul and linear in first in float32" in str(found)


def test_a_precision_that_the_run_sets_itself_gives_way() -> None:
    def run() -> hs.Tensor:
        with hs.precision("fp16"):
            return norm()

    found = hs.mend(run, target="fp32")
    assert found.override
    assert found.target == "fp16"
    assert found.best is not None
    assert keys(found.best.policy)["default"] == "fp16"  # type: ignore[arg-type]
    with hs.precision(found.best.policy, override=True):
        assert run().item() == pytest.approx(212.13, rel=1e-3)
    assert "override=True" in str(found)


def test_one_that_is_equal_to_the_target_gives_way_too() -> None:
    def run() -> hs.Tensor:
        with hs.precision("fp16"):
            return norm()

    found = hs.mend(run, target="fp16")
    assert found.override
    assert found.best is not None


def test_a_halved_tensor_is_asked_for_in_float32() -> None:
    """No policy reaches what ``.half()`` has done."""
    found = hs.mend(lambda: hs.tensor([70000.0], "fp32").half().sum() - 69000.0, target="fp32")
    assert found.best is not None
    assert found.best.option == {"tensors": "fp32"}


def test_trouble_that_float64_meets_too_is_not_the_precisions() -> None:
    found = hs.mend(lambda: hs.tensor([1.0, 2.0]) / hs.tensor([0.0, 1.0]))
    assert found.finding is not None
    assert found.finding.op == "div"
    assert found.best is None
    assert "The float64 run meets this trouble, too" in str(found)
    data = np.array([270.0] * 400 + [np.nan])

    def mean_of_numbers() -> hs.Tensor:
        x = hs.tensor(data)
        known = ~np.isnan(data)
        return hs.ops.where(known, x, hs.tensor(0.0)).sum() / 400.0

    found = hs.mend(mean_of_numbers)
    assert found.finding is not None
    assert (found.finding.klass, found.finding.op) == ("overflow", "sum")
    assert found.best is not None


def test_a_run_that_is_not_repeatable_is_told() -> None:
    found = hs.mend(lambda: hs.tensor(np.random.default_rng().normal(size=4)).sum())
    assert found.best is None
    assert "Two runs in float64 differ" in str(found)


def test_sums_are_accumulated_in_float32() -> None:
    found = hs.mend(lambda: hs.tensor(np.ones(4096)).sum(), target="pure_fp16")
    assert found.finding is not None
    assert found.finding.klass in ("swamping", "accumulation order")
    mends = [one for one in found.tried if one.mends]
    assert any("accumulate=float32" in str(one.fix.policy) for one in mends)


# Options.


def sgd(params: list[hs.Tensor]) -> hs.optim.Optimizer:
    return hs.optim.SGD(params, lr=1e-4)


def test_lost_updates_are_mended_by_each_remedy() -> None:
    found = hs.mend(trained(sgd, steps=300))
    assert found.finding is not None
    assert (found.finding.klass, found.finding.phase) == ("swamping", "optimizer")
    assert options(found) == {"master_weights": True, "kahan": True, "rounding": True}
    assert found.best == found.tried[0].fix
    assert found.best.option == {"master_weights": True}
    assert all(not one.applied and not one.mends for one in found.tried if one.fix.option is None)


def test_lost_updates_are_mended_in_an_optimizer_made_before() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=1e-4)

    def run() -> None:
        for _ in range(300):
            optimizer.zero_grad()
            (w * 1.0).sum().backward()
            optimizer.step()

    found = hs.mend(run)
    assert options(found) == {"master_weights": True, "kahan": True, "rounding": True}
    assert w.item() == 1.0
    assert w.grad is None
    assert not optimizer.master_weights
    assert not optimizer.kahan
    assert optimizer.rounding is None
    assert optimizer.state == {}


def test_a_remedy_widens_the_state_that_an_optimizer_has() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.Adam([w], lr=1e-4, eps=1e-4)

    def run() -> hs.Tensor:
        for _ in range(40):
            optimizer.zero_grad()
            (w * 1.0).sum().backward()
            optimizer.step()
        return w

    run()
    before = {name: x.data.copy() for name, x in optimizer.state[w].items() if name != "step"}
    found = hs.mend(run, model=None, optimizer=optimizer)
    assert options(found)["master_weights"]
    assert {name: x.data for name, x in optimizer.state[w].items() if name != "step"} == before
    assert optimizer.state[w]["exp_avg"].format == hs.float16


def test_a_lost_eps_is_raised_where_the_result_stays_as_it_was() -> None:
    found = hs.mend(trained(lambda p: hs.optim.Adam(p, lr=1e-2), 1e-4, 10))
    assert found.finding is not None
    assert found.finding.klass == "eps lost"
    assert options(found)["master_weights"]
    assert found.best is not None
    assert found.best.option == {"master_weights": True}, "which leaves no trouble at all"
    tiny = hs.mend(trained(lambda p: hs.optim.Adam(p, lr=1e-2), 1e-6, 10))
    assert not options(tiny)["eps"], "an eps of 1e-4 is a hundred times such gradients"
    assert options(tiny)["master_weights"]


def test_an_eps_given_to_an_operation_is_raised_there_alone() -> None:
    def run() -> hs.Tensor:
        x = hs.tensor([[0.0, 0.0]], requires_grad=True)
        y = (hs.tensor([[1e-3, 2e-3]]) + x) / ((x * x).sum() + 1e-8).sqrt()
        return y * 1e-3 + 1e-8 * 0

    found = hs.mend(run, accept=lambda y: bool(np.isfinite(y.data).all()))
    assert found.finding is not None
    assert found.finding.klass == "eps lost"
    assert options(found) == {"eps": True}


def test_a_constant_is_replaced_in_the_operation_that_was_given_it() -> None:
    def run() -> hs.Tensor:
        scores = hs.tensor([[1.0, 2.0], [3.0, 4.0]])
        masked = hs.ops.masked_fill(scores, np.array([[False, True], [True, True]]), -1e9)
        return hs.ops.softmax(masked * 0.5, -1)

    found = hs.mend(run, target="pure_fp16")
    assert options(found) == {"constant": True}
    assert found.best is not None
    assert found.best.option == {"constant": -65504.0}


def test_clipping_is_made_safe() -> None:
    def run() -> hs.Tensor:
        w = hs.tensor([0.0] * 4, "fp16", requires_grad=True)
        (w * 6e4).sum().backward()
        hs.nn.utils.clip_grad_norm_([w], 1.0)
        assert w.grad is not None
        return w.grad

    found = hs.mend(run)
    assert options(found)["safe"]
    assert found.best is not None
    assert found.best.option == {"safe": True}


def test_gradients_that_vanish_are_mended_by_a_loss_scale() -> None:
    def run() -> hs.Tensor:
        hs.manual_seed(0)
        w = hs.nn.Parameter(hs.tensor(np.ones((4, 4)), "fp32"))
        h = hs.tensor(np.ones((2, 4))) @ w
        ((h * 1e-4) * 1e-4).sum().backward()
        assert w.grad is not None
        return w.grad

    found = hs.mend(run)
    assert found.finding is not None
    assert (found.finding.klass, found.finding.phase) == ("underflow", "backward")
    assert options(found)["loss_scale"]


def test_a_stuck_scaler_begins_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    scaler = hs.amp.GradScaler(min_scale=1024.0, init_scale=2.0**16)

    def run() -> hs.Tensor:
        w = hs.nn.Parameter(hs.tensor([1.0], "fp32"))
        optimizer = hs.optim.SGD([w], lr=1e-3)
        for _ in range(5):
            optimizer.zero_grad()
            scaler.scale((w * 100.0).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        return w

    plain = hs.mend(run)
    assert plain.error > 0.1
    with_fixes(monkeypatch, hs.Fix("begin lower", option={"init_scale": 8.0, "min_scale": 1.0}))
    monkeypatch.setattr(mending, "gravity", lambda klass: 0)
    assert mending.mend(run).error == plain.error
    assert (scaler.get_scale(), scaler._low, scaler.history) == (2.0**16, 1024.0, [])


def test_options_reach_scalers_made_before_and_during(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hs.amp.GradScaler(init_scale=2.0**16, min_scale=2.0**14)
    with_fixes(monkeypatch, hs.Fix("begin lower", option={"init_scale": 8.0, "min_scale": 1.0}))

    def run(made: hs.amp.GradScaler | None) -> hs.Tensor:
        scaler = made or hs.amp.GradScaler(init_scale=2.0**16, min_scale=2.0**14)
        w = hs.nn.Parameter(hs.tensor([1.0], "fp32"))
        optimizer = hs.optim.SGD([w], lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            h = w * 100.0
            scaler.scale((h * h).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        assert scaler.history[0].scale == scaler._init_scale
        return w

    def overflows(trace: Any) -> Finding:
        return Finding("scaler", "backward", 1, "", "mul", "", {}, "every step was skipped", "lower the scale")

    monkeypatch.setattr("halfsim.diagnose.attempt.Watch.verdict", overflows)
    for made in (before, None):
        found = hs.mend(lambda made=made: run(made), accept=lambda w: w.item() != 1.0)
        assert [one.applied for one in found.tried] == [True]
        assert found.tried[0].klass == "scaler"


def test_what_needs_a_person_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As clipping before unscaling: the order of two lines."""
    advice = hs.Fix("call scaler.unscale_(optimizer) before clip_grad_norm_")
    verdict = Finding("scaler", "optimizer", 1, "", "clip_grad_norm_", "", {}, "norm of scaled gradients", "", None)
    monkeypatch.setattr(
        "halfsim.diagnose.attempt.Watch.verdict",
        lambda trace: Finding(**{**verdict.to_dict(), "fix": advice.text, "fixes": (advice,)}),
    )

    def run() -> hs.Tensor:
        w = hs.nn.Parameter(hs.tensor([1.0], "fp32"))
        optimizer, scaler = hs.optim.SGD([w], lr=1.0), hs.amp.GradScaler()
        scaler.scale((w * 1.0).sum()).backward()
        hs.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        return w

    found = hs.mend(run)
    assert [(one.fix, one.applied, one.mends, one.reason) for one in found.tried] == [
        (advice, False, False, "needs a person")
    ]
    assert found.best is None
    assert math.isnan(found.tried[0].error)
    assert "None of these mends." in str(found)
    assert "not tried" in str(found)


def test_an_option_that_nothing_takes_is_not_said_to_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    with_fixes(monkeypatch, hs.Fix("update float32 copies", option={"master_weights": True}))
    found = hs.mend(norm)
    one = found.tried[-1]
    assert (one.applied, one.reason) == (False, "nothing in the run takes it")


# What a run may do.


def test_nothing_to_mend() -> None:
    def run() -> hs.Tensor:
        hs.manual_seed(0)
        return hs.nn.Linear(4, 1)(hs.tensor(np.ones((8, 4)))).mean()

    found = hs.mend(run)
    assert found.healthy
    assert (found.tried, found.best, found.failure) == ((), None, "")
    assert str(found).startswith("Nothing to mend")
    assert found.runs == 2


def test_a_run_that_raises_is_told_and_mended() -> None:
    def run() -> hs.Tensor:
        y = norm()
        if not np.isfinite(y.item()):
            raise FloatingPointError("the norm\nis infinite")
        return y

    found = hs.mend(run)
    assert found.failure == "FloatingPointError: the norm is infinite"
    assert str(found).startswith("The run in fp16 raised FloatingPointError: the norm is infinite")
    assert found.best is not None
    assert keys(found.best.policy) == {"default": "fp16", "@pow": "fp32", "@mean": "fp32"}  # type: ignore[arg-type]
    assert any(one.reason.startswith("raised FloatingPointError") for one in found.tried)


def test_what_a_run_raises_in_float64_goes_to_the_caller() -> None:
    state = np.random.default_rng(0)

    def run() -> float:
        state.random()
        raise KeyError("no such thing")

    before = state.bit_generator.state
    with pytest.raises(KeyError):
        hs.mend(run)
    assert state.bit_generator.state == before


def test_accept_takes_the_place_of_the_float64_run() -> None:
    found = hs.mend(norm, accept=lambda y: y.item() > 1e6)
    assert found.best is None
    assert {one.reason for one in found.tried if one.applied} == {"not accepted", "overflow is left"}
    assert hs.mend(norm, accept=lambda y: np.isfinite(y.data)).best is not None
    with pytest.raises(TypeError, match="accept: it returned str"):
        hs.mend(norm, accept=lambda y: "yes")


def test_refusals() -> None:
    with pytest.raises(TypeError, match="run: Tensor is not allowed; allowed: a function"):
        hs.mend(norm())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="accept: float is not allowed; allowed: a function"):
        hs.mend(norm, accept=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model: float is not allowed; allowed: Module"):
        hs.mend(norm, model=0.1)
    with pytest.raises(ValueError, match="precision"):
        hs.mend(norm, target="fp17")


def test_everything_is_as_it_was() -> None:
    hs.manual_seed(5)
    model = hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.BatchNorm1d(4), hs.nn.Dropout(0.5), hs.nn.Linear(4, 1))
    optimizer = hs.optim.Adam(model.parameters(), lr=1e-2)
    scaler, average = hs.amp.GradScaler(), hs.optim.EMA(model)
    losses: list[float] = []
    facts = {"steps": 0}
    data = np.linspace(-400.0, 400.0, 32).reshape(8, 4)

    def step() -> hs.Tensor:
        data[0, 0] += 1
        loss = (model(hs.tensor(data)) ** 2).mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        average.update()
        losses.append(loss.item() + np.random.random() + random.random())
        facts["steps"] += 1
        return loss

    def run() -> list[hs.Tensor]:
        model.half()
        return [step() for _ in range(2)]

    def state() -> Any:
        arrays = [np.asarray(x) for x in model.state_dict().values()]
        arrays += [np.asarray(v) for s in optimizer.state.values() for v in s.values()]
        arrays += [x.data for x in average.averages]
        formats = [p.format.name for p in model.parameters()]
        scale = (scaler.get_scale(), len(scaler.history))
        streams = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index, union-attr]
        return [x.tobytes() for x in arrays], formats, scale, streams, list(losses), dict(facts), data.tobytes()

    before = state()
    drawn = hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).data
    hs.manual_seed(7)
    expected = hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).data
    hs.manual_seed(7)
    hs.mend(run, model=model, optimizer=optimizer, scaler=scaler)
    assert np.array_equal(hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).data, expected)
    assert drawn.shape == expected.shape
    assert state() == before


def test_what_functions_called_by_name_reach_is_found() -> None:
    w = hs.tensor([1.0])
    deep = hs.tensor([2.0])

    class Holder:
        def __init__(self) -> None:
            self.inner = [deep]

        def step(self) -> None:
            self.inner[0].data += 1

    holder, seen = Holder(), [1.0]

    def inner() -> None:
        seen.append(w.item())

    def run() -> None:
        inner()
        holder.step()

    found = reached(run)
    assert {id(x) for x in found.objects} == {id(w), id(deep)}
    assert any(x is seen for x in found.held)
    assert {id(x) for x in reached(holder.step).objects} == {id(deep)}


# How it reads.


def test_it_prints_a_table_and_is_plain_data() -> None:
    found = hs.mend(log_of_softmax)
    head = next(line for line in str(found).splitlines() if line.startswith("fix"))
    assert [head.index(word) for word in ("fix", "how", "trouble left", "error before -> after", "mends")]
    assert "Best: keep softmax and log in float32." in str(found)
    assert max(map(len, str(found).splitlines())) <= 120
    facts = json.loads(found.to_json())
    assert facts["best"]["policy"] == {"default": "fp16", "@softmax": "fp32", "@log": "fp32"}
    assert hs.Policy(facts["best"]["policy"]) == found.best.policy  # type: ignore[union-attr]
    assert facts["error"] == "inf"
    assert "<table" in found._repr_html_()


def test_fixes_read_as_they_are_typed() -> None:
    assert str(hs.Fix("a", hs.Policy({"@softmax": "fp32", "@log": "fp32"}))) == (
        "a: policy {'@softmax': 'fp32', '@log': 'fp32'}"
    )
    assert hs.Fix("b", option={"init_scale": 8.0, "min_scale": 1.0}).how == "init_scale=8.0, min_scale=1.0"
    assert str(hs.Fix("look at the data")) == "look at the data"
    assert hs.Fix("c", hs.Policy("amp")).to_dict() == {"text": "c", "policy": {"default": "amp"}, "option": None}


# Carried in one format.


def test_every_tensor_of_a_run_is_carried() -> None:
    def run() -> tuple[hs.Tensor, ...]:
        hs.manual_seed(1)
        model = hs.nn.Sequential(hs.nn.Linear(3, 3), hs.nn.BatchNorm1d(3)).half()
        model.register_buffer("count", np.array([1, 2]))
        model.register_buffer("mask", np.array([True]))
        optimizer = hs.optim.Adam(model.parameters(), lr=1e-2, master_weights=True)
        average = hs.optim.EMA(model, format="bf16")
        x = hs.tensor(np.random.default_rng(0).normal(size=(4, 3)), "fp16")
        target = hs.nn.Parameter(x.half().bfloat16().to("fp8_e4m3").float())
        for _ in range(3):
            loss = ((model(x.half()) - target) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update()
        held = [x, target, loss, *model.parameters(), *average.averages]
        held += [b for b in model.buffers() if isinstance(b, hs.Tensor)]
        held += [p.grad for p in model.parameters()]
        held += [v for s in optimizer.state.values() for v in s.values() if isinstance(v, hs.Tensor)]
        assert model.count.dtype == np.array([1]).dtype
        assert model.mask.dtype == np.bool_
        return tuple(held)

    with hs.precision("fp64", override=True), carried_in(hs.float64):
        held = run()
    assert {x.format for x in held} == {hs.float64}
    assert {x.data.dtype for x in held} == {np.dtype(np.float64)}
    assert hs.tensor([0.1], "fp16").format == hs.float16


MODELS: dict[str, Callable[[], hs.nn.Module]] = {
    "mlp": lambda: hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.ReLU(), hs.nn.LayerNorm(8), hs.nn.Linear(8, 1)),
    "batch": lambda: hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.BatchNorm1d(8), hs.nn.Dropout(0.5)),
    "encoder": lambda: hs.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_run_that_makes_halves_is_carried_as_if_it_made_none(name: str, kind: str) -> None:
    def run(half: bool) -> list[hs.Tensor]:
        hs.manual_seed(2)
        model = MODELS[name]()
        x = hs.tensor(np.random.default_rng(0).normal(size=(6, 4)), *(["fp16"] if half else []))
        model = model.half() if half else model
        optimizer = getattr(hs.optim, kind)(model.parameters(), lr=0.1)
        average = hs.optim.EMA(model, 0.5, *(["bf16"] if half else []))
        for _ in range(3):
            loss = (model(x.half() if half else x) ** 2).mean()
            optimizer.zero_grad()
            (loss.to("bf16") if half else loss).backward()
            optimizer.step()
            average.update()
        return [loss, *model.parameters(), *average.averages]

    with hs.precision("fp64", override=True):
        pure = run(False)
        with carried_in(hs.float64):
            mine = run(True)
    for x, y in zip(mine, pure, strict=True):
        assert x.format == y.format == hs.float64
        assert x.data.tobytes() == y.data.tobytes()


def test_formats_that_are_not_contained_are_left() -> None:
    with carried_in(hs.float16):
        assert hs.tensor([1e5], "fp32").format == hs.float32
        assert hs.tensor([0.1], "fp8_e5m2").format == hs.float16


def test_a_run_that_makes_halves_itself_is_mended() -> None:
    def run() -> hs.Tensor:
        x = hs.tensor([300.0, 1.0]).half()
        return (x * x).sum().sqrt()

    found = hs.mend(run, target="fp32")
    assert found.finding is None or found.healthy or found.best is not None
    found = hs.mend(run, target=None)
    assert found.error == math.inf
    assert found.best is not None


def test_a_policy_and_an_option_together(monkeypatch: pytest.MonkeyPatch) -> None:
    both = hs.Fix("both", hs.Policy({"@mul": "fp32"}), {"master_weights": True})
    with_fixes(monkeypatch, both)
    found = hs.mend(trained(sgd, steps=300))
    assert found.tried[0].mends
    assert found.tried[0].fix.option == {"master_weights": True}
    assert found.tried[0].fix.policy == hs.Policy({"default": "fp16", "@mul": "fp32"})
    assert both.how == "policy {'@mul': 'fp32'}, master_weights=True"


# The command line.

SCRIPT = """
import sys, time
import halfsim as hs
began = time.perf_counter()
x = hs.tensor([300.0, 2.0], "fp16")
norm = (x * x).sum().sqrt()
print("norm", norm.item())
elapsed = time.perf_counter() - began
if "check" in sys.argv:
    assert norm.item() < 1e5, "norm is infinite"
"""


def test_the_command_mends_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "norm.py"
    path.write_text(SCRIPT)
    assert main(["run", "--mend", str(path)]) == 0
    told = capsys.readouterr()
    assert told.out == "norm inf\n"
    assert "overflow" in told.err
    assert "Best: keep mul in float32" in told.err
    assert "Left out, being other in each run: began, elapsed." in told.err
    assert (
        main(["run", "--mend", "--json", str(tmp_path / "m.json"), "--html", str(tmp_path / "m.html"), str(path)]) == 0
    )
    facts = json.loads((tmp_path / "m.json").read_text())
    assert facts["best"]["policy"] == {"@mul": "fp32"}
    assert "<table" in (tmp_path / "m.html").read_text()


def test_the_command_mends_a_script_that_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "norm.py"
    path.write_text(SCRIPT)
    assert main(["run", "--mend", str(path), "check"]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("The run raised AssertionError: norm is infinite")
    assert "Best: keep mul in float32" in told


def test_a_script_without_global_numbers_is_judged_by_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "main.py"
    path.write_text("def main():\n" + "\n".join(f"    {line}" for line in SCRIPT.splitlines()[:7]) + "\nmain()\n")
    assert main(["run", "--mend", "--json", str(tmp_path / "m.json"), str(path)]) == 0
    capsys.readouterr()
    facts = json.loads((tmp_path / "m.json").read_text())
    assert (facts["error"], facts["best"]["policy"]) == ("inf", {"@mul": "fp32"})


def test_a_script_that_fails_in_float64_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("import halfsim\nraise SystemExit('no data')\n")
    assert main(["run", "--mend", str(path)]) == 2
    assert "fails in float64, too: SystemExit: no data" in capsys.readouterr().err
    assert main(["run", "--mend", "--first", "overflow", str(path)]) == 2
    assert "--mend: not together with --first" in capsys.readouterr().err
