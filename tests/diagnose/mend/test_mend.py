"""`hs.mend`: policies are tried on the run itself, measured against float64, and leave nothing behind."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.trace.fix import keys
from halfsim.diagnose.mend.grow import smallest
from halfsim.diagnose.mend.outcome import distance, same
from halfsim.diagnose.mend.script import mend_script
from halfsim.diagnose.reach import reached
from tests.diagnose.mend.mends import Run, log_of_softmax, log_of_sum_of_exp, norm, with_fixes


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
    assert re.search(r" none +(inf|nan) -> ", str(found), re.IGNORECASE), "no trouble is left"
    assert first.error < 1e-2 < found.error
    with hs.precision(found.best.policy):
        again = run()
    with hs.precision("fp64"):
        exact = run()
    assert distance({"y": again.array.astype(float)}, {"y": exact.array}) == first.error


@pytest.mark.parametrize("run", [norm, log_of_softmax, log_of_sum_of_exp])
def test_of_the_set_nothing_can_be_left_out(run: Run) -> None:
    best = hs.mend(run).best
    assert best is not None
    assert best.policy is not None
    rules = keys(best.policy)
    for op in set(rules) - {"default"}:
        with hs.precision({name: spec for name, spec in rules.items() if name != op}):
            assert not np.isfinite(run().array).all()


def test_best_policy_gives_the_bits_of_the_mended_run() -> None:
    seen: dict[bytes, bool] = {}

    def run() -> hs.Tensor:
        hs.manual_seed(3)
        x = hs.ops.dropout(hs.tensor(np.linspace(200.0, 400.0, 64)), 0.5, training=True)
        return (x * x).mean().sqrt()

    def accept(y: hs.Tensor) -> bool:
        return seen.setdefault(y.array.tobytes(), bool(np.isfinite(y.array).all()))

    found = hs.mend(run, accept=accept)
    assert found.best is not None
    with hs.precision(found.best.policy):
        assert seen[run().array.tobytes()]


def test_of_a_policy_that_mends_fewer_operations_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest set comes first; the recommended one stays in the table."""
    many = hs.Policy({"@pow": "fp32", "@mean": "fp32", "@sqrt": "fp32", "@add": "fp32"})
    with_fixes(monkeypatch, hs.Fix("many", many))
    found = hs.mend(norm)
    assert [len(one.fix.policy.rules) for one in found.tried if one.mends and one.fix.policy] == [2, 4]
    assert found.best is not None
    assert keys(found.best.policy) == {"default": "fp16", "@pow": "fp32", "@mean": "fp32"}  # type: ignore[arg-type]
    assert found.tried[1].fix.text == "many"
    assert found.runs <= 2 + 1 + 12


def test_in_a_module_the_policy_names_its_path() -> None:
    class Net(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = hs.nn.Linear(4, 4), hs.nn.Linear(4, 1)

        def forward(self, x: hs.Tensor) -> hs.Tensor:
            return self.last(hs.ops.tanh(self.first(x) * 1e-5))

    net = Net()
    net.first.weight.array[:] = 9000.0
    found = hs.mend(lambda: net(hs.tensor([[3.0, 3.0, 3.0, 3.0]])))
    assert found.best is not None
    assert found.best.policy is not None
    assert keys(found.best.policy) == {"default": "fp16", "@mul": "fp32", "first@linear": "fp32"}
    assert "keep mul and linear in first in float32" in str(found)


def test_the_module_that_broke_is_tried_before_others() -> None:
    """One more run is enough where what breaks is in one module and in what belongs to none."""
    ran = [("first", "linear"), ("first", "mul"), ("", "mul"), ("last", "linear")]
    needed, tried = {("first", "linear"), ("", "mul")}, list[list[str]]()

    def mends(patterns: list[str]) -> bool:
        tried.append(patterns)
        return all(f"@{op}" in patterns or f"{where}@{op}" in patterns for where, op in needed)

    broken, trace = SimpleNamespace(op="linear", path="first"), SimpleNamespace(ran=ran)
    assert smallest(broken, trace, mends) == ["@mul", "first@linear"]  # type: ignore[arg-type]
    assert [some for some in tried if "first@linear" in some] == [["@mul", "first@linear"]]


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
    found = hs.mend(lambda: hs.tensor(np.random.default_rng().normal(size=64)) * 1.0)
    assert found.best is None
    assert "Two runs in float64 differ" in str(found)
    y = {"y": np.array([np.nan, np.inf, 1.0])}
    assert same(y, {"y": y["y"].copy()}), "a NaN is the same in both"
    assert not same(y, {"y": np.array([np.nan, np.inf, 2.0])})
    assert not same(y, {})


def test_sums_are_accumulated_in_float32() -> None:
    found = hs.mend(lambda: hs.tensor(np.ones(4096)).sum(), target="pure_fp16")
    assert found.finding is not None
    assert found.finding.klass in ("swamping", "accumulation order")
    mends = [one for one in found.tried if one.mends]
    assert any("accumulate=float32" in str(one.fix.policy) for one in mends)


def test_a_run_that_makes_halves_itself_is_mended() -> None:
    def run() -> hs.Tensor:
        x = hs.tensor([300.0, 1.0]).half()
        return (x * x).sum().sqrt()

    found = hs.mend(run, target="fp32")
    assert found.finding is None or found.healthy or found.best is not None
    found = hs.mend(run, target=None)
    assert found.error == math.inf
    assert found.best is not None


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


def test_a_fix_under_which_the_run_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> hs.Tensor:
        y = norm()
        if not np.isfinite(y.item()):
            raise FloatingPointError
        return y

    with_fixes(monkeypatch, hs.Fix("too few", hs.Policy({"@mean": "fp32"})))
    one = next(one for one in hs.mend(run).tried if one.fix.text == "too few")
    assert (one.applied, one.mends, one.error, one.reason) == (True, False, math.inf, "raised FloatingPointError")


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
    assert hs.mend(norm, accept=lambda y: np.isfinite(y.array)).best is not None
    with pytest.raises(TypeError, match="accept: it returned str"):
        hs.mend(norm, accept=lambda y: "yes")


def test_of_a_script_its_own_modules_alone_are_imported_anew(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import halfsim as hs\nx = hs.tensor([300.0, 2.0])\n")
    (tmp_path / "main.py").write_text("import beside, colorsys\nnorm = (beside.x * beside.x).sum().sqrt()\n")
    sys.modules.pop("colorsys", None)
    found = mend_script(str(tmp_path / "main.py"), precision="fp16")
    assert found.best is not None
    assert "beside" not in sys.modules
    assert "colorsys" in sys.modules, "a library's stays as it is"
    with pytest.raises(ValueError, match="^target: 'fp61' is not allowed"):
        mend_script(str(tmp_path / "main.py"), precision="fp61")


def test_refusals() -> None:
    with pytest.raises(TypeError, match="run: Tensor is not allowed; allowed: a function"):
        hs.mend(norm())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="accept: 0.1 is not allowed; allowed: a function"):
        hs.mend(norm, accept=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model: float is not allowed; allowed: Module"):
        hs.mend(norm, model=0.1)
    with pytest.raises(ValueError, match="target: 'fp17' is not allowed"):
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
        arrays += [x.array for x in average.averages]
        formats = [p.format.name for p in model.parameters()]
        scale = (scaler.get_scale(), len(scaler.history))
        streams = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index, union-attr]
        return [x.tobytes() for x in arrays], formats, scale, streams, list(losses), dict(facts), data.tobytes()

    before = state()
    drawn = hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).array
    hs.manual_seed(7)
    expected = hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).array
    hs.manual_seed(7)
    hs.mend(run, model=model, optimizer=optimizer, scaler=scaler)
    assert np.array_equal(hs.ops.dropout(hs.tensor(np.ones(16)), 0.5, training=True).array, expected)
    assert drawn.shape == expected.shape
    assert state() == before


def test_what_functions_called_by_name_reach_is_found() -> None:
    w = hs.tensor([1.0])
    deep = hs.tensor([2.0])

    class Holder:
        def __init__(self) -> None:
            self.inner = [deep]

        def step(self) -> None:
            self.inner[0].array += 1

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


def test_it_prints_a_table_and_is_plain_data() -> None:
    found = hs.mend(log_of_softmax)
    head = next(line for line in str(found).splitlines() if line.startswith("fix"))
    assert [head.index(word) for word in ("fix", "how", "trouble left", "error", "mends")]
    assert "Best: keep softmax and log in float32" in str(found)
    assert "error is that of the result, before -> after" in str(found)
    assert "    with hs.precision({'default': 'fp16', '@softmax': 'fp32', '@log': 'fp32'}): ..." in str(found)
    assert max(map(len, str(found).splitlines())) <= 100
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
