"""Arithmetic in halves in fewer passes, for values that are known not to overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.numerics.formats import Format, float16
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Mode

_SPLIT = np.float32(2**13 + 1)
_NORMAL = 2.0**-14  # the smallest normal half
_FLUSHED = _NORMAL - 2.0**-25  # what is smaller rounds to a subnormal half

# By dtype: its integer, exponent field, field of 2**-14, what takes 2**e to 1.5 times the power of two whose ulp is
# that of a half at 2**e, sign bit.
_WORDS: dict[np.dtype[Any], tuple[Any, ...]] = {
    np.dtype(np.float32): (
        np.int32,
        np.int32(0x7F800000),
        np.int32((127 - 14) << 23),
        np.int32((13 << 23) | 0x400000),
        np.int32(-(2**31)),
    ),
    np.dtype(np.float64): (
        np.int64,
        np.int64(0x7FF << 52),
        np.int64((1023 - 14) << 52),
        np.int64((42 << 52) | (1 << 51)),
        np.int64(-(2**63)),
    ),
}


def bounded(a: Array, b: Array, fmt: Format, growth: float = 2.0**-11) -> bool:
    """Whether these are halves of which no partial sum, products rounded or not, can reach the overflow threshold.

    ``growth`` is by how much of itself a partial sum may grow in a step beside the product: half an ulp for a plain
    sum, 2**-9 for one with a compensation, which is at most 2**-10 of the sum and is rounded twice.
    """
    depth = a.shape[1]
    if fmt != float16 or not (a.size and b.size) or depth > 4096:
        return False
    bound = _largest(a) * _largest(b) * (1 + 2.0**-10)
    return bound * depth * (1 + growth) ** depth < 32768.0


def _largest(x: Array) -> float:
    """The largest magnitude; NaN if there is one."""
    return max(float(x.max()), -float(x.min()))


Work = tuple[Array, Array, Array, tuple[Any, ...]]


def workspace(x: Array) -> Work:
    """What `round_bounded` works in, for arrays of the shape and dtype of ``x``."""
    integer, _, lowest, *_ = words = _WORDS[x.dtype]
    field = np.empty(x.shape, integer)
    return field, np.full(x.shape, lowest, integer), field.view(x.dtype), words


def round_bounded(x: Array, work: Work, out: Array, signed: bool = True) -> None:
    """Round ``x`` to halves in ``out``; ``out`` may be ``x`` unless ``signed``, which keeps the sign of zeros.

    Adding and subtracting 1.5 times 2**e times a constant rounds a number to a half's ulp, gradual underflow
    included. It loses the sign of a zero.
    """
    field, lowest, large, (integer, exponent, _, magic, sign) = work
    np.bitwise_and(x.view(integer), exponent, out=field)
    np.maximum(field, lowest, out=field)
    np.add(field, magic, out=field)
    np.add(x, large, out=out)
    np.subtract(out, large, out=out)
    if signed:
        np.bitwise_and(x.view(integer), sign, out=field)  # np.copysign takes three times as long
        np.bitwise_or(out.view(integer), field, out=out.view(integer))


class Half:
    """The unit of `halfsim.numerics.steps` for halves whose sums are `bounded`, to nearest; never overflows.

    Sums and products are in float32, `fuse` in float64. Zeros keep their sign only where subnormal numbers are flushed:
    a sum that starts from +0 is never -0 otherwise, so that a zero addend's sign cannot show. ``largest`` is the shape
    of the largest arrays that the unit will meet.
    """

    over: Array | None = None

    def __init__(self, mode: Mode | None, dtype: np.dtype[Any], largest: tuple[int, ...]) -> None:
        self._inputs = mode is not None and mode.flush_inputs and not mode.flush_outputs
        self._outputs = mode is not None and mode.flush_outputs
        self._signed = self._inputs or self._outputs
        self._shape, self._whole = largest, workspace(np.empty(largest, dtype))
        self._small = np.empty(largest if self._signed else 0, np.bool_)
        self._product = np.empty(largest if self._signed else 0, dtype)

    def _work(self, x: Array) -> Work:
        if x.shape == self._shape:
            return self._whole
        field, lowest, large, words = self._whole
        return _part(field, x.shape), _part(lowest, x.shape), _part(large, x.shape), words

    def taken(self, x: Array) -> Array:
        return self._flushed(x, None) if self._inputs else x

    def _below(self, x: Array, limit: float) -> tuple[Array, int]:
        """Where magnitudes are below ``limit``, and in how many places."""
        magnitude = np.abs(x, out=self._work(x)[2])
        small = np.less(magnitude, x.dtype.type(limit), out=_part(self._small, x.shape))
        return small, int(np.count_nonzero(small))

    def _flushed(self, x: Array, out: Array | None) -> Array:
        """``x`` with subnormal halves as zeros of their sign; ``x`` itself if it has none."""
        small, count = self._below(x, _NORMAL)
        if not count:
            return x
        if out is x and _few(count, x):
            flat, index = x.reshape(-1), small.reshape(-1).nonzero()[0]
            flat[index] = flat[index] * 0
            return x
        return np.multiply(x, np.logical_not(small, out=small), out=out)

    def _finished(self, x: Array) -> Array:
        return self._flushed(x, x) if self._outputs else x

    def mul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if not self._signed:
            product = np.multiply(a, b, out=out)
            round_bounded(product, self._work(product), product, signed=False)
            return product
        shape = np.broadcast_shapes(a.shape, b.shape)
        room = np.empty(shape, self._product.dtype) if out is None else out
        product = np.multiply(a, b, out=_part(self._product, shape))
        if self._outputs:
            small, count = self._below(product, _FLUSHED)
            if _few(count, product):  # all zeros among them: what only these need is done for them alone
                index = small.reshape(-1).nonzero()[0]
                zeros = product.reshape(-1)[index] * 0
                round_bounded(product, self._work(product), room, signed=False)
                room.reshape(-1)[index] = zeros
                return room
        round_bounded(product, self._work(product), room)
        return self._finished(room)

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self._inputs:
            a, b = self.taken(a), self.taken(b)
        return self._split(np.add(a, b, out=out))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self._inputs:
            a, b = self.taken(a), self.taken(b)
        return self._split(np.subtract(a, b, out=out))

    def _split(self, x: Array) -> Array:
        """Round a sum of two halves: never below a half's smallest subnormal, so that Veltkamp's splitting does."""
        large = self._work(x)[2]
        np.multiply(x, _SPLIT, out=large)
        np.subtract(large, x, out=x)
        np.subtract(large, x, out=x)
        return self._flushed(x, x) if self._outputs else x

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        return self.into(np.add(self.taken(total), product, out=product), out)

    def into(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        room = np.empty_like(x) if out is None else out
        round_bounded(x, self._work(x), room, signed)
        return self._finished(room)


def _few(count: int, x: Array) -> bool:
    """Whether ``count`` elements of ``x`` are quicker gone through by their indices than by passes over all."""
    return count * 32 < x.size and x.flags.c_contiguous


def _part(x: Array, shape: tuple[int, ...]) -> Array:
    """Room of ``shape`` at the beginning of ``x``."""
    if x.shape == shape:
        return x
    size = 1
    for n in shape:
        size *= n
    return x.reshape(-1)[:size].reshape(shape)
