"""Comparisons, the total order of encodings, the smaller and the larger number (IEEE 754-2019 5.10, 5.11, 9.6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import as_format
from halfsim.numerics.ieee.unpacked import Array, Number, Pair, Unit, arithmetic, blocked, operate, unit, unpack
from halfsim.numerics.layout import codes, layout

_INVALID = np.uint8(Flag.INVALID)


def _compare(
    where: str,
    test: Callable[[Array, Array], Array],
    signaling: bool,
    a: object,
    b: object,
    format: object,
    total: bool = False,
) -> Pair:
    """Numbers compare as the integers that their magnitudes are, with their signs; NaN compares only in ``total``."""
    lay = layout(as_format(format))
    first = int(not lay.zeros)  # where magnitude 0 is a number and its negative another one

    def kernel(*parts: Array) -> Pair:
        x, y = (unpack(part, lay) for part in parts)
        if total:
            return test(x.magnitude ^ -x.sign, y.magnitude ^ -y.sign), np.zeros(x.code.shape, np.uint8)
        unordered = x.nan | y.nan
        invalid = unordered if signaling else x.signaling | y.signaling
        holds = test((x.magnitude + first) * (1 - 2 * x.sign), (y.magnitude + first) * (1 - 2 * y.sign))
        return holds & ~unordered, invalid * _INVALID

    return blocked(where, kernel, [codes(a, lay.format, "a"), codes(b, lay.format, "b")], np.bool_, "a, b")


def eq(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a == b`` as bools; +0 equals -0, NaN equals nothing and only a signaling one raises invalid (5.11).

    >>> [x.tolist() for x in eq([0x0000, 0x7E00], [0x8000, 0x7E00])]
    [[True, False], [0, 0]]
    """
    return _compare("eq", np.equal, False, a, b, format)


def eq_signaling(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a == b`` as bools; any NaN raises invalid (5.11).

    >>> eq_signaling([0x8000, 0x7E00], [0x0000, 0x7E00])[1].tolist()
    [0, 16]
    """
    return _compare("eq_signaling", np.equal, True, a, b, format)


def lt(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a < b`` as bools; with NaN it is false, and any NaN raises invalid (5.11).

    >>> [x.tolist() for x in lt([0x3C00, 0x7E00], 0x4000)]
    [[True, False], [0, 16]]
    """
    return _compare("lt", np.less, True, a, b, format)


def lt_quiet(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a < b`` as bools; with NaN it is false, and only a signaling one raises invalid (5.11).

    >>> [x.tolist() for x in lt_quiet([0x3C00, 0x7E00], 0x4000)]
    [[True, False], [0, 0]]
    """
    return _compare("lt_quiet", np.less, False, a, b, format)


def le(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a <= b`` as bools; with NaN it is false, and any NaN raises invalid (5.11).

    >>> [x.tolist() for x in le([0x4000, 0x7E00], 0x4000)]
    [[True, False], [0, 16]]
    """
    return _compare("le", np.less_equal, True, a, b, format)


def le_quiet(a: object, b: object, *, format: object = "float16") -> Pair:
    """``a <= b`` as bools; with NaN it is false, and only a signaling one raises invalid (5.11).

    >>> [x.tolist() for x in le_quiet([0x4000, 0x7E00], 0x4000)]
    [[True, False], [0, 0]]
    """
    return _compare("le_quiet", np.less_equal, False, a, b, format)


def total_order(a: object, b: object, *, format: object = "float16") -> Pair:
    """Whether a comes before b or is b in the total order of all encodings, as bools; raises nothing (5.10).

    From -NaN (quiet, then signaling, larger payloads first) over -inf, -0, +0, +inf to signaling, then quiet NaN.

    >>> total_order([0x8000, 0x0000, 0xFE00], [0x0000, 0x8000, 0xFC00])[0].tolist()
    [True, False, True]
    """
    return _compare("total_order", np.less_equal, False, a, b, format, total=True)


def _extremum(where: str, largest: bool, number: bool, a: object, b: object, format: object) -> Pair:
    def kernel(to: Unit, x: Number, y: Number) -> Pair:
        u, v = x.magnitude ^ -x.sign, y.magnitude ^ -y.sign  # -0 below +0
        first = (u >= v) if largest else (u <= v)
        return np.where(first, x.code, y.code), np.zeros(u.shape, np.uint8)

    def ignoring(to: Unit, x: Number, y: Number) -> Pair:
        code, flags = arithmetic(kernel, to, [x, y])
        np.copyto(code, y.code, where=x.nan & ~y.nan)
        np.copyto(code, x.code, where=y.nan & ~x.nan)
        return code, flags

    to = unit(format)
    if not number:
        return operate(where, kernel, to, a, b)
    lay = to.layout
    given = [codes(a, lay.format, "a"), codes(b, lay.format, "b")]
    return blocked(where, lambda x, y: ignoring(to, unpack(x, lay), unpack(y, lay)), given, lay.word, "a, b")


def minimum(a: object, b: object, *, format: object = "float16") -> Pair:
    """The smaller of a and b, -0 below +0; NaN where an operand is NaN (9.6).

    >>> hex(minimum(0x0000, 0x8000)[0]), hex(minimum(0x3C00, 0x7E00)[0])
    ('0x8000', '0x7e00')
    """
    return _extremum("minimum", False, False, a, b, format)


def maximum(a: object, b: object, *, format: object = "float16") -> Pair:
    """The larger of a and b, +0 above -0; NaN where an operand is NaN (9.6).

    >>> [hex(x) for x in maximum([0x8000, 0x3C00], [0x0000, 0x7E01])[0]]
    ['0x0', '0x7e01']
    """
    return _extremum("maximum", True, False, a, b, format)


def minimum_number(a: object, b: object, *, format: object = "float16") -> Pair:
    """The smaller of a and b; a NaN beside a number is ignored, though a signaling one raises invalid (9.6).

    >>> [int(x) for x in minimum_number(0x3C00, 0x7D00)]
    [15360, 16]
    """
    return _extremum("minimum_number", False, True, a, b, format)


def maximum_number(a: object, b: object, *, format: object = "float16") -> Pair:
    """The larger of a and b; a NaN beside a number is ignored, though a signaling one raises invalid (9.6).

    >>> [int(x) for x in maximum_number(0x3C00, 0x7E00)]
    [15360, 0]
    """
    return _extremum("maximum_number", True, True, a, b, format)
