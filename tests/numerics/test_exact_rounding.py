"""The readable rounding and the fast one, which share nothing but the table of decisions, agree on every kind."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics._grid import target
from halfsim.numerics.exact_rounding import round_exact, round_rational
from halfsim.numerics.rounding import AWAY, OVERFLOWS, SUBNORMALS, Rounding, outward

KINDS = [
    hs.float16,
    hs.Format("fnuz", 3, 3, "fnuz"),
    hs.Format("p3109", 3, 3, "p3109", bias=0),
    hs.Format("one", 3, 1, signed=False),
    hs.float8_e8m0fnu,
    hs.Format("zero", 3, 3, "none", zero_field="zero"),
    hs.Format("normal", 3, 3, zero_field="normal"),
    hs.Format("unsigned", 2, 3, "none", signed=False, zero_field="normal"),
    hs.Format("large", 3, 4, "nan", bias=-40, zero_field="zero"),
]


@pytest.mark.parametrize("mode", AWAY)
@pytest.mark.parametrize("fmt", KINDS, ids=str)
def test_values_and_flags_are_those_of_round_to(fmt: hs.Format, mode: Rounding, rng: np.random.Generator) -> None:
    small, large = rng.standard_normal(60) * fmt.smallest_normal * 2, rng.standard_normal(30) * fmt.max
    edges = [fmt.max, fmt.overflow_threshold, fmt.smallest_normal / 2, fmt.smallest_subnormal / 2, 5e-324]
    for overflow in OVERFLOWS:
        for subnormals in SUBNORMALS:
            goal = target(fmt, mode, overflow, subnormals)
            x = np.concatenate([small, large, edges, np.negative(edges)])
            got, flags = hs.round_to(x, fmt, mode, overflow=overflow, subnormals=subnormals, return_flags=True)
            for value, y, flag in zip(x.tolist(), got.tolist(), flags.tolist(), strict=True):
                exact, raised = round_rational(Fraction(value), goal, None)
                assert np.array_equal(exact, y, equal_nan=True), (fmt, mode, overflow, subnormals, value)
                assert np.signbit(exact) == np.signbit(y) or np.isnan(y)
                assert raised == flag, (fmt, mode, overflow, subnormals, value)


@pytest.mark.parametrize("mode", AWAY)
@pytest.mark.parametrize("fmt", KINDS, ids=str)
def test_explanations_give_the_codes_of_encode_and_of_operations(
    fmt: hs.Format, mode: Rounding, rng: np.random.Generator
) -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, fmt.max * 1.5, fmt.smallest_subnormal / 2]
    for x in [*special, *(rng.standard_normal(8) * fmt.smallest_normal * 2).tolist()]:
        e = hs.explain(x, fmt, rounding=mode)
        assert e.result.code == hs.encode(x, fmt, mode), (fmt, mode, x)
        assert int(e.flags) == hs.round_to(np.float64(x), fmt, mode, return_flags=True)[1]
        assert str(e)
    for a, b in rng.integers(0, 1 << fmt.bits, (8, 2)).tolist():
        for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/")):
            e = hs.explain(f"{a:#x} {sign} {b:#x}", fmt, rounding=mode, bits=True)
            bits, flags = getattr(hs.ieee, name)(a, b, format=fmt, rounding=mode)
            assert (e.result.code, int(e.flags)) == (int(bits), int(flags)), (fmt, mode, name, hex(a), hex(b))


def test_stochastic_rounding_draws_one_number() -> None:
    source = hs.Stochastic(seed=3)
    draws = [int(word) for word in hs.Stochastic(seed=3).draw(2)]  # a word at a time is the first half of a draw of two
    step = round_exact(Fraction(draws[0] + 1, 2**32) + 2048, False, hs.float16, Rounding.STOCHASTIC, draw=source)
    assert step.number.value in (2048, 2050)
    assert step.rest == Fraction(draws[0] + 1, 2**33)


def test_a_number_just_past_a_format_without_specials_is_invalid() -> None:
    for precision in (50, 51, 52, 53):
        fmt = hs.Format("n", 5, precision, "none")
        value = Fraction(fmt.max) + Fraction(fmt.eps) * 2**16
        got, flags = hs.round_to(value, fmt, return_flags=True)
        assert (float(got), int(flags)) == (fmt.max, hs.Flag.INVALID)


def test_far_past_the_largest_number_the_table_decides() -> None:
    assert [bool(outward(mode, sign)) for mode in Rounding for sign in (False, True)] == [
        *(True, True), *(True, True), *(False, False), *(True, False), *(False, True), *(False, False), *(True, True)
    ]  # fmt: skip
    assert outward(Rounding.UPWARD, np.array([False, True])).tolist() == [True, False]
