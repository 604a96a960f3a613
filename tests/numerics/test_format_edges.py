"""Smallest inputs that formats of unusual ranges, digits and specials were once wrong at, with the right values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.quantize import rounded

F = hs.Format
INF, NAN = np.inf, np.nan
ROUNDED: list[tuple[hs.Format, Any, dict[str, Any], float, int]] = [
    # of more digits than the array has
    (F("x", 4, 25), np.float32(256), {}, INF, 5),
    (F("x", 4, 25), np.float32(256), {"overflow": "saturate"}, 255.99998474121094, 5),
    (F("x", 4, 28), np.float32(-256), {"rounding": "nearest_away"}, -INF, 5),
    (F("x", 2, 12), np.float16(-4), {"rounding": "upward", "overflow": "saturate"}, -3.998046875, 5),
    (F("x", 5, 31, "nan"), np.float32(-131072), {"rounding": "downward"}, NAN, 5),
    # past the range of the array
    (F("x", 9, 2, "none"), np.float32(-INF), {}, -INF, 21),
    (F("x", 9, 2, "none"), np.float16(-INF), {"overflow": "saturate"}, -49152.0, 21),
    (F("x", 5, 10, "none", -224, True, "normal"), np.float32(-32768), {"rounding": "to_odd"}, -INF, 7),
    # no sign: what is far below 0 is invalid, and no overflow
    (F("x", 5, 3, signed=False), -1e9, {}, NAN, 16),
    (F("x", 8, 1, "nan", -1, False, "normal"), np.float32(-3.4e38), {}, NAN, 16),
    # one digit
    (F("x", 6, 1, "nan"), 2.0**31, {}, 2.0**31, 0),
    (F("x", 6, 1, "nan"), 2.0**31 * 1.5, {}, NAN, 5),
    (F("x", 6, 1, "nan"), 2.0**31 * 1.25, {"rounding": "downward"}, 2.0**31, 1),
    (F("x", 4, 1, bias=8, signed=False), NAN, {}, INF, 16),
    # the least floats, where the smallest number is large
    (F("x", 2, 5, "nan", -2, True, "zero"), 5e-324, {"rounding": "upward"}, 8.0, 3),
    (F("x", 3, 2, "nan", -4), -5e-324, {"rounding": "downward"}, -16.0, 3),
    # a format without zero or sign
    (hs.float8_e8m0fnu, np.float32(2.0**-149), {"rounding": "toward_zero"}, 2.0**-127, 3),
    (hs.float8_e8m0fnu, -0.0, {}, NAN, 16),
    (hs.float8_e8m0fnu, -1.0, {"overflow": "saturate_inf"}, NAN, 16),
    (hs.float8_e8m0fnu, 1.5, {}, 2.0, 1),
    (hs.float8_e8m0fnu, np.float32(1.25 * 2.0**127), {}, 2.0**127, 1),
    (hs.float8_e8m0fnu, np.float32(1.5 * 2.0**127), {}, NAN, 5),
    # infinities that saturate
    (hs.float8_e4m3fn, INF, {"overflow": "saturate_inf"}, 448.0, 5),
    (hs.float8_e4m3fn, INF, {"overflow": "saturate"}, NAN, 16),
    (hs.float8_e5m2, -INF, {"overflow": "saturate_inf"}, -57344.0, 5),
    (hs.float8_e5m2, -INF, {"overflow": "saturate"}, -INF, 0),
    (hs.float8_e4m3fnuz, -(2.0**-20), {}, 0.0, 3),
    (hs.float8_e4m3fnuz, -0.0, {}, 0.0, 0),
]


@pytest.mark.parametrize(("fmt", "x", "words", "right", "flags"), ROUNDED)
def test_round_to(fmt: hs.Format, x: Any, words: dict[str, Any], right: float, flags: int) -> None:
    y, raised = hs.round_to(x, fmt, words.get("rounding", "nearest_even"), overflow=words.get("overflow", "infinity"),
                            return_flags=True)  # fmt: skip
    np.testing.assert_equal(float(y), right)
    assert np.signbit(y) == np.signbit(right) or np.isnan(right)
    assert int(raised) == flags


def test_a_zero_of_large_numbers_is_the_integer_0() -> None:
    fmt = F("x", 7, 25, "none", bias=-124, zero_field="zero")
    for mode in ("nearest_even", "downward"):
        value, flags = hs.ieee.to_int([0, 1 << (fmt.bits - 1)], "uint8", format=fmt, rounding=mode)
        assert (value.tolist(), flags.tolist()) == ([0, 0], [0, 0])


def test_without_a_zero_the_smallest_numbers_of_either_sign_differ() -> None:
    fmt = F("x", 2, 10, "nan", bias=-7, zero_field="normal")
    least = 1 << (fmt.bits - 1)
    assert hs.ieee.lt(least, 0, format=fmt)[0]
    assert hs.ieee.le(least, 0, format=fmt)[0]
    assert not hs.ieee.eq(least, 0, format=fmt)[0]
    assert hs.ieee.next_up(least, format=fmt)[0] == 0


def test_a_quiet_nan_beside_a_number_raises_nothing_without_a_sign() -> None:
    assert hs.ieee.sub(0x7F, 0xFF, format="float8_e8m0fnu")[1] == 0
    assert hs.ieee.sub(0x1F, 0x1F, format=F("x", 4, 2, "nan", zero_field="normal"))[1] == 0


def test_beyond_the_largest_number_is_nan_by_value_and_by_code() -> None:
    assert hs.ieee.next_up(0x7E, format="float8_e4m3fn")[0] == 0x7F
    assert np.isnan(hs.next_up(448.0, "float8_e4m3fn"))
    assert hs.ieee.next_up(0x7, format="float4_e2m1fn")[0] == 0x7
    assert hs.next_down([0.0, -0.0], F("x", 2, 5, "nan", bias=-2, zero_field="zero")).tolist() == [-8.0, -8.0]
    assert hs.next_up([-5.0], F("x", 4, 3, signed=False)).tolist() == [0.0]


def test_convert_to_a_format_without_subnormal_numbers() -> None:
    none = F("x", 2, 24, "none", zero_field="normal")
    code, flags = hs.ieee.convert(0x1, "float8_e4m3fnuz", none, rounding="nearest_away")
    assert (int(code), int(flags)) == (0, 3)
    source, target = F("x", 5, 1, "nan", zero_field="normal"), F("x", 3, 8, "p3109", bias=4, zero_field="zero")
    code, flags = hs.ieee.convert(0xB, source, target, rounding="nearest_away")
    assert (int(code), int(flags)) == (128, 3)


def test_codes_below_a_lone_zeros_neighbour_are_zeros() -> None:
    """Where an exponent field of 0 holds zero alone, whatever the significand field says (a hardware's DAZ)."""
    fmt = F("x", 2, 3, "none", zero_field="zero")
    assert hs.decode(range(8), fmt).tolist() == [0, 0, 0, 0, 1, 1.25, 1.5, 1.75]
    assert hs.ieee.eq([1, 2, 3], 0, format=fmt)[0].all()
    assert hs.ieee.add([1, 2, 3], 4, format=fmt)[0].tolist() == [4, 4, 4]
    assert hs.ieee.next_up([1, 2, 3], format=fmt)[0].tolist() == [4, 4, 4]
    one = F("x", 2, 3, "fnuz", zero_field="zero")
    assert not np.signbit(hs.decode([17, 18, 19], one)).any()
    assert hs.ieee.classify([17, 18, 19], format=one)[0].tolist() == ["positive_zero"] * 3


def test_what_is_far_below_an_unsigned_range_is_counted_as_invalid_alone() -> None:
    counts = FlagCounts()
    rounded(np.array([-1e9, 1e9, -1.0]), F("x", 5, 3, signed=False), counts)
    assert (counts.invalid, counts.overflow) == (2, 1)
