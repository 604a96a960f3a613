"""The simulated unit against SoftFloat and MPFR: + - * / sqrt on hard operands, elementary functions on every half."""

from __future__ import annotations

import math
from fractions import Fraction

import gmpy2
import numpy as np
import pytest

import halfsim as hs
from tests.oracles import CODES, HALVES, mpfr, nearest_half, same, softfloat

HARD = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x0002, 0x03FF, 0x0400, 0x0401, 0x83FF, 0x1000, 0x13FF, 0x3BFF, 0x3C00, 0x3C01,
     0xBC00, 0x3555, 0x4248, 0x5000, 0x5C00, 0x63FF, 0x7800, 0x7BFE, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0x6400],
    np.uint16,
)  # fmt: skip


def operands(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of hard codes, random pairs, and random pairs of nearby exponents."""
    a, b = (grid.ravel() for grid in np.meshgrid(HARD, HARD))
    random = rng.integers(0, 65536, (2, 12_000), dtype=np.uint16)
    near = rng.integers(0x3000, 0x4800, (2, 12_000), dtype=np.uint16) ^ rng.choice([0, 0x8000], (2, 12_000)).astype(
        np.uint16
    )
    return np.concatenate([a, random[0], near[0]]), np.concatenate([b, random[1], near[1]])


@pytest.mark.parametrize(
    ("name", "function"), [("add", hs.ops.add), ("sub", hs.ops.sub), ("mul", hs.ops.mul), ("div", hs.ops.div)]
)
@pytest.mark.parametrize("rule", ["pure_fp16", "fp16"])
def test_arithmetic_is_softfloats(name: str, function: object, rule: str, rng: np.random.Generator) -> None:
    a, b = operands(rng)
    with hs.precision(rule):
        got = function(hs.tensor(hs.decode(a), "fp16"), hs.tensor(hs.decode(b), "fp16")).bits()  # type: ignore[operator]
    expected = np.array([softfloat(name, x, y)[0] for x, y in zip(a, b, strict=True)], np.uint16)
    assert same(hs.decode(got), hs.decode(expected)).all()


def test_square_roots_of_every_half_are_softfloats() -> None:
    with hs.precision("pure_fp16"):
        got = hs.ops.sqrt(hs.tensor(HALVES)).bits()
    expected = np.array([softfloat("sqrt", code)[0] for code in CODES], np.uint16)
    assert same(hs.decode(got), hs.decode(expected)).all()


@pytest.mark.parametrize(("name", "function"), [("exp", hs.ops.exp), ("log", hs.ops.log), ("tanh", hs.ops.tanh)])
def test_elementary_functions_of_every_half_are_mpfrs(name: str, function: object) -> None:
    values = HALVES.astype(np.float64)
    for rule in ("pure_fp16", "fp16"):
        with hs.precision(rule):
            got = function(hs.tensor(HALVES)).numpy()  # type: ignore[operator]
        expected = np.array([mpfr(name, v) for v in values])
        if rule == "pure_fp16":
            assert same(got, expected).all()
        else:  # by way of float32, as a framework's kernel; rounded twice, hence rarely one ulp off
            wrong = ~same(got, expected)
            assert np.count_nonzero(wrong) <= 8
            assert (np.abs(hs.encode(got[wrong]).astype(int) - hs.encode(expected[wrong]).astype(int)) <= 1).all()


def test_sigmoid_of_every_half_is_mpfrs() -> None:
    with hs.precision("pure_fp16"):
        got = hs.ops.sigmoid(hs.tensor(HALVES)).numpy()
    for x, y in zip(HALVES.astype(np.float64), got.astype(np.float64), strict=True):
        if math.isnan(x):
            assert math.isnan(y)
            continue
        with gmpy2.context(precision=120, emax=200_000, emin=-200_000):
            exact = 1 / (1 + gmpy2.exp(-gmpy2.mpfr(x)))
        with gmpy2.context(precision=11, emax=16, emin=-23, subnormalize=True):
            assert y == float(gmpy2.mpfr(exact)), x


def test_a_linear_layer_rounds_as_its_precision_says(rng: np.random.Generator) -> None:
    """fp16: exact products summed wide, one rounding; pure_fp16: the loop. Against Fractions and NumPy's float16."""
    x, w, b = (rng.standard_normal(s).astype(np.float16) for s in ((3, 8), (4, 8), (4,)))
    with hs.precision("fp16"):
        got = hs.ops.linear(hs.tensor(x), hs.tensor(w), hs.tensor(b)).numpy()
    for i in range(3):
        for j in range(4):
            terms = [Fraction(float(p)) * Fraction(float(q)) for p, q in zip(x[i], w[j], strict=True)]
            assert float(got[i, j]) == nearest_half(sum(terms) + Fraction(float(b[j])))
    with hs.precision("pure_fp16"):
        got = hs.ops.linear(hs.tensor(x), hs.tensor(w), hs.tensor(b)).numpy()
    c = np.zeros((3, 4), np.float16)
    for k in range(8):
        c += x[:, k, None] * w.T[k]
    np.testing.assert_array_equal(got, c + b)
