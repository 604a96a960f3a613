from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from tests.oracles import HALVES, same


def test_next_numbers_of_every_half_are_numpys() -> None:
    values = HALVES.astype(np.float64)
    with np.errstate(all="ignore"):
        up, down = (np.nextafter(HALVES, np.float16(to)).astype(np.float64) for to in (np.inf, -np.inf))
    assert (hs.next_up(values) == up)[~np.isnan(values)].all()
    assert (hs.next_down(values) == down)[~np.isnan(values)].all()
    assert np.isnan(hs.next_up(values))[np.isnan(values)].all()


def test_spacing_of_every_half_is_numpys() -> None:
    """With the sign that NumPy's float32 keeps and its float16 loses."""
    with np.errstate(all="ignore"):
        expected = np.copysign(np.spacing(np.abs(HALVES)), np.where(HALVES == 0, 1, HALVES)).astype(np.float64)
    assert same(hs.spacing(HALVES), expected).all()
    assert hs.spacing([65504, -65504]).tolist() == [math.inf, -math.inf]
    assert hs.ulp([65504, -65504]).tolist() == [32, 32]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spacing_of_floats_is_numpys(dtype: type, rng: np.random.Generator) -> None:
    info = np.finfo(dtype)
    x = np.concatenate([rng.standard_normal(50), [1, -1, 0, -0.0, info.max, -info.max, info.tiny, np.inf, np.nan]])
    with np.errstate(all="ignore"):
        expected = np.spacing(x.astype(dtype)).astype(np.float64)
    assert same(hs.spacing(x, dtype), expected).all()


def test_beyond_the_largest_number_formats_without_infinities_have_nan_or_nothing() -> None:
    assert np.isnan(hs.spacing(448.0, "float8_e4m3fn"))
    assert hs.spacing(hs.float16_ahp.max, "float16_ahp") == 0
    assert hs.spacing(416.0, "float8_e4m3fn") == 32


def test_ulp_of_float64_is_pythons(rng: np.random.Generator) -> None:
    x = np.concatenate(
        [rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64), [0.0, -0.0, np.inf, 5e-324, 1e308]]
    )
    assert same(hs.ulp(x, "float64"), [math.ulp(v) for v in x]).all()


def test_numbers_off_the_grid_have_neighbours_too() -> None:
    assert hs.next_up(0.1).item() == float(hs.round_to(0.1, "float16", "upward"))
    assert hs.next_down("0.1").item() == float(hs.round_to(0.1, "float16", "downward"))
    assert hs.next_up([1e9, -1e9]).tolist() == [np.inf, -65504]
    assert hs.next_up(1e-30).item() == hs.float16.smallest_subnormal
    assert hs.ulp(2047.5).item() == 1


@pytest.mark.parametrize("fmt", ["bfloat16", "tfloat32", "float8_e5m2", hs.Format("e3m2", 3, 3)])
def test_up_and_down_are_inverse_on_the_grid(fmt: object) -> None:
    as_format = hs.Format if isinstance(fmt, hs.Format) else None
    bits = (
        fmt.bits
        if as_format and isinstance(fmt, hs.Format)
        else {"bfloat16": 16, "tfloat32": 19, "float8_e5m2": 8}[str(fmt)]
    )
    values = hs.decode(np.arange(0, 2**bits, max(1, bits // 8)), fmt)
    values = values[np.isfinite(values)]
    back = hs.next_down(hs.next_up(values, fmt), fmt)
    assert (back == values)[np.isfinite(hs.next_up(values, fmt))].all()


def test_formats_without_infinities_end_as_they_do() -> None:
    assert np.isnan(hs.next_up(448.0, "float8_e4m3fn"))
    assert hs.next_up(131008.0, "float16_ahp") == 131008
    codes = np.arange(0x7E, dtype=np.uint8)
    grid = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    np.testing.assert_array_equal(hs.next_up(grid, "float8_e4m3fn")[:-1], grid[1:])


def test_shapes_are_kept() -> None:
    for function in (hs.ulp, hs.next_up, hs.next_down, hs.spacing):
        assert function(np.zeros((2, 0))).shape == (2, 0)
        assert function(1.0).shape == ()
        with pytest.raises(ValueError, match="format"):
            function(1.0, "fp17")


def test_classes_are_those_of_the_codes() -> None:
    assert hs.classify(HALVES.astype(np.float64)).tolist() == hs.ieee.classify(np.arange(65536))[0].tolist()
    assert hs.classify("0.1").item() == "positive_normal"


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_arrays_and_dtypes_of_ml_dtypes_are_understood(dtype: type) -> None:
    x = np.array([0.5, 1.0, -3.0], dtype)
    assert hs.round_to(x, "float16").tolist() == [0.5, 1, -3]
    np.testing.assert_array_equal(hs.encode(x, dtype), x.view(f"u{x.itemsize}"))
    assert hs.tensor(x, dtype).numpy().tolist() == [0.5, 1, -3]


def test_the_ends_of_float64_are_reached_in_silence() -> None:
    with np.errstate(all="raise"):
        assert hs.next_up(1.7976931348623157e308, "float64") == np.inf
        assert hs.next_up(0.0, "float64") == 5e-324
