"""The statements on digits: their figures are those of others, and hold as often as they promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from halfsim.diagnose.digits.estimate import agreement, chi_squared, share_of_all, shift, spread

SAMPLE = np.array([1.0, 1.001, 0.9985, 1.0004, 0.9997, 1.0012, 0.9991, 1.0003])
DRAWS = 1500


@pytest.mark.parametrize("freedom", [1, 2, 7, 29, 58, 1000])
@pytest.mark.parametrize("share", [1e-6, 0.005, 0.025, 0.5, 0.975])
def test_quantiles_are_those_of_scipy(freedom: int, share: float) -> None:
    assert chi_squared(freedom, share) == pytest.approx(stats.chi2.ppf(share, freedom), rel=1e-9)


@pytest.mark.parametrize("runs", [2, 3, 8, 30, 200])
@pytest.mark.parametrize(("probability", "confidence"), [(0.95, 0.95), (0.99, 0.95), (0.9, 0.8)])
def test_the_shift_is_the_formula_of_the_paper(runs: int, probability: float, confidence: float) -> None:
    """Sohier and others 2021, section 4: (1/2) log2((n - 1) / chi2) + log2(F^-1((p + 1) / 2))."""
    low = stats.chi2.interval(confidence, runs - 1)[0]
    told = 0.5 * math.log2((runs - 1) / low) + math.log2(stats.norm.ppf((probability + 1) / 2))
    assert shift(runs, probability, confidence) == pytest.approx(told, rel=1e-9)


# What significantdigits 0.6.0, the package of the paper's authors, gives for SAMPLE and its mean (2026-11-30). Its
# deviation is that of n, where the formula has n - 1: half a log2(8 / 7) more than may be relied on.
@pytest.mark.parametrize(
    ("probability", "confidence", "told"),
    [(0.95, 0.95, 8.197405201463082), (0.99, 0.95, 7.80319535437606), (0.9, 0.8, 8.823009880280356)],
)
def test_digits_are_those_of_the_authors_package(probability: float, confidence: float, told: float) -> None:
    found = spread(SAMPLE[:, None], np.array([1.0]), shift(8, probability, confidence))
    assert found.lower == pytest.approx(told - 0.5 * math.log2(8 / 7), abs=1e-9)
    assert math.floor(found.held) == 9  # its "general" method, about a reference of 1


@pytest.mark.parametrize(
    ("probability", "confidence", "trials"), [(0.95, 0.95, 59), (0.95, 0.9, 45), (0.99, 0.95, 299), (0.99, 0.9, 230)]
)
def test_trials_that_it_takes_are_those_of_the_authors_package(
    probability: float, confidence: float, trials: int
) -> None:
    assert share_of_all(trials, confidence) >= probability > share_of_all(trials - 1, confidence)


def content(at: float, radius: float) -> float:
    """The probability of a standard normal number to be within ``radius`` of ``at``."""
    return 0.5 * (math.erf((at + radius) / math.sqrt(2)) - math.erf((at - radius) / math.sqrt(2)))


@pytest.mark.parametrize("runs", [2, 3, 8, 30])
@pytest.mark.parametrize(("probability", "confidence"), [(0.95, 0.95), (0.99, 0.95), (0.9, 0.8)])
def test_normal_runs_agree_with_their_mean_as_often_as_promised(
    runs: int, probability: float, confidence: float
) -> None:
    """Of 1,500 samples a share of at least ``confidence`` names bits that hold with ``probability``, about its mean."""
    rng, taken, right = np.random.default_rng(runs), shift(runs, probability, confidence), 0
    for _ in range(DRAWS):
        x = rng.standard_normal(runs)
        found = spread(1e6 + x[:, None], np.array([1e6]), taken)
        radius = 2.0**-found.lower * (1e6 + x.mean())
        right += content(x.mean(), radius) >= probability
    noise = 3 * math.sqrt(confidence * (1 - confidence) / DRAWS)
    assert right / DRAWS >= confidence - noise


@pytest.mark.parametrize("size", [2, 10, 100])
def test_an_array_of_independent_numbers_agrees_more_often_than_promised(size: int) -> None:
    """The norm of many is steadier than one number, whose law is the widest (Szekely and Bakirov 2003)."""
    rng, taken, right, draws = np.random.default_rng(size), shift(8, 0.95, 0.95), 0, 200
    centre = np.full(size, 1e6)
    fresh = rng.standard_normal((2000, size))
    for _ in range(draws):
        x = rng.standard_normal((8, size))
        found = spread(centre + x, centre, taken)
        radius = 2.0**-found.lower * np.linalg.norm(centre + x.mean(0))
        right += (np.linalg.norm(fresh - x.mean(0), axis=1) <= radius).mean() >= 0.95
    assert right / draws >= 0.95


LAWS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "two numbers": lambda rng, n: (rng.random(n) < 0.35) * 1.0,
    "uniform": lambda rng, n: rng.random(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("runs", [2, 8, 59])
def test_what_held_in_all_runs_holds_by_any_law(law: str, runs: int) -> None:
    rng, share, right, draws = np.random.default_rng(runs), share_of_all(runs, 0.95), 0, 1000
    run = 1e6 + 0.3  # the run as it is, wherever that is
    far = np.sort(np.abs(1e6 + LAWS[law](rng, 100_000) - run))
    for _ in range(draws):
        found = spread((1e6 + LAWS[law](rng, (runs, 1))), np.array([run]), 2.0)
        radius = 2.0**-found.held * run * (1 + 1e-12)
        right += np.searchsorted(far, radius, "right") / len(far) >= share - 0.005
    assert right / draws >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_promise_of_fewer_bits_taken_off_is_broken() -> None:
    """The test of the promise can fail: without the term of chi-squared it does."""
    rng, right = np.random.default_rng(0), 0
    for _ in range(1000):
        x = rng.standard_normal(8)
        found = spread(1e6 + x[:, None], np.array([1e6]), math.log2(stats.norm.ppf(0.975)))
        right += content(x.mean(), 2.0**-found.lower * (1e6 + x.mean())) >= 0.95
    assert right / 1000 < 0.6


def test_what_is_the_same_has_all_bits_and_what_is_around_zero_none() -> None:
    same = spread(np.ones((4, 3)), np.ones(3), 2.0)
    assert (same.bits, same.lower, same.held, same.moved) == (math.inf, math.inf, math.inf, False)
    zero = spread(np.zeros((4, 1)), np.zeros(1), 2.0)
    assert zero.bits == math.inf
    around = spread(np.array([[1.0], [-1.0]]), np.zeros(1), 2.0)
    assert around.bits == around.held == -math.inf
    assert agreement(1.0, 1.0) == 0.0


def test_the_worst_element_is_named() -> None:
    samples = np.array([[1.0, 1.0, 8.0], [1.0, 1.5, 8.5], [1.0, 0.5, 7.5]])
    found = spread(samples, samples[0], 2.0)
    assert found.at == 1
    assert found.worst == 1.0
    assert found.bits > found.worst


def test_probabilities_near_0_and_1_have_a_shift() -> None:
    """Half of the last is lost beside 1, and that of the first too."""
    assert shift(8, 2.0**-60, 0.95) == pytest.approx(shift(8, 2.0**-20, 0.95) - 40, abs=1e-6)
    assert shift(8, 1 - 2.0**-53, 0.95) > shift(8, 1 - 2.0**-52, 0.95) > shift(8, 1 - 2.0**-50, 0.95)


@pytest.mark.parametrize("power", [-1000, -600, 0, 600, 1000])
def test_a_scale_does_not_change_what_is_told(power: int) -> None:
    """Squares of float64 overflow past 1e154 and vanish below 1e-162."""
    sample = np.random.default_rng(0).normal(1, 0.01, (8, 3))
    told, scaled = (spread(x, x[0], 2.0) for x in (sample, np.ldexp(sample, power)))
    figures = [(x.bits, x.lower, x.held, x.worst) for x in (told, scaled)]
    assert figures[0] == pytest.approx(figures[1], abs=1e-9)
    assert scaled.deviation == np.ldexp(told.deviation, power)
    beside = spread(np.hstack([sample, np.ldexp(sample, -1000)]), np.zeros(6), 2.0)
    assert beside.worst == pytest.approx(told.worst, abs=1e-9)
