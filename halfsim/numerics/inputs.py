"""Numbers of every kind as float arrays, such that a later rounding to a narrow format rounds once.

A value that float64 cannot hold is rounded *to odd* (truncated, with the last bit set if anything was lost).
Rounding that to a precision of at most 51 bits gives what rounding the value itself would have given
(Boldo and Melquiond 2008), so integers, Fraction, Decimal, str and longdouble need no path of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.formats import NARROW, Format, float64

_LARGEST = math.ldexp(1.0 - 2.0**-53, 1024)
_SMALLEST = math.ldexp(1.0, -1074)
_HEX = re.compile(r"([+-]?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?", re.IGNORECASE)
_DECIMAL = re.compile(r"([+-]?)(?=\.?\d)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?", re.IGNORECASE)
_DIGITS = (
    1200  # significant ones kept of a literal, and a last 1 for the rest: no number or midpoint of float64 has more
)
_FAR = 3000  # bits before or after the point: far outside of every format
_KINDS = "floats, integers, booleans, str, Decimal, Fraction"


def _fraction_to_float(value: Fraction, odd: bool) -> float:
    try:
        nearest = float(value)
    except OverflowError:
        return math.copysign(_LARGEST if odd else math.inf, 1 if value > 0 else -1)
    if not odd or np.float64(nearest).view(np.int64) & 1 or Fraction(nearest) == value:
        return nearest
    return math.nextafter(nearest, math.inf if value > nearest else -math.inf)


def _rational(value: Any) -> Fraction | float:
    """The number, exact or such that every rounding takes both alike; a float where it is one, NaN, infinite, zero."""
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic):  # a tensor or array among numbers
        value = value.item() if value.dtype != np.longdouble else value[()]
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, np.longdouble) and value.dtype.itemsize > 8:
        return Fraction(*value.as_integer_ratio()) if np.isfinite(value) and value != 0 else float(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (int, Fraction, np.integer)):
        return _ratio(Fraction(int(value) if isinstance(value, np.integer) else value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            return _special(value)
        return _scaled(value.is_signed(), str(value.copy_abs()))
    raise TypeError(f"x: {type(value).__name__} is not allowed; allowed: {_KINDS}")


def _ratio(value: Fraction) -> Fraction:
    """``value``, or where its parts are huge a number that no rounding tells from it."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) <= 2 * _FAR:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(exponent) > _FAR:
        near = Fraction(2) ** (_FAR if exponent > 0 else -_FAR)
    else:
        whole, rest = divmod(abs(value.numerator) << _FAR, value.denominator)
        near = Fraction(2 * whole + (rest > 0), 2 << _FAR)
    return -near if value < 0 else near


def _special(value: Decimal) -> float:
    if value.is_nan():
        return -math.nan if value.is_signed() else math.nan
    return float(value)


def _scaled(negative: bool, text: str) -> Fraction | float:
    """The number that ``text`` without a sign writes; of its digits those are read that a rounding can depend on."""
    match = _DECIMAL.fullmatch(text)
    assert match is not None
    _, whole, fraction, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return -0.0 if negative else 0.0
    power = _exponent(exponent) - len(fraction)
    if len(digits) > _DIGITS:
        power += len(digits) - _DIGITS - 1
        digits = digits[:_DIGITS] + ("1" if digits[_DIGITS:].strip("0") else "0")
    leading = power + len(digits)
    if abs(leading) > _DIGITS:
        magnitude = Fraction(2) ** (_FAR if leading > 0 else -_FAR)
    else:
        magnitude = int(digits) * Fraction(10) ** power
    return -magnitude if negative else magnitude


def _exponent(text: str) -> int:
    """The exponent that ``text`` writes, or one as far out: Python reads no more than 4300 digits."""
    digits = text.lstrip("+-").lstrip("0")
    size = int(digits or 0) if len(digits) <= 18 else 10**18
    return -size if text.startswith("-") else size


def _parsed(text: str) -> Fraction | float:
    plain = text.strip().replace("_", "")
    hexadecimal = _HEX.fullmatch(plain)
    if hexadecimal:
        sign, whole, fraction, exponent = hexadecimal.groups(default="")
        digits = (whole + fraction).lstrip("0")
        leading = 4 * len(digits) + (power := _exponent(exponent) - 4 * len(fraction))
        if not digits:
            return -0.0 if sign == "-" else 0.0
        magnitude = Fraction(2) ** max(-_FAR, min(_FAR, leading))
        if abs(leading) < _FAR:
            kept = digits[:_FAR] + ("1" if digits[_FAR:].strip("0") else "0")
            magnitude = int(kept, 16) * Fraction(2) ** (power + 4 * (len(digits) - len(kept)))
        return -magnitude if sign == "-" else magnitude
    if _DECIMAL.fullmatch(plain):
        return _scaled(plain.startswith("-"), plain.lstrip("+-"))
    try:
        special = Decimal(plain)
    except InvalidOperation:
        special = Decimal(0)
    if special.is_finite():
        allowed = "decimal strings, hexadecimal ones as '0x1.8p-3', 'inf', 'nan'"
        raise ValueError(f"x: {text[:60]!r} is not a number; allowed: {allowed}")
    return _special(special)


def _exact(value: Any, odd: bool) -> float:
    number = _rational(value)
    return number if isinstance(number, float) else _fraction_to_float(number, odd)


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


def unmasked(x: Any, name: str = "x") -> Any:
    """``x``, an argument called ``name``; ``TypeError`` for NumPy's masked arrays, alone or in lists."""
    if _masked(x):
        allowed = "x.filled(0), x.compressed()"
        raise TypeError(f"{name}: masked arrays are not allowed, for masks would be lost; allowed: {allowed}")
    return x


def _masked(x: Any) -> bool:
    left, seen = [x], set[int]()  # lists may hold themselves
    while left:
        item = left.pop()
        if isinstance(item, (list, tuple)):
            if id(item) not in seen:
                seen.add(id(item))
                left.extend(y for y in item if isinstance(y, (list, tuple, np.ndarray)))
        elif isinstance(item, np.ndarray) and isinstance(item, np.ma.MaskedArray):
            return True
    return False


_LIKE = (np.ndarray, np.generic, int, float, complex, str, list, tuple, Decimal, Fraction)
_DEEP = "setting an array element with a sequence. The requested array would exceed"  # 64 axes


def array_of(x: Any, name: str = "x") -> NDArray[Any]:
    """``x`` as NumPy makes an array of it, of whatever dtype; what holds no numbers by its type is refused.

    ``TypeError`` for masked arrays, bytes, sets, dicts, functions and objects that are no array-likes, ``ValueError``
    for rows of unequal length, and for lists in lists in lists without end.
    """
    unmasked(x, name)
    if not isinstance(x, _LIKE) and not _speaks(x):
        raise TypeError(f"{name}: {type(x).__name__} is not allowed; allowed: {_KINDS}, arrays, lists of them")
    try:
        return np.asarray(x)
    except (ValueError, RecursionError, MemoryError) as error:
        deep = isinstance(error, RecursionError) or str(error).startswith(_DEEP)
        what = "lists nested so deep" if deep else "rows of unequal length"
        raise ValueError(f"{name}: {what} are not allowed; allowed: an array-like of numbers") from None


def _speaks(x: object) -> bool:
    """Whether an object says itself that it is an array or a sequence of numbers."""
    if isinstance(x, (type, bytes, bytearray)):
        return False
    return isinstance(x, (Sequence, memoryview)) or any(
        hasattr(x, name) for name in ("__array__", "__array_interface__", "__array_struct__")
    )


def numbers_of(x: Any) -> NDArray[Any]:
    """``x`` as an array of floats, integers or bools, as NumPy has them; Decimals, Fractions and strings as float64.

    ``TypeError`` for complex numbers, dates and objects that are no numbers, and as `array_of` says.

    >>> numbers_of([1, 2]), numbers_of("0.1")
    (array([1, 2]), array(0.1))
    """
    array = array_of(x)
    plain = array.dtype.kind in "biuf" and array.dtype.itemsize <= 8
    return array if plain else as_floats(x, float64)


def _array(x: object) -> NDArray[Any]:
    array = array_of(x)
    return np.asarray(x, object) if isinstance(x, (list, tuple)) and _mixed(array) else array


def beyond_floats(x: object, fmt: Format) -> dict[int, Fraction]:
    """The elements of ``x``, by index in C order, whose rounding to ``fmt`` is not that of a float64.

    Only formats with more than 51 bits of precision or with float64's exponent range have any.
    """
    if fmt.precision <= 51 and fmt.exponent_bits < 11:
        return {}
    array = _array(x)
    if array.dtype.kind == "b" or (array.dtype.kind in "fV" and array.dtype.itemsize <= 8):
        return {}
    if array.dtype.kind in "iu" and (np.abs(array.astype(np.float64)) < 2.0**53).all():
        return {}
    numbers = (_rational(value) for value in array.ravel())
    wide = {i: number for i, number in enumerate(numbers) if isinstance(number, Fraction)}
    return {i: number for i, number in wide.items() if not _fits(number)}


def _fits(number: Fraction) -> bool:
    try:
        return Fraction(float(number)) == number
    except OverflowError:
        return False


def as_floats(x: object, fmt: Format) -> NDArray[Any]:
    """``x`` as an array of float16, float32 or float64 whose rounding to ``fmt`` is the rounding of ``x``.

    Float arrays come back as they are. ``TypeError`` for complex numbers, dates and objects that are not
    numbers, ``ValueError`` for strings that are not.

    >>> from halfsim.numerics.formats import float16
    >>> as_floats([1, 2], float16)
    array([1., 2.])
    """
    odd = fmt.precision <= 51
    array = _array(x)
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


def widen(x: NDArray[Any]) -> NDArray[Any]:
    """float64 of the same value; unlike a cast it keeps a signaling NaN signaling."""
    if x.dtype == np.float64:
        return x
    nan = np.isnan(x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
    if nan.any():
        fraction, word = (10, np.uint16) if x.dtype == np.float16 else (23, np.uint32)
        code = x.view(word).astype(np.uint64)
        sign = (code >> np.uint64(8 * x.itemsize - 1)) << np.uint64(63)
        payload = (code & np.uint64((1 << fraction) - 1)) << np.uint64(52 - fraction)
        wide = np.where(nan, (sign | np.uint64(0x7FF << 52) | payload).view(np.float64), wide)
    return wide
