"""Strategies that aim at where a format breaks: ties, edges, swamping, cancelling, attention's logits, outliers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.layout import layout
from halfsim.numerics.neighbours import next_down, ulp
from halfsim.numerics.quantize import Array, round_to
from halfsim.testing._hypothesis import st
from halfsim.testing.drawn import Strategy, array_dtype, floats, known, refused

__all__ = [
    "attention_logits",
    "block_outliers",
    "cancelling_pairs",
    "near_overflow",
    "near_underflow",
    "swamping",
    "ties",
]

_OVER = ("elements", "sums", "squares", "products")


def ties(format: object = "float16", *, container: object = None) -> Strategy[Any]:
    """One number: exactly halfway between two neighbours of ``format``, or the number of ``container`` next to that.

    ``container`` is a wider format, float32 where it holds all halfway values, else float64; the number is a NumPy
    scalar of its dtype. The neighbours may be 0 and the smallest number, of either sign, and the largest number and
    what would follow it: the threshold of overflow. A float64 next to a tie tells whether a conversion rounds twice, by
    way of float32. ``InvalidArgument`` where the container does not hold the halfway values.

    >>> from hypothesis import find
    >>> find(ties("float16"), lambda x: x > 2000)
    np.float32(2049.0)
    """
    fmt = known(format)
    held = float32 if _holds(float32, fmt) else float64
    wide = held if container is None else known(container)
    if not _holds(wide, fmt) or wide not in (float32, float64):
        allowed = [one.name for one in (float32, float64) if _holds(one, fmt)]
        raise refused("container", wide.name, ", ".join(allowed) or f"none for {fmt}")
    lay = layout(fmt)
    lowest = max(lay.least - 1, 0) if lay.zeros else lay.least
    kind = array_dtype(wide).type

    def tie(place: int, beside: int, minus: bool) -> Any:
        low = 0.0 if place < lay.least else float(decode(place, fmt))
        high = low + float(ulp(low, fmt)) if place >= lay.least else fmt.smallest_subnormal
        middle = kind(low + (high - low) / 2)
        found = middle if beside == 0 else np.nextafter(middle, kind(np.inf if beside == 1 else -np.inf))
        return -found if minus else found

    place = floats(fmt, min_value=0.0 if lay.zeros else fmt.smallest_normal, allow_nan=False, allow_infinity=False).map(
        lambda x: max(_code(x, fmt), lowest)
    )
    signs = st.booleans() if fmt.signed else st.just(False)
    return st.builds(tie, place, st.sampled_from([0, 1, 2]), signs)


def _code(x: float, fmt: Format) -> int:
    return int(encode(x, fmt))


def _holds(wide: Format, fmt: Format) -> bool:
    """Whether every halfway value, and the one past the largest number, is a number of ``wide``."""
    return wide.precision > fmt.precision and wide.lowest < fmt.lowest and wide.max > fmt.overflow_threshold


def near_overflow(format: object = "float16", shape: Any = (), *, of: str | None = None) -> Strategy[Any]:
    """Finite numbers or arrays, of which the sum, a square, a product, or an element is near the largest number.

    ``of`` says which: "elements" (each), "sums" (all of one sign), "squares" (their sum), "products" (of all), any if
    it is None; within a factor of 4 below or 2 above the largest number, elements themselves never above. ``shape`` may
    be a strategy; for ``()`` it is a float. ``InvalidArgument`` for another word.

    >>> from hypothesis import find
    >>> find(near_overflow("float16", of="squares"), lambda x: x * x > 65504)
    256.0
    """
    fmt = known(format)
    return _near(fmt, fmt.max, shape, of)


def near_underflow(format: object = "float16", shape: Any = (), *, of: str | None = None) -> Strategy[Any]:
    """Numbers or arrays without zeros, of which the sum, each square, the product or each element is near underflow.

    ``of`` is as in `near_overflow`; near is from the smallest number on to twice the smallest normal one. Every number
    is one of the format, most of them subnormal where these are ("elements").

    >>> from hypothesis import find
    >>> find(near_underflow("float16", of="squares"), lambda x: np.float16(x) * np.float16(x) == 0)
    0.0001220703125
    """
    fmt = known(format)
    return _near(fmt, fmt.smallest_normal, shape, of)


def _near(fmt: Format, edge: float, shape: Any, of: str | None) -> Strategy[Any]:
    if of is not None and of not in _OVER:
        raise refused("of", of, ", ".join(map(repr, _OVER)))
    if isinstance(shape, Strategy):
        return shape.flatmap(lambda one: _near(fmt, edge, one, of))
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    count = math.prod(shape)
    if of is None:
        return st.one_of([_near(fmt, edge, shape, word) for word in _OVER])
    low, size, power = _sized(fmt, edge, of, max(count, 1))
    number = _from(fmt, low, size * 2.0**power)
    each = st.booleans() if fmt.signed and of != "sums" else st.just(False)
    all_alike = st.booleans() if fmt.signed and of == "sums" else st.just(False)

    def made(drawn: list[tuple[float, bool]], minus: bool) -> Any:
        x = np.array([-x if sign != minus else x for x, sign in drawn]).reshape(shape).astype(array_dtype(fmt))
        return x if shape else float(x)

    return st.builds(made, st.lists(st.tuples(number, each), min_size=count, max_size=count), all_alike)


def _sized(fmt: Format, edge: float, of: str, count: int) -> tuple[float, float, float]:
    """The least element, the size of one, and the power of 2 by which it may be larger, for the whole to be near."""
    over = edge == fmt.max
    if of == "elements" or (of == "squares" and not over):
        power = 1.0 if of == "elements" else 0.5
        least = (
            2.0 ** (fmt.emax - 1)
            if over
            else fmt.smallest_subnormal
            if of == "elements"
            else fmt.smallest_subnormal / 4
        )
        return least**power, edge**power, power
    power = {"sums": 1.0, "squares": 0.5, "products": 1 / count}[of]
    size = edge / count if of == "sums" else (edge / count) ** 0.5 if of == "squares" else edge ** (1 / count)
    return size / (4.0 if over else 2.0) ** power, size, power


@lru_cache(maxsize=256)
def _from(fmt: Format, low: float, high: float) -> Strategy[float]:
    """Positive numbers of ``fmt`` from ``low`` to ``high``, for want of one the next to them."""
    low = float(round_to(max(low, fmt.smallest_subnormal), fmt, "upward", overflow="saturate"))
    high = float(round_to(high, fmt, "downward", overflow="saturate"))
    return floats(fmt, min_value=low, max_value=max(low, high))


def swamping(format: object = "float16", size: Any = None) -> Strategy[Array]:
    """An array of a large number and, after it, small ones of its sign that it swallows when they are added one by one.

    ``size`` is its length, 2 or more, or a strategy of it: 2 to 64 by default. Each small number is at most half an ulp
    of the large one, which ends in an even digit, so large + small == large, while a sum in another order does not.
    ``InvalidArgument`` for a format that has no such numbers.

    >>> from hypothesis import find
    >>> find(swamping("float16", 2), lambda x: True)
    array([2.048e+03, 1.000e+00], dtype=float16)
    """
    fmt = known(format)
    if not fmt.nmant:
        raise refused("format", fmt.name, "formats with more than one digit of precision")
    start = min(2.0**fmt.precision, 2.0**fmt.emax)
    even = floats(fmt, min_value=start, max_value=fmt.max, allow_nan=False).map(lambda x: _even(x, fmt))
    length = st.integers(2, 64) if size is None else size if isinstance(size, Strategy) else st.just(size)
    dtype = array_dtype(fmt)

    def filled(large: float, size: int) -> Strategy[Array]:
        if size < 2:
            raise refused("size", size, "integers from 2")
        most = float(ulp(large, fmt)) / 2
        least = max(most / 2**fmt.nmant, fmt.smallest_subnormal)
        small = st.lists(_from(fmt, min(least, most), most), min_size=size - 1, max_size=size - 1)
        signs = st.booleans() if fmt.signed else st.just(False)
        return st.builds(
            lambda rest, minus: np.array([large, *rest]).astype(dtype) * (-1 if minus else 1), small, signs
        )

    return st.tuples(even, length).flatmap(lambda drawn: filled(*drawn))


def _even(x: float, fmt: Format) -> float:
    """``x``, or the number below it, whose last digit is 0."""
    return x if (x / float(ulp(x, fmt))) % 2 == 0 else float(next_down(x, fmt))


def cancelling_pairs(format: object = "float16", *, max_ulp: int | None = None) -> Strategy[tuple[float, float]]:
    """Two normal numbers of one sign, different, but at most ``max_ulp`` numbers apart: nearly all cancels in a - b.

    ``max_ulp`` is by default 8, or as many as there are numbers in a binade: neither is more than twice the other, so
    that the difference itself is exact (Sterbenz's lemma, 1974); what cancels are digits that an earlier rounding made
    uncertain. ``InvalidArgument`` unless ``max_ulp`` is from 1 to so many, and the format has them.

    >>> from hypothesis import find
    >>> find(cancelling_pairs("float16"), lambda pair: True)
    (1.0, 1.0009765625)
    """
    fmt = known(format)
    lay = layout(fmt)
    most = min(lay.largest - lay.normal, 1 << fmt.nmant)
    max_ulp = min(8, most) if max_ulp is None else max_ulp
    if not 1 <= max_ulp <= most:
        raise refused("max_ulp", max_ulp, f"integers from 1 to {most}")
    last = float(decode(lay.largest - max_ulp, fmt))
    first = floats(fmt, min_value=fmt.smallest_normal, max_value=last)

    def pair(a: float, steps: int, swapped: bool, minus: bool) -> tuple[float, float]:
        b = float(decode(_code(a, fmt) + steps, fmt))
        a, b = (-a, -b) if minus else (a, b)
        return (b, a) if swapped else (a, b)

    signs = st.booleans() if fmt.signed else st.just(False)
    return st.builds(pair, first, st.integers(1, max_ulp), st.booleans(), signs)


def attention_logits(
    format: object = "float16", shape: Any = (4, 8), *, allow_masked: bool = True, allow_infinity: bool = False
) -> Strategy[Array]:
    """Arrays of attention's logits, whose last axis goes to a softmax, with the rows that break it.

    Rows are all equal; ordinary; peaked (one logit far above the others); large, so that exp of it overflows; or of
    very negative numbers, so that exp of all underflows. With ``allow_masked`` some logits of a row, never all, are the
    most negative number, or with ``allow_infinity`` minus infinity. ``shape`` may be a strategy. ``InvalidArgument``
    for an unsigned format, and for infinities that it does not have.

    >>> from hypothesis import find
    >>> find(attention_logits("float16", (1, 3)), lambda x: x.max() > 11)
    array([[16., 16., 16.]], dtype=float16)
    """
    fmt = known(format)
    if not fmt.signed or fmt.zero_field == "normal":
        raise refused("format", fmt.name, "formats with a sign and a zero")
    if allow_infinity and not fmt.has_infinity:
        raise refused("allow_infinity", True, f"False, for {fmt} has no infinities")
    if isinstance(shape, Strategy):
        return shape.flatmap(lambda one: attention_logits(fmt, one, allow_masked=allow_masked,
                                                          allow_infinity=allow_infinity))  # fmt: skip
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not shape or shape[-1] < 1:
        raise refused("shape", shape, "at least one axis, the last with an element")
    keys, rows = shape[-1], math.prod(shape[:-1])
    least = -math.inf if allow_infinity else fmt.min
    row = _row(fmt, keys, least if allow_masked and keys > 1 else None)
    dtype = array_dtype(fmt)
    return st.lists(row, min_size=rows, max_size=rows).map(lambda x: np.array(x).reshape(shape).astype(dtype))


@st.composite
def _row(draw: Any, fmt: Format, keys: int, mask: float | None) -> list[float]:
    kind = draw(st.sampled_from(["equal", "ordinary", "peaked", "large", "negative"]))
    top = math.log(fmt.max) if fmt.max < 1e300 else 700.0  # past which exp overflows
    bottom = math.log(fmt.smallest_subnormal)
    if kind == "equal":
        x = [draw(_within(fmt, -fmt.max, fmt.max))] * keys
    elif kind in ("ordinary", "peaked"):
        x = [draw(_within(fmt, -4.0, 4.0)) for _ in range(keys)]
        if kind == "peaked":
            x[draw(st.integers(0, keys - 1))] = draw(_within(fmt, 8.0, 4 * top))
    elif kind == "large":
        x = [draw(_within(fmt, top, 4 * top)) for _ in range(keys)]
    else:
        x = [draw(_within(fmt, 4 * bottom, bottom)) for _ in range(keys)]
    if mask is not None:
        hidden = draw(st.lists(st.integers(0, keys - 1), max_size=keys - 1, unique=True))
        for k in hidden:
            x[k] = mask
    return x


@lru_cache(maxsize=256)
def _within(fmt: Format, low: float, high: float) -> Strategy[float]:
    """Numbers of ``fmt`` from ``low`` to ``high``, cut to its range."""
    low = float(round_to(min(max(low, fmt.min), fmt.max), fmt, "upward", overflow="saturate"))
    high = float(round_to(min(max(high, fmt.min), fmt.max), fmt, "downward", overflow="saturate"))
    return floats(fmt, min_value=min(low, high), max_value=max(low, high))


def block_outliers(
    format: object = "float16", shape: Any = 64, *, block: int = 32, ratio: float = 64.0
) -> Strategy[Array]:
    """Arrays whose last axis has, in each block of ``block``, one number at least ``ratio`` times as large as the rest.

    A scale for the block that fits the outlier leaves the others few bits, or none. A last block may be shorter; one
    of a single number is the outlier. ``shape`` may be a strategy. ``InvalidArgument`` for a block below 1, a ratio
    below 1 or one that the format's normal numbers do not span.

    >>> from hypothesis import find
    >>> find(block_outliers("float16", 3, block=3), lambda x: True)
    array([64.,  1.,  1.], dtype=float16)
    """
    fmt = known(format)
    if block < 1:
        raise refused("block", block, "integers from 1")
    small = min(1.0, fmt.max / ratio) if ratio >= 1 else 0.0
    if not small >= fmt.smallest_normal:
        raise refused("ratio", ratio, f"numbers from 1 to {fmt.max / fmt.smallest_normal:g}")
    if isinstance(shape, Strategy):
        return shape.flatmap(lambda one: block_outliers(fmt, one, block=block, ratio=ratio))
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not shape:
        raise refused("shape", shape, "at least one axis")
    rows, length = math.prod(shape[:-1]), shape[-1]
    top = float(round_to(small, fmt, "downward"))
    rest = _from(fmt, max(top / 8, fmt.smallest_normal), top)
    large = _from(fmt, top * ratio, 8 * top * ratio)
    sizes = [min(block, length - k) for k in range(0, length, block)] * rows
    one = [st.tuples(large, st.lists(rest, min_size=n - 1, max_size=n - 1), st.integers(0, n - 1),
                     st.lists(st.booleans() if fmt.signed else st.just(False), min_size=n, max_size=n))
           for n in sizes]  # fmt: skip
    dtype = array_dtype(fmt)

    def made(blocks: tuple[Any, ...]) -> Array:
        values = []
        for outlier, others, at, minus in blocks:
            found = [*others[:at], outlier, *others[at:]]
            values += [-x if sign else x for x, sign in zip(found, minus, strict=True)]
        return np.array(values).reshape(shape).astype(dtype)

    return st.tuples(*one).map(made)
