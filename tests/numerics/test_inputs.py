"""Numbers as people write them: every rounding against exact fractions, in time linear in their length."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs

FORMATS = ("float16", "bfloat16", "float8_e5m2", "float32", "float64")
MODES = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd")

# A million digits and exponents that Python's own readers refuse, with the infinity, zero or number that they are.
HUGE = {
    "9" * 20_000: np.inf,
    "-" + "9" * 10**6: -np.inf,
    "0x1p" + "9" * 5000: np.inf,
    "-0x1p-" + "9" * 5000: -0.0,
    "0x" + "f" * 10**6: np.inf,
    "1e" + "9" * 5000: np.inf,
    "1e-" + "9" * 5000: 0.0,
    "-0e" + "9" * 5000: -0.0,
    "0." + "0" * 10**6 + "1": 0.0,
    "1." + "0" * 10**6 + "e1": 10.0,
    "0" * 10**6 + "1e2": 100.0,
    "0." + "0" * 9999 + "5e10000": 5.0,
    "5" + "0" * 9999 + "e-10000": 0.5,
    "0x0." + "0" * 9999 + "8p39996": 0.5,
    "0x8" + "0" * 9999 + "p-40000": 0.5,
}
NUMBERS = {  # made when asked for: such powers take a second
    "an integer": (lambda: 10**10**6, np.inf),
    "a negative integer": (lambda: -(10**10**6), -np.inf),
    "a Decimal": (lambda: Decimal("1e999999999"), np.inf),
    "a small Decimal": (lambda: Decimal("-1e-999999999"), -0.0),
    "a long Decimal": (lambda: Decimal("1." + "0" * 10**6), 1.0),
    "a Fraction": (lambda: Fraction(10**10**6 + 1, 3), np.inf),
    "a small Fraction": (lambda: Fraction(-1, 10**10**6 + 1), -0.0),
    "a long Fraction": (lambda: Fraction(3 * 10**10**5, 2 * 10**10**5 + 1), 1.5),
}


def quickly(function, *args, **kwargs):
    start = time.perf_counter()
    result = function(*args, **kwargs)
    assert time.perf_counter() - start < 2
    return result


@pytest.mark.parametrize("text", HUGE, ids=lambda text: f"{text[:12]}...{text[-6:]}")
def test_a_literal_of_a_million_digits(text):
    for door in (hs.round_to, hs.tensor):
        value = np.asarray(quickly(door, text, "float64"))
        assert value.astype(np.float64).view(np.int64) == np.float64(HUGE[text]).view(np.int64)
    assert quickly(hs.encode, text) == hs.encode(HUGE[text])


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_a_million_digits(name):
    make, expected = NUMBERS[name]
    value = make()
    for fmt in ("float16", "float64"):
        got = quickly(hs.round_to, [value, 1], fmt)
        assert got.tolist() == [expected, 1]
        assert np.signbit(got[0]) == np.signbit(expected)


@pytest.mark.parametrize("door", [hs.encode, hs.round_to, hs.tensor, hs.explain], ids=lambda door: door.__name__)
@pytest.mark.parametrize("text", ["9" * 10**6 + "x", "1e" * 10**5, "0x" + "." * 10**5, "nan" + "x" * 10**6, "1 2"])
def test_a_long_string_that_is_no_number(door, text):
    with pytest.raises(ValueError, match="allowed") as refused:
        quickly(door, text)
    assert len(str(refused.value)) <= 300


def expected(value: Fraction, fmt: str, mode: str) -> float:
    """A Fraction of plain size, which takes the way that the other tests of rounding hold."""
    return float(hs.round_to(value, fmt, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_digits_past_every_midpoint_count(fmt, mode):
    """Numbers and midpoints written out, then thousands of zeros and a 1: the last digit of all decides."""
    f = hs.formats.as_format(fmt) if hasattr(hs, "formats") else getattr(hs, fmt)
    unit = Fraction(f.smallest_subnormal)
    for exact in (unit, unit / 2, unit * 3 / 2, Fraction(1) + Fraction(f.eps) / 2, Fraction(f.max), Fraction(3)):
        digits = len(str(exact.denominator))
        scaled = exact * 10 ** (4 * digits)
        assert scaled.denominator == 1
        text = f"{scaled.numerator}{'0' * 3000}1e-{4 * digits + 3001}"
        for sign in (1, -1):
            literal = text if sign > 0 else f"-{text}"
            above = sign * (exact + exact / 2**200)
            got = float(hs.round_to(literal, fmt, mode))
            assert got == expected(above, fmt, mode)
            assert got == float(hs.round_to(Decimal(literal), fmt, mode))
            huge = sign * Fraction(scaled.numerator * 10**3001 + 1, 10 ** (4 * digits + 3001))
            assert got == float(hs.round_to(huge, fmt, mode))


def test_spellings_stay():
    assert hs.round_to(["1_000", " 2 ", "+.5", "5.", "0X1.8P1", "Infinity", "-inf"], "float32").tolist() == [
        1000, 2, 0.5, 5, 3, np.inf, -np.inf,
    ]  # fmt: skip
    assert np.isnan(hs.round_to("nan", "float16"))
    assert np.signbit(hs.round_to("-nan", "float16"))
    assert hs.round_to("٣", "float16") == 3  # as Python's float and Decimal read it
