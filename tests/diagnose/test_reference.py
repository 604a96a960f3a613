"""Errors against a reference, by hand: of each operation alone, and of all before it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from tests.diagnose.bodies import batch, train


def ulp(x: Fraction) -> Fraction:
    """The distance of halfs at ``x``."""
    e = max(-14, int(np.frexp(float(x))[1]) - 1)
    return Fraction(2) ** (e - 10)


def half(x: float) -> Fraction:
    return Fraction(float(np.float16(x)))


def distance(got: Fraction, true: Fraction) -> float:
    return float(abs(got - true) / ulp(true))


def test_local_and_accumulated_errors_of_a_chain_are_those_of_fractions() -> None:
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        x = hs.tensor([0.1])
        ((x * x) + 0.3) / 3.0
    first, true = half(0.1), Fraction(0.1)
    product, product_true = half(float(first * first)), true * true
    third = Fraction(float(np.float32(0.3)))  # a constant of a kernel that computes in float32
    total, total_true = half(float(product + third)), product_true + Fraction(0.3)
    quotient, quotient_true = half(float(total / 3)), total_true / 3
    rows = {row.op: row for row in t.errors()}
    for op, got, alone, all_ in (
        ("mul", product, first * first, product_true),
        ("add", total, product + Fraction(0.3), total_true),
        ("div", quotient, total / 3, quotient_true),
    ):
        assert rows[op].local.largest == pytest.approx(distance(got, alone), rel=1e-9)
        assert rows[op].total.largest == pytest.approx(distance(got, all_), rel=1e-9)
        assert rows[op].local.relative == pytest.approx(float(abs(got - alone) / alone), rel=1e-9)
        assert rows[op].total.relative == pytest.approx(float(abs(got - all_) / all_), rel=1e-9)


def test_errors_of_a_gradient_and_of_an_update_are_those_of_fractions() -> None:
    w = hs.tensor([0.7], "fp16", requires_grad=True)
    start = half(0.7)
    optimizer = hs.optim.SGD([w], lr=0.1)
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        (w * w * 0.3).sum().backward()
        optimizer.step()
    rows = {(row.phase, row.op, row.tensor): row for row in t.errors()}
    g = half(float(Fraction(float(np.float32(0.3)))))  # what the last product hands back
    single = half(float(g * start))
    twice = half(float(single + single))
    true = 2 * start * Fraction(0.3)
    row = rows["backward", "accumulate", ""]
    assert row.local.largest == distance(twice, 2 * single) == 0
    assert row.total.largest == pytest.approx(distance(twice, true), rel=1e-9)
    new = half(float(Fraction(float(np.float32(start + Fraction(float(np.float32(-0.1))) * twice)))))
    row = rows["optimizer", "add", "param"]
    assert Fraction(w.item()) == new
    assert row.local.largest == pytest.approx(distance(new, start - Fraction(0.1) * twice), rel=1e-6)
    assert row.total.largest == pytest.approx(distance(new, start - Fraction(0.1) * true), rel=1e-6)


def test_who_makes_an_error_is_told_from_who_passes_it_on() -> None:
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        x = hs.tensor(np.linspace(0.9, 1.1, 64))
        rough = ops.exp(ops.log(x * 1000.0) * 1.0)
        ops.reshape(rough, (8, 8)) - 1000.0
    roles = {row.op: row.role for row in t.errors()}
    assert roles["log"] == "producer"
    assert roles["reshape"] == roles["sub"] == "propagator", "it only shows what exp amplified"
    relative = [row.local.relative for row in t.errors()]
    assert relative == sorted(relative, reverse=True)
    assert {row.op for row in t.errors() if row.local.relative == 0} >= {"reshape"}


def test_without_a_reference_there_are_no_errors() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        hs.tensor([0.1]) * 0.3
    assert t.errors() == []


def test_infinite_errors_are_left_to_the_overflow_that_made_them() -> None:
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        hs.tensor([300.0]) * 300.0
        hs.tensor([1.1]) * 1.1
    (row,) = (row for row in t.errors() if row.op == "mul")
    assert row.total.largest < 2
    assert t.verdict().klass == "overflow"


@pytest.mark.parametrize("rule", ["fp16", "bf16", "amp"])
def test_the_accumulated_error_is_the_distance_from_the_run_in_float64(rule: str) -> None:
    weights = "fp32" if rule == "amp" else rule
    hs.manual_seed(0)
    t = train("mlp", lambda x: x, rule, weights, reference="fp64")
    hs.manual_seed(0)
    images, _ = batch()
    from tests.diagnose.bodies import MLP

    model = MLP(lambda x: x).to(weights)
    with hs.precision(rule):
        y = model(hs.tensor(images, weights)).array
    with hs.precision("fp64", override=True):
        exact = model(hs.tensor(hs.tensor(images, weights).array.astype(np.float64))).array
    head = next(row for row in t.errors() if (row.phase, row.path, row.op) == ("forward", "head", "linear"))
    relative = np.linalg.norm(y - exact) / np.linalg.norm(exact)
    assert head.total.relative == pytest.approx(relative, rel=1e-6)
