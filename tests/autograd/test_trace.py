"""The counts of the trace against counts made by hand from the bits."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.kinds import KINDS


def test_overflow_underflow_and_flushing_are_counted_where_they_happen() -> None:
    with hs.trace() as t:
        a = hs.tensor([300.0, 2.0**-14, 2.0**-13, 1.0, 0.0], "fp16")
        (a * hs.tensor([300.0, 2.0**-12, 2.0**-10, 1.0, 5.0], "fp16"))
    counts = t.totals["forward", "", "mul", ""]
    assert (counts.size, counts.nonzero, counts.overflow, counts.flushed, counts.underflow) == (5, 4, 1, 1, 1)
    assert counts.inexact == 2
    assert t.count().overflow == 1


@pytest.mark.parametrize("rule", ["fp16", "pure_fp16", "fp32"])
def test_nan_and_division_by_zero_are_told_from_what_they_cause(rule: str) -> None:
    with hs.precision(rule), hs.trace() as t:
        x = hs.tensor([1.0, 0.0, 4.0]) / hs.tensor([0.0, 0.0, 2.0])  # inf, NaN, 2
        x * 2
        x - x
    assert t.totals["forward", "", "div", ""].divide_by_zero == 1
    assert t.totals["forward", "", "div", ""].invalid == 1
    assert t.totals["forward", "", "div", ""].overflow == 0
    assert t.totals["forward", "", "mul", ""].invalid == 0
    assert t.totals["forward", "", "sub", ""].invalid == 1, "inf - inf makes a NaN, NaN - NaN does not"
    first = t.first()
    assert first is not None
    assert (first.klass, first.op, first.step, first.phase) == ("NaN propagation", "div", 1, "forward")


def test_infinity_minus_infinity_makes_nan() -> None:
    with hs.trace() as t:
        x = hs.tensor([np.inf], "fp16")
        x - x
    assert t.totals["forward", "", "sub", ""].invalid == 1


def test_an_overflow_in_float32_is_seen_too() -> None:
    with hs.trace() as t:
        hs.tensor([1e30]) * hs.tensor([1e30])
        hs.tensor([1e-30]) * hs.tensor([1e-30])
    counts = t.totals["forward", "", "mul", ""]
    assert (counts.overflow, counts.flushed) == (1, 1)


@pytest.mark.parametrize("storage", ["fp32", "float8_e4m3fn"])
def test_sums_that_overflow_to_nan_have_overflowed(storage: str) -> None:
    """As additions have: without infinities, NaN takes their place."""
    fp8 = f"storage={storage}, compute={storage}, accumulate=float8_e4m3fn:sequential"
    with hs.precision(fp8), hs.trace() as t:
        x = hs.tensor([[256.0, 256.0, 1.0], [448.0, 0.0, 0.0]])
        assert np.isnan(x.sum(1).numpy()).tolist() == [True, False]
        assert np.isnan((x @ hs.tensor([1.0, 1.0, 1.0])).numpy()).tolist() == [True, False]
    for op in ("sum", "matmul"):
        counts = t.totals["forward", "", op, ""]
        assert (counts.overflow, counts.invalid, counts.clipped) == (1, 0, 0)
    first = t.first()
    assert first is not None
    assert first.klass == "overflow"


def test_a_constant_that_is_zero_is_told_by_name() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor([1.0]) + 1e-8
    assert t.constant is not None
    assert str(t.constant.lost) == "constant 1e-08 is zero in float16 (smallest subnormal 5.96e-08)"
    assert t.constant.klass is None, "nothing was divided by it"


def test_operands_that_do_not_fit_storage_are_counted() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        hs.tensor([1e5, 1e-9], "fp32") * 1
    assert (t.count().overflow, t.count().flushed) == (1, 1)


def test_gradients_are_counted_in_their_phase_with_their_tensor() -> None:
    model = hs.nn.Sequential(hs.nn.Linear(2, 2), hs.nn.ReLU(), hs.nn.Linear(2, 1)).to("fp16")
    with hs.trace() as t:
        out = model(hs.tensor([[2.0**-14, 2.0**-14]], "fp16"))
        out.backward(np.array([[2.0**-14]]))
    weight = t.totals["backward", "0", "linear", "weight"]
    assert weight.flushed == weight.nonzero > 0, "products of about 2**-28 all vanish"
    assert ("forward", "2", "linear", "") in t.totals
    first = t.first("underflow")
    assert first is not None
    assert (first.phase, first.path, first.tensor) == ("backward", "0", "weight")


def test_steps_are_counted_by_optimizers() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=1.0)
    with hs.trace() as t:
        for scale in (1e-4, 1e-4, 1e-3):
            optimizer.zero_grad()
            (w * scale).sum().backward()
            optimizer.step()
    updates = t.totals["optimizer", "", "update", ""]
    assert (updates.addends, updates.swamped) == (3, 2)
    assert w.item() == np.float16(1 - 1e-3)
    assert t.step == 4
    first = t.first("swamping")
    assert first is not None
    assert first.step == 1


def test_swamping_inside_a_sum_is_seen() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor(np.ones(5000)).sum()
    first = t.first()
    assert first is not None
    assert first.klass == "swamping"
    assert first.event.counts.swamped == 5000 - 2048
    assert first.event.disorder == (5000 - 2048) / 5000  # of the magnitude of the terms


def test_flags_are_told_inside_a_trace_as_outside() -> None:
    x, y = (hs.tensor(given, "fp16", requires_grad=True) for given in ([0.0, 1e-7], [1e-7, np.inf]))

    def counted() -> list[int]:
        with hs.precision("pure_fp16"), hs.flags() as found:
            z = x * y + 1 / x + x * 0.1  # two parts of a gradient are added up
            z.backward(hs.tensor(np.ones(2), "fp16"))
        x.grad = y.grad = None
        return [getattr(found, flag) for flag in ("overflow", "underflow", "inexact", "invalid", "divide_by_zero")]

    outside = counted()
    with hs.trace():
        inside = counted()
    with hs.trace(reference="fp64"):
        assert counted() == inside == outside
    assert all(outside)


def test_a_difference_of_which_a_result_is_computed_is_a_cancellation() -> None:
    for counts in (Counts(size=2, annulled=1, single=1), Counts(size=2, annulled=1), Counts(size=2, single=1)):
        t = hs.Trace()
        t.promote(Event(1, "forward", "", "sub", "", (2,), counts))
        assert list(t.firsts) == ["cancellation"]
    t = hs.Trace()
    t.promote(Event(1, "forward", "", "add", "", (2,), Counts(size=2, swamped=2, addends=2)))
    assert list(t.firsts) == ["swamping"]


def test_healthy_computation_is_no_trouble(rng: np.random.Generator) -> None:
    with hs.precision("fp16"), hs.trace() as t:
        x = hs.tensor(rng.standard_normal((50, 20)))
        hs.nn.cross_entropy(x, np.zeros(50, int))
    assert t.first() is None
    assert t.table().count("\n") == 0, "a head and no line"


def test_a_run_of_one_step_is_told_of_that_step() -> None:
    with hs.trace() as t:
        hs.tensor([0.5], "fp16") * 0.3
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.step) == ("benign rounding", 1)


def test_the_trace_does_not_grow_with_steps() -> None:
    with hs.trace() as t:
        for _ in range(50):
            hs.tensor([1.0], "fp16") * 70000
    assert len(t.totals) == 1
    assert t.totals["forward", "", "mul", ""].overflow == 50
    assert "overflow" in t.table()


def test_nothing_is_recorded_outside_and_the_outer_trace_sees_the_inner() -> None:
    with hs.trace() as outer:
        with hs.trace() as inner:
            hs.tensor([1.0]) + 1
        hs.tensor([1.0]) * 1
    hs.tensor([1.0]) - 1
    assert [key[2] for key in inner.totals] == ["add"]
    assert [key[2] for key in outer.totals] == ["add", "mul"]


def test_unknown_classes_are_refused() -> None:
    with hs.trace() as t, pytest.raises(ValueError, match="klass: 'overflw' is not allowed"):
        t.first("overflw")


def test_places_read_as_words() -> None:
    event = Event(1, "optimizer", "0.weight", "addcmul", "exp_avg_sq", (3,), hs.FlagCounts())
    assert event.place == "addcmul in 0.weight (exp_avg_sq)"
    assert event.klass is None


def test_new_exceptions_are_seen_beside_old_ones() -> None:
    """Element by element: a NaN or an infinity among the operands hides nothing."""
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor([0.0, np.nan]) / hs.tensor([0.0, 1.0])
        hs.tensor([np.inf, np.nan]) * hs.tensor([0.0, 1.0])
    assert t.totals["forward", "", "div", ""].invalid == 1
    assert t.totals["forward", "", "mul", ""].invalid == 1
    with hs.trace() as t:
        hs.tensor([3e38, np.inf]) * hs.tensor([10.0, 1.0])
    assert t.totals["forward", "", "mul", ""].overflow == 1


@pytest.mark.parametrize("rule", ["pure_fp16", "fp16", "fp32"])
def test_a_logarithm_of_zero_is_a_division_by_zero(rule: str) -> None:
    with hs.precision(rule), hs.trace() as t:
        hs.ops.log(hs.tensor([0.0, 1.0, -0.0, -1.0]))
    counts = t.count()
    assert (counts.divide_by_zero, counts.overflow, counts.invalid) == (2, 0, 1)


def test_inexact_sums_of_far_exponents_are_counted() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor([65504.0]) + hs.tensor([2.0**-24])
    assert t.count().inexact == 1


def test_counting_changes_no_bit(rng: np.random.Generator) -> None:
    a, b = (hs.tensor(hs.decode(rng.integers(0, 65536, 4000, dtype=np.uint16)), "fp16") for _ in range(2))
    for rule in ("pure_fp16", "fp16"):
        with hs.precision(rule):
            for op in (hs.ops.add, hs.ops.sub, hs.ops.mul, hs.ops.div):
                plain = op(a, b).bits()
                with hs.trace():
                    np.testing.assert_array_equal(op(a, b).bits(), plain)


@pytest.mark.parametrize("when", ["flush", "flush_inputs", "flush_outputs"])
def test_subnormals_that_are_flushed_are_counted_once(when: str) -> None:
    x = hs.tensor([1.0, 2.0**-20, 2.0**-24, 0.0], "fp16")
    with hs.precision(f"storage=fp16, subnormals={when}"), hs.trace() as t:
        assert (x * 1).tolist() == [1, 0, 0, 0]
        x[1:].clone()  # moved, not computed
    counts = t.totals["forward", "", "mul", ""]
    assert (counts.flushed, counts.nonzero, counts.size) == (2, 3, 4)
    assert t.count().flushed == 2


def test_there_are_never_more_nonzero_results_than_results() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor([1.0]) + 1e-9
    assert t.count().nonzero <= t.count().size


def test_an_event_and_a_trace_read_as_lines() -> None:
    with hs.trace() as t:
        hs.tensor([60000.0], "fp16") * 2
    assert str(t.first_event("overflow")) == "step 1, forward, mul: overflow"
    assert repr(t) == "<Trace: 1 step, 1 place, 1 value; overflow>"
    head, row = t.table().splitlines()
    counts = {"values": "1", "NaN": "0", "overflow": "1", "div by 0": "0", "flushed": "0", "swamped": "0"}
    assert head.split() == ["phase", "path", "op", "tensor", *" ".join(counts).split()]
    assert row.split() == ["forward", "mul", *counts.values()]


def test_troubles_are_as_grave_as_what_they_leave_behind() -> None:
    """Nothing finite, then what changes results: constants, what is lost altogether, what is lost in part."""
    ranks = ["NaN propagation", "overflow", "scaler", "eps lost = constant changed", "clipped = underflow"]
    ranks += ["swamping = cancellation", "integer rounding", "accumulation order", "benign rounding"]
    gravities = [{KINDS[name].gravity for name in rank.split(" = ")} for rank in ranks]
    assert all(len(equal) == 1 for equal in gravities)
    assert gravities == sorted(gravities, key=max, reverse=True)
    assert len(set().union(*gravities)) == len(ranks)


def test_a_long_run_takes_no_more_room_than_a_short_one() -> None:
    weight, small = hs.nn.Parameter(hs.tensor([1.0, 2.0], "fp16")), hs.tensor([1e-4, 1.0], "fp16")
    optimizer, sizes = hs.optim.SGD([weight], lr=1e-3), []
    with hs.precision("fp16"), hs.trace() as t:
        for _ in range(4):
            for _ in range(320):  # each makes a zero and an infinity that is left out
                optimizer.zero_grad()
                y = hs.ops.where(np.array([False, True]), small * small * 1e-4 / 1e-8, 1 / (small * small * 1e-3))
                (weight * y).sum().backward()
                optimizer.step()
            sizes.append(sum(len(known) for known in (t.readers, t.fates, t.spoilt)))
    assert sizes[-1] <= sizes[1] + 200, sizes
