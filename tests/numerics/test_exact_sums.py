"""Sums that are exact until they are rounded once: the accumulator ``exact``, and the blocks of ``blocked``."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import accumulator, matmul, sum_
from halfsim.numerics.exact_sums import _joined, _plan, _rounded_sum, matmul_exact, to_odd
from halfsim.numerics.half_kernel import Half
from halfsim.numerics.orders import running_total
from halfsim.numerics.steps import Fast
from tests.oracles import exactly, nearest_half, same


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    sign = rng.choice([-1.0, 1.0], shape)
    return {
        "half": lambda: (sign * np.exp2(rng.uniform(-24, 15.9, shape))).astype(np.float16).astype(np.float32),
        "single": lambda: rng.standard_normal(shape).astype(np.float32),
        "single, every exponent": lambda: (sign * np.exp2(rng.uniform(-149, 127, shape))).astype(np.float32),
        "double": lambda: rng.standard_normal(shape) * 2.0 ** rng.integers(-40, 40, shape),
        "double, extreme": lambda: rng.standard_normal(shape) * 2.0 ** rng.integers(-500, 500, shape),
    }[kind]()


@pytest.mark.parametrize("kind", ["half", "single", "single, every exponent", "double", "double, extreme"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 30, 5), (1, 200, 2)])
def test_exact_rounds_the_exact_sum_once(kind: str, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, k, n = shape
    a, b = draw(rng, kind, (m, k)), draw(rng, kind, (k, n))
    half = k // 2
    a[:, half : 2 * half], b[half : 2 * half] = a[:, :half], -b[:half]
    if k > 10:
        b[half + 3] += b[half + 3] * 2.0**-9  # not quite cancelling
    nearest, odd = matmul_exact(a, b, True), matmul_exact(a, b, False)
    for i, row in enumerate(exactly(a, b)):
        for j, terms in enumerate(row):
            exact = sum(terms, Fraction(0))
            assert nearest[i, j] == float(exact), "Python rounds a Fraction to nearest even"
            assert (odd[i, j] == exact) if Fraction(float(exact)) == exact else (odd.view(np.int64)[i, j] & 1)
            assert abs(Fraction(float(odd[i, j])) - exact) <= Fraction(math.ulp(float(odd[i, j])))
            with np.errstate(all="ignore"):
                assert np.float16(odd[i, j]) == nearest_half(exact)


def test_exact_hard_cases() -> None:
    how = accumulator("exact")
    big = np.float32([[65504, 2.0**-24, -65504]])
    assert matmul(big, np.float32([[65504], [2.0**-24], [65504]]), how)[0, 0] == 2.0**-48
    assert not np.signbit(matmul(np.float32([[-0.0]]), np.float32([[1]]), how)).any()
    assert not np.signbit(matmul(np.float32([[-1, 1]]), np.float32([[1], [1]]), how)).any()
    tie = np.float32([[1, 2.0**-11, 2.0**-24]])  # 1 + 2**-11 is a tie of halves that 2**-48 breaks
    column = np.float32([[1], [1], [2.0**-24]])
    assert np.float16(matmul(tie, column, how)[0, 0]) == 1 + 2.0**-10
    assert np.float16(matmul(tie.astype(np.float64), column, how, target=hs.float16)[0, 0]) == 1 + 2.0**-10
    many = np.float64([[1, 2.0**-53, 2.0**-120]])  # the same for float64
    assert matmul(many, np.ones((3, 1)), how)[0, 0] == 1 + 2.0**-52
    top = np.full((1, 2), np.finfo(np.float64).max)
    assert matmul(top, np.ones((2, 1)), how)[0, 0] == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_long_sums_equal_fsum(dtype: type, rng: np.random.Generator) -> None:
    x = (rng.standard_normal(100_000) * 2.0 ** rng.integers(-30, 30, 100_000)).astype(dtype)
    x[50_000:] = -x[:50_000]
    x[77] *= 3
    assert sum_(x, None, False, accumulator("exact"), target=hs.float64) == math.fsum(x.tolist())
    rows = x.reshape(50, 2000)
    for axis in (0, 1):
        expected = [math.fsum(row) for row in (rows if axis else rows.T).tolist()]
        got = sum_(rows, axis, False, accumulator("exact"), target=hs.float64)
        np.testing.assert_array_equal(got, expected)


def test_exact_in_many_tiles_and_thousands_of_terms(rng: np.random.Generator) -> None:
    """Integers below 2**53, where float64 is exact by itself: more than one tile in each direction."""
    a = rng.integers(-1000, 1000, (300, 1500)).astype(np.float32)
    b = rng.integers(-1000, 1000, (1500, 520)).astype(np.float32)
    expected = a.astype(np.int64) @ b.astype(np.int64)
    np.testing.assert_array_equal(matmul_exact(a, b, False), expected)
    a[:, ::3] *= np.float32(2.0**-40)  # two slices each, and the sum splits in two that float64 adds exactly
    high, low = expected.copy(), a[:, ::3].astype(np.float64) * 2.0**40
    low_sum = low.astype(np.int64) @ b[::3].astype(np.int64)
    high -= low_sum
    np.testing.assert_array_equal(matmul_exact(a, b, True), high + low_sum * 2.0**-40)


@pytest.mark.parametrize("depth", [1, 2, 1000, 2**20])
@pytest.mark.parametrize("widths", [(1, 1), (24, 24), (40, 40), (40, 3), (277, 277), (53, 200)])
def test_slices_fit_float64(depth: int, widths: tuple[int, int]) -> None:
    """The bound of every level, from the largest digit of each slice."""
    plan = _plan(*widths, depth)
    assert plan.left * plan.a_bits >= widths[0]
    assert plan.right * plan.b_bits >= widths[1]
    if plan.left > 1 and plan.right > 1:
        assert plan.a_bits == plan.b_bits, "levels of one weight"
    for level in range(plan.levels):
        largest = sum(
            2 ** (plan.a_bits - (s > 0)) * 2 ** (plan.b_bits - (level - s > 0))
            for s in range(plan.left)
            if 0 <= level - s < plan.right
        )
        assert largest * depth <= 2**52


def test_a_block_sum_that_float64_cannot_hold_is_exact() -> None:
    """2**30 + 2**6 is a tie of float32, which a product of 2**-48 breaks, 79 bits further down."""
    a, b = np.float32([[2.0**15, 8, 2.0**-24]]), np.float32([[2.0**15], [8], [2.0**-24]])
    how = accumulator("fp32:blocked(3)")
    assert matmul(a, b, how)[0, 0] == 2.0**30 + 2.0**7
    assert matmul(a[:, :2], b[:2], how)[0, 0] == 2.0**30


def test_zeros_of_either_sign_from_a_blas_end_as_plus_zero() -> None:
    single = np.dtype(np.float32)
    for outer in (Half(None, single, (1, 1)), Fast(hs.float16, None, single)):
        sums = iter([np.full((1, 1), -(2.0**-30)), np.full((1, 1), -0.0)])
        total = running_total(sums, 2, np.zeros((1, 1), single), Fast(hs.float32, None, single), outer, None)
        assert same(total, [[0.0]]).all()
    assert same(_rounded_sum(np.full((1, 1, 1), -0.0), _plan(1, 1, 1), True), [[0.0]]).all()


@pytest.mark.parametrize("bits", [1, 7, 20])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_levels_join_as_python_integers_do(bits: int, count: int, rng: np.random.Generator) -> None:
    """Sums one unit from a tie, split into levels that overlap by up to 50 bits."""
    columns, sums = [], []
    for _ in range(300):
        levels = [int(v) for v in rng.integers(-(2**50), 2**50, count)]
        rest = sum(level << (bits * (count - 1 - i)) for i, level in enumerate(levels))
        above = max(rest.bit_length() - 53, 1)
        wanted = ((rest >> above) << above) + (1 << (above - 1)) + int(rng.integers(-1, 2))
        levels[0] += (wanted - rest) >> (bits * (count - 1))
        for i in range(1, count):
            levels[i] += ((wanted - rest) >> (bits * (count - 1 - i))) % 2**bits
        assert sum(level << (bits * (count - 1 - i)) for i, level in enumerate(levels)) == wanted
        columns.append(levels)
        sums.append(wanted)
    head, tail = _joined(list(np.array(columns, np.float64).T), bits)
    np.testing.assert_array_equal(head, [float(v) for v in sums])
    odd = to_odd(head.copy(), tail)
    for value, got in zip(sums, odd.tolist(), strict=True):
        assert int(got) == value or (np.float64(got).view(np.int64) & 1 and abs(int(got) - value) < math.ulp(got))


def test_target_says_what_the_next_rounding_is() -> None:
    a, b = np.float64([[1, 2.0**-11, 2.0**-90]]), np.ones((3, 1))
    how = accumulator("exact")
    assert matmul(a, b, how, target=hs.float64)[0, 0] == 1 + 2.0**-11
    assert np.float16(matmul(a, b, how, target=hs.bfloat16)[0, 0]) == 1 + 2.0**-10
    assert np.float16(sum_(a, None, False, how, target=hs.float16)) == 1 + 2.0**-10
    assert np.float16(matmul(a.astype(np.float32), b.astype(np.float32), how)[0, 0]) == 1 + 2.0**-10
