"""Values to bit patterns and back: exact for every code of every format."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from halfsim.numerics._grid import BLOCK
from halfsim.numerics._pack import Packing, pack, packing
from halfsim.numerics.formats import SPECIALS, Format, as_format, float64
from halfsim.numerics.inputs import as_floats, beyond_floats, widen
from halfsim.numerics.layout import codes, layout
from halfsim.numerics.quantize import Array, round_to
from halfsim.numerics.rounding import Rounding, as_rounding


def encode(
    x: object,
    format: object = "float16",
    rounding: object = "nearest_even",
    *,
    overflow: str = "infinity",
    subnormals: str = "keep",
) -> Array:
    """`halfsim.encode`, whose rules stand there, for formats without blocks.

    >>> [hex(code) for code in encode(["0.1", "-0.0", "65520", "1e-8"])]
    ['0x2e66', '0x8000', '0x7c00', '0x0']
    """
    fmt = as_format(format)
    exact = as_floats(x, fmt)
    values = np.ascontiguousarray(exact).reshape(-1)
    how = packing(fmt)
    drawn = as_rounding(rounding) is Rounding.STOCHASTIC and how is not None and how.upper
    if how is None or values.dtype == np.float16 or drawn:  # draws count from below in float64, in bfloat16 from zero
        values = widen(values)  # the format's range may be wider than that of the input's dtype
    source = x if beyond_floats(x, fmt) else values
    rounded = np.asarray(round_to(source, fmt, rounding, overflow=overflow, subnormals=subnormals)).reshape(-1)
    if how is None:
        return _codes(values, rounded, fmt).reshape(exact.shape)
    return _packed(values, rounded, fmt, how).reshape(exact.shape)


def grid_codes(x: Array, fmt: Format) -> Array:
    """The codes of numbers that are on the grid of ``fmt`` already, as a tensor's are: `encode` without rounding.

    >>> grid_codes(np.array([1.0, -0.0, np.inf], np.float32), as_format("float16")).tolist()
    [15360, 32768, 31744]
    """
    if fmt.name == x.dtype.name:  # of float32 and float64 the number itself is the code
        return np.ascontiguousarray(x).view(f"u{x.itemsize}").reshape(x.shape)
    how = packing(fmt)
    if how is None:
        return encode(x, fmt)
    values = np.ascontiguousarray(x, np.float32).reshape(-1)
    return _packed(values, values, fmt, how).reshape(x.shape)


def _packed(given: Array, rounded: Array, fmt: Format, how: Packing) -> Array:
    """The codes of numbers on the grid, block by block; ``given``, what they were rounded from, has NaN's payloads."""
    out = np.empty(given.size, layout(fmt).word)
    with np.errstate(all="ignore"):
        for i in range(0, given.size, BLOCK):
            block = rounded[i : i + BLOCK].astype(np.float32, copy=False)
            if not pack(block, out[i : i + BLOCK], how):
                out[i : i + BLOCK] = _codes(widen(given[i : i + BLOCK]), widen(rounded[i : i + BLOCK]), fmt)
    return out


def _codes(given: Array, rounded: Array, fmt: Format) -> Array:
    """The codes of float64 numbers on the grid; ``given``, what they were rounded from, still has a NaN's payload."""
    lay, drop = layout(fmt), float64.nmant - fmt.nmant
    with np.errstate(all="ignore"):
        magnitude = np.abs(rounded)
        if fmt.emin == float64.emin and fmt.zero_field == "subnormals":
            field = magnitude.view(np.int64) >> drop
        else:
            # A subnormal plus the smallest normal has the subnormal's multiple of the ulp as its last bits.
            small = magnitude < fmt.smallest_normal
            lifted = np.where(small, magnitude + fmt.smallest_normal, magnitude).view(np.int64)
            field = (lifted >> drop) - ((float64.bias + fmt.emin) << fmt.nmant) + np.where(small, 0, lay.normal)
    special = ~np.isfinite(rounded)
    if special.any():
        field[special] = np.where(np.isnan(rounded[special]), _nan(given[special], fmt), lay.infinity)
    signed = np.where(np.isnan(rounded), given, rounded)  # a NaN that became zero has lost its sign
    return np.asarray(lay.code(field, (signed.view(np.int64) < 0).astype(np.int64))).astype(lay.word)


def _nan(given: Array, fmt: Format) -> Array:
    """The magnitudes of quiet NaN with the leading bits of the payloads of ``given``, where there is room for any."""
    lay = layout(fmt)
    if SPECIALS[fmt.specials].nan != "field":
        return np.full(given.shape, lay.nan)
    payload = (given.view(np.int64) >> (float64.nmant - fmt.nmant)) & ((1 << fmt.nmant) - 1)
    return lay.nan | np.where(np.isnan(given), payload, 0)


def decode(bits: ArrayLike, format: object = "float16") -> Array:
    """`halfsim.decode`, whose rules stand there, for formats without blocks.

    >>> decode([0x2E66, 0x0001, 0xFC00, 0x7BFF]).tolist()
    [0.0999755859375, 5.960464477539063e-08, -inf, 65504.0]
    """
    fmt = as_format(format)
    given = codes(bits, fmt)
    if fmt.bits <= 16 and given.size > 4096:
        out, values, index = np.empty(given.shape), _decoded(fmt), np.empty(BLOCK, np.intp)
        source, run = given.reshape(-1) if given.flags.c_contiguous else given.flat, out.reshape(-1)
        for i in range(0, given.size, BLOCK):
            part = source[i : i + BLOCK]
            where = index[: part.size]
            np.copyto(where, part, casting="unsafe")  # codes are small
            values.take(where, mode="clip", out=run[i : i + BLOCK])
        return out
    return _decode(given.astype(np.uint64), fmt)


@lru_cache(maxsize=8)
def _decoded(fmt: Format) -> Array:
    """The values of all codes of a narrow format: a look-up costs a fifth of the arithmetic."""
    return _decode(np.arange(1 << fmt.bits, dtype=np.uint64), fmt)


def _decode(code: Array, fmt: Format) -> Array:
    """The values of codes in uint64."""
    lay, drop = layout(fmt), float64.nmant - fmt.nmant
    magnitude, sign = lay.parts(code.view(np.int64))
    trailing = magnitude & ((1 << fmt.nmant) - 1)
    value = ((magnitude << drop) + ((float64.bias - fmt.bias) << float64.nmant)).view(np.float64)
    with np.errstate(all="ignore"):
        value = np.where(magnitude < lay.normal, trailing * fmt.smallest_subnormal, value)
    if lay.infinity >= 0:
        value = np.where(magnitude == lay.infinity, np.inf, value)
    if fmt.has_nan:
        nan = lay.is_nan(magnitude)
        payload = trailing << drop if SPECIALS[fmt.specials].nan == "field" else 1 << 51
        value = np.where(nan, (0x7FF << 52 | payload + np.zeros_like(trailing)).view(np.float64), value)
    return np.asarray((value.view(np.int64) | (sign & 1) << 63).view(np.float64))
