"""Block formats: narrow numbers, a few of which share a scale, as in OCP's MX formats and NVIDIA's NVFP4.

A block of numbers v becomes elements P, on the grid of a narrow format, and one scale X, so that v is about P * X. The
rule that makes X of the largest magnitude is the contested part: one step too small and the largest elements are
clipped, one too large and the smallest lose a bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.card import Card
from halfsim.numerics.formats import (
    NAMES as FORMATS,
)
from halfsim.numerics.formats import (
    RESERVED,
    Format,
    as_format,
    float4_e2m1fn,
    float6_e2m3fn,
    float6_e3m2fn,
    float8_e4m3fn,
    float8_e5m2,
    float8_e8m0fnu,
    float32,
    is_format,
    shortened,
    unknown,
    whole,
)
from halfsim.numerics.rounding import Rounding

Array = NDArray[Any]

# MXINT8's element, 2**-6 times an integer of 8 bits: its numbers are these up to 127/64, its codes two's complement,
# of 8 bits (those of this format would have 9, so that a narrower one says what is a code).
INT8 = Format("int8", exponent_bits=2, precision=7, specials="none", bias=1)
INT8_CODES = replace(INT8, precision=6)
_LARGEST = {INT8: 127 / 64}  # without -2, which the specification allows to leave out, so that signs are alike


@dataclass(frozen=True, repr=False)
class BlockFormat(Card):
    """Elements of one narrow format, of which each ``block`` in a row share a scale.

    ``element`` is the format of the elements (or "int8", multiples of 2**-6 up to 127/64), ``block`` how many share a
    scale, ``scale`` its format, ``second_scale`` that of a scale for the whole array besides, or None. ``rule`` says
    how the scale follows from the largest magnitude, ``amax``:

    - "floor": the power of two of ``amax`` over that of the largest element (OCP MX 1.0, clause 6.3). Elements up to
      twice too large are clipped.
    - "ceil": ``amax / largest``, rounded up, so that nothing is clipped (arXiv 2506.08027).
    - "even": as "floor", of ``amax`` rounded first to as many digits as an element has.
    - "nearest": ``amax / largest``, rounded to the nearest number of ``scale``, of two powers of two the larger.

    The first and third are for scales that are powers of two. Elements too large become the largest. ``hadamard``, a
    power of two, turns so many neighbours at a time by a random Hadamard matrix first (signs drawn by ``seed``), which
    spreads what sticks out. ``ValueError`` for other words and numbers, and for a scale without a NaN.

    >>> BlockFormat("float4_e2m1fn", 32, "float8_e8m0fnu", "ceil")
    BlockFormat('mxfp4(rule=ceil)')
    """

    __argument__ = "a BlockFormat"
    _listed = ("element", "block", "scale", "rule", "second_scale", "bits", "largest")

    element: Format
    block: int
    scale: Format = float8_e8m0fnu
    rule: str = "floor"
    second_scale: Format | None = None
    hadamard: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        own = self.element == INT8 if isinstance(self.element, Format) else str(self.element) == INT8.name
        given: dict[str, Any] = {
            "element": INT8 if own else as_format(self.element, "element"),
            "scale": as_format(self.scale, "scale"),
            "second_scale": None if self.second_scale is None else as_format(self.second_scale, "second_scale"),
        }
        given |= {name: whole(name, getattr(self, name)) for name in ("block", "hadamard", "seed")}
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if self.block < 1:
            raise ValueError(f"block: {shortened(self.block)} is not allowed; allowed: 1 or more elements")
        if self.hadamard < 0 or self.hadamard & (self.hadamard - 1):
            raise ValueError(f"hadamard: {shortened(self.hadamard)} is not allowed; allowed: 0, powers of two")
        if self.element.lacking or self.element.precision > 11:
            raise ValueError(f"element: {self.element} is not allowed; allowed: signed formats of up to 11 digits")
        if not self.scale.has_nan:
            raise ValueError(
                f"scale: {self.scale} is not allowed; allowed: formats with a NaN, for blocks that have one"
            )
        second = self.second_scale
        room = 52 - self.element.precision - self.scale.precision - (second.precision if second else 0)
        if room < 0:  # digits of a tie between elements times the scales, which are to fit in a float64
            raise ValueError(
                f"scale: {self.scale} with second_scale {second} is not allowed; "
                f"allowed: formats of up to {52 - self.element.precision} digits together"
            )
        allowed = [rule for rule in RULES if self.scale.precision == 1 or rule in DIRECTIONS]
        if not isinstance(self.rule, str) or self.rule not in allowed:
            raise unknown("rule", self.rule, allowed)

    @property
    def largest(self) -> float:
        """The largest element."""
        return _LARGEST.get(self.element, self.element.max)

    @property
    def element_bits(self) -> int:
        """Bits of an element's code."""
        return (INT8_CODES if self.element == INT8 else self.element).bits

    @property
    def bits(self) -> float:
        """Bits that a number takes, its share of the scale included.

        >>> as_block_format("mxfp4").bits, as_block_format("nvfp4").bits, as_block_format("mxint8").bits
        (4.25, 4.5, 8.25)
        """
        return self.element_bits + self.scale.bits / self.block

    @property
    def max(self) -> float:
        """The largest number that a block can stand for, but for a second scale."""
        return self.largest * self.scale.max

    @property
    def name(self) -> str:
        """As it is spelled in a precision."""
        return str(self)

    def contains(self, other: object) -> bool:
        """Whether every number of ``other`` is one of these: never, for a block has one scale only."""
        return False

    def __str__(self) -> str:
        name, known = min(NAMES.items(), key=lambda pair: len(_differing(self, pair[1])))
        changed = [f"{key}={getattr(self, key)}" for key in _differing(self, known)]
        return f"{name}({', '.join(changed)})" if changed else name

    spelled = property(__str__)

    def __repr__(self) -> str:
        return f"BlockFormat({str(self)!r})"


def _differing(a: BlockFormat, b: BlockFormat) -> list[str]:
    return [f.name for f in fields(a) if getattr(a, f.name) != getattr(b, f.name)]


# Rules of a scale that is a power of two: its exponent, by mantissa m in [0.5, 1) and exponent e of the largest
# magnitude, and the same of the largest element.


def _floor(m: Array, e: Array, fmt: BlockFormat) -> Array:
    return e - math.frexp(fmt.largest)[1]


def _even(m: Array, e: Array, fmt: BlockFormat) -> Array:
    steps = 2.0**fmt.element.precision
    return _floor(m, e + (np.rint(m * steps) == steps), fmt)


def _ceil(m: Array, e: Array, fmt: BlockFormat) -> Array:
    most, exponent = math.frexp(fmt.largest)
    return e - exponent + (m > most)


def _nearest(m: Array, e: Array, fmt: BlockFormat) -> Array:
    most, exponent = math.frexp(fmt.largest)
    below = e - exponent - (m < most)  # the power of two below the quotient, which is 1 to 2 times as large
    return below + (np.where(m < most, 2 * m, m) >= 1.5 * most)


RULES: dict[str, Callable[[Array, Array, BlockFormat], Array]] = {
    "floor": _floor,
    "ceil": _ceil,
    "even": _even,
    "nearest": _nearest,
}
DIRECTIONS = {"ceil": Rounding.UPWARD, "nearest": Rounding.NEAREST_EVEN}  # of a scale with more digits

_mx = float8_e8m0fnu
NAMES: dict[str, BlockFormat] = {
    "mxfp8_e4m3": BlockFormat(float8_e4m3fn, 32, _mx),
    "mxfp8_e5m2": BlockFormat(float8_e5m2, 32, _mx),
    "mxfp6_e2m3": BlockFormat(float6_e2m3fn, 32, _mx),
    "mxfp6_e3m2": BlockFormat(float6_e3m2fn, 32, _mx),
    "mxfp4": BlockFormat(float4_e2m1fn, 32, _mx),
    "mxint8": BlockFormat(INT8, 32, _mx),
    "nvfp4": BlockFormat(float4_e2m1fn, 16, float8_e4m3fn, "nearest", float32),
}
RESERVED.update(NAMES)
_CALL = re.compile(r"\s*([a-z0-9_]+)\s*\((.*)\)\s*")
_READ = {"block": int, "rule": str, "hadamard": int, "seed": int, "element": str, "scale": str, "second_scale": str}


def as_block_format(spec: object, argument: str = "format") -> BlockFormat:
    """The block format that ``spec`` is or names: "mxfp4", or with other values "mxfp4(rule=ceil, block=16)".

    ``ValueError`` for an unknown name or key.

    >>> as_block_format("mxfp4(rule=ceil)").rule
    'ceil'
    """
    if isinstance(spec, BlockFormat):
        return spec
    found = find(spec)
    if found is None:
        raise unknown(argument, spec, list(NAMES))
    return found


def find(spec: object) -> BlockFormat | None:
    """The block format that ``spec`` is or names, None where it is none of these."""
    if not isinstance(spec, str):
        return spec if isinstance(spec, BlockFormat) else None
    name, inside = spec.strip().lower(), ""
    if name not in NAMES:
        call = _CALL.fullmatch(name)
        if call is None or call[1] not in NAMES:
            return None
        name, inside = call.groups()
    return replace(NAMES[name], **dict(_pair(part) for part in inside.split(",") if part.strip()))


def as_grid(spec: object, argument: str = "format") -> Format | BlockFormat:
    """The format, with blocks or without, that ``spec`` is or names; errors as of `as_format`, with all names."""
    found = find(spec)
    if found is None and isinstance(spec, str) and "(" not in spec and not is_format(spec):
        names = dict.fromkeys(fmt.name for fmt in list(FORMATS.values()))
        raise unknown(argument, spec.strip(), [*names, *NAMES], list(FORMATS))
    return as_format(spec, argument) if found is None else found


def _pair(part: str) -> tuple[str, Any]:
    key, _, value = (word.strip() for word in part.partition("="))
    if key not in _READ:
        raise unknown("format", key, list(_READ))
    if _READ[key] is int and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError(f"{key}: {shortened(value)} is not allowed; allowed: a whole number")
    return key, None if value == "none" else _READ[key](value)
