"""Properties hold for right functions, and name what is wrong with the others; the search finds the worst."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis.errors import InvalidArgument

import halfsim as hs
from halfsim import testing as ht
from halfsim.testing import strategies as st

X = np.float16([3, 1, 2])
HOLD: list[Callable[[], None]] = [
    lambda: ht.permutation_stable(np.sum, X),
    lambda: ht.permutation_stable(lambda x: x.sum(), hs.tensor([1.0, 2.0], "fp16")),
    lambda: ht.scale_equivariant(np.var, X, degree=2),
    lambda: ht.bounded_by(np.mean, X, 1, 3),
    lambda: ht.sums_to_one(lambda x: hs.ops.softmax(x, -1), hs.tensor(X, "fp16")),
    lambda: ht.monotone(np.negative, X, decreasing=True),
    lambda: ht.batch_invariant(lambda x: hs.ops.softmax(x, -1), hs.tensor(np.float16([[1, 2], [3, 5]]))),
    lambda: ht.shape_invariant(hs.ops.exp, hs.tensor(X)),
    lambda: ht.gradient_matches(lambda x: hs.ops.exp(x).sum(), hs.tensor(X)),
]
BROKEN: list[tuple[Callable[[], None], str]] = [
    (lambda: ht.permutation_stable(lambda x: x[0], X), "permutation_stable: reversed: 3.0 became 2.0"),
    (lambda: ht.scale_equivariant(lambda x: x + 1, X), "scale_equivariant: times 2**-2: element"),
    (lambda: ht.bounded_by(lambda x: x * np.nan, X, 0, 1), "bounded_by: element (0,): nan"),
    (lambda: ht.sums_to_one(lambda x: x / 7, X), "sums_to_one: row (): the sum is 0.85"),
    (lambda: ht.monotone(np.cos, X), "monotone: f(1) = 0.54"),
    (lambda: ht.batch_invariant(lambda x: x / x.sum(), X), "batch_invariant: slice 0: element (0,): 0.5 became 1.0"),
    (lambda: ht.shape_invariant(lambda x: x / x.size, X), "shape_invariant: "),
]


@pytest.mark.parametrize("holds", HOLD)
def test_what_holds_is_silent(holds: Callable[[], None]) -> None:
    holds()


@pytest.mark.parametrize(("breaks", "told"), BROKEN)
def test_what_does_not_hold_is_told_in_one_line(breaks: Callable[[], None], told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        breaks()
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_the_worst_norm_overflows_and_prints_a_script() -> None:
    halves = st.arrays("float16", 3, elements={"min_value": 1, "max_value": 1024})
    worst = ht.worst_case(np.linalg.norm, halves, max_examples=60, max_evaluations=60)
    assert worst.error == np.inf
    assert "np.linalg.norm" in worst.script
    assert str(worst) == str(ht.worst_case(np.linalg.norm, halves, max_examples=60, max_evaluations=60))
    with np.errstate(all="ignore"):
        exec(compile(worst.script, "worst.py", "exec"), {})


def test_the_finding_names_the_operation() -> None:
    positive: Any = st.tensors("float16", 2, elements={"min_value": 1, "max_value": 1024})
    worst = ht.worst_case(lambda x: (x * x).sqrt(), positive, max_examples=60, max_evaluations=60)
    assert worst.finding is not None
    assert (worst.finding.klass, worst.finding.op) == ("overflow", "mul")


def test_orders_of_a_sum_differ_by_what_is_documented() -> None:
    rng = np.random.default_rng(0)
    apart = 0.0
    for n in (2, 3, 9, 40):
        for _ in range(60):
            x = np.exp2(rng.uniform(-8, 8, n)).astype(np.float16)
            ht.permutation_stable(lambda x: np.cumsum(x)[-1], x, max_ulp=2 * (n - 1))
            ht.permutation_stable(lambda x: np.float16(x.astype(float).sum()), x)
            both = [float(np.cumsum(part)[-1]) for part in (np.sort(x), np.sort(x)[::-1])]
            apart = max(apart, abs(both[0] - both[1]) / hs.ulp(min(both), "fp16"))
    assert apart > 4  # where 1 would have been refused


@pytest.mark.parametrize("property_", [ht.permutation_stable, ht.batch_invariant])
def test_an_axis_that_is_not_there_is_refused_in_one_line(property_: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="^axis: -?[0-9] is not allowed; allowed: one of the 0 axes of x$"):
        property_(np.sum, np.float16(1))


def test_a_search_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InvalidArgument, match="strategy: 3 is not allowed; allowed: a strategy"):
        ht.worst_case(np.sum, 3)


def test_without_hypothesis_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import halfsim.testing as t; t.strategies"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(hs.__file__).parents[1]
    )
    assert done.stderr.rstrip().endswith('hypothesis is missing; it comes with: pip install "halfsim[testing]"')
