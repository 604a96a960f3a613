"""Integers, fractions, strings and longdoubles to formats that float64 cannot stand in for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs
from tests.numerics.test_rounding import DETERMINISTIC

LARGEST = 1.7976931348623157e308
CASES = [
    (np.uint64(2**64 - 1), "toward_zero", 18446744073709549568.0, 1),
    (2**53 + 1, "upward", 2.0**53 + 2, 1),
    (np.int64(2**53 + 1), "nearest_away", 2.0**53 + 2, 1),
    ("0.1", "upward", 0.1, 1),
    ("0.1", "downward", np.nextafter(0.1, 0), 1),
    ("-0.1", "toward_zero", -np.nextafter(0.1, 0), 1),
    ("0x1p-1080", "upward", 5e-324, 3),
    ("0x1p-1080", "nearest_even", 0.0, 3),
    (10**500, "toward_zero", LARGEST, 5),
    (-(10**500), "to_odd", -LARGEST, 5),
    (10**500, "upward", np.inf, 5),
    ("1e400", "nearest_even", np.inf, 5),
    (Fraction(1, 3), "to_odd", 1 / 3, 1),
    (2**60, "upward", 2.0**60, 0),
]


@pytest.mark.parametrize(("value", "mode", "expected", "flag"), CASES)
def test_float64_rounds_them_once_in_every_mode(value: object, mode: str, expected: float, flag: int) -> None:
    got, flags = hs.round_to(value, "float64", mode, return_flags=True)
    assert (float(got), int(flags)) == (expected, flag)
    assert hs.encode(value, "float64", mode) == np.float64(expected).view(np.uint64)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 here")
def test_longdouble_too() -> None:
    value = np.longdouble(1) + np.longdouble(2) ** -60
    assert float(hs.round_to(value, "float64", "upward")) == 1 + 2.0**-52
    assert hs.round_to(np.array([value, 1.0]), "float64", "upward", return_flags=True)[1].tolist() == [1, 0]


def test_saturation_flags_and_mixtures() -> None:
    assert float(hs.round_to(10**500, "float64", overflow="saturate")) == LARGEST
    with hs.flags() as f:
        hs.round_to("1e400", "float64")
    assert (f.overflow, f.inexact) == (1, 1)
    assert hs.round_to([2**53 + 1, 0.5, -7], "float64", "upward").tolist() == [2.0**53 + 2, 0.5, -7]
    values, flags = hs.round_to(Fraction(2) ** 1024, hs.Format("c", 11, 24), "toward_zero", return_flags=True)
    assert (float(values), int(flags)) == (hs.Format("c", 11, 24).max, 5)


@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize(
    "fmt", [hs.Format("c", 2, 53), hs.Format("c", 8, 53), hs.Format("c", 5, 52), hs.float64], ids=str
)
def test_formats_of_52_and_53_bits_round_once(fmt: hs.Format, mode: str, rng: np.random.Generator) -> None:
    """Both neighbours are float64 numbers, so the choice can be checked with exact fractions."""
    for _ in range(150):
        exponent = int(rng.integers(max(fmt.emin - 3, -1000), min(fmt.emax, 1000)))
        value = (
            Fraction(int(rng.integers(2**62, 2**63)) * 2**64 + int(rng.integers(0, 4)), 2**126)
            * Fraction(2) ** exponent
        )
        power = Fraction(2) ** (max(exponent, fmt.emin) - fmt.precision + 1)
        n, rest = divmod(value / power, 1)
        up = {
            "nearest_even": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and n % 2), "upward": rest > 0,
            "nearest_away": rest >= Fraction(1, 2), "to_odd": rest > 0 and n % 2 == 0,
        }.get(mode, False)  # fmt: skip
        expected = float((n + bool(up)) * power)
        assert float(hs.round_to(value, fmt, mode)) == (expected if expected <= fmt.max else np.inf)
        assert float(hs.decode(hs.encode(value, fmt, mode), fmt)) == float(hs.round_to(value, fmt, mode))
