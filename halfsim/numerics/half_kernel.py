"""Sums of halves in fewer passes over memory, where it is known beforehand that none can overflow.

Rounding a float32 or float64 to a half then takes a few operations on whole arrays, without a look at exponents that
are too large. NaN and infinities are not allowed here: `bounded` keeps them out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.numerics.formats import Format, float16
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Mode
from halfsim.numerics.steps import running

_SPLIT = np.float32(2**13 + 1)  # by Veltkamp's splitting: of the 24 digits of a float32 it takes 13, and leaves 11
_NORMAL = 2.0**-14  # the smallest normal half
_FLUSHED = _NORMAL - 2.0**-25  # what is smaller rounds to a subnormal half

# By dtype: the integer of its width; the mask of its exponent field; that field of 2**-14, the smallest normal half;
# what to add to the field of 2**e for the number 1.5 * 2**k whose ulp is that of a half at 2**e; the sign bit.
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


def bounded(a: Array, b: Array, fmt: Format, order: str = "sequential") -> bool:
    """Whether no partial sum of the products of halves ``a`` (K, ...) and ``b`` (K, ...) can overflow in ``order``.

    In each step a partial sum grows by a product, rounded or not, and by at most a share of itself: half an ulp,
    2**-11, for the rounding of a plain sum; 2**-9 with a compensation, which is at most 2**-10 of the sum and is
    rounded twice. A tree has few levels. And terms added one by one, none larger than a power of two p, come to a
    stop at 2048 p, however many they are: up to there multiples of p are halves, and 2048 p + p rounds back, a tie to
    even. False where there is a NaN or an infinity, for another format, and for sums too long to tell.
    """
    if fmt != float16 or not (a.size and b.size):
        return False
    depth = len(a)
    roundings = depth.bit_length() + 1 if order == "pairwise" else depth
    growth = 2.0**-9 if order in ("kahan", "neumaier") else 2.0**-11
    most = depth * (1 + growth) ** roundings if roundings <= 4096 else np.inf
    if order in ("sequential", "sequential+fma"):
        most = min(most, 2 * 2048.0)  # p is less than twice the largest product
    return _largest(a) * _largest(b) * (1 + 2.0**-10) * most < 32768.0


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
    """Round ``x`` to halves, to nearest with ties to even, in ``out``; subnormal halves included.

    For each number there is a large one, 1.5 * 2**k, whose ulp is that of a half of the number's size: adding it
    rounds the number to a half, and subtracting it leaves the result. That makes +0 of every zero; ``signed`` puts the
    signs back, for which ``out`` must not be ``x``. ``work`` comes from `workspace`.
    """
    field, lowest, large, (integer, exponent, _, magic, sign) = work
    np.bitwise_and(x.view(integer), exponent, out=field)
    np.maximum(field, lowest, out=field)  # all subnormal halves are multiples of one ulp
    np.add(field, magic, out=field)
    np.add(x, large, out=out)
    np.subtract(out, large, out=out)
    if signed:
        np.bitwise_and(x.view(integer), sign, out=field)  # np.copysign takes three times as long
        np.bitwise_or(out.view(integer), field, out=out.view(integer))


class Half:
    """A unit, see `halfsim.numerics.steps`, for rounding to nearest in halves whose sums are `bounded`.

    Arrays are of ``dtype``, float32 or float64 (which `fuse` needs), and ``largest`` is the shape of the largest of
    them. Nothing overflows, so that ``over`` stays as it is. Zeros keep their sign only where subnormal numbers are
    flushed: a sum that starts from +0 is never -0 otherwise, whatever the sign of a zero that is added.
    """

    format: Format = float16
    over: Array | None = None

    def __init__(self, mode: Mode | None, dtype: np.dtype[Any], largest: tuple[int, ...]) -> None:
        self._mode = mode
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

    def as_read(self, x: Array) -> Array:
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
            a, b = self.as_read(a), self.as_read(b)
        return self._split(np.add(a, b, out=out))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self._inputs:
            a, b = self.as_read(a), self.as_read(b)
        return self._split(np.subtract(a, b, out=out))

    def _split(self, x: Array) -> Array:
        """Round a sum of two halves, by Veltkamp's splitting, in float32.

        That rounds to 11 digits wherever the number lies. A subnormal half has fewer, but there is nothing to round: a
        sum of halves is a multiple of the smallest subnormal one.
        """
        large = self._work(x)[2]
        np.multiply(x, _SPLIT, out=large)
        np.subtract(large, x, out=x)
        np.subtract(large, x, out=x)
        return self._flushed(x, x) if self._outputs else x

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        return self.rounded(np.add(self.as_read(total), product, out=product), out)

    def rounded(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        room = np.empty_like(x) if out is None else out
        round_bounded(x, self._work(x), room, signed)
        return self._finished(room)

    def run(self, total: Array, terms: Array) -> Array | None:
        return running(self, total, self.as_read(terms), float16, self._mode)


def _few(count: int, x: Array) -> bool:
    """Whether ``count`` elements of ``x`` are so few that indexing them is quicker than a pass over all."""
    return count * 32 < x.size and x.flags.c_contiguous


def _part(x: Array, shape: tuple[int, ...]) -> Array:
    """The first elements of ``x``, which has enough of them, as an array of ``shape``."""
    if x.shape == shape:
        return x
    size = 1
    for n in shape:
        size *= n
    return x.reshape(-1)[:size].reshape(shape)
