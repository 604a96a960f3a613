"""The fast way from rounded float32 values to the codes of a narrow format."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.numerics._grid import BLOCK, Array, held
from halfsim.numerics.formats import Format, float32


@dataclass(frozen=True)
class Packing:
    """The constants with which float32 numbers on the grid of a format become its codes."""

    shift: int  # trailing bits of the float32 significand that the format lacks
    upper: bool  # whether the rest of the encoding is the code, NaN too, as of bfloat16
    base: Any  # what the encoding of a normal number, so shifted, exceeds its code by
    unit: Any  # one over the smallest subnormal number
    least: Array  # BLOCK copies of the code of the smallest normal number, as float32
    sign_shift: Any
    sign: Any


@lru_cache(maxsize=64)
def packing(fmt: Format) -> Packing | None:
    """The Packing of ``fmt``; None for formats of more than 16 bits, of another kind or past float32's normal range."""
    kind = fmt.signed and fmt.zero_field == "subnormals"
    upper = fmt.precision > 1 and replace(fmt, name=float32.name, precision=float32.precision) == float32
    if fmt.bits > 16 or not kind or (fmt.emin <= float32.emin and not upper) or not held(fmt, float32):
        return None
    return Packing(
        shift=float32.nmant - fmt.nmant,
        upper=upper,
        base=np.int32((float32.bias - fmt.bias) << fmt.nmant),
        unit=np.float32(1 if upper else 1 / fmt.smallest_subnormal),
        least=np.full(BLOCK, 1 << fmt.nmant, np.float32),
        sign_shift=np.uint32(32 - fmt.bits),
        sign=np.uint32(1 << (fmt.bits - 1)),
    )


class _Scratch(threading.local):
    """Three blocks of words a thread, made once."""

    def __init__(self) -> None:
        self.words = np.empty((3, BLOCK), np.int32)


_scratch = _Scratch()


def pack(y: Array, out: Array, how: Packing) -> bool:
    """Write the codes of a block of float32 numbers on the grid to ``out``; False, and nothing, if one is not finite.

    A subnormal number is its multiple of the smallest one, which is its code; a normal number's code is its shifted
    encoding less a constant. The former is too large from the second normal binade on, the latter too small below the
    first, so the code is the larger of the latter and of the former cut off at the smallest normal number.
    """
    if how.upper:
        np.right_shift(y.view(np.uint32), how.shift, out=out, casting="unsafe")
        return True
    n = y.size
    magnitude, code, sign = (row[:n] for row in _scratch.words)
    multiple = code.view(np.float32)
    np.bitwise_and(y.view(np.int32), np.int32(0x7FFFFFFF), out=magnitude)
    if magnitude.max(initial=0) >= 0x7F800000:
        return False
    np.multiply(magnitude.view(np.float32), how.unit, out=multiple)
    np.minimum(multiple, how.least[:n], out=multiple)
    np.copyto(sign, multiple, casting="unsafe")
    np.right_shift(magnitude, how.shift, out=magnitude)
    np.subtract(magnitude, how.base, out=magnitude)
    np.maximum(sign, magnitude, out=code)
    np.right_shift(y.view(np.uint32), how.sign_shift, out=sign.view(np.uint32))
    np.bitwise_and(sign.view(np.uint32), how.sign, out=sign.view(np.uint32))
    np.bitwise_or(code, sign, out=code)
    np.copyto(out, code, casting="unsafe")
    return True
