"""What rounding needs to know of a target before it sees a number: words, masks and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics._modes import INTEGER
from halfsim.numerics.formats import Format, float32, float64, unknown
from halfsim.numerics.layout import layout
from halfsim.numerics.rounding import AWAY, OVERFLOWS, SUBNORMALS, Rounding, goes_away

Array = NDArray[Any]

BLOCK = 32768  # elements: 128 KiB of float32, where the passes of rounding stay in the second-level cache

CONTAINERS: dict[np.dtype[Any], Format] = {np.dtype(np.float32): float32, np.dtype(np.float64): float64}


@lru_cache(maxsize=256)
def container(fmt: Format) -> np.dtype[Any]:
    """The dtype that carries values of ``fmt`` so that + - * / sqrt may be rounded twice without harm.

    float32 carries formats of precision p <= 11, since 24 >= 2p + 2 (Figueroa 1995), whose numbers are multiples of
    2**-72 up to 2**65, as with 7 exponent bits: no product leaves its normal range where that would matter. float64
    carries the rest.

    >>> from halfsim.numerics.formats import bfloat16, float16
    >>> container(float16), container(bfloat16)
    (dtype('float32'), dtype('float64'))
    """
    narrow = fmt.precision <= 11 and fmt.emax <= 64 and fmt.emin - fmt.nmant >= -72
    return np.dtype(np.float32 if narrow or fmt == float32 else np.float64)


@lru_cache(maxsize=256)
def holder(fmt: Format) -> np.dtype[Any]:
    """The dtype in which tensors of ``fmt`` lie in memory: float32 where that has all its numbers, else float64.

    That is narrower than `container` where only arithmetic needs more: bfloat16 is computed with in float32 by
    kernels, and in float64 where every step rounds to it, but its values are float32's.

    >>> from halfsim.numerics.formats import bfloat16, float64
    >>> holder(bfloat16), holder(float64)
    (dtype('float32'), dtype('float64'))
    """
    return np.dtype(np.float32 if float32.contains(fmt) else np.float64)


def computable(fmt: Format, argument: str) -> Format:
    """``fmt``, or ``ValueError`` where no container rounds its arithmetic innocuously (53 >= 2p + 2 fails)."""
    if fmt in (float32, float64) or (fmt.precision <= 25 and fmt.emax <= 512 and fmt.emin - fmt.nmant >= -534):
        return fmt
    raise ValueError(
        f"{argument}: {fmt} is too wide to compute in; allowed: precision <= 25 and exponent_bits <= 10 (of usual bias)"
    )


def held(fmt: Format, outer: Format) -> bool:
    """Whether an array of the format ``outer`` can be rounded to ``fmt`` as it is, without a wider container.

    So it is if the subnormal numbers of ``fmt`` begin where those of ``outer`` do, for then the bits are rounded; or if
    ``fmt`` lies within the normal range of ``outer``, and so do the powers of two that scale a number to an integer and
    back.
    """
    if fmt.precision > outer.precision or fmt.emax > outer.emax:
        return False
    if outer is float64 or (fmt.emin == outer.emin and fmt.zero_field == "subnormals"):
        return True
    return fmt.emin - fmt.nmant >= outer.emin and fmt.emax < outer.emax


@dataclass(frozen=True, eq=False)  # one object a combination, so that looking it up is cheap
class Target:
    """A grid and how to reach it: format, rounding, what overflow becomes, which subnormals are flushed."""

    format: Format
    rounding: Rounding
    overflow: str
    flush_inputs: bool
    flush_outputs: bool


@lru_cache(maxsize=256)
def target(
    fmt: Format, rounding: Rounding = Rounding.NEAREST_EVEN, overflow: str = "infinity", subnormals: str = "keep"
) -> Target:
    """The Target of these words; ``ValueError`` for words other than those of `round_to`."""
    if overflow not in OVERFLOWS:
        raise unknown("overflow", overflow, OVERFLOWS)
    if subnormals not in SUBNORMALS:
        raise unknown("subnormals", subnormals, SUBNORMALS)
    flush = subnormals.removeprefix("flush") if fmt.zero_field != "normal" else "none"  # without a zero there is none
    inputs, outputs = flush in ("", "_inputs"), flush in ("", "_outputs")
    return Target(fmt, rounding, overflow, inputs, outputs)


@dataclass(frozen=True)
class Grid:
    """The integer and float constants with which ``target`` is reached inside one container dtype."""

    target: Target
    dtype: np.dtype[Any]
    integer: np.dtype[Any]
    same_range: bool  # the target's subnormal numbers begin where the container's do
    plain: bool  # every finite number has a code: both signs, both zeros
    exponent: Any  # mask of the exponent field
    lowest: Any  # exponent field of emin; smaller ones are clamped to it
    top: Any  # exponent field of the largest binade, from which rounding may carry out of the range
    beyond: Any  # exponent field of 2**(emax + 1); larger ones are clamped to it
    ulp: Any  # field(e) - ulp is the field of 2**(e - p + 1)
    alone: Any  # without subnormal numbers: the exponent field that makes the smallest normal number the ulp of less
    floor: Any  # the magnitude that stands for smaller ones, where scaling would lose them; else None
    single: int  # mask of an exponent where the target has one digit of precision, else 0
    drop: int  # number of trailing significand bits the target lacks
    make_integer: Callable[[Array, Array], None]  # of scaled numbers, if nothing is drawn
    kept: int  # mask of all others
    increment: tuple[int, int, int]  # added to a magnitude before that cut; what an odd one and a negative one get more
    max: Any  # largest finite number of the target
    normal: Any  # smallest normal number of the target
    tiny: tuple[Any, Any]  # positive and negative magnitudes below these are tiny after rounding


@lru_cache(maxsize=256)
def grid_of(target: Target, dtype: np.dtype[Any]) -> Grid:
    fmt, outer = target.format, CONTAINERS[dtype]
    integer = np.dtype(np.int32 if dtype == np.float32 else np.int64)
    unsigned = np.dtype(f"u{integer.itemsize}")
    wrap, drop = (1 << outer.bits) - 1, max(outer.nmant - fmt.nmant, 0)

    def whole(value: int) -> Any:
        return np.array(value & wrap, unsigned).view(integer)[()]

    def field(exponent: int) -> int:
        return (exponent + outer.bias) << outer.nmant

    return Grid(
        target=target,
        dtype=dtype,
        integer=integer,
        same_range=fmt.emin == outer.emin,
        plain=layout(fmt).plain,
        exponent=whole(((1 << outer.nexp) - 1) << outer.nmant),
        lowest=whole(field(fmt.emin)),
        top=whole(field(min(fmt.emax, outer.emax))),
        beyond=whole(field(min(fmt.emax + 1, outer.emax - (fmt.precision == 1)))),
        ulp=whole(fmt.nmant << outer.nmant),
        alone=None if fmt.zero_field == "subnormals" else whole(field(fmt.emin + fmt.nmant)),
        floor=dtype.type(2.0 ** (fmt.lowest - 60)) if fmt.lowest >= 0 else None,
        single=(1 << outer.nexp) - 1 if fmt.precision == 1 else 0,
        drop=drop,
        make_integer=INTEGER.get(target.rounding, INTEGER[Rounding.NEAREST_EVEN]),
        kept=~((1 << drop) - 1),
        increment=_increment(target.rounding, drop),
        max=dtype.type(min(fmt.max, outer.max)),
        normal=dtype.type(fmt.smallest_normal),
        tiny=_tininess(target, dtype),
    )


def _increment(mode: Rounding, drop: int) -> tuple[int, int, int]:
    """What to add to a magnitude so that cutting off its last ``drop`` bits rounds it; see `Grid`."""
    if mode not in AWAY or not drop:
        return 0, 0, 0
    amounts = {"any": (1 << drop) - 1, "half": 1 << (drop - 1), "more": (1 << (drop - 1)) - 1, "none": 0}
    even, odd, negative, both = (amounts[goes_away(mode, sign, bit)] for sign, bit in ((0, 0), (0, 1), (1, 0), (1, 1)))
    assert both == odd + negative - even
    return even, odd - even, negative - even


def _tininess(target: Target, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The magnitudes below which a positive and a negative number, rounded with unbounded exponent, stay tiny.

    The number below the smallest normal one is odd. That is the smallest normal number if the mode rounds what is
    between them toward zero, half an ulp (of the binade below) less if to nearest, and the next number after a whole
    ulp less if away from zero. Stochastic rounding is judged before it.
    """
    fmt = target.format
    smallest = dtype.type(fmt.smallest_normal)
    ulp = 2.0**-fmt.precision  # of the binade below, relative to the smallest normal number
    half = dtype.type(fmt.smallest_normal * (1.0 - 0.5 * ulp))
    whole = dtype.type(fmt.smallest_normal * (1.0 - ulp))
    limits = {"any": np.nextafter(whole, smallest), "half": half, "more": np.nextafter(half, smallest)}
    if target.rounding not in AWAY:
        return smallest, smallest
    positive, negative = (limits.get(goes_away(target.rounding, sign, odd=1), smallest) for sign in (0, 1))
    return positive, negative
