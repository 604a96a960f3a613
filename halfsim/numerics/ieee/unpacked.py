"""Floating-point numbers taken apart into sign, exponent and integer significand, and rounded back into bit patterns.

A finite number is (-1)**sign * significand * 2**exponent with a significand of exactly p bits (zero has 0), in int64.
What an operation computes is such a triple with more bits, at most 61, whose last bit is *sticky*: it also stands for
everything nonzero below it. Two bits below the last one kept decide every rounding, so p + 2 bits suffice, and one
function, `pack`, rounds for all operations, formats, modes and both rules of tininess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.flags import Flag, report_mask, watching
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.rounding import Rounding, as_rounding

Array = NDArray[Any]
Pair = tuple[Array, Array]

BLOCK = 16384  # elements: a kernel has some twenty int64 blocks at work, 128 KiB each; smaller ones cost calls
WINDOW = 60  # bits of an addend: a sum has one more
_FAR = 62  # shifting a significand by more than this many bits leaves only its sticky bit


def _table(rule: Callable[[int, int, int, int], int]) -> Array:
    return np.array([bool(rule(*bits)) for bits in product((0, 1), repeat=4)], np.bool_)


# Whether to increment the magnitude, by sign, last bit kept, first bit lost (half an ulp), and whether more was lost.
_INCREMENT: dict[Rounding, Array] = {
    Rounding.NEAREST_EVEN: _table(lambda sign, odd, half, rest: half and (rest or odd)),
    Rounding.NEAREST_AWAY: _table(lambda sign, odd, half, rest: half),
    Rounding.TOWARD_ZERO: _table(lambda sign, odd, half, rest: 0),
    Rounding.UPWARD: _table(lambda sign, odd, half, rest: not sign and (half or rest)),
    Rounding.DOWNWARD: _table(lambda sign, odd, half, rest: sign and (half or rest)),
    Rounding.TO_ODD: _table(lambda sign, odd, half, rest: not odd and (half or rest)),
}
_TININESS = ("after", "before")


@dataclass(frozen=True)
class Layout:
    """The magnitudes (encodings without their sign bit) at which a format's kinds of number begin and end."""

    format: Format
    largest: int  # of the finite numbers
    infinity: int  # -1 where there is none
    beyond: int  # what an overflow and a division by zero give
    nan: int  # the default NaN, quiet and without payload, or what stands for it
    quiet: int  # mask of the bit that tells quiet from signaling, 0 where there are no signaling NaN
    overflow: int  # the flags of an overflow

    @property
    def word(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds an encoding."""
        return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if self.format.bits <= 8 * size))


@lru_cache(maxsize=256)
def layout(fmt: Format) -> Layout:
    """The Layout of ``fmt``; without NaN, overflow raises invalid and gives the largest number, as on Arm."""
    ones = (1 << (fmt.bits - 1)) - 1
    overflow = int(Flag.OVERFLOW | Flag.INEXACT)
    if fmt.specials == "nan":
        return Layout(fmt, ones - 1, -1, ones, ones, 0, overflow)
    if fmt.specials == "none":
        return Layout(fmt, ones, -1, ones, 0, 0, int(Flag.INVALID))
    infinity = ones - ((1 << fmt.nmant) - 1)
    quiet = (1 << fmt.nmant) >> 1
    signaling = quiet if fmt.nmant > 1 else 0
    return Layout(fmt, infinity - 1, infinity, infinity, infinity | quiet, signaling, overflow)


@dataclass(frozen=True)
class Unit:
    """What rounds: a format, a rounding mode, a rule of tininess."""

    layout: Layout
    rounding: Rounding
    before: bool

    @property
    def format(self) -> Format:
        return self.layout.format


def unit(format: object, rounding: object = "nearest_even", tininess: object = "after") -> Unit:
    """The Unit that the keywords of an operation name; ``ValueError`` for unknown words and for stochastic rounding."""
    allowed = [mode.value for mode in _INCREMENT]
    if isinstance(rounding, str) and rounding.strip().lower() not in allowed:
        raise unknown("rounding", rounding, allowed)
    mode = as_rounding(rounding)
    if mode not in _INCREMENT:
        raise unknown("rounding", mode.value, allowed)
    if tininess not in _TININESS:
        raise unknown("tininess", tininess, _TININESS)
    return Unit(layout(as_format(format)), mode, tininess == "before")


@dataclass(frozen=True)
class Number:
    """A block of numbers taken apart; ``exponent`` and ``significand`` mean nothing where it is NaN or infinite."""

    layout: Layout
    code: Array  # the encoding, as int64
    magnitude: Array  # ... without its sign
    sign: Array  # 0 or 1
    exponent: Array
    significand: Array
    nan: Array
    infinite: Array
    zero: Array

    @property
    def signaling(self) -> Array:
        quiet = self.layout.quiet
        return self.nan & (self.magnitude & quiet == 0) if quiet else np.zeros_like(self.nan)

    @property
    def quieted(self) -> Array:
        return self.code | self.layout.quiet


def unpack(code: Array, lay: Layout) -> Number:
    """The numbers that a block of encodings stands for."""
    fmt = lay.format
    code = code.astype(np.int64)
    sign = (code >> (fmt.bits - 1)) & 1
    magnitude = code & ((1 << (fmt.bits - 1)) - 1)
    field = magnitude >> fmt.nmant
    small = field == 0
    significand = magnitude & ((1 << fmt.nmant) - 1)
    significand |= (1 << fmt.nmant) * ~small
    exponent = np.maximum(field, 1)
    exponent += fmt.emin - 1 - fmt.nmant
    if small.any():
        lift = fmt.precision - bit_length(significand)
        significand <<= lift
        exponent -= lift
    nan = magnitude > max(lay.largest, lay.infinity)
    return Number(lay, code, magnitude, sign, exponent, significand, nan, magnitude == lay.infinity, magnitude == 0)


def bit_length(x: Array) -> Array:
    """``int.bit_length`` of nonnegative integers; clearing every bit below a one keeps float64 from rounding up."""
    if x.dtype == object:
        return np.asarray(np.frompyfunc(int.bit_length, 1, 1)(x))
    exponent = (x & ~(x >> 1)).astype(np.float64).view(np.int64) >> 52
    return np.maximum(exponent - 1022, 0)


def jam(x: Array, shift: Array) -> Array:
    """``x >> shift``, with the last bit set where ones were lost."""
    if x.dtype != object:
        shift = np.minimum(shift, _FAR)
    kept = x >> shift
    return kept | ((kept << shift) != x).astype(x.dtype)


def choose(significand: Array, shift: Array, sign: Array, rounding: Rounding) -> tuple[Array, Array]:
    """``significand / 2**shift`` (shift >= 0, significand < 2**61) as an integer, and whether that was inexact."""
    twice = significand << 1
    shift = np.minimum(shift, _FAR)
    seen = twice >> shift  # what is kept, and the first bit lost
    case = (seen & 3) << 1
    case |= (seen << shift) != twice
    inexact = (case & 3) != 0
    case |= sign << 3
    seen >>= 1
    seen += _INCREMENT[rounding].take(case)
    return seen, inexact


def pack(to: Unit, sign: Array, exponent: Array, significand: Array) -> Pair:
    """(-1)**sign * significand * 2**exponent, significand < 2**61 with a sticky last bit, as encodings and flags."""
    fmt, lay = to.format, to.layout
    top = exponent + bit_length(significand)
    top -= 1
    np.copyto(top, fmt.emin, where=significand == 0)
    shift = np.maximum(top, fmt.emin) - fmt.nmant - exponent
    if (shift < 0).any():
        significand = significand << np.clip(-shift, 0, _FAR)
        shift = np.maximum(shift, 0)
    code, inexact = choose(significand, shift, sign, to.rounding)
    flags = inexact.astype(np.uint8)
    tiny = top < fmt.emin
    if not to.before:
        near = np.flatnonzero(top == fmt.emin - 1)  # with p bits these may round up to the smallest normal number
        if near.size:
            full, _ = choose(significand[near], np.maximum(shift[near] - 1, 0), sign[near], to.rounding)
            tiny[near] = full < 1 << fmt.precision
    tiny &= inexact
    flags |= tiny * np.uint8(Flag.UNDERFLOW)
    large = top > fmt.emax
    np.clip(top, fmt.emin, fmt.emax + 1, out=top)
    code += (top - fmt.emin) << fmt.nmant  # the leading bit kept adds one to the exponent field
    large |= code > lay.largest
    if large.any():  # far beyond the largest number, whose last bit is one, the table still decides
        outward = _INCREMENT[to.rounding].take(sign << 3 | 7)
        np.copyto(code, np.where(outward, lay.beyond, lay.largest), where=large)
        np.copyto(flags, np.uint8(lay.overflow), where=large)
    return code | (sign << (fmt.bits - 1)), flags


Kernel = Callable[..., Pair]


def arithmetic(kernel: Kernel, to: Unit, operands: Sequence[Number]) -> Pair:
    """What ``kernel`` computes, but the first NaN operand, quieted, if there is one; signaling ones raise invalid."""
    code, flags = kernel(to, *operands)
    for number in reversed(operands):
        if number.nan.any():
            np.copyto(code, number.quieted, where=number.nan)
            np.copyto(flags, flags & np.uint8(Flag.INVALID), where=number.nan)
            flags |= number.signaling * np.uint8(Flag.INVALID)
    return code, flags


def codes(bits: object, lay: Layout, argument: str) -> Array:
    """``bits`` as an array of unsigned integers; ``TypeError`` or ``ValueError`` where they are no encodings."""
    given = np.asarray(bits)
    if given.size == 0 and not isinstance(bits, np.ndarray):
        return np.zeros(given.shape, lay.word)
    if given.dtype.kind in "fO" and not isinstance(bits, np.ndarray):  # Python integers on both sides of 2**63
        whole = np.asarray(bits, object)
        if all(isinstance(code, int) and 0 <= code < 2**64 for code in whole.flat):
            given = whole.astype(np.uint64)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{argument}: dtype {given.dtype} is not allowed; allowed: integers")
    full = given.dtype.kind == "u" and 8 * given.dtype.itemsize <= lay.format.bits
    if given.size and not full and (int(given.min()) < 0 or int(given.max()) >> lay.format.bits):
        raise ValueError(f"{argument}: allowed are codes from 0 to {2**lay.format.bits - 1:#x} for {lay.format}")
    return given


def blocked(where: str, kernel: Kernel, arrays: Sequence[Array], dtype: object, names: str) -> Pair:
    """``kernel`` on blocks of the broadcast ``arrays``: results of ``dtype`` and flags, both of the broadcast shape.

    ``names`` are those of the arguments, ``where`` is that of the operation.
    """
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise ValueError(f"{names}: allowed are shapes that broadcast, not {shapes}") from None
    out, flags = np.empty(shape, np.dtype(dtype)), np.empty(shape, np.uint8)  # type: ignore[call-overload]
    flat, mask = out.reshape(-1), flags.reshape(-1)
    whole = [np.broadcast_to(array, shape) for array in arrays]
    runs: list[Any] = [array.reshape(-1) if array.flags.c_contiguous else array.flat for array in whole]
    with np.errstate(all="ignore"):
        for i in range(0, flat.size, BLOCK):
            result, raised = kernel(*(run[i : i + BLOCK] for run in runs))
            flat[i : i + BLOCK] = result  # int64 to a narrower word: the low bits
            mask[i : i + BLOCK] = raised
    if watching():
        report_mask(flags, where)
    return out, flags
