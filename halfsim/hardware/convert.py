"""Conversion instructions, bits in and bits out: what they do with NaN, subnormal numbers and Arm's other half."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import bfloat16, float16, float16_ahp, float32, unknown
from halfsim.numerics.inputs import numbers_of, unmasked
from halfsim.numerics.quantize import Array, flushed

_UNITS = ("f16c", "avx512_bf16", "arm", "arm_ahp")


def narrow(x: ArrayLike, unit: str = "f16c", rounding: object = "nearest_even") -> Array:
    """The 16-bit codes (uint16) to which ``unit`` converts float32 numbers ``x``.

    - "f16c" (VCVTPS2PH) and "arm" (FCVT): IEEE halves, subnormal ones too whatever the flush flags say; a NaN keeps
      its sign and the top of its payload and becomes quiet.
    - "avx512_bf16" (VCVTNEPS2BF16): bfloat16, to nearest even whatever ``rounding`` says; subnormal numbers become
      zeros of their sign, NaN is cut and quiet.
    - "arm_ahp": the alternative half, without infinities and NaN: a NaN becomes a zero of its sign, what is too large
      the largest number, 131008.

    ``ValueError`` for another unit or rounding.

    >>> [hex(code) for code in narrow([1.0, 1e6, float("nan")], "arm_ahp")]
    ['0x3c00', '0x7fff', '0x0']
    """
    if unit not in _UNITS:
        raise unknown("unit", unit, _UNITS)
    with np.errstate(all="ignore"):
        given = numbers_of(x).astype(np.float32)
        if unit == "arm_ahp":
            return encode(np.where(np.isnan(given), np.copysign(np.float32(0), given), given), float16_ahp, rounding)
        bits = given.view(np.uint32)
        nan = np.isnan(given)
        if unit == "avx512_bf16":
            numbers = flushed(np.where(nan, np.float32(0), given), float32)
            codes = encode(numbers, bfloat16, "nearest_even")
            return np.where(nan, (bits >> 16 | 0x40).astype(np.uint16), codes)
        codes = encode(np.where(nan, np.float32(0), given), float16, rounding)
        payload = bits >> 16 & 0x8000 | 0x7E00 | bits >> 13 & 0x3FF
        return np.where(nan, payload.astype(np.uint16), codes)


def widen(codes: ArrayLike, unit: str = "f16c") -> Array:
    """The float32 numbers that 16-bit ``codes`` mean to ``unit``, exactly; a signalling NaN becomes quiet.

    >>> widen([0x7C00], "arm_ahp"), hex(widen([0x7D00]).view("uint32")[0])
    (array([65536.], dtype=float32), '0x7fe00000')
    """
    if unit not in _UNITS:
        raise unknown("unit", unit, _UNITS)
    given = np.asarray(None if isinstance(codes, (bytes, bytearray)) else unmasked(codes, "codes"))
    if given.dtype.kind not in "iu" or (given.size and not 0 <= given.min() <= given.max() <= 0xFFFF):
        raise ValueError("codes: not 16-bit codes; allowed: integers from 0 to 65535")
    bits = given.astype(np.uint16)
    if unit == "avx512_bf16":
        wide: Array = (bits.astype(np.uint32) << 16).view(np.float32)
        return wide
    fmt = float16_ahp if unit == "arm_ahp" else float16
    with np.errstate(all="ignore"):
        values = decode(bits, fmt).astype(np.float32)
    if unit != "arm_ahp":
        wide_bits = bits.astype(np.uint32)
        nan = (wide_bits & 0x8000) << 16 | 0x7FC00000 | (wide_bits & 0x3FF) << 13
        np.copyto(values.view(np.uint32), nan, where=np.isnan(values))
    return values
