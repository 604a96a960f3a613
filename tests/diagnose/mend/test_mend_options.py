"""`hs.mend`: options are given to what is handed in and to what the run makes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import halfsim as hs
from tests.diagnose.mend.mends import norm, options, sgd, trained, with_fixes

_LOW = {"init_scale": 1.0, "min_scale": None, "dynamic": True}


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
    before = {name: x.array.copy() for name, x in optimizer.state[w].items() if name != "step"}
    found = hs.mend(run, model=None, optimizer=optimizer)
    assert options(found)["master_weights"]
    assert {name: x.array for name, x in optimizer.state[w].items() if name != "step"} == before
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

    found = hs.mend(run, accept=lambda y: bool(np.isfinite(y.array).all()))
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
    assert any(one.mends and one.fix.policy is not None for one in found.tried)
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


@pytest.mark.parametrize("handed_in", [True, False])
def test_a_scaler_that_skips_every_step_begins_lower(handed_in: bool) -> None:
    scaler = hs.amp.GradScaler(init_scale=2.0**16, min_scale=2.0**14)

    def run() -> hs.Tensor:
        own = scaler if handed_in else hs.amp.GradScaler(init_scale=2.0**16, min_scale=2.0**14)
        w = hs.nn.Parameter(hs.tensor([1.0], "fp32"))
        optimizer = hs.optim.SGD([w], lr=1e-5)
        for _ in range(6):
            optimizer.zero_grad()
            h = w * 100.0
            own.scale((h * h).sum()).backward()
            own.step(optimizer)
            own.update()
        return w

    found = hs.mend(run)
    assert found.finding is not None
    assert (found.finding.phase, found.finding.op) == ("backward", "mul")
    assert found.finding.klass in ("scaler", "overflow")
    assert found.error > 1e-2
    assert any(one.mends and one.fix.option == _LOW for one in found.tried)
    late = [one.mends for one in found.tried if one.fix.option == {"min_scale": None}]
    assert not any(late), "it takes too many steps to fall"
    assert (scaler.get_scale(), scaler._low, scaler.history) == (2.0**16, 2.0**14, [])


def test_what_needs_a_person_is_listed() -> None:
    """As clipping before unscaling: the order of two lines."""

    def run() -> hs.Tensor:
        w = hs.nn.Parameter(hs.tensor([1.0], "fp32"))
        optimizer, scaler = hs.optim.SGD([w], lr=1.0), hs.amp.GradScaler(init_scale=1024.0)
        scaler.scale((w * 1.0).sum()).backward()
        hs.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        return w

    found = hs.mend(run)
    assert found.finding is not None
    assert (found.finding.klass, found.finding.op) == ("scaler", "clip_grad_norm_")
    assert [(one.fix.text, one.applied, one.mends, one.reason) for one in found.tried] == [
        ("call scaler.unscale_(optimizer) before clipping", False, False, "needs a person")
    ]
    assert found.best is None
    assert math.isnan(found.tried[0].error)
    assert "None of these can be tried by a machine." in str(found)
    assert "not tried" in str(found)


def test_an_option_that_nothing_takes_is_not_said_to_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    with_fixes(monkeypatch, hs.Fix("update float32 copies", option={"master_weights": True}))
    found = hs.mend(norm)
    one = found.tried[-1]
    assert (one.applied, one.reason) == (False, "nothing in the run takes it")


def test_a_policy_and_an_option_together(monkeypatch: pytest.MonkeyPatch) -> None:
    both = hs.Fix("both", hs.Policy({"@mul": "fp32"}), {"master_weights": True})
    with_fixes(monkeypatch, both)
    found = hs.mend(trained(sgd, steps=300))
    assert found.tried[0].mends
    assert found.tried[0].fix.option == {"master_weights": True}
    assert found.tried[0].fix.policy == hs.Policy({"default": "fp16", "@mul": "fp32"})
    assert both.how == "policy {'@mul': 'fp32'}, master_weights=True"
