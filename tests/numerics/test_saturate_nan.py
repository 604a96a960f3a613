"""The saturating mode of Ascend 910: what is not finite becomes finite. NumPy's ``nan_to_num`` says the same."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.formats import as_format
from tests.oracles import CODES, HALVES, boundaries

BITS = np.arange(1 << 16, dtype=np.uint32) << 16


def finite(halves: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.nan_to_num(halves, nan=0.0)


def test_every_half_stays_or_becomes_finite() -> None:
    got, flags = hs.round_to(HALVES, "float16", overflow="saturate_nan", return_flags=True)
    np.testing.assert_array_equal(got.view(np.uint16), finite(HALVES).view(np.uint16))
    np.testing.assert_array_equal(flags == hs.Flag.INVALID, np.isnan(HALVES))
    np.testing.assert_array_equal(flags == (hs.Flag.OVERFLOW | hs.Flag.INEXACT), np.isinf(HALVES))
    np.testing.assert_array_equal(hs.encode(HALVES, "float16", overflow="saturate_nan"), finite(HALVES).view(np.uint16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wider_numbers_round_as_numpy_does_and_become_finite(dtype: type) -> None:
    with np.errstate(all="ignore"):
        x = np.concatenate([boundaries(np.float32), BITS.view(np.float32)]).astype(dtype)
        expected = finite(x.astype(np.float16))
    got = hs.round_to(x, "float16", overflow="saturate_nan")
    np.testing.assert_array_equal(got.astype(np.float16).view(np.uint16), expected.view(np.uint16))
    np.testing.assert_array_equal(hs.encode(x, "float16", overflow="saturate_nan"), expected.view(np.uint16))


def test_conversion_of_bits() -> None:
    wide = BITS.view(np.float32)
    with np.errstate(all="ignore"):
        expected = finite(wide.astype(np.float16)).view(np.uint16)
    got, flags = hs.ieee.convert(BITS, "float32", "float16", overflow="saturate_nan")
    np.testing.assert_array_equal(got, expected)
    assert (flags[np.isnan(wide)] == hs.Flag.INVALID).all()
    same, _ = hs.ieee.convert(CODES, "float16", "float16", overflow="saturate_nan")
    np.testing.assert_array_equal(same, finite(HALVES).view(np.uint16))


@pytest.mark.parametrize("name", ["bfloat16", "float32", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"])
def test_other_formats(name: str) -> None:
    fmt = as_format(name)
    x = np.float64([np.inf, -np.inf, np.nan, 1e300, -1e300, 1.0])
    expected = [fmt.max, -fmt.max, 0.0, fmt.max, -fmt.max, 1.0]
    np.testing.assert_array_equal(hs.round_to(x, fmt, overflow="saturate_nan"), expected)
    assert not np.signbit(hs.round_to(-np.float64(np.nan), fmt, overflow="saturate_nan"))


def test_a_precision_of_that_mode_makes_nothing_infinite_or_nan() -> None:
    """The two examples are those of Huawei's page; the others follow from its words."""
    precision = hs.Precision("fp16", overflow="saturate_nan")
    assert hs.Precision(str(precision)) == precision

    def half(*values: float) -> hs.Tensor:
        return hs.tensor(values, "fp16")

    with hs.precision(precision):
        assert hs.exp(half(12.0)).tolist() == [65504.0]
        assert hs.sqrt(half(-1.0)).tolist() == [0.0]
        assert hs.log(half(0.0)).tolist() == [-65504.0]
        assert (half(1.0, 0.0, -1.0) / half(0.0, 0.0, 0.0)).tolist() == [65504.0, 0.0, -65504.0]
        assert (half(60000.0) * 2 - half(60000.0) * 2).tolist() == [0.0]
        assert (half(300.0, 300.0)[None] @ half(300.0, 300.0)[:, None]).tolist() == [[65504.0]]
        assert (half(np.inf, np.nan) + 0).tolist() == [65504.0, 0.0]
