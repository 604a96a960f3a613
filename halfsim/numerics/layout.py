"""Where a format's codes begin and end: the one table that encodes, decodes, classifies and steps read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import SPECIALS, Format
from halfsim.numerics.inputs import array_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The magnitudes (codes without their sign bit) at which a format's kinds of number begin and end.

    Magnitudes of one sign are ordered as the numbers are. Where NaN is the code of minus zero, its magnitude counts as
    ``sign``, one past all others, so that `code` gives that code for it with either sign.
    """

    format: Format
    largest: int  # of the finite numbers
    infinity: int  # -1 where there is none
    nan: int  # the default NaN, quiet and without payload, or what stands for it where there is none
    quiet: int  # mask of the bit that tells quiet from signaling, 0 where there are no signaling NaN
    sign: int  # mask of the sign bit; without one the first integer that is no code
    least: int  # of the numbers above zero
    normal: int  # of the smallest normal number

    @cached_property
    def word(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds a code."""
        return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if self.format.bits <= 8 * size))

    @cached_property
    def zeros(self) -> int:
        """How many zeros there are: with their signs, one of their own, or none."""
        return 0 if self.format.zero_field == "normal" else 1 + self.format.minus_zero

    @cached_property
    def plain(self) -> bool:
        """Whether every finite number has a code, the negative ones and both zeros: what IEEE 754 has in mind."""
        return self.zeros == 2

    @property
    def payload(self) -> int:
        """Mask of the bits that a NaN has to itself."""
        return (1 << self.format.nmant) - 1 if SPECIALS[self.format.specials].nan == "field" else 0

    @property
    def last(self) -> int:
        """The magnitude that nothing but NaN is beyond: of infinity, or else of the largest number."""
        return max(self.largest, self.infinity)

    @property
    def beyond(self) -> int:
        """What an overflow and a division by zero give: infinity, or for want of it NaN, or the largest number."""
        return self.infinity if self.infinity >= 0 else self.nan if self.format.has_nan else self.largest

    @property
    def overflow(self) -> int:
        """The flags of an overflow: without NaN and infinities it is no number of the format at all."""
        return int(Flag.OVERFLOW | Flag.INEXACT if self.format.has_special else Flag.INVALID)

    def code(self, magnitude: Any, sign: Any) -> Any:
        """The code of a magnitude and a sign, 0 or 1 (integers, or arrays of them)."""
        if not self.format.signed:
            return magnitude
        code = magnitude | (sign << (self.format.bits - 1))
        return code if self.zeros != 1 else code * (magnitude != 0)

    def parts(self, code: Any) -> tuple[Any, Any]:
        """The magnitude and the sign of a code (an integer, or an array of them); a zero has but one magnitude."""
        if not self.format.signed:
            return self._single(code), code & 0
        sign = (code >> (self.format.bits - 1)) & 1
        magnitude = code & (self.sign - 1)
        if SPECIALS[self.format.specials].nan == "minus_zero":
            magnitude = np.where(code == self.sign, code, magnitude) if np.ndim(code) else magnitude or code
        magnitude = self._single(magnitude)
        return magnitude, sign if self.zeros != 1 else sign & (magnitude != 0)

    def _single(self, magnitude: Any) -> Any:
        """``magnitude``, but 0 for a code below the smallest normal number that stands for zero like the others."""
        if self.format.zero_field != "zero" or not self.format.nmant:
            return magnitude
        return magnitude * (magnitude >= self.normal)

    def is_nan(self, magnitude: Any) -> Any:
        """Whether a magnitude of `parts` is that of a NaN."""
        return magnitude > self.last


@lru_cache(maxsize=256)
def layout(fmt: Format) -> Layout:
    """The Layout of ``fmt``.

    >>> from halfsim.numerics.formats import float16
    >>> hex(layout(float16).infinity), hex(layout(float16).nan)
    ('0x7c00', '0x7e00')
    """
    special, sign = SPECIALS[fmt.specials], 1 << (fmt.exponent_bits + fmt.nmant)
    infinity = {"field": fmt.largest + 1, "last": sign - 1, "": -1}[special.infinity]
    quiet = (1 << fmt.nmant) >> 1 if special.nan == "field" else 0
    nan = {"field": infinity | quiet, "last": sign - 1, "minus_zero": sign, "": 0}[special.nan]
    normal = (fmt.zero_field != "normal") << fmt.nmant
    least = 1 if fmt.zero_field == "subnormals" else normal
    return Layout(fmt, fmt.largest, infinity, nan, quiet if fmt.nmant > 1 else 0, sign, least, normal)


def codes(bits: object, fmt: Format, argument: str = "bits") -> Array:
    """``bits`` as an array of integers that are codes of ``fmt``; ``TypeError`` or ``ValueError`` for others."""
    given = array_of(bits, argument)
    if given.size == 0 and not isinstance(bits, np.ndarray):
        return np.zeros(given.shape, layout(fmt).word)
    if given.dtype.kind in "fO" and not isinstance(bits, np.ndarray):  # Python integers on both sides of 2**63
        whole = np.asarray(bits, object)
        if all(isinstance(code, int) and 0 <= code < 2**64 for code in whole.flat):
            given = whole.astype(np.uint64)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{argument}: dtype {given.dtype} is not allowed; allowed: integers")
    full = given.dtype.kind == "u" and 8 * given.dtype.itemsize <= fmt.bits
    if given.size and not full and (int(given.min()) < 0 or int(given.max()) >> fmt.bits):
        raise ValueError(f"{argument}: allowed are codes from 0 to {2**fmt.bits - 1:#x} for {fmt}")
    return given
