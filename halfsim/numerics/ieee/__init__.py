"""IEEE 754-2019 operations on bit patterns, vectorised, with the five exception flags of every element.

Operands are array-likes of unsigned integers below 2**format.bits, of any shapes that broadcast. Every function returns
a pair of arrays of the broadcast shape: results (encodings in the smallest unsigned dtype that holds them, unless it
says otherwise) and a uint8 mask of `Flag`. Keywords: ``format``; ``rounding``, one of the six deterministic modes;
``tininess``, "after" or "before" rounding, for the underflow flag, which also needs the result to be inexact.

Unless a function says otherwise, a NaN operand gives that NaN, quieted (the first one where there are several), and a
signaling NaN raises invalid; an invalid operation on numbers gives the default NaN, quiet, positive and without payload
(0x7e00 in float16). Infinities are exact, subnormals are numbers like all others, and zeros keep the signs that clause
6.3 gives them. A format without infinities overflows to its NaN, or without NaN to its largest number, and then raises
invalid; with one digit of precision infinity stands for NaN. A result that a format has nothing near for, below zero
without a sign or a zero where there is none, is invalid; where there is one zero, it is positive. ``ValueError`` for
codes outside the format, unknown words and shapes that do not broadcast, ``TypeError`` for codes that are not integers.
What is raised here is counted by `flags` and ruled by `errstate`. Clause numbers below are those of IEEE 754-2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.names import public as _public
from halfsim.numerics.formats import as_format, unknown
from halfsim.numerics.ieee import kernels
from halfsim.numerics.ieee.comparison import (
    eq,
    eq_signaling,
    le,
    le_quiet,
    lt,
    lt_quiet,
    maximum,
    maximum_number,
    minimum,
    minimum_number,
    total_order,
)
from halfsim.numerics.ieee.unpacked import (
    Array,
    Number,
    Pair,
    Unit,
    arithmetic,
    blocked,
    operate,
    unit,
    unpack,
)
from halfsim.numerics.inputs import array_of
from halfsim.numerics.layout import codes, layout
from halfsim.options import guarded_names as _guarded_names

__all__ = [
    "add",
    "classify",
    "convert",
    "copy_sign",
    "div",
    "eq",
    "eq_signaling",
    "fma",
    "from_int",
    "le",
    "le_quiet",
    "logb",
    "lt",
    "lt_quiet",
    "maximum",
    "maximum_number",
    "minimum",
    "minimum_number",
    "mul",
    "next_down",
    "next_up",
    "rem",
    "round_to_integral",
    "scaleb",
    "sqrt",
    "sub",
    "to_int",
    "total_order",
]


CLASSES = np.array(
    [
        "signaling_nan",
        "quiet_nan",
        "negative_infinity",
        "negative_normal",
        "negative_subnormal",
        "negative_zero",
        "positive_zero",
        "positive_subnormal",
        "positive_normal",
        "positive_infinity",
    ]
)


def add(
    a: object, b: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """``a + b``, rounded once; the sum of opposite infinities is invalid, an exact zero is +0, or -0 downward (5.4.1).

    >>> [hex(x) for x in add(0x3C00, [0x1000, 0x1001, 0xBC00])[0]], add(0x3C00, [0x1000, 0x1001, 0xBC00])[1].tolist()
    (['0x3c00', '0x3c01', '0x0'], [1, 1, 0])
    """
    return operate("add", kernels.add, unit(format, rounding, tininess), a, b)


def sub(
    a: object, b: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """``a - b``, rounded once: `add` of a and b with its sign turned, though a NaN keeps its own sign (5.4.1).

    >>> hex(sub(0x3C00, 0x3C00, rounding="downward")[0])
    '0x8000'
    """
    return operate("sub", kernels.sub, unit(format, rounding, tininess), a, b)


def mul(
    a: object, b: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """``a * b``, rounded once; zero times infinity is invalid (5.4.1).

    >>> [int(x) for x in mul(0x7BFF, 0x4000)]  # 65504 * 2: infinity; overflow and inexact
    [31744, 5]
    """
    return operate("mul", kernels.mul, unit(format, rounding, tininess), a, b)


def div(
    a: object, b: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """``a / b``, rounded once; 0/0 and inf/inf are invalid, other finite numbers over 0 raise divide-by-zero (5.4.1).

    >>> div([0x3C00, 0x0000], 0x8000)[1].tolist()
    [8, 16]
    """
    return operate("div", kernels.div, unit(format, rounding, tininess), a, b)


def rem(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a - b * n`` for the integer n nearest to a / b, ties to even; exact, zeros have the sign of a (5.3.1).

    inf rem b and a rem 0 are invalid, a rem inf is a.

    >>> hex(rem(0x4500, 0x4000)[0])  # 5 rem 2 = 1
    '0x3c00'
    """
    return operate("rem", kernels.rem, unit(format), a, b)


def sqrt(a: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after") -> Pair:
    """The square root, rounded once; below zero it is invalid, of -0 it is -0 (5.4.1).

    >>> [hex(x) for x in sqrt([0x4000, 0x8000, 0xBC00])[0]]
    ['0x3da8', '0x8000', '0x7e00']
    """
    return operate("sqrt", kernels.sqrt, unit(format, rounding, tininess), a)


def fma(
    a: object,
    b: object,
    c: object,
    *,
    format: object = "float16",
    rounding: object = "nearest_even",
    tininess: str = "after",
) -> Pair:
    """``a * b + c``, rounded once; zero times infinity raises invalid even where c is a quiet NaN (5.4.1, 7.2).

    Formats of precision above 28 compute in Python's integers, some microseconds an element.

    >>> hex(fma(0x3C01, 0x3C01, 0xBC02)[0])  # (1 + 2**-10)**2 - (1 + 2**-9) = 2**-20
    '0x10'
    """
    return operate("fma", kernels.fma, unit(format, rounding, tininess), a, b, c)


def round_to_integral(
    a: object, *, format: object = "float16", rounding: object = "nearest_even", exact: bool = True
) -> Pair:
    """``a`` rounded to an integer, in the same format; ``exact`` says whether that raises inexact (5.3.1, 5.9).

    Infinities stay, and results of zero keep the sign of a.

    >>> [hex(x) for x in round_to_integral([0x4100, 0xB400])[0]]  # 2.5, -0.25
    ['0x4000', '0x8000']
    """

    def kernel(to: Unit, x: Number) -> Pair:
        return kernels.round_to_integral(to, x, exact)

    return operate("round_to_integral", kernel, unit(format, rounding), a)


def convert(
    bits: object,
    source: object,
    target: object,
    *,
    rounding: object = "nearest_even",
    tininess: str = "after",
    overflow: str = "infinity",
) -> Pair:
    """``bits`` of the format ``source`` as bits of ``target``, rounded once (5.4.2).

    NaN keeps its sign and as many leading bits of its payload as there is room for. An infinity that ``target`` lacks
    raises invalid, as does a NaN; they give its NaN or its largest number, and zero. ``overflow`` is that of
    `halfsim.round_to`: with "saturate" numbers past the largest one become that, with "saturate_inf" infinities too,
    with "saturate_nan" NaN becomes zero besides, and invalid.

    >>> [hex(x) for x in convert([0x3DCCCCCD, 0x7FC02000], "float32", "float16")[0]]
    ['0x2e66', '0x7e01']
    """
    given, to = layout(as_format(source, "source")), unit(as_format(target, "target"), rounding, tininess, overflow)
    operand = codes(bits, given.format, "bits")
    return blocked("convert", lambda x: kernels.convert(to, unpack(x, given)), [operand], to.layout.word, "bits")


def to_int(
    bits: object,
    dtype: object = "int32",
    *,
    format: object = "float16",
    rounding: object = "nearest_even",
    exact: bool = True,
) -> Pair:
    """Numbers as integers of ``dtype``, rounded once; ``exact`` says whether that raises inexact (5.4.1, 5.8).

    The result has that dtype, one of int8 ... int64, uint8 ... uint64. What is out of its range after rounding
    raises invalid and gives the nearest integer there is, infinities likewise; NaN raises invalid and gives 0
    (clause 5.8 leaves these values open).

    >>> [x.tolist() for x in to_int([0x4100, 0xBC00, 0x7C00, 0x7E00], "uint8")]
    [[2, 0, 255, 0], [1, 16, 16, 16]]
    """
    integer = _integer(dtype)
    bounds, to = np.iinfo(integer), unit(format, rounding)
    low, high = int(bounds.min), int(bounds.max)

    def kernel(x: Array) -> Pair:
        return kernels.to_int(to, unpack(x, to.layout), low, high, exact)

    return blocked("to_int", kernel, [codes(bits, to.format, "bits")], integer, "bits")


def _integer(dtype: object) -> np.dtype[Any]:
    allowed = [f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)]
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        raise unknown("dtype", dtype, allowed) from None
    if found.name not in allowed:
        raise unknown("dtype", found.name, allowed)
    return found.newbyteorder("=")


def _integers(n: object, argument: str) -> Array:
    given = array_of(n, argument)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{argument}: dtype {given.dtype} is not allowed; allowed: integers of at most 64 bits")
    return given


def from_int(
    n: object, format: object = "float16", *, rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """Integers of any NumPy integer dtype as numbers of ``format``, rounded once; 0 is +0 (5.4.1).

    >>> [x.tolist() for x in from_int([2049, -70000])]
    [[26624, 64512], [1, 5]]
    """
    to = unit(format, rounding, tininess)
    return blocked("from_int", lambda x: kernels.from_int(to, x), [_integers(n, "n")], to.layout.word, "n")


def scaleb(
    a: object, n: object, *, format: object = "float16", rounding: object = "nearest_even", tininess: str = "after"
) -> Pair:
    """``a * 2**n`` for integers n, rounded once; infinities and zeros stay (5.3.3).

    >>> [hex(x) for x in scaleb(0x3C01, [1, -24, 99])[0]]
    ['0x4001', '0x1', '0x7c00']
    """
    to = unit(format, rounding, tininess)

    def block(x: Array, by: Array) -> Pair:
        return arithmetic(lambda to, number: kernels.scaleb(to, number, by), to, [unpack(x, to.layout)])

    return blocked("scaleb", block, [codes(a, to.format, "a"), _integers(n, "n")], to.layout.word, "a, n")


def logb(a: object, *, format: object = "float16", rounding: object = "nearest_even") -> Pair:
    """The exponent of a, floor(log2 |a|), as a number of the format (5.3.3).

    Subnormals count as if normalised; of an infinity it is +inf; zero gives -inf and raises divide-by-zero.

    >>> [hex(x) for x in logb([0x4500, 0x0001, 0x0000])[0]]  # 5, 2**-24, 0
    ['0x4000', '0xce00', '0xfc00']
    """
    return operate("logb", kernels.logb, unit(format, rounding), a)


def _neighbour(where: str, a: object, format: object, down: int) -> Pair:
    def kernel(to: Unit, x: Number) -> Pair:
        lay, flags = to.layout, np.zeros(x.sign.shape, np.uint8)
        sign = np.where(x.zero, down, x.sign)
        away = sign == down
        magnitude = x.magnitude + np.where(away, 1, -1)
        np.copyto(magnitude, lay.beyond, where=away & (x.magnitude == lay.largest))
        np.copyto(magnitude, x.magnitude, where=away & x.infinite)
        np.copyto(magnitude, lay.least, where=x.zero)
        least = ~away & (x.magnitude == lay.least)  # beside which there is zero, or the least of the other sign
        np.copyto(magnitude, 0 if lay.zeros else lay.least, where=least)
        code = lay.code(magnitude, np.where(least, down, sign) if not lay.zeros else sign)
        if not to.format.signed:
            np.copyto(code, lay.nan, where=(x.zero | (least & (not lay.zeros))) & bool(down))
        return code, flags

    return operate(where, kernel, unit(format), a)


def next_up(a: object, *, format: object = "float16") -> Pair:
    """The least number above a; of -0 and +0 the smallest subnormal, of +inf +inf; raises nothing on numbers (5.3.1).

    Above the largest number of a format without infinities is NaN, for want of that the number itself.

    >>> [hex(x) for x in next_up([0x3C00, 0x8000, 0x8001, 0x7BFF, 0xFC00])[0]]
    ['0x3c01', '0x1', '0x8000', '0x7c00', '0xfbff']
    """
    return _neighbour("next_up", a, format, 0)


def next_down(a: object, *, format: object = "float16") -> Pair:
    """The greatest number below a, -next_up(-a) (5.3.1).

    >>> [hex(x) for x in next_down([0x0000, 0x3C00, 0xFBFF])[0]]
    ['0x8001', '0x3bff', '0xfc00']
    """
    return _neighbour("next_down", a, format, 1)


def classify(a: object, *, format: object = "float16") -> Pair:
    """The class of each encoding, one of the ten strings of `CLASSES`; raises nothing (5.7.2).

    >>> classify([0x0001, 0xFC00, 0x7D00])[0].tolist()
    ['positive_subnormal', 'negative_infinity', 'signaling_nan']
    """
    lay = layout(as_format(format))

    def kernel(part: Array) -> Pair:
        x = unpack(part, lay)
        rank = np.select([x.zero, x.magnitude < lay.normal, x.infinite], [0, 1, 3], 2)
        index = np.where(x.nan, ~x.signaling, np.where(x.sign == 1, 5 - rank, 6 + rank))
        return index, np.zeros(index.shape, np.uint8)

    index, flags = blocked("classify", kernel, [codes(a, lay.format, "a")], np.intp, "a")
    return np.asarray(CLASSES[index]), flags


def copy_sign(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a`` with the sign of b, NaN or not; moves bits and raises nothing (5.5.1).

    >>> hex(copy_sign(0x7D00, 0x8000)[0])
    '0xfd00'
    """
    lay = layout(as_format(format))

    def kernel(*parts: Array) -> Pair:
        x, y = (unpack(part, lay) for part in parts)
        return lay.code(x.magnitude, y.sign), np.zeros(x.code.shape, np.uint8)

    return blocked("copy_sign", kernel, [codes(a, lay.format, "a"), codes(b, lay.format, "b")], lay.word, "a, b")


_guarded_names(globals(), __all__)
_public(__name__)
