"""Values to bit patterns and back: exact for every code of every format."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from halfsim.numerics._grid import BLOCK
from halfsim.numerics._pack import pack, packing
from halfsim.numerics.formats import Format, as_format, float64
from halfsim.numerics.inputs import as_floats, beyond_floats, unmasked
from halfsim.numerics.quantize import Array, round_to


def _word(fmt: Format) -> np.dtype[Any]:
    return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if fmt.bits <= 8 * size))


def encode(
    x: object,
    format: object = "float16",
    rounding: object = "nearest_even",
    *,
    overflow: str = "infinity",
    subnormals: str = "keep",
) -> Array:
    """The bit patterns of ``x`` in ``format``, rounded once.

    ``x`` is an array-like of any shape, of floats, integers of any size, str, Decimal or Fraction; the
    result has its shape and the smallest unsigned dtype that holds the format (uint16 for float16). ``rounding``,
    ``overflow`` and ``subnormals`` are those of `round_to`. NaN keeps its sign and the leading bits of its payload,
    a signaling one is quieted, infinities and both zeros keep their sign, and values below ``smallest_normal`` become
    subnormal codes or zeros. ``ValueError`` for unknown words or a string that is no number, ``TypeError`` for other
    kinds. The layout is IEEE 754-2019 clause 3.4.

    >>> [hex(code) for code in encode(["0.1", "-0.0", "65520", "1e-8"])]
    ['0x2e66', '0x8000', '0x7c00', '0x0']
    """
    fmt = as_format(format)
    exact = as_floats(x, fmt)
    values = np.ascontiguousarray(exact).reshape(-1)
    how = packing(fmt)
    if how is None or values.dtype == np.float16:
        values = widen(values)  # the format's range may be wider than that of the input's dtype
    source = x if beyond_floats(x, fmt) else values
    rounded = np.asarray(round_to(source, fmt, rounding, overflow=overflow, subnormals=subnormals)).reshape(-1)
    if how is None:
        return _codes(values, rounded, fmt).reshape(exact.shape)
    codes = np.empty(values.size, _word(fmt))
    with np.errstate(all="ignore"):
        for i in range(0, values.size, BLOCK):
            block = rounded[i : i + BLOCK].astype(np.float32, copy=False)
            if not pack(block, codes[i : i + BLOCK], how):
                codes[i : i + BLOCK] = _codes(widen(values[i : i + BLOCK]), widen(rounded[i : i + BLOCK]), fmt)
    return codes.reshape(exact.shape)


def _codes(given: Array, rounded: Array, fmt: Format) -> Array:
    """The codes of float64 numbers on the grid; ``given``, what they were rounded from, still has a NaN's payload."""
    code = given.view(np.uint64)
    with np.errstate(all="ignore"):
        magnitude = np.abs(rounded)
        drop = float64.nmant - fmt.nmant
        if fmt.exponent_bits == float64.exponent_bits:
            field = magnitude.view(np.uint64) >> np.uint64(drop)
        else:
            # A subnormal plus the smallest normal has the subnormal's multiple of the ulp as its last bits.
            subnormal = magnitude < fmt.smallest_normal
            lifted = np.where(subnormal, magnitude + fmt.smallest_normal, magnitude).view(np.uint64)
            base = np.uint64((float64.bias + fmt.emin) << fmt.nmant)
            field = (lifted >> np.uint64(drop)) - base + np.where(subnormal, 0, np.uint64(1 << fmt.nmant))
        field = np.where(np.isfinite(rounded), field, _special_field(code, np.isnan(given), np.isinf(rounded), fmt))
    sign = (code >> np.uint64(63)) << np.uint64(fmt.bits - 1)
    return (field | sign).astype(_word(fmt))


def _special_field(code: Array, nan: Array, infinite: Array, fmt: Format) -> Array:
    """The exponent and significand fields of an infinity or a NaN, whose payload float64 code ``code`` gives."""
    largest = np.uint64((1 << (fmt.bits - 1)) - 1)
    if fmt.specials != "ieee":
        return np.full(code.shape, largest)
    infinity = np.uint64(((1 << fmt.nexp) - 1) << fmt.nmant)
    payload = (code >> np.uint64(float64.nmant - fmt.nmant)) & np.uint64((1 << fmt.nmant) - 1)
    quiet = np.uint64((1 << fmt.nmant) >> 1 or 1)  # without a significand field NaN is an infinity's code at best
    return np.where(infinite, infinity, infinity | np.where(nan, payload, np.uint64(0)) | quiet)


def widen(x: Array) -> Array:
    """float64 of the same value; unlike a cast it keeps a signaling NaN signaling."""
    if x.dtype == np.float64:
        return x
    nan = np.isnan(x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
    if nan.any():
        fraction, word = (10, np.uint16) if x.dtype == np.float16 else (23, np.uint32)
        code = x.view(word).astype(np.uint64)
        sign = (code >> np.uint64(8 * x.itemsize - 1)) << np.uint64(63)
        payload = (code & np.uint64((1 << fraction) - 1)) << np.uint64(52 - fraction)
        wide = np.where(nan, (sign | np.uint64(0x7FF << 52) | payload).view(np.float64), wide)
    return wide


def decode(bits: ArrayLike, format: object = "float16") -> Array:
    """The exact values of bit patterns of ``format``, as a float64 array of the same shape.

    ``bits`` is an array-like of non-negative integers below 2**format.bits. NaN keeps its sign, quiet bit
    and payload; infinities, both zeros and subnormals come out as such. ``ValueError`` for a code
    outside the format, ``TypeError`` for codes that are not integers. The layout is IEEE 754-2019 clause 3.4.

    >>> decode([0x2E66, 0x0001, 0xFC00, 0x7BFF]).tolist()
    [0.0999755859375, 5.960464477539063e-08, -inf, 65504.0]
    """
    fmt = as_format(format)
    given = np.asarray(unmasked(bits))
    if given.size == 0:
        return np.zeros(given.shape)
    if given.dtype == np.float64 and not isinstance(bits, np.ndarray):  # a list of integers on both sides of 2**63
        whole = np.asarray(bits, object)
        if all(isinstance(code, int) and 0 <= code < 2**64 for code in whole.flat):
            given = whole.astype(np.uint64)
    if given.dtype.kind not in "iu":
        raise TypeError(f"bits: dtype {given.dtype} is not allowed; allowed: integers")
    if int(given.min()) < 0 or int(given.max()) >> fmt.bits:
        raise ValueError(f"bits: allowed are codes from 0 to {2**fmt.bits - 1:#x} for {fmt}")
    if fmt.bits <= 16 and given.size > 4096:
        return np.asarray(_decoded(fmt).take(given, mode="clip"))
    return _decode(given.astype(np.uint64), fmt)


@lru_cache(maxsize=8)
def _decoded(fmt: Format) -> Array:
    """The values of all codes of a narrow format: a look-up costs a fifth of the arithmetic."""
    return _decode(np.arange(1 << fmt.bits, dtype=np.uint64), fmt)


def _decode(code: Array, fmt: Format) -> Array:
    sign = (code >> np.uint64(fmt.bits - 1)) << np.uint64(63)
    drop = np.uint64(float64.nmant - fmt.nmant)
    exponent = (code >> np.uint64(fmt.nmant)) & np.uint64((1 << fmt.nexp) - 1)
    fraction = code & np.uint64((1 << fmt.nmant) - 1)
    normal = ((exponent + np.uint64(float64.bias - fmt.bias)) << np.uint64(52)) | (fraction << drop)
    special = np.uint64(0x7FF << 52) | (fraction << drop)
    with np.errstate(all="ignore"):
        subnormal = (fraction.astype(np.float64) * fmt.smallest_subnormal).view(np.uint64)
    largest = exponent == np.uint64((1 << fmt.nexp) - 1)
    if fmt.specials == "nan":
        largest &= fraction == np.uint64((1 << fmt.nmant) - 1)
    value = np.where(largest, special, normal) if fmt.specials != "none" else normal
    value = np.where(exponent == 0, subnormal, value)
    return np.asarray((value | sign).view(np.float64))
