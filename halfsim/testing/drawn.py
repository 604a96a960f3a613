"""Strategies for the numbers of a format: one number, a code, an array, a tensor.

A number of a format of up to 20 bits is drawn as an exponent, and a place among the numbers that have it: so each code
is nearly as likely as any other, and the ends of each kind are likelier. Exponents are ordered from 0 up, then down;
the places of an exponent by significant binary digits. So what fails shrinks to few digits, then towards 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import Format, as_format, float32, float64
from halfsim.numerics.layout import layout
from halfsim.numerics.quantize import Array, round_to
from halfsim.options import shown
from halfsim.testing._hypothesis import InvalidArgument, npst, st

__all__ = ["arrays", "bit_patterns", "floats", "tensors"]

Strategy = st.SearchStrategy

_TABLED = 20  # bits of the widest format that has a table of its numbers


def refused(argument: str, got: object, allowed: str) -> InvalidArgument:
    """The error of an argument of a strategy, in one line."""
    return InvalidArgument(f"{argument}: {shown(got)} is not allowed; allowed: {allowed}")


def known(format: object) -> Format:
    """The Format that ``format`` names; ``InvalidArgument`` for others."""
    try:
        return as_format(format)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(str(error)) from None


def array_dtype(fmt: Format) -> np.dtype[Any]:
    """NumPy's dtype of a format, or for want of one the narrower of float32 and float64 that holds all its numbers."""
    if fmt.name in ("float16", "float32", "float64") and fmt == np.dtype(fmt.name):
        return np.dtype(fmt.name)
    return np.dtype(np.float32 if float32.contains(fmt) else np.float64)


@lru_cache(maxsize=64)
def _table(fmt: Format) -> tuple[Array, Array, Array]:
    """All codes of a narrow format, their values and rows, from the simplest on: by exponent, digits, and sign.

    0 comes first, infinity after the largest numbers, subnormal numbers after the smallest, then NaN.
    """
    codes = np.arange(1 << fmt.bits, dtype=layout(fmt).word)
    values = decode(codes, fmt)
    size, row = np.abs(values), _rows(values, fmt)
    with np.errstate(all="ignore"):
        whole = np.where(np.isfinite(size), np.frexp(size)[0] * 2.0**53, 0).astype(np.int64)
    digits = np.where(whole == 0, 0, 54 - np.frexp((whole & -whole).astype(np.float64))[1])
    order = np.lexsort((np.signbit(values), np.where(np.isnan(size), codes, size), digits, row))
    return codes[order], values[order], row[order]


def _rows(values: Array, fmt: Format) -> Array:
    """The row of each value: 0, a row an exponent from 0 up, infinity, a row an exponent from -1 down, NaN."""
    with np.errstate(all="ignore"):
        exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))[1] - 1
    exponent = np.where(np.abs(values) < fmt.smallest_normal, fmt.emin - 1, exponent)  # subnormal numbers
    row = np.where(exponent >= 0, 1 + exponent, max(fmt.emax, 0) + 2 - exponent)
    row = np.where(np.isinf(values), max(fmt.emax, 0) + 2, np.where(values == 0, 0, row))
    return np.where(np.isnan(values), 1 << 12, row)


def _places(values: Array, rows: Array, fmt: Format) -> Strategy[int]:
    """A place in a table of ``values``, or in what is left of it: a row and a place in it, however long it is."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    sizes = np.diff(starts, append=len(values)).tolist()
    begins, full = starts.tolist(), max(sizes)
    drawn = st.tuples(_row(values[starts], fmt), _inside(full, fmt.signed))
    return drawn.map(lambda found: begins[found[0]] + found[1] * sizes[found[0]] // full)


def _row(first: Array, fmt: Format) -> Strategy[int]:
    """The number of a row: any, or one at the ends. Each way draws one integer of the same meaning, so all shrink."""
    last, size = len(first) - 1, np.abs(first)
    ends = [0, last, *np.flatnonzero(np.isinf(size) | ((size < 2 * fmt.smallest_normal) & (size != 0))).tolist()]
    return _ranges(last, {(max(row - 1, 0), min(row + 1, last)) for row in ends} if last > 16 else set())


def _inside(size: int, signed: bool) -> Strategy[int]:
    """A place in a row: any, or that of the shortest, the longest or the largest numbers."""
    last, half = size - 1, size // 2
    return _ranges(
        last, {(half, half + 1 + signed), (last - 1 - signed, last), (0, 1 + signed)} if last > 64 else set()
    )


def _ranges(last: int, ends: set[tuple[int, int]]) -> Strategy[int]:
    """Integers up to ``last``, half of the time from the ranges ``ends``."""
    everywhere = [(k, last) for k in range(max(len(ends), 1))]  # ranges that differ, as one_of wants them
    return st.one_of([st.integers(a, b) for a, b in [*everywhere, *sorted(ends)]])


def floats(
    format: object = "float16",
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    allow_nan: bool | None = None,
    allow_infinity: bool | None = None,
    allow_subnormal: bool = True,
    exclude_min: bool = False,
    exclude_max: bool = False,
) -> Strategy[float]:
    """Numbers of ``format``, as Python floats: the arguments are those of ``hypothesis.strategies.floats``.

    Without bounds NaN, with all its payloads, and infinities are among them where the format has them; a bound leaves
    NaN out, and the infinity on its side. Both zeros and subnormal numbers are among them; ``max_value=-0.0`` leaves +0
    out, ``min_value=0.0`` leaves -0 out. They shrink to numbers of few significant binary digits, and towards 1 and 0.
    ``InvalidArgument`` for bounds that are no numbers of the format or have nothing between them, and for a NaN or an
    infinity that the format or a bound does not allow.

    >>> from hypothesis import find
    >>> find(floats("float16", allow_infinity=False), lambda x: x + np.float16(1) == np.float16(x))
    2048.0
    """
    fmt = known(format)
    bounded = min_value is not None or max_value is not None
    nan = fmt.has_nan and not bounded if allow_nan is None else allow_nan
    both = min_value is not None and max_value is not None
    infinity = fmt.has_infinity and not both if allow_infinity is None else allow_infinity
    if nan and (bounded or not fmt.has_nan):
        raise refused("allow_nan", nan, "False with a bound" if fmt.has_nan else f"False, for {fmt} has no NaN")
    if infinity and (both or not fmt.has_infinity):
        why = "False between two bounds" if fmt.has_infinity else f"False, for {fmt} has no infinities"
        raise refused("allow_infinity", infinity, why)
    low = _bound("min_value", min_value, -np.inf if infinity and fmt.signed else fmt.min, fmt)
    high = _bound("max_value", max_value, np.inf if infinity else fmt.max, fmt)
    kinds = (bool(nan), bool(infinity), bool(allow_subnormal), bool(exclude_min), bool(exclude_max))
    if fmt.bits > _TABLED:
        return _wide(fmt, low, high, *kinds)
    drawn = _between(fmt, low, high, np.signbit(low).item(), np.signbit(high).item(), *kinds)
    if drawn is None:
        raise refused("min_value", min_value, f"what leaves numbers of {fmt} up to max_value={max_value}")
    return drawn


def _bound(argument: str, given: float | None, otherwise: float, fmt: Format) -> float:
    if given is None:
        return otherwise
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        raise refused(argument, given, f"numbers of {fmt}") from None
    exact = value == given and (np.isinf(value) or float(round_to(value, fmt, overflow="saturate_inf")) == value)
    if not exact:
        raise refused(argument, given, f"numbers of {fmt}, such as {float(round_to(value, fmt))}")
    return value


@lru_cache(maxsize=256)
def _between(
    fmt: Format, low: float, high: float, low_sign: bool, high_sign: bool,
    nan: bool, infinity: bool, subnormal: bool, without_low: bool, without_high: bool,
) -> Strategy[float] | None:  # fmt: skip
    """Numbers of a narrow format that are allowed, None if none is; signs tell bounds of -0 and 0 apart."""
    _, values, rows = _table(fmt)
    minus = np.signbit(values)
    inside = (values > low) if without_low else (values >= low) & ~((values == 0) & (low == 0) & minus & (not low_sign))
    inside &= (
        (values < high) if without_high else (values <= high) & ~((values == 0) & (high == 0) & ~minus & high_sign)
    )
    inside &= np.isfinite(values) | infinity
    if not subnormal:
        inside &= (values == 0) | (np.abs(values) >= fmt.smallest_normal)
    inside |= np.isnan(values) & nan
    values = values[inside]
    return _places(values, rows[inside], fmt).map(values.item) if len(values) else None


def _wide(
    fmt: Format, low: float, high: float,
    nan: bool, infinity: bool, subnormal: bool, without_low: bool, without_high: bool,
) -> Strategy[float]:  # fmt: skip
    """Numbers of a format without a table: hypothesis's own, rounded to it."""
    try:
        drawn = st.floats(
            None if infinity and low == -np.inf else low,
            None if infinity and high == np.inf else high,
            allow_nan=nan,
            allow_infinity=infinity,
            allow_subnormal=None if fmt == float64 and subnormal else False if fmt == float64 else None,
            width=32 if fmt == float32 else 64,
            exclude_min=without_low,
            exclude_max=without_high,
        )
        drawn.validate()
    except InvalidArgument as error:
        raise InvalidArgument(str(error)) from None
    if fmt not in (float32, float64):
        drawn = drawn.map(lambda x: float(round_to(x, fmt, overflow="saturate")))
        if without_low or without_high:
            drawn = drawn.filter(lambda x: not (without_low and x == low) and not (without_high and x == high))
    return drawn if subnormal else drawn.filter(lambda x: not 0 < abs(x) < fmt.smallest_normal)


def bit_patterns(format: object = "float16") -> Strategy[Any]:
    """Codes of ``format``, each of them, as scalars of the smallest unsigned dtype that holds one.

    Those of infinities, of both zeros, of subnormal numbers and of every NaN, signaling ones too, are among them. They
    shrink as the numbers that they stand for do.

    >>> from hypothesis import find
    >>> hex(find(bit_patterns("float16"), lambda code: decode(code) > 2000))
    '0x6800'
    """
    fmt = known(format)
    if fmt.bits > _TABLED:
        word = layout(fmt).word.type
        own = floats(fmt).map(lambda x: word(encode(x, fmt)))
        ranges = [(0, (1 << fmt.bits) - 1), (layout(fmt).last + 1, layout(fmt).sign - 1)][: 1 + fmt.has_nan]
        return own | st.one_of([st.integers(a, b).map(word) for a, b in ranges])
    codes, values, rows = _table(fmt)
    return _places(values, rows, fmt).map(lambda place: codes[place])


def arrays(
    format: object,
    shape: Any,
    *,
    elements: Any = None,
    fill: Strategy[Any] | None = None,
    unique: bool = False,
) -> Strategy[Array]:
    """Arrays of numbers of ``format``: the arguments are those of ``hypothesis.extra.numpy.arrays``.

    ``format`` and ``shape`` may be strategies. ``elements`` is a strategy, or a mapping of arguments of `floats`;
    without it all of its numbers are drawn, NaN and infinities too. The dtype is NumPy's of that name, or for want of
    one the narrower of float32 and float64 that holds the format. ``InvalidArgument`` where an element is no number of
    the format.

    >>> from hypothesis import find
    >>> find(arrays("bfloat16", 3), lambda x: x.sum() > 300)
    array([128., 128., 128.], dtype=float32)
    """
    if isinstance(format, Strategy):
        return format.flatmap(lambda one: arrays(one, shape, elements=elements, fill=fill, unique=unique))
    fmt = known(format)
    own = elements is None or isinstance(elements, Mapping)
    numbers = _elements(fmt, elements or {}) if own else elements
    if not isinstance(numbers, Strategy):
        raise refused("elements", elements, "a strategy, a mapping of arguments of floats, None")
    if fill is None and own and not unique:
        fill = numbers
    made = npst.arrays(array_dtype(fmt), shape, elements=numbers, fill=fill, unique=unique)
    return made if own and fill is numbers else made.map(lambda x: _on_grid(x, fmt))


def _elements(fmt: Format, options: Mapping[str, Any]) -> Strategy[float]:
    try:
        return floats(fmt, **options)
    except TypeError as error:
        if isinstance(error, InvalidArgument):
            raise
        raise refused("elements", sorted(map(str, options)), "arguments of floats") from None


def _on_grid(x: Array, fmt: Format) -> Array:
    wide = x.astype(np.float64)
    off = (np.asarray(round_to(wide, fmt)) != wide) & ~np.isnan(wide)
    if off.any():
        raise refused("elements", float(wide[off][0]), f"numbers of {fmt}")
    return x


def tensors(
    format: object = "float16",
    shape: Any = (),
    *,
    elements: Any = None,
    fill: Strategy[Any] | None = None,
    unique: bool = False,
    requires_grad: bool = False,
) -> Strategy[Tensor]:
    """Tensors of ``format``: the arguments are those of `arrays`, and ``requires_grad`` as `halfsim.tensor` has it.

    NaN, infinities, both zeros and subnormal numbers are as in `arrays`.

    >>> from hypothesis import find
    >>> find(tensors("float16", (2,), elements={"min_value": 0}), lambda x: (x * x).sum().item() == float("inf"))
    tensor([192., 192.], float16)
    """
    if isinstance(format, Strategy):
        return format.flatmap(
            lambda one: tensors(one, shape, elements=elements, fill=fill, unique=unique, requires_grad=requires_grad)
        )
    fmt = known(format)
    made = arrays(fmt, shape, elements=elements, fill=fill, unique=unique)
    return made.map(lambda x: tensor(x, fmt, requires_grad))
