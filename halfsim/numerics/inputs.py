"""Numbers of every kind as float arrays, such that a later rounding to a narrow format rounds once.

A value that float64 cannot hold is rounded *to odd* (truncated, with the last bit set if anything was lost).
Rounding that to a precision of at most 51 bits gives what rounding the value itself would have given
(Boldo and Melquiond 2008), so integers, Fraction, Decimal, str and longdouble need no path of their own.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.formats import NARROW, Format

_LARGEST = math.ldexp(1.0 - 2.0**-53, 1024)
_SMALLEST = math.ldexp(1.0, -1074)
_HEX = re.compile(r"([+-]?)0x([0-9a-f]+)\.?([0-9a-f]*)(?:p([+-]?\d+))?", re.IGNORECASE)
_FAR = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))e([+-]?)0*[1-9]\d{8,}", re.IGNORECASE)
_KINDS = "floats, integers, booleans, str, Decimal, Fraction"


def _fraction_to_float(value: Fraction, odd: bool) -> float:
    try:
        nearest = float(value)
    except OverflowError:
        return math.copysign(_LARGEST if odd else math.inf, 1 if value > 0 else -1)
    if not odd or np.float64(nearest).view(np.int64) & 1 or Fraction(nearest) == value:
        return nearest
    return math.nextafter(nearest, math.inf if value > nearest else -math.inf)


def _decimal_to_float(value: Decimal, odd: bool) -> float:
    if value.is_nan():
        return -math.nan if value.is_signed() else math.nan
    if value.is_infinite() or value.is_zero():
        return float(value)
    if abs(value.adjusted()) > 400:  # far outside float64: do not build integers of a million digits
        nearest, to_odd = (math.inf, _LARGEST) if value.adjusted() > 0 else (0.0, _SMALLEST)
        return math.copysign(to_odd if odd else nearest, -1 if value.is_signed() else 1)
    return _fraction_to_float(Fraction(value), odd)


def _hex_to_float(match: re.Match[str], odd: bool) -> float:
    sign, whole, fraction, exponent = match.groups(default="")
    power = max(-2000, min(2000, int(exponent or 0))) - 4 * len(fraction)
    value = Fraction(int(whole + fraction or "0", 16)) * Fraction(2) ** power
    magnitude = _fraction_to_float(value, odd)
    return -magnitude if sign == "-" else magnitude


def _exact(value: Any, odd: bool) -> float:
    if isinstance(value, (float, np.floating)) and np.dtype(type(value)).itemsize <= 8:
        return float(value)
    if isinstance(value, np.longdouble):
        return float(_longdouble(np.asarray(value), odd)[()])
    if isinstance(value, (int, Fraction, np.integer)):
        return _fraction_to_float(Fraction(int(value) if isinstance(value, np.integer) else value), odd)
    if isinstance(value, str):
        hexadecimal = _HEX.fullmatch(value.strip())
        if hexadecimal:
            return _hex_to_float(hexadecimal, odd)
        far = _FAR.fullmatch(value.strip())
        if far:  # an exponent that Decimal refuses
            huge = Decimal(f"{far[1]}e{far[2]}999999")
            value = huge if Decimal(far[1]) else Decimal(far[1])
        try:
            value = value if isinstance(value, Decimal) else Decimal(value.strip().replace("_", ""))
        except InvalidOperation:
            allowed = "decimal strings, hexadecimal ones as '0x1.8p-3', 'inf', 'nan'"
            raise ValueError(f"x: {value!r} is not a number; allowed: {allowed}") from None
    if isinstance(value, Decimal):
        return _decimal_to_float(value, odd)
    raise TypeError(f"x: {type(value).__name__} is not allowed; allowed: {_KINDS}")


def _longdouble(x: NDArray[Any], odd: bool) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        y = x.astype(np.float64)
        if not odd:
            return y
        y = np.where(np.isinf(y) & np.isfinite(x), np.copysign(_LARGEST, y), y)
        lost = (y.astype(np.longdouble) != x) & (y.view(np.int64) & 1 == 0) & ~np.isnan(x)
        return np.where(lost, np.nextafter(y, np.where(x > y, np.inf, -np.inf)), y)


def _mixed(array: NDArray[Any]) -> bool:
    """Whether NumPy may have rounded integers, or written floats as strings, to make one array of a list."""
    return array.dtype.kind == "U" or bool(array.dtype == np.float64 and (np.abs(array) >= 2.0**53).any())


def as_floats(x: object, fmt: Format) -> NDArray[Any]:
    """``x`` as an array of float16, float32 or float64 whose rounding to ``fmt`` is the rounding of ``x``.

    Float arrays come back as they are. ``TypeError`` for complex numbers, dates and objects that are not
    numbers, ``ValueError`` for strings that are not.

    >>> from halfsim.numerics.formats import float16
    >>> as_floats([1, 2], float16)
    array([1., 2.])
    """
    odd = fmt.precision <= 51
    try:
        array = np.asarray(x)
    except ValueError:
        raise ValueError("x: rows of unequal length are not allowed; allowed: an array-like of numbers") from None
    if isinstance(x, (list, tuple)) and _mixed(array):
        array = np.asarray(x, object)
    if array.dtype.name in NARROW:  # of ml_dtypes; float32 holds them all
        with np.errstate(all="ignore"):
            return array.astype(np.float32)
    if array.dtype.kind == "f":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return array if array.dtype.itemsize <= 8 else _longdouble(array, odd)
    if array.dtype.kind == "b":
        return array.astype(np.float64)
    if array.dtype.kind in "iu":
        exact = array.astype(np.float64)
        large = np.abs(exact) >= 2.0**53
        if odd and large.any():
            exact[large] = [_exact(value, odd) for value in array[large].tolist()]
        return exact
    if array.dtype.kind in "OU":
        values = [_exact(value, odd) for value in array.ravel().tolist()]
        return np.array(values, np.float64).reshape(array.shape)
    raise TypeError(f"x: dtype {array.dtype} is not allowed; allowed: {_KINDS}")
