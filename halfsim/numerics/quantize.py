"""Rounding of float arrays onto the grid of a format: nearest even, exact, in place, blocked for the cache.

This is the one place where values are rounded. A number x with exponent e = max(floor(log2 |x|), emin)
lies between multiples of its ulp, 2**(e - p + 1). Scaling by a power of two is exact, so

    rint(x * 2**(p - 1 - e)) * 2**(e - p + 1)

rounds once, for normal and subnormal results alike, and keeps the sign of zero. The exponent is read from
the encoding. Where the target has the exponent range of the container (bfloat16 in float32) the encoding
itself is rounded as an integer, since there the scale factor would leave the container's range.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.flags import Flag, FlagCounts
from halfsim.numerics.formats import Format, as_format, float32, float64
from halfsim.numerics.inputs import as_floats

Array = NDArray[Any]

BLOCK = 32768  # elements: 128 KiB of float32, where the passes below stay in the second-level cache

_CONTAINERS = {np.dtype(np.float32): float32, np.dtype(np.float64): float64}


@lru_cache(maxsize=256)
def container(fmt: Format) -> np.dtype[Any]:
    """The dtype that carries values of ``fmt`` so that + - * / sqrt may be rounded twice without harm.

    float32 carries formats of precision p <= 11, since 24 >= 2p + 2 (Figueroa 1995) and, with at most 7
    exponent bits, no product leaves its normal range where that would matter; float64 carries the rest.

    >>> from halfsim.numerics.formats import bfloat16, float16
    >>> container(float16), container(bfloat16)
    (dtype('float32'), dtype('float64'))
    """
    narrow = fmt.precision <= 11 and fmt.exponent_bits <= 7
    return np.dtype(np.float32 if narrow or fmt == float32 else np.float64)


def computable(fmt: Format, argument: str) -> Format:
    """``fmt``, or ``ValueError`` where no container rounds its arithmetic innocuously (53 >= 2p + 2 fails)."""
    if fmt in (float32, float64) or (fmt.precision <= 25 and fmt.exponent_bits <= 10):
        return fmt
    raise ValueError(f"{argument}: {fmt} is too wide to compute in; allowed: precision <= 25 and exponent_bits <= 10")


@dataclass(frozen=True)
class _Grid:
    """The integer and float constants with which ``fmt`` is rounded inside one container dtype."""

    dtype: np.dtype[Any]
    integer: np.dtype[Any]
    same_range: bool  # the target's exponent range is the container's
    exponent: Any  # mask of the exponent field
    lowest: Array  # BLOCK copies of the exponent field of emin: a scalar operand is 5 times slower here
    top: Any  # exponent field of the largest binade, from which rounding may carry out of the range
    beyond: Any  # exponent field of 2**(emax + 1); larger ones are clamped to it
    pivot: Any  # pivot - field(e) is the field of 2**(p - 1 - e)
    ulp: Any  # field(e) - ulp is the field of 2**(e - p + 1)
    up: Any  # multiplying by `up` overflows exactly what exceeds the target's range ...
    down: Any  # ... and `down` undoes it
    single: int  # mask of an exponent where the target has one digit of precision, else 0
    drop: int  # number of trailing significand bits the target lacks
    tiny: Any  # magnitudes below this are tiny after rounding


@lru_cache(maxsize=64)
def _grid(fmt: Format, dtype: np.dtype[Any]) -> _Grid:
    outer = _CONTAINERS[dtype]
    integer = np.dtype(np.int32 if dtype == np.float32 else np.int64)
    unsigned = np.dtype(f"u{integer.itemsize}")
    wrap = (1 << outer.bits) - 1

    def whole(value: int) -> Any:
        return np.array(value & wrap, unsigned).view(integer)[()]

    def field(exponent: int) -> int:
        return (exponent + outer.emax) << outer.nmant

    return _Grid(
        dtype=dtype,
        integer=integer,
        same_range=fmt.exponent_bits == outer.exponent_bits,
        exponent=whole(((1 << outer.nexp) - 1) << outer.nmant),
        lowest=np.full(BLOCK, whole(field(fmt.emin)), integer),
        top=whole(field(fmt.emax)),
        beyond=whole(field(fmt.emax + 1)),
        pivot=whole((2 * outer.emax + fmt.nmant) << outer.nmant),
        ulp=whole(fmt.nmant << outer.nmant),
        up=dtype.type(2.0 ** (outer.emax - fmt.emax)),
        down=dtype.type(2.0 ** (fmt.emax - outer.emax)),
        single=(1 << outer.nexp) - 1 if fmt.precision == 1 else 0,
        drop=outer.nmant - fmt.nmant,
        tiny=dtype.type(fmt.smallest_normal * (1.0 - 0.5 * fmt.epsneg)),
    )


class _Scratch(threading.local):
    """Two blocks of words and three of bools a thread, made once: a fresh block costs its page faults each time."""

    def __init__(self) -> None:
        self.words = np.empty((3, BLOCK), np.int64)
        self.bools = np.empty((3, BLOCK), np.bool_)

    def ints(self, row: int, grid: _Grid, n: int) -> Array:
        return self.words[row].view(grid.integer)[:n]


_scratch = _Scratch()


def _round_scaled(x: Array, out: Array, grid: _Grid) -> None:
    field, scale = _scratch.ints(0, grid, x.size), _scratch.ints(1, grid, x.size)
    work, ulp = scale.view(grid.dtype), field.view(grid.dtype)
    np.bitwise_and(x.view(grid.integer), grid.exponent, out=field)
    large = field.max() >= grid.top
    if large:
        np.minimum(field, grid.beyond, out=field)
    np.maximum(field, grid.lowest[: x.size], out=field)
    np.subtract(grid.pivot, field, out=scale)
    np.multiply(x, work, out=work)
    np.rint(work, out=work)
    np.subtract(field, grid.ulp, out=field)
    np.multiply(work, ulp, out=out)
    if large:
        np.multiply(out, grid.up, out=out)
        np.multiply(out, grid.down, out=out)


def _round_encoding(x: Array, out: Array, grid: _Grid) -> None:
    code, odd = x.view(grid.integer), _scratch.ints(0, grid, x.size)
    nan = np.isnan(x, out=_scratch.bools[2][: x.size])
    np.right_shift(code, grid.drop, out=odd)
    if grid.single:  # with one digit both neighbours are odd, and the larger is taken (clause 4.3.1)
        np.minimum(np.bitwise_and(odd, grid.single, out=odd), 1, out=odd)
    np.bitwise_and(odd, 1, out=odd)
    np.add(odd, (1 << (grid.drop - 1)) - 1, out=odd)  # half an ulp, less one if the kept part is even
    np.add(odd, code, out=odd)
    np.bitwise_and(odd, ~((1 << grid.drop) - 1), out=odd)
    if nan.any():
        np.copyto(odd, np.multiply(x, 1).view(grid.integer), where=nan)
    np.copyto(out.view(grid.integer), odd)


def _observe(x: Array, y: Array, grid: _Grid, counts: FlagCounts | None, flags: Array | None) -> None:
    """Flags of rounding ``x`` to ``y``: tininess after rounding, overflow with unbounded exponent."""
    inexact, work, other = (row[: x.size] for row in _scratch.bools)
    np.not_equal(x, y, out=inexact)
    magnitude = _scratch.ints(0, grid, x.size).view(grid.dtype)
    np.abs(x, out=magnitude)
    top = magnitude.max()
    if top != top:  # a NaN is not inexact
        np.isnan(x, out=work)
        np.greater(inexact, work, out=inexact)
        top = np.inf
    np.less(magnitude, grid.tiny, out=work)
    np.logical_and(work, inexact, out=work)
    overflow = None
    if top >= grid.dtype.type(np.inf) or np.isinf(y).any():
        overflow = np.isinf(y) & np.isfinite(x)
    if counts is not None:
        counts.inexact += int(np.count_nonzero(inexact))
        counts.overflow += 0 if overflow is None else int(np.count_nonzero(overflow))
        underflow = int(np.count_nonzero(work))
        counts.underflow += underflow
        if underflow:
            np.equal(y, 0, out=other)
            np.logical_and(other, work, out=other)
            counts.flushed += int(np.count_nonzero(other))
    if flags is not None:
        flags |= inexact * np.uint8(Flag.INEXACT) | work * np.uint8(Flag.UNDERFLOW)
        if overflow is not None:
            flags |= overflow * np.uint8(Flag.OVERFLOW)


def _flat(x: Array) -> Array | None:
    """A one-dimensional view of ``x`` in memory order, or None where there is none."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    return x.T.reshape(-1) if x.flags.f_contiguous else None


def _round_flat(x: Array, out: Array, fmt: Format, counts: FlagCounts | None, flags: Array | None) -> None:
    outer = _CONTAINERS[x.dtype]
    if fmt.contains(outer):
        np.copyto(out, x)
        return
    if fmt.exponent_bits > outer.exponent_bits:  # a wider range but fewer bits: float64 has room for both
        for i in range(0, x.size, BLOCK):
            wide = x[i : i + BLOCK].astype(np.float64)
            _round_flat(wide, wide, fmt, counts, None if flags is None else flags[i : i + BLOCK])
            out[i : i + BLOCK] = wide
        return
    grid = _grid(fmt, x.dtype)
    rounding = _round_encoding if grid.same_range else _round_scaled
    observed = counts is not None or flags is not None
    for i in range(0, x.size, BLOCK):
        source, target = x[i : i + BLOCK], out[i : i + BLOCK]
        if observed and np.may_share_memory(source, target):
            kept = _scratch.ints(2, grid, source.size).view(grid.dtype)
            np.copyto(kept, source)
            source = kept
        rounding(source, target, grid)
        if observed:
            _observe(source, target, grid, counts, None if flags is None else flags[i : i + BLOCK])


def round_(x: Array, fmt: Format, counts: FlagCounts | None = None) -> Array:
    """Round a float32 or float64 array that the caller owns; in place where its memory is one run.

    Returns ``x``, or a rounded copy where ``x`` is read-only or strided.
    """
    flat = _flat(x) if x.flags.writeable else None
    if flat is None:
        x = x.copy(order="C")
        flat = x.reshape(-1)
    if flat.size:
        _round_flat(flat, flat, fmt, counts, None)
    return x


def rounded(x: Array, fmt: Format, counts: FlagCounts | None = None) -> Array:
    """A new array of the dtype of ``x`` (float32 or float64) with its elements rounded to ``fmt``."""
    if not (x.flags.c_contiguous and x.size):
        return round_(x.copy(order="C"), fmt, counts)
    out = np.empty_like(x)
    _round_flat(x.reshape(-1), out.reshape(-1), fmt, counts, None)
    return out


def round_to(x: object, format: object = "float16", *, out: Array | None = None, return_flags: bool = False) -> Any:
    """Round every element of ``x`` to the nearest number of ``format``, ties to even, once.

    ``x`` is an array-like of any shape; float16, float32 and float64 keep their dtype, everything else
    (integers, str, Decimal, Fraction, longdouble) gives float64. ``out``, which may be ``x`` itself, is an
    array of the result's shape and dtype. NaN stays NaN with its sign and payload (a signaling one is
    quieted), infinities and both zeros stay, magnitudes past the overflow threshold become infinities of
    the same sign, and results below ``smallest_normal`` are subnormal numbers or zeros that keep the sign.
    With ``return_flags`` the result is a pair ``(y, flags)`` whose second part is a uint8 mask of `Flag`
    for each element; tininess is judged after rounding. ``ValueError`` for an unknown format or a
    mismatched ``out``, ``TypeError`` for complex input or objects that are not numbers. The rule is
    IEEE 754-2019 clause 4.3.1, roundTiesToEven.

    >>> round_to([0.1, 65519.99, 65520.0, 2.0**-25], "float16")
    array([9.99755859e-02, 6.55040000e+04,            inf, 0.00000000e+00])
    """
    fmt = as_format(format)
    array = as_floats(x, fmt)
    shape, dtype = array.shape, array.dtype
    if out is not None and (not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype):
        raise ValueError(f"out: allowed is an array of shape {shape} and dtype {dtype}")
    with np.errstate(all="ignore"):
        source = array.astype(np.float32) if dtype == np.float16 else array
        flat = _flat(source)
        if flat is None:
            source = source.copy(order="C")
            flat = source.reshape(-1)
        aliased = out is not None and (source.ctypes.data != out.ctypes.data and np.may_share_memory(source, out))
        if out is not None and out.dtype == source.dtype and out.strides == source.strides and not aliased:
            target = out
        else:
            target = np.empty_like(source)
        run = _flat(target)
        assert run is not None  # laid out as `source`, whose memory is one run
        flags = np.zeros(flat.size, np.uint8) if return_flags else None
        _round_flat(flat, run, fmt, None, flags)
        result = target.astype(dtype, copy=False)
        if out is not None and result is not out:
            out[...] = result
            result = out
    if flags is None:
        return result
    return result, (flags.reshape(shape) if source.flags.c_contiguous else flags.reshape(shape[::-1]).T)
