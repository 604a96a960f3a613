"""What kind of number a number is, the numbers next to it, and how far apart they are."""

from __future__ import annotations

import numpy as np

from halfsim.numerics import ieee
from halfsim.numerics.codec import encode
from halfsim.numerics.flags import unwatched
from halfsim.numerics.formats import Format, as_format
from halfsim.numerics.inputs import as_floats, widen
from halfsim.numerics.quantize import Array, round_to


def classify(x: object, format: object = "float16") -> Array:
    """The class of ``x``, rounded to ``format``: one of the ten strings of `halfsim.ieee.CLASSES`.

    ``x`` is an array-like of any shape, the result an array of strings of that shape. ``ValueError`` for an unknown
    format. IEEE 754-2019 clause 5.7.2.

    >>> classify([1.0, 1e-7, -0.0, 1e9]).tolist()
    ['positive_normal', 'positive_subnormal', 'negative_zero', 'positive_infinity']
    """
    fmt = as_format(format)
    values = widen(np.asarray(as_floats(x, fmt)))
    classes = ieee.classify(encode(x, fmt), format=fmt)[0]
    signaling = np.isnan(values) & (values.view(np.uint64) & np.uint64(1 << 51) == 0)  # which encode has quieted
    return np.asarray(np.where(signaling, "signaling_nan", classes))


def ulp(x: object, format: object = "float16") -> Array:
    """The unit in the last place of ``x`` in ``format``: the weight of the last significand bit at its exponent.

    ``x`` is an array-like of any shape, on the grid or off it; the result is a float64 array of that shape,
    2**(max(floor(log2 |x|), emin) - precision + 1). Both zeros and subnormals have the smallest subnormal (in a format
    without them, what is below the normal numbers has the smallest of these where zero is below it), infinities
    infinity, NaN NaN. ``ValueError`` for an unknown format. The definition is Goldberg's, as in ``math.ulp``.

    >>> ulp([1.0, 2047.0, 2048.0, 0.0]).tolist()
    [0.0009765625, 1.0, 2.0, 5.960464477539063e-08]
    """
    fmt = as_format(format)
    values = _values(x, fmt)
    with np.errstate(all="ignore"):
        exponent = np.where(values == 0, -2000, np.frexp(values)[1] - 1)
        unit = np.ldexp(1.0, np.maximum(exponent, fmt.emin) - fmt.nmant)
        if fmt.zero_field == "zero":
            unit = np.where(exponent < fmt.emin, fmt.smallest_normal, unit)
        return np.asarray(np.where(np.isfinite(values), unit, np.abs(values)))


def next_up(x: object, format: object = "float16") -> Array:
    """The least number of ``format`` that is greater than ``x``.

    ``x`` is an array-like of any shape, on the grid or off it; the result is a float64 array of that shape. Both
    zeros go to the smallest subnormal, its negative to -0, the largest number to infinity (NaN in a format without
    infinities, itself in one without NaN either), infinity and NaN to themselves. Without a sign every negative number
    goes to the smallest one. ``ValueError`` for an unknown format. IEEE
    754-2019 clause 5.3.1, nextUp.

    >>> next_up([1.0, 0.0, 65504.0, 0.1]).tolist()
    [1.0009765625, 5.960464477539063e-08, inf, 0.10003662109375]
    """
    fmt = as_format(format)
    return _next(_values(x, fmt), fmt, np.inf)


def next_down(x: object, format: object = "float16") -> Array:
    """The greatest number of ``format`` that is less than ``x``: ``-next_up(-x)``.

    Without a sign nothing is below the smallest number, and it goes to NaN, for want of that to itself.

    >>> next_down([1.0, 0.0]).tolist()
    [0.99951171875, -5.960464477539063e-08]
    """
    fmt = as_format(format)
    return _next(_values(x, fmt), fmt, -np.inf)


def spacing(x: object, format: object = "float16") -> Array:
    """The distance from ``x``, rounded to ``format``, to the next number away from zero, with the sign of ``x``.

    ``x`` is an array-like of any shape, the result a float64 array of that shape. Both zeros give the smallest
    subnormal, the largest number infinity (what `next_up` of it says in a format without infinities: NaN, or no
    distance), infinities and NaN give NaN: ``numpy.spacing`` of float32 (of negative float16 NumPy gives the distance
    towards infinity, without the sign). The ulp of the largest number is finite, see `ulp`.

    >>> spacing([1.0, -1.0, 0.0, 65504.0]).tolist()
    [0.0009765625, -0.0009765625, 5.960464477539063e-08, inf]
    """
    fmt = as_format(format)
    values = np.asarray(round_to(_values(x, fmt), fmt))
    with np.errstate(all="ignore"):
        unit = _next(np.abs(values), fmt, np.inf) - np.abs(values)
        return np.asarray(np.where(values == 0, unit, np.copysign(unit, values)))


def _values(x: object, fmt: Format) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(as_floats(x, fmt).astype(np.float64))


def _next(values: Array, fmt: Format, end: float) -> Array:
    """The number of ``fmt`` next to float64 ``values`` towards ``end``, an infinity.

    That is the next float64 rounded on in that direction, since no number of the format lies between the two.
    """
    mode = "upward" if end > 0 else "downward"
    with np.errstate(all="ignore"), unwatched():
        start = np.nextafter(values, end)
        if not fmt.signed and end > 0:
            start = np.maximum(start, fmt.min)
        found: Array = np.asarray(round_to(start, fmt, mode))
        if fmt.zero_field == "normal":  # beside its smallest number a format without zero has that of the other sign
            other = np.copysign(fmt.smallest_normal, end)
            found = np.where((np.abs(start) < fmt.smallest_normal) & fmt.signed, other, found)
        if not fmt.signed and end < 0:
            found = np.where(start < fmt.min, np.nan if fmt.has_nan else fmt.min, found)
        return np.asarray(np.where(np.isnan(values) | (values == end), values, found))
