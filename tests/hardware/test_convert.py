"""Conversion instructions, on every code and around every boundary."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware import narrow, widen
from tests.oracles import CODES, HALVES, boundaries


@pytest.mark.parametrize("unit", ["f16c", "arm"])
def test_widening_is_exact_and_quiets(unit):
    wide = widen(CODES, unit)
    with np.errstate(all="ignore"):
        expected = HALVES.astype(np.float32)
    nan = np.isnan(HALVES)
    np.testing.assert_array_equal(wide[~nan].view(np.uint32), expected[~nan].view(np.uint32))
    bits = wide[nan].view(np.uint32)
    assert (bits & 0x00400000).all()
    np.testing.assert_array_equal(bits >> 13 & 0x1FF, CODES[nan] & 0x1FF)


def test_narrowing_rounds_as_ieee():
    x = boundaries(np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(narrow(x), x.astype(np.float16).view(np.uint16))
    assert narrow([65519.99, 1e-7, -1e-9], rounding="toward_zero").tolist() == [0x7BFF, 1, 0x8000]


def test_narrowing_keeps_what_it_can_of_a_nan():
    codes = np.uint32([0x7F800001, 0xFFA00000, 0x7FC0E000]).view(np.float32)
    assert narrow(codes).tolist() == [0x7E00, 0xFF00, 0x7E07]
    assert narrow(codes, "avx512_bf16").tolist() == [0x7FC0, 0xFFE0, 0x7FC0]


def test_bfloat16_flushes():
    x = np.float32([1e-40, -1e-40, 2.0**-126, 1 + 2.0**-8, 1 + 3 * 2.0**-8, np.inf])
    assert narrow(x, "avx512_bf16").tolist() == [0, 0x8000, 0x0080, 0x3F80, 0x3F82, 0x7F80]
    assert widen([0x3F82], "avx512_bf16") == 1 + 2 * 2.0**-7


def test_the_alternative_half():
    x = [131008.0, 131039.0, 131040.0, np.inf, -np.inf, np.nan, -np.nan, 65536.0]
    codes = narrow(x, "arm_ahp")
    assert codes.tolist() == [0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0xFFFF, 0, 0x8000, 0x7C00]
    np.testing.assert_array_equal(narrow(widen(CODES, "arm_ahp"), "arm_ahp"), CODES)


def test_careless_inputs():
    with pytest.raises(ValueError, match="unit: 'f16' is not allowed .did you mean 'f16c'"):
        narrow([1.0], "f16")
    with pytest.raises(ValueError, match="codes: not 16-bit codes"):
        widen([65536])
    with pytest.raises(ValueError, match="codes: not 16-bit codes"):
        hs.hardware.widen([1.5])
    assert narrow([]).shape == widen(np.zeros(0, int)).shape == (0,)
