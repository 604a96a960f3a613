"""Sums of products cut to a common grid, exactly.

A cut product is an integer in units of the grid, so that a block adds up in int32 without error, in any order. Where
no operand is far from 1 the products fit float32, being of 22 bits; otherwise float64 takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsim.hardware.units import Unit
from halfsim.numerics.half_kernel import workspace
from halfsim.numerics.quantize import Array

NEAR = 2.0**45  # operands between this and its reciprocal have products that float32 holds, scaled or not
_ZERO = {1: -64, 2: -4096}  # by size of the integer: an exponent of zero that never makes a product the largest
_LOST = {1: -49, 2: -600}  # the largest exponent that a product with a zero may then show, or less than any other


class Block:
    """The workspace for the steps of a matrix unit on one tile of results, of shape (B, m, n).

    A step adds ``block`` products to the running sums of the tile, as the unit does: (1) find the largest exponent E
    among the products and the running sum, by `largest` and `addend_field`; (2) make the factor that turns
    2**(E - fraction) into 1, by `power`; (3) multiply every term by it, cut it to an integer and add the integers, by
    `gather`. Nothing is lost in (3) but what the unit cuts off. Exponents are computed as the bits of
    powers of two (``field``: an exponent in its place inside a float), since shifting an array of words costs less than
    frexp and ldexp. ``near`` says that float32 and int32 have room for it all; else float64 and int64 are used. All
    arrays are made once a tile, and every step writes into the same ones.
    """

    def __init__(self, row: Unit, near: bool, shape: tuple[int, ...], bounded: bool = False) -> None:
        self.row, self.near = row, near
        self.real = np.dtype(np.float32 if near else np.float64)
        self.word = np.dtype(np.int32 if near else np.int64)
        self.small = np.dtype(np.int8 if near and row.input_emin >= -16 else np.int16)
        self.shift, self.bias = (23, 127) if near else (52, 1023)
        self.product, self.scale = np.empty(shape, self.real), np.empty(shape, self.real)
        self.field, self.c_field = np.empty(shape, self.word), np.empty(shape, self.word)
        # A subnormal running sum counts with the exponent of the smallest normal number, to which `addend_field` lifts
        # it. In float32 beside float32 that is not needed: subnormal numbers lie far below `lowest` there.
        lifted = row.accumulate == "fp16" or not near
        self.lift = np.empty(shape if lifted else 0, self.word)
        self.one = np.full(self.lift.shape, 1 << self.shift, self.word)  # NumPy is slow to compare with a scalar
        self.cut, self.sum = np.empty(shape, np.int32), np.empty(shape, np.int32)
        self.e, self.top = np.empty(shape, self.small), np.empty(shape, self.small)
        self.total = np.empty(shape)
        self.half = np.empty(shape if bounded else 0)
        self.rounding = workspace(self.total) if bounded else None  # for halves that cannot overflow
        largest = 2 - row.input_format.eps
        # A product is below largest**2 times 2**E, and so below largest**2 * 2**fraction once it is an integer.
        self.room = int((2**31 - 1) // (largest * largest * 2.0**row.fraction))  # products that int32 holds
        lowest = row.zero_exponent if row.kind == "aligned" else -600
        lowest = max(lowest, _LOST[self.small.itemsize], -100 if near else -600)
        self.lowest = np.full(shape, lowest, self.small)
        self._count, self._flushed = 0, False

    def exponents(self, x: Array) -> Array:
        """The exponents of float32 factors; subnormal numbers have that of the smallest normal one."""
        field = (x.view(np.int32) >> 23) & 0xFF
        e = np.maximum(field - 127, self.row.input_emin)
        return np.where(x == 0, _ZERO[self.small.itemsize], e).astype(self.small)

    def largest(self, e_a: Array, e_b: Array) -> Array:
        """The largest exponent of the products, or that of a zero, as the bits of a power of two in ``field``."""
        np.add(e_a[0], e_b[0], out=self.top)
        for x, y in zip(e_a[1:], e_b[1:], strict=True):
            np.add(x, y, out=self.e)
            np.maximum(self.top, self.e, out=self.top)
        np.maximum(self.top, self.lowest, out=self.top)
        np.copyto(self.field, self.top)
        self.field += self.bias
        self.field <<= self.shift
        return self.field

    def addend_field(self, c: Array) -> Array:
        """The exponents of the running sums ``c``, as bits of powers of two; those of zeros are the lowest."""
        mask = ((1 << (self.word.itemsize * 8 - 1)) - 1) >> self.shift << self.shift  # neither sign nor significand
        field = np.bitwise_and(c.view(self.word), self.word.type(mask), out=self.c_field)
        if self.row.accumulate == "fp16" or not self.near:
            lowest = np.minimum(field, self.one, out=self.lift)  # 0 for zeros, which must not raise E, else 1 << shift
            lowest *= self.word.type(self.bias + self.row.output_format.emin)
            np.maximum(field, lowest, out=field)
        return field

    def power(self, field: Array, by: int) -> Array:
        """2**by divided by the power of two whose bits are ``field``, in ``scale``."""
        code = np.uint64((2 * self.bias + by) << self.shift).astype(self.word)  # wraps; the difference does not
        np.subtract(code, field, out=self.scale.view(self.word))
        return self.scale

    def gather(self, a: Sequence[Array] | Array, b: Sequence[Array] | Array, scale: Array, c: Array | None) -> Array:
        """The sum of the products, and of ``c`` if given, each times ``scale`` and cut to an integer; as float64."""
        self._count, self._flushed = 0, False
        if c is not None:
            self._add(np.multiply(c, scale, out=self.product))
        for x, y in zip(a, b, strict=True):
            np.multiply(x, y, out=self.product)
            self._add(np.multiply(self.product, scale, out=self.product))
        return self._flush()

    def _add(self, x: Array) -> None:
        if self._count == self.room:
            self._flush()  # one more product could overflow int32: go on in float64, which holds the sum exactly
            self._count = 0
        into = self.cut if self._count else self.sum
        np.copyto(into, x, casting="unsafe")  # which truncates
        if self._count:
            np.add(self.sum, self.cut, out=self.sum)
        self._count += 1

    def _flush(self) -> Array:
        if self._flushed:
            np.add(self.total, self.sum, out=self.total)
        else:
            np.copyto(self.total, self.sum)
        self._flushed = True
        return self.total
