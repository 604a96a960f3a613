from __future__ import annotations

import math
import tracemalloc
from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halfsim as hs
from tests.oracles import CODES, HALVES, nearest_half


def test_decode_gives_numpys_value_for_every_code() -> None:
    values, expected = hs.decode(CODES), HALVES.astype(np.float64)
    assert values.dtype == np.float64
    nan = np.isnan(expected)
    np.testing.assert_array_equal(values[~nan].view(np.int64), expected[~nan].view(np.int64))
    assert np.isnan(values[nan]).all()


def quieted(codes: np.ndarray, fmt: hs.Format) -> np.ndarray:
    """The codes with the quiet bit of every NaN set."""
    infinity, quiet = ((1 << fmt.nexp) - 1) << fmt.nmant, 1 << (fmt.nmant - 1)
    magnitude = codes & codes.dtype.type((1 << (fmt.bits - 1)) - 1)
    return np.where(magnitude > infinity, codes | codes.dtype.type(quiet), codes)


@pytest.mark.parametrize("fmt", [hs.float16, hs.bfloat16])
def test_every_code_survives_the_round_trip_nan_payloads_included(fmt: hs.Format) -> None:
    """All 65,536: numbers, both zeros, infinities, and NaN with sign and payload, the signaling ones quieted."""
    np.testing.assert_array_equal(hs.encode(hs.decode(CODES, fmt), fmt), quieted(CODES, fmt))
    if fmt == hs.float16:
        np.testing.assert_array_equal(hs.encode(HALVES), quieted(CODES, fmt))
        np.testing.assert_array_equal(hs.encode(HALVES.astype(np.float32)), quieted(CODES, fmt))
        assert np.count_nonzero(quieted(CODES, fmt) != CODES) == 2 * 511


@pytest.mark.parametrize(
    "fmt", [hs.Format("e6m9", 6, 10), hs.Format("e4m3", 4, 4), hs.Format("e2m1", 2, 2), hs.tfloat32], ids=str
)
def test_every_code_of_another_format_survives(fmt: hs.Format) -> None:
    codes = np.arange(min(2**fmt.bits, 2**19), dtype=np.uint32)
    np.testing.assert_array_equal(hs.encode(hs.decode(codes, fmt), fmt), quieted(codes, fmt))


def test_float32_and_float64_are_formats_too(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 2**64, 10_000, dtype=np.uint64)
    np.testing.assert_array_equal(hs.encode(codes.view(np.float64), "float64"), quieted(codes, hs.float64))
    small = (codes >> np.uint64(32)).astype(np.uint32)
    np.testing.assert_array_equal(hs.encode(hs.decode(small, "float32"), "float32"), quieted(small, hs.float32))


KNOWN = [
    ("0.1", 0x2E66), ("-0.0", 0x8000), ("inf", 0x7C00), ("-inf", 0xFC00), ("65519.999999999999999999", 0x7BFF),
    ("65520", 0x7C00), ("1e-8", 0), ("2.98023223876953125e-8", 0), ("2.9802322387695312500000000001e-8", 1),
    ("1e999999", 0x7C00), ("-1e-999999", 0x8000), (10**400, 0x7C00), (2049, 0x6800), (2051, 0x6802),
    (Fraction(1, 3), 0x3555), (Decimal("0.333"), 0x3554), (True, 0x3C00), (-(2**63), 0xFC00),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code"), KNOWN)
def test_numbers_of_every_kind_round_once(value: object, code: int) -> None:
    assert hs.encode(value).shape == ()
    assert int(hs.encode(value)) == code


def test_nan_strings_keep_their_sign() -> None:
    assert [hex(c) for c in hs.encode(["nan", "-nan"])] == ["0x7e00", "0xfe00"]


@given(st.fractions(min_value=-70000, max_value=70000, max_denominator=10**30) | st.integers(-(2**70), 2**70))
def test_fractions_and_integers_round_once(value: Fraction | int) -> None:
    assert float(hs.decode(hs.encode(value))) == nearest_half(Fraction(value))


@given(st.integers(0, 2**11), st.integers(1, 10**12), st.sampled_from([-1, 1]))
def test_just_beside_a_tie(half: int, tiny: int, sign: int) -> None:
    """A distance of 2**-80 from a midpoint decides, although float64 cannot see it."""
    tie = Fraction(2 * half + 1, 2) * Fraction(1, 2**10) + 1
    value = tie + sign * Fraction(tiny, 2**120)
    assert float(hs.decode(hs.encode(value))) == nearest_half(value)


def test_integer_arrays_beyond_float64_round_once() -> None:
    fmt = hs.Format("e8m20", 8, 21)
    tie = 2**62 + 2**41  # a midpoint between two numbers of precision 21
    values = np.array([tie - 1, tie, tie + 1, 2**63 - 1], np.int64)
    expected = [2**62, 2**62, 2**62 + 2**42, 2**63]
    assert [int(v) for v in hs.decode(hs.encode(values, fmt), fmt)] == expected
    assert [int(v) for v in hs.decode(hs.encode(values.astype(np.uint64), fmt), fmt)] == expected


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 here")
def test_longdouble_rounds_once() -> None:
    tie = np.longdouble(1) + np.longdouble(2) ** -11
    values = np.array([tie, tie + np.longdouble(2) ** -60, tie - np.longdouble(2) ** -60])
    assert hs.encode(values).tolist() == [0x3C00, 0x3C01, 0x3C00]


@pytest.mark.parametrize(
    ("bits", "error", "text"),
    [([-1], ValueError, "bits: allowed are codes"), ([65536], ValueError, "0xffff"), ([0.5], TypeError, "integers")],
)
def test_decode_refuses_what_is_no_code(bits: list[float], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        hs.decode(bits)


@pytest.mark.parametrize(
    ("value", "error"),
    [("abc", ValueError), ([[1], [2, 3]], ValueError), ([1j], TypeError), ([object()], TypeError), (None, TypeError)],
)
def test_encode_refuses_what_is_no_number(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="^x: ") as caught:
        hs.encode(value)
    assert "\n" not in str(caught.value)


def test_empty_and_scalar_shapes_are_kept() -> None:
    assert hs.encode(np.zeros((0, 3))).shape == (0, 3)
    assert hs.decode(np.zeros((0, 3), np.uint16)).shape == (0, 3)
    assert hs.decode(0x3C00).shape == ()
    assert float(hs.decode(0x3C00)) == 1.0
    assert math.copysign(1, float(hs.decode(0x8000))) == -1


@pytest.mark.parametrize("value", [10**400, "1e350", Decimal("1e309"), Fraction(10**310, 3)])
def test_numbers_past_float64_overflow_in_order(value: object) -> None:
    assert hs.encode(value) == 0x7C00
    assert hs.encode(value, "bf16") == 0x7F80


def test_lists_of_mixed_kinds_lose_nothing_on_the_way() -> None:
    assert hs.encode([2**63 + 2**39 + 1, -1], "float32")[0] == 0x5F000001
    assert hs.encode([2**60 + 2**36 + 1, 0.5], "float32")[0] == 0x5D800001
    assert hs.encode(["0.1", np.float32(0.1)], "float64")[1] == np.float64(np.float32(0.1)).view(np.uint64)
    assert hs.decode([2**63, 5], "float64").tolist() == [-0.0, 2.5e-323]


def test_integers_just_over_2_53_keep_their_last_bits() -> None:
    fmt = hs.Format("wide", 10, 51)
    values = 2**53 + np.arange(0, 64, 1)
    for kind in (np.int64, np.uint64):
        codes = hs.encode(values.astype(kind), fmt)
        assert codes.tolist() == [int(hs.encode(int(v), fmt)) for v in values]
    assert hs.round_to(np.int64(2**53 + 1), "float32", return_flags=True)[1] == hs.Flag.INEXACT


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", ">i4"])
def test_foreign_byte_orders_are_read(dtype: str) -> None:
    values = np.array([1, 2.5, -3], dtype)
    expected = values.astype(np.float64)
    assert hs.decode(hs.encode(values)).tolist() == expected.tolist()
    assert hs.round_to(values).tolist() == expected.tolist()
    assert hs.tensor(values).numpy().tolist() == expected.tolist()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_hexadecimal_strings_are_pythons(value: float) -> None:
    assert hs.encode(value.hex(), "float64") == np.float64(value).view(np.uint64)
    assert hs.encode(value.hex()) == hs.encode(value)


def test_long_hexadecimal_strings_round_once() -> None:
    assert hs.encode("0x1.00200000000000000000000000000001p0") == 0x3C01
    assert hs.encode("0x1.002p0") == 0x3C00
    assert hs.encode("-0X1P-999999999999") == 0x8000
    assert hs.encode("0x2e66") == hs.encode(0x2E66)


def test_formats_of_a_wider_range_than_the_input() -> None:
    largest = np.float32([3.4028235e38])
    assert hs.decode(hs.encode(largest, hs.Format("e11m4", 11, 5)), hs.Format("e11m4", 11, 5)) == 2.0**128
    assert hs.encode(np.float16([65504]), "bfloat16") == 0x4780


@pytest.mark.parametrize("fmt", [hs.float16, hs.Format("e6m9", 6, 10), hs.float8_e5m2, hs.Format("e2m3", 2, 4)])
def test_codes_of_blocks_with_and_without_specials(fmt: hs.Format, rng: np.random.Generator) -> None:
    """The fast way by blocks against decode, across block borders, subnormals and specials among them."""
    values = hs.decode(rng.integers(0, 2**fmt.bits, 70_000), fmt)
    values[:40_000] = np.where(np.isfinite(values[:40_000]), values[:40_000], 0)
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            codes = hs.encode(values.astype(dtype), fmt)
        again = hs.decode(codes, fmt)
        nan = np.isnan(values)
        np.testing.assert_array_equal(again[~nan].view(np.int64), values[~nan].view(np.int64))
        assert np.isnan(again[nan]).all()


@pytest.mark.parametrize(
    ("text", "code"),
    [("1e99999999999999999999", 0x7C00), ("-1.5e-99999999999999999999", 0x8000), ("0e99999999999999999999", 0)],
)
def test_exponents_beyond_reason(text: str, code: int) -> None:
    assert hs.encode(text) == code


def test_a_signaling_nan_raises_invalid() -> None:
    with hs.flags() as f:
        assert hs.encode(hs.decode([0x7C01, 0xFD55, 0x7E01])).tolist() == [0x7E01, 0xFF55, 0x7E01]
    assert f.invalid == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_of_bfloat16_are_ml_dtypes(dtype: type, rng: np.random.Generator) -> None:
    """Upper halves of words; every upper half with lower halves around the tie, NaN by sign and leading payload."""
    upper = np.arange(65536, dtype=np.uint32) << np.uint32(16)
    lower = np.uint32([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    with np.errstate(all="ignore"):
        x = (upper[:, None] | lower).reshape(-1).view(np.float32)
        expected = x.astype(ml_dtypes.bfloat16).view(np.uint16)
        got = hs.encode(x.astype(dtype), "bfloat16")
    nan = np.isnan(x)
    np.testing.assert_array_equal(got[~nan], expected[~nan])
    np.testing.assert_array_equal(got[nan], (x[nan].view(np.uint32) >> np.uint32(16)) | np.uint32(0x40))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_decoding_keeps_to_blocks(dtype: type) -> None:
    codes = np.arange(1_000_000, dtype=np.int64).astype(np.uint16).astype(dtype)
    hs.decode(codes[:5000])
    tracemalloc.start()
    try:
        values = hs.decode(codes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * values.nbytes
    with np.errstate(all="ignore"):
        expected = codes.astype(np.uint16).view(np.float16).astype(np.float64)
    np.testing.assert_array_equal(values.view(np.uint64), expected.view(np.uint64))
    np.testing.assert_array_equal(hs.decode(codes[::-1])[::-1].view(np.uint64), expected.view(np.uint64))
