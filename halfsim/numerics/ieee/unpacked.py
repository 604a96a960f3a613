"""Floating-point numbers taken apart into sign, exponent and integer significand, and rounded back into bit patterns.

A finite number is (-1)**sign * significand * 2**exponent with a significand of exactly p bits (zero has 0), in int64.
What an operation computes is such a triple with more bits, at most 61, whose last bit is *sticky*: it also stands for
everything nonzero below it. Two bits below the last one kept decide every rounding, so p + 2 bits suffice, and one
function, `pack`, rounds for all operations, formats, modes and both rules of tininess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.flags import Flag, report_mask, watching
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.layout import Layout, codes, layout
from halfsim.numerics.rounding import AWAY, OVERFLOWS, Rounding, as_rounding, outward

Array = NDArray[Any]
Pair = tuple[Array, Array]

BLOCK = 16384  # elements: a kernel has some twenty int64 blocks at work, 128 KiB each; smaller ones cost calls
WINDOW = 60  # bits of an addend: a sum has one more
_FAR = 62  # shifting a significand by more than this many bits leaves only its sticky bit


_TININESS = ("after", "before")
_NAMES = ("a", "b", "c")  # of operands


@dataclass(frozen=True)
class Unit:
    """What rounds: a format, a rounding mode, a rule of tininess, and what overflow becomes."""

    layout: Layout
    rounding: Rounding
    before: bool
    overflow: str = "infinity"

    @property
    def format(self) -> Format:
        return self.layout.format


def unit(
    format: object, rounding: object = "nearest_even", tininess: object = "after", overflow: object = "infinity"
) -> Unit:
    """The Unit that the keywords of an operation name; ``ValueError`` for unknown words and for stochastic rounding."""
    allowed = [mode.value for mode in AWAY]
    if isinstance(rounding, str) and rounding.strip().lower() not in allowed:
        raise unknown("rounding", rounding, allowed)
    mode = as_rounding(rounding)
    if mode not in AWAY:
        raise unknown("rounding", mode.value, allowed)
    if tininess not in _TININESS:
        raise unknown("tininess", tininess, _TININESS)
    if overflow not in OVERFLOWS:
        raise unknown("overflow", overflow, OVERFLOWS)
    return Unit(layout(as_format(format)), mode, tininess == "before", str(overflow))


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
    """The numbers that a block of codes stands for."""
    fmt = lay.format
    code = code.astype(np.int64)
    magnitude, sign = lay.parts(code)
    small = magnitude < lay.normal
    significand = magnitude & ((1 << fmt.nmant) - 1)
    significand |= (1 << fmt.nmant) * ~small
    exponent = np.maximum(magnitude >> fmt.nmant, fmt.emin + fmt.bias)
    exponent -= fmt.bias + fmt.nmant
    if small.any():
        lift = fmt.precision - bit_length(significand)
        significand <<= lift
        exponent -= lift
    zero = small & (magnitude == 0)
    return Number(
        lay, code, magnitude, sign, exponent, significand, lay.is_nan(magnitude), magnitude == lay.infinity, zero
    )


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
    seen += AWAY[rounding].take(case)
    return seen, inexact


def pack(to: Unit, sign: Array, exponent: Array, significand: Array) -> Pair:
    """(-1)**sign * significand * 2**exponent, significand < 2**61 with a sticky last bit, as encodings and flags."""
    fmt, lay = to.format, to.layout
    top = exponent + bit_length(significand)
    top -= 1
    np.copyto(top, fmt.emin, where=significand == 0)
    shift = np.maximum(top, fmt.emin) - fmt.nmant - exponent
    cut = shift
    if fmt.zero_field != "subnormals":
        cut = np.where(top < fmt.emin, fmt.emin - exponent, shift)  # to zero or the smallest normal number
    if (cut < 0).any():
        significand = significand << np.clip(-cut, 0, _FAR)
        cut = np.maximum(cut, 0)
    code, inexact = choose(significand, cut, sign, to.rounding)
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
    if fmt.zero_field != "subnormals":
        code <<= fmt.nmant * (top < fmt.emin)  # one unit there is the smallest normal number
    np.clip(top, fmt.emin, fmt.emax + 1, out=top)
    code += (top - fmt.emin) << fmt.nmant  # the leading bit kept adds one to the exponent field
    if not lay.normal:  # in which the smallest normal numbers have no one
        code -= 1 << fmt.nmant
        np.maximum(code, 0, out=code)  # of what is too small
    large |= code > lay.largest
    if large.any():
        away = outward(to.rounding, sign, to.overflow)
        np.copyto(code, np.where(away, lay.beyond, lay.largest), where=large)
        np.copyto(flags, np.uint8(lay.overflow), where=large)
    if not lay.plain:
        lacking = (significand == 0) & (not lay.zeros)
        lacking |= (significand != 0) & (sign == 1) & (not fmt.signed)
        code = lay.code(code, sign)
        absent(code, flags, lay, lacking, sign)
        return code, flags
    return lay.code(code, sign), flags


def absent(code: Array, flags: Array, lay: Layout, where: Array, sign: Array | None = None) -> None:
    """Put in the default NaN, or what stands for it, and invalid; a rounded result keeps its ``sign``."""
    np.copyto(code, lay.nan if sign is None else lay.code(lay.nan, sign), where=where)
    np.copyto(flags, np.uint8(Flag.INVALID), where=where)


Kernel = Callable[..., Pair]


def _product_is_invalid(operands: Sequence[Number]) -> Array:
    """Where a fused multiply-add multiplies zero by infinity, which it tells even of a quiet NaN that it adds."""
    if len(operands) < 3:
        return np.zeros(operands[0].code.shape, np.bool_)
    a, b = operands[:2]
    return (a.infinite & b.zero) | (a.zero & b.infinite)


def arithmetic(kernel: Kernel, to: Unit, operands: Sequence[Number]) -> Pair:
    """What ``kernel`` computes, but the first NaN operand, quieted, if there is one; signaling ones raise invalid."""
    code, flags = kernel(to, *operands)
    nans = [number for number in operands if number.nan.any()]
    for number in nans:
        np.copyto(flags, _product_is_invalid(operands) * np.uint8(Flag.INVALID), where=number.nan)
    for number in reversed(nans):
        np.copyto(code, number.quieted, where=number.nan)
        flags |= number.signaling * np.uint8(Flag.INVALID)
    return code, flags


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


def operate(where: str, kernel: Kernel, to: Unit, *bits: object) -> Pair:
    """An operation whose operands and result share a format."""
    given = [codes(x, to.format, name) for x, name in zip(bits, _NAMES, strict=False)]

    def block(*parts: Array) -> Pair:
        return arithmetic(kernel, to, [unpack(part, to.layout) for part in parts])

    return blocked(where, block, given, to.layout.word, ", ".join(_NAMES[: len(bits)]))
