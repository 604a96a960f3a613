"""Rounding to halves in fewer passes, for values that are known not to overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.numerics.formats import Format, float16
from halfsim.numerics.quantize import Array

# Exponent fields of float32.
_EXPONENT = np.int32(0x7F800000)
_LOWEST = np.int32((127 - 14) << 23)  # 2**-14, the smallest normal half
_MAGIC = np.int32((13 << 23) | 0x400000)  # takes 2**e to 1.5 * 2**(e + 13), whose ulp is that of a half at 2**e
_SPLIT = np.float32(2**13 + 1)


def bounded(a: Array, b: Array, fmt: Format) -> bool:
    """Whether these are halves of which no partial sum, products rounded or not, can reach the overflow threshold."""
    depth = a.shape[1]
    if fmt != float16 or not (a.size and b.size) or depth > 4096:
        return False
    bound = _largest(a) * _largest(b) * (1 + 2.0**-10)
    return bound * depth * (1 + 2.0**-11) ** depth < 32768.0


def _largest(x: Array) -> float:
    """The largest magnitude; NaN if there is one."""
    return max(float(x.max()), -float(x.min()))


def step_bounded_half(product: Array, total: Array, fmt: Format, work: tuple[Array, Array]) -> None:
    """Round ``product`` and add it to ``total``, which rounds in turn.

    Adding and subtracting 1.5 * 2**(e + 13) rounds a product to a half's ulp, gradual underflow included.
    It loses the sign of a zero, which a sum that starts from +0 cannot show. A sum of two halves is a
    multiple of 2**-24, so it is never below a half's smallest subnormal and Veltkamp's splitting rounds it.
    """
    field, lowest = work
    magic = field.view(np.float32)
    np.bitwise_and(product.view(np.int32), _EXPONENT, out=field)
    np.maximum(field, lowest, out=field)
    np.add(field, _MAGIC, out=field)
    np.add(product, magic, out=product)
    np.subtract(product, magic, out=product)
    np.add(total, product, out=total)
    np.multiply(total, _SPLIT, out=magic)
    np.subtract(magic, total, out=total)
    np.subtract(magic, total, out=total)


# By dtype: its integer, exponent field, field of 2**-14, what gives 2**e the ulp of halves there, sign bit.
_BOUNDED: dict[np.dtype[Any], tuple[Any, ...]] = {
    np.dtype(np.float32): (np.int32, _EXPONENT, _LOWEST, _MAGIC, np.int32(-(2**31))),
    np.dtype(np.float64): (
        np.int64,
        np.int64(0x7FF << 52),
        np.int64((1023 - 14) << 52),
        np.int64((42 << 52) | (1 << 51)),
        np.int64(-(2**63)),
    ),
}


def workspace(x: Array) -> tuple[Array, Array]:
    integer, _, lowest, *_ = _BOUNDED[x.dtype]
    return np.empty(x.shape, integer), np.full(x.shape, lowest, integer)


def round_bounded(x: Array, work: tuple[Array, Array], out: Array, signed: bool = True) -> None:
    """Round as `step_bounded_half` does, with the sign of zero if ``signed``; ``out`` is not ``x``."""
    (field, lowest), (integer, exponent, _, magic, sign) = work, _BOUNDED[x.dtype]
    large = field.view(x.dtype)
    np.bitwise_and(x.view(integer), exponent, out=field)
    np.maximum(field, lowest, out=field)
    np.add(field, magic, out=field)
    np.add(x, large, out=out)
    np.subtract(out, large, out=out)
    if signed:
        np.bitwise_and(x.view(integer), sign, out=field)  # np.copysign takes three times as long
        np.bitwise_or(out.view(integer), field, out=out.view(integer))
