"""Functions that NumPy lacks, against MPFR, series in many digits, and each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gmpy2
import numpy as np
import pytest

from halfsim.numerics import bessel, erf, gamma

mpfr = gmpy2.mpfr


def error(f: Callable[..., Any], exact: Callable[[Any], Any], x: np.ndarray) -> float:
    """The largest relative error of ``f``."""
    with gmpy2.context(precision=200):
        truth = [exact(mpfr(float(v))) for v in x]
        found = [abs(mpfr(float(y)) / t - 1) if t else abs(mpfr(float(y))) for y, t in zip(f(x), truth, strict=True)]
    return float(max(found))


def test_lgamma_and_digamma_are_mpfrs(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(2.5, 40, 300), 10 ** rng.uniform(-300, -1, 100), 10 ** rng.uniform(1.5, 300, 100)])
    assert error(gamma.lgamma, lambda v: gmpy2.lngamma(v), x) < 1e-14
    assert error(gamma.digamma, gmpy2.digamma, x) < 2e-15
    near = rng.uniform(-20, 2.5, 300)  # with zeros, where errors are absolute
    with gmpy2.context(precision=100):
        truth = np.array([float(gmpy2.digamma(mpfr(float(v)))) for v in near])
    np.testing.assert_allclose(gamma.digamma(near), truth, rtol=2e-13, atol=2e-15)


def test_edges_of_gamma() -> None:
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 1e306, -1e300])
    np.testing.assert_array_equal(gamma.lgamma(x)[:6], np.inf)
    assert np.isnan(gamma.lgamma(x)[6])
    np.testing.assert_array_equal(gamma.lgamma(x)[7:], np.inf)
    np.testing.assert_array_equal(gamma.digamma(x)[:7], [-np.inf, np.inf, np.nan, np.nan, np.inf, np.nan, np.nan])
    assert gamma.lgamma(np.array(0.5)).shape == gamma.digamma(np.array(0.5)).shape == ()
    assert gamma.digamma(np.empty((0, 2))).shape == (0, 2)


def test_zeta_obeys_its_equations(rng: np.random.Generator) -> None:
    s, q = rng.uniform(1.01, 12, 300), 10 ** rng.uniform(-2, 2, 300)
    np.testing.assert_allclose(gamma.zeta(s, q), gamma.zeta(s, q + 1) + q**-s, rtol=3e-15)
    assert error(lambda v: gamma.zeta(v, np.ones(len(v))), lambda v: gmpy2.zeta(v), s) < 2e-15
    np.testing.assert_allclose(gamma.zeta(s, np.full(300, 0.5)), (2**s - 1) * gamma.zeta(s, np.ones(300)), rtol=2e-15)
    whole, below = rng.integers(2, 9, 300).astype(float), -rng.uniform(0, 50, 300)
    direct = gamma.zeta(whole, below + 51) + sum((below + k) ** -whole for k in range(51))
    np.testing.assert_allclose(gamma.zeta(whole, below), direct, rtol=1e-12)
    edges = gamma.zeta(np.array([1.0, 0.5, 2.0, 2.0, 2.5, 2.0]), np.array([3.0, 3.0, 0.0, -3.0, -2.5, np.inf]))
    np.testing.assert_array_equal(edges, [np.inf, np.nan, np.inf, np.inf, np.nan, 0])


def test_polygamma_is_the_derivative_of_the_one_before(rng: np.random.Generator) -> None:
    x, h = rng.uniform(0.5, 5, 50), 1e-5
    for n in range(4):
        slope = (gamma.polygamma(np.array(n), x + h) - gamma.polygamma(np.array(n), x - h)) / (2 * h)
        np.testing.assert_allclose(gamma.polygamma(np.array(n + 1), x), slope, rtol=1e-6)
    np.testing.assert_allclose(
        gamma.polygamma(np.array(1), np.array([0.5, 1])), [np.pi**2 / 2, np.pi**2 / 6], rtol=1e-15
    )
    assert gamma.polygamma(np.array(25), np.array(2.0)) == pytest.approx(math.factorial(25) / 2**26, rel=1e-4)


def _series(order: int) -> Callable[[Any], Any]:
    def value(x: Any) -> Any:
        term = total = (x / 2) ** order
        for k in range(1, 900):
            term = term * x * x / (4 * k * (k + order))
            total += term
        return total

    return value


def test_bessel_functions_are_their_series(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(0, 60, 40), 10 ** rng.uniform(-6, 2.5, 40), [23.99, 24.0, 24.01]])
    for order, plain, scaled in ((0, bessel.i0, bessel.i0e), (1, bessel.i1, bessel.i1e)):
        assert error(plain, _series(order), x) < 3e-15
        assert error(scaled, lambda v, order=order: _series(order)(v) * gmpy2.exp(-v), x) < 3e-15
        np.testing.assert_array_equal(plain(-x), plain(x) * (-1) ** order)
    np.testing.assert_allclose(bessel.i0(x), np.i0(x), rtol=5e-15)
    assert bessel.i0(np.array([np.inf, -np.inf, 800.0])).tolist() == [np.inf] * 3
    assert bessel.i1(np.array([np.inf, -np.inf, 0.0])).tolist() == [np.inf, -np.inf, 0]
    assert bessel.i0e(np.array([0.0, np.inf])).tolist() == [1, 0]
    assert np.isnan(bessel.i1(np.array([np.nan]))).all()


def test_erfc_erfcx_and_the_inverses(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(-5, 26, 200), 10 ** rng.uniform(-8, 0, 50)])
    assert error(erf.erfc, gmpy2.erfc, x) < 1e-14
    assert error(erf.erfcx, lambda v: gmpy2.exp(v * v) * gmpy2.erfc(v), x) < 2e-15
    large = 10 ** rng.uniform(2, 300, 50)
    np.testing.assert_allclose(erf.erfcx(large), 1 / (np.sqrt(np.pi) * large), rtol=1e-4)
    p = np.concatenate([rng.uniform(-1, 1, 300), 10 ** rng.uniform(-300, -1, 50), 1 - 10 ** rng.uniform(-15.5, -1, 50)])
    with gmpy2.context(precision=200):  # one step of Newton's from what was found is as far as it is off
        for v, y in zip(p.tolist(), map(float, erf.erfinv(p)), strict=True):
            off = (gmpy2.erf(mpfr(y)) - mpfr(v)) * gmpy2.exp(mpfr(y) * y) * gmpy2.sqrt(gmpy2.const_pi()) / 2
            assert abs(off) <= 1e-15 * abs(y)
        for v in [*(10 ** rng.uniform(-300, 0, 50)).tolist(), 0.2, 0.24, 0.26, 0.49, 0.51, 0.7, 0.76, 1 - 1e-12]:
            y = mpfr(float(erf.ndtri(np.array(v))))
            found = gmpy2.erfc(-y / gmpy2.sqrt(mpfr(2))) / 2
            assert abs(found / mpfr(v) - 1) <= 4e-15 * float(1 + y * y)
    np.testing.assert_array_equal(erf.erfinv(np.array([1.0, -1.0, 1.1, np.nan])), [np.inf, -np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(erf.ndtri(np.array([0.0, 1.0, -0.1])), [-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(erf.erfcx(np.array([np.inf, -np.inf, np.nan])), [0, np.inf, np.nan])
    assert np.signbit(erf.erfinv(np.array(-0.0)))
