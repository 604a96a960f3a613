from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halfsim as hs
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.quantize import BLOCK, container, round_, rounded
from tests.oracles import CODES, HALVES, boundaries, same, softfloat


def cast(x: np.ndarray, dtype: type) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x.astype(dtype).astype(x.dtype)


@pytest.mark.parametrize("container", [np.float32, np.float64])
@pytest.mark.parametrize(("fmt", "dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_halfway_cases_and_their_neighbours(container: type, fmt: str, dtype: type) -> None:
    x = boundaries(container)
    expected = cast(x, dtype)
    if container is np.float64 and dtype is ml_dtypes.bfloat16:  # ml_dtypes rounds float64 twice, by way of float32
        with np.errstate(all="ignore"):
            twice = x != x.astype(np.float32)
        x, expected = x[~twice], expected[~twice]
    assert same(hs.round_to(x, fmt), expected).all()


def test_sixteen_million_float32_patterns(rng: np.random.Generator) -> None:
    """A stratified part of all 2**32, which benchmarks/exhaustive.py goes through."""
    x = (np.arange(2**24, dtype=np.uint32) * np.uint32(256) + rng.integers(0, 256, 2**24, dtype=np.uint32)).view(
        np.float32
    )
    assert same(hs.round_to(x, "float16"), cast(x, np.float16)).all()


def test_float64_to_float32_is_the_hosts_cast(rng: np.random.Generator) -> None:
    x = rng.integers(0, 2**64, 200_000, dtype=np.uint64).view(np.float64)
    x = np.concatenate([x, rng.standard_normal(200_000) * 2.0 ** rng.integers(-160, 130, 200_000)])
    assert same(hs.round_to(x, "float32"), cast(x, np.float32)).all()


@pytest.mark.parametrize("exponent_bits", [2, 4, 6, 8, 10, 11])
@pytest.mark.parametrize("precision", [1, 2, 5, 20])
def test_any_format_agrees_with_exact_scaling(exponent_bits: int, precision: int, rng: np.random.Generator) -> None:
    """Rounding to a multiple of the ulp, by Python's exact round-half-even on integers."""
    fmt = hs.Format("mine", exponent_bits, precision)
    top = min(fmt.emax + 2, 1000)
    low = max(fmt.emin - precision - 2, -1000)
    x = rng.integers(-(2**8), 2**8, 400) / 2**7 * 2.0 ** rng.integers(low, top, 400).astype(float)
    for value, got in zip(x.tolist(), hs.round_to(x, fmt).tolist(), strict=True):
        exponent = max(int(np.frexp(value)[1]) - 1, fmt.emin)
        quotient = value * 2.0 ** (precision - 1 - exponent) if precision - 1 - exponent < 1000 else None
        if quotient is None:
            continue
        expected = float(round(quotient)) * 2.0 ** (exponent - precision + 1)
        expected = np.copysign(np.inf, value) if abs(expected) > fmt.max else expected
        assert got == expected, (value, fmt)


def test_float32_carries_formats_up_to_11_digits_and_7_exponent_bits() -> None:
    for bits, digits, expected in ((7, 11, np.float32), (8, 11, np.float64), (7, 12, np.float64), (5, 11, np.float32)):
        assert container(hs.Format("narrow", exponent_bits=bits, precision=digits)) == expected


def test_rounding_twice_changes_nothing() -> None:
    x = HALVES.astype(np.float32)
    assert same(hs.round_to(x), x).all()


def test_container_shape_and_order_are_kept_and_the_input_left_alone(rng: np.random.Generator) -> None:
    x = rng.standard_normal((7, 6, 5)).astype(np.float32)
    before = x.copy()
    expected = cast(x, np.float16)
    frozen = x.copy()
    frozen.flags.writeable = False
    for view, wanted in (
        (x, expected), (x.T, expected.T), (x[::2, ::-1], expected[::2, ::-1]), (frozen, expected),
        (np.asfortranarray(x), expected), (x[:0], expected[:0]), (x[0, 0, 0], expected[0, 0, 0]),
        (x.transpose(1, 0, 2), expected.transpose(1, 0, 2)),
    ):  # fmt: skip
        got = hs.round_to(view)
        assert got.dtype == np.float32
        assert got.shape == wanted.shape
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_out_may_be_the_input(dtype: type, rng: np.random.Generator) -> None:
    x = rng.standard_normal((100, 30)).astype(dtype)
    expected = hs.round_to(x, "bfloat16")
    assert hs.round_to(x, "bfloat16", out=x) is x
    np.testing.assert_array_equal(x, expected)
    strided = np.zeros((100, 60), dtype)[:, ::2]
    np.testing.assert_array_equal(hs.round_to(x, "bfloat16", out=strided), expected)


def test_out_may_overlap_the_input(rng: np.random.Generator) -> None:
    buffer = rng.standard_normal(3 * BLOCK).astype(np.float32)
    expected = cast(buffer[:-1], np.float16)
    np.testing.assert_array_equal(hs.round_to(buffer[:-1], out=buffer[1:]), expected)


def test_out_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^out: allowed is an array of shape \(3,\) and dtype float32$"):
        hs.round_to([1, 2, 3], out=np.zeros(4))


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_join_without_seams(size: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal(size).astype(np.float32) * np.float32(1e-4)
    y = x.copy()
    assert round_(y, hs.float16) is y
    np.testing.assert_array_equal(y, cast(x, np.float16))
    np.testing.assert_array_equal(rounded(x, hs.float16), y)


def test_host_exceptions_are_neither_raised_nor_needed() -> None:
    x = np.array([1e30, 1e-30, np.nan, 1e-45], np.float32)
    with np.errstate(all="raise"):
        hs.round_to(x, "float16")
        hs.round_to(x, "bfloat16")
        hs.encode(x)


def test_flags_are_softfloats(rng: np.random.Generator) -> None:
    import softfloatpy as sf

    x = np.concatenate(
        [boundaries(np.float32)[::37], np.array([2.0**-14 * (1 - 2.0**-13), 65520, 65519.996], np.float32)]
    )
    x = np.concatenate([x, -x])
    _, flags = hs.round_to(x, "float16", return_flags=True)
    assert flags.dtype == np.uint8
    sf.set_rounding_mode(sf.RoundingMode.NEAR_EVEN)
    sf.set_tininess_mode(sf.TininessMode.AFTER_ROUNDING)
    for value, flag in zip(x, flags, strict=True):
        sf.set_exception_flags(0)
        sf.Float32.from_bytes(int(value.view(np.uint32)).to_bytes(4, "big")).to_f16()
        assert int(sf.get_exception_flags()) == flag, float(value)


def test_flags_have_the_shape_of_the_input() -> None:
    x = np.array([[1.0, 0.1], [1e9, 1e-9], [0.0, np.nan]])
    expected = np.array([[0, 1], [5, 3], [0, 0]], np.uint8)
    for layout in (x, np.asfortranarray(x), x[::-1][::-1]):
        np.testing.assert_array_equal(hs.round_to(layout, return_flags=True)[1], expected)
    assert hs.round_to(0.1, return_flags=True)[1] == 1
    assert hs.round_to(np.zeros((0, 2)), return_flags=True)[1].shape == (0, 2)


def test_counts_are_the_sums_of_flags(rng: np.random.Generator) -> None:
    x = (rng.standard_normal(100_000) * 2.0 ** rng.integers(-30, 20, 100_000)).astype(np.float32)
    y, flags = hs.round_to(x, return_flags=True)
    counts = FlagCounts()
    with np.errstate(over="ignore"):
        round_(x.copy(), hs.float16, counts)
    assert counts.inexact == np.count_nonzero(flags & hs.Flag.INEXACT)
    assert counts.underflow == np.count_nonzero(flags & hs.Flag.UNDERFLOW)
    assert counts.overflow == np.count_nonzero(flags & hs.Flag.OVERFLOW)
    assert counts.flushed == np.count_nonzero((x != 0) & (y == 0))


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_lists_become_float64(values: list[float]) -> None:
    got = hs.round_to(values)
    assert got.dtype == np.float64
    assert same(got, cast(np.array(values, np.float64), np.float16)).all()


def test_strings_and_integers_round_once() -> None:
    np.testing.assert_array_equal(hs.round_to(["0.1", "65520"]), [0.0999755859375, np.inf])
    assert hs.round_to(np.arange(5, dtype=np.int8)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("x", [[1j], np.array(["2020-01-01"], "datetime64[D]"), [[1], "a"]])
def test_what_is_no_number_is_refused(x: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        hs.round_to(x)


def test_softfloat_oracle_answers() -> None:
    """The oracle itself: 1 + 2**-11 is a tie, and 65504 + 32 overflows."""
    assert softfloat("add", 0x3C00, 0x1000) == (0x3C00, 1)
    assert softfloat("add", 0x7BFF, 0x5000) == (0x7C00, 5)
    assert len(CODES) == 65536


def test_tensors_of_a_wider_range_than_their_source() -> None:
    assert hs.tensor(np.float16([65504]), "bf16").item() == 65536


@pytest.mark.parametrize(
    ("values", "fmt", "dtype"),
    [
        ([1, 2, 3], "float16", np.float32),
        (np.arange(3), "float16", np.float32),
        ([1, 2], "float32", np.float32),
        ([1, 2], "bfloat16", np.float64),
        (["0.1"], "float16", np.float32),
        ([2**70, 1], "float64", np.float64),
        ([1, 2.5], "float16", np.float64),
        (1.5, "float16", np.float64),
        (np.float16([1.5]), "float64", np.float16),
        (np.longdouble([1.5]), "float16", np.float64),
    ],
)
def test_numbers_without_a_float_dtype_take_the_container_of_the_format(values: object, fmt: str, dtype: type) -> None:
    got = hs.round_to(values, fmt)
    assert got.dtype == dtype
    np.testing.assert_array_equal(hs.decode(hs.encode(values, fmt), fmt), got)


MASKED = np.ma.array([1.0, 2.0], mask=[0, 1])
X = hs.tensor([1.0, 2.0], "fp16")
WHOLE = hs.tensor([1, 2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: hs.round_to(MASKED),
        lambda: hs.encode(MASKED),
        lambda: hs.ulp([MASKED]),
        lambda: hs.decode(MASKED.astype(int)),
        lambda: hs.tensor(MASKED),
        lambda: hs.tensor(MASKED.astype(int)),
        lambda: hs.tensor(np.ma.masked),
        lambda: hs.ops.sum(MASKED),
        lambda: X + MASKED,
        lambda: WHOLE + MASKED.astype(int),
        lambda: X > MASKED,
        lambda: X[MASKED.astype(int)],
        lambda: hs.ops.where(MASKED > 1, X, X),
        lambda: np.clip(X, MASKED, 3),
        lambda: X.index_select(0, MASKED.astype(int)),
    ],
)
def test_masked_arrays_are_refused_in_one_line(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="(masked arrays are|MaskedArray .* is) not allowed") as caught:
        call()
    assert "\n" not in str(caught.value)
