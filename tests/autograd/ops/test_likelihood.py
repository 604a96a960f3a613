"""Likelihoods of counts and measurements: overflow, bounds, shapes. Values are recorded elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import halfsim as hs

F = hs.nn.functional


def test_a_rate_overflows_in_half_and_not_under_autocast() -> None:
    x = hs.tensor([12.0], "fp16")
    assert F.poisson_nll_loss(x, np.array([2.0])).item() == np.inf
    with hs.precision("amp"):
        assert F.poisson_nll_loss(x, np.array([2.0])).item() == pytest.approx(math.exp(12) - 24, rel=1e-6)


def test_stirlings_formula_counts_above_one() -> None:
    plain, full = (F.poisson_nll_loss([0.0] * 3, [0.0, 1.0, 5.0], full=how, reduction="none") for how in (False, True))
    added = full.numpy() - plain.numpy()
    np.testing.assert_allclose(added, [0, 0, 5 * math.log(5) - 5 + 0.5 * math.log(10 * math.pi)], rtol=1e-5)


def test_small_variances_are_bounded_and_learn_on() -> None:
    var = hs.tensor([1e-9, 2.0], "fp64", requires_grad=True)
    loss = F.gaussian_nll_loss(hs.tensor([1.0, 1.0], "fp64"), np.array([1.0, 2.0]), var, eps=0.5, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [0.5 * math.log(0.5), 0.5 * (math.log(2) + 0.5)])
    loss.sum().backward()
    assert var.grad is not None
    np.testing.assert_allclose(var.grad.numpy(), [0.5 / 0.5, 0.5 * (0.5 - 0.25)])


@pytest.mark.parametrize(
    "var", [2.0, np.full(3, 2.0), np.full((3, 1), 2.0), np.full((3, 4), 2.0), np.full((1, 4), 2.0)]
)
def test_variances_of_fewer_axes(var: Any, rng: np.random.Generator) -> None:
    x, t = rng.standard_normal((2, 3, 4))
    with hs.precision("fp64"):
        got = F.gaussian_nll_loss(hs.tensor(x), hs.tensor(t), var)
    assert got.item() == pytest.approx(np.mean(0.5 * (math.log(2) + (x - t) ** 2 / 2)))


@pytest.mark.parametrize("var", [-1.0, np.ones(4), np.ones((3, 2)), np.ones((1, 1))])
def test_other_variances_are_refused(var: Any) -> None:
    with pytest.raises(ValueError, match="^var: "):
        F.gaussian_nll_loss(np.zeros((3, 4)), np.zeros((3, 4)), var)
