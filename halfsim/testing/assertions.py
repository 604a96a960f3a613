"""Assertions about numbers of a format: how many ulp apart, on the grid, the same bits, without trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from halfsim.autograd.scope import precision as under
from halfsim.autograd.scope import scope
from halfsim.autograd.tensor import Tensor, format_of, unquoted
from halfsim.autograd.trace.shadow import Shadow
from halfsim.diagnose.finding import CLASSES
from halfsim.diagnose.trace import Trace, trace
from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.layout import layout
from halfsim.numerics.neighbours import next_down, next_up, ulp
from halfsim.numerics.quantize import Array, round_to
from halfsim.options import shown
from halfsim.text import percent

__tracebackhide__ = True  # pytest shows the line of the test that failed, not those in here


class Mismatch(AssertionError, ValueError):  # noqa: N818  # a failed assertion, as pytest names it
    """Arrays that cannot be compared: a failure of the test, and an argument that is not allowed."""


def assert_ulp_close(
    actual: Any,
    reference: Any,
    max_ulp: float = 1.0,
    format: object = None,
    *,
    equal_nan: bool = True,
    signs: bool = False,
) -> None:
    """Fail where ``actual`` is more than ``max_ulp`` units in the last place from ``reference``.

    Both are array-likes or tensors of one shape; nothing is broadcast but a single number for ``reference``. The
    reference need not be a number of ``format``: a correctly rounded result is at most 0.5 away. ``format`` is by
    default that of ``actual`` (a tensor's, or the dtype's). The distance is ``|actual - reference| / ulp(reference)``
    (Goldberg 1991; see `halfsim.ulp`), so that two ulp lie between the smallest subnormals of either sign.

    An infinity is close to a reference that rounds to it and to nothing else; the largest number is so too where its
    distance is small. NaN is close to NaN, with ``equal_nan``. Zeros of either sign are equal, and so are small
    numbers around zero, unless ``signs`` asks for the sign of the reference everywhere. The message names the worst
    element, its bits, its neighbours, the distance, and of a tensor that a trace has seen the operation where its
    error was made. ``AssertionError`` where it fails, also for other shapes; ``ValueError`` for a NaN in a format that
    has none and a ``max_ulp`` below 0.

    >>> assert_ulp_close(np.float16([0.1]), [0.1], max_ulp=0.5)
    >>> try:
    ...     assert_ulp_close(np.float16([1.0, np.inf]), [1.0, 65504.0], max_ulp=1)
    ... except AssertionError as error:
    ...     print(error)
    1 of 2 elements (50.0 %) is not within 1 ulp of the reference
    worst at [1]: inf (0x7c00 = 0 11111 0000000000) for 65504, infinitely many ulp of float16 away
    float16 has 65504 (0x7bff = 0 11110 1111111111) there, below it 65472 and above it inf
    """
    fmt = _format("format", format, actual)
    if isinstance(max_ulp, bool) or not isinstance(max_ulp, (int, float, np.number)) or not max_ulp >= 0:
        kind = ValueError if isinstance(max_ulp, (int, float, np.number)) else TypeError
        raise kind(f"max_ulp: {shown(max_ulp)} is not allowed; allowed: numbers from 0")
    given, wanted = _pair(actual, reference, fmt, "reference")
    off = distance(given, wanted, fmt)
    if not equal_nan:
        off = np.where(np.isnan(given) | np.isnan(wanted), np.inf, off)
    if signs:
        off = np.where((np.signbit(given) != np.signbit(wanted)) & ~np.isnan(wanted), np.inf, off)
    wrong = ~(off <= max_ulp)
    if wrong.any():
        worst = int(np.argmax(off))
        head = failed(wrong, f"not within {max_ulp:g} ulp of the reference")
        sign = signs and bool(np.signbit(given.flat[worst]) != np.signbit(wanted.flat[worst]))
        told = ["its sign is another"] if sign else []
        raise AssertionError("\n".join([head, *described(given, worst, wanted, fmt), *told, *_made(actual)]))


def assert_representable(x: Any, format: object = "float16") -> None:
    """Fail where an element of ``x`` is no number of ``format``, which rounding to it would change.

    ``x`` is an array-like or a tensor of any shape. Infinities and NaN are numbers of a format that has them, and so
    is -0. The message names the element that is furthest off, in ulp, and its neighbours in the format.
    ``AssertionError`` where it fails, ``ValueError`` for an unknown format.

    >>> assert_representable([2047.0, 2048.0])
    >>> try:
    ...     assert_representable([2048.0, 2049.0])
    ... except AssertionError as error:
    ...     print(error)
    1 of 2 elements (50.0 %) is no number of float16
    worst at [1]: 2049.0, between 2048 (0x6800 = 0 11010 0000000000) and 2050 (0x6801 = 0 11010 0000000001)
    """
    fmt = as_format(format)
    values = _floats("x", x)
    with np.errstate(all="ignore"):
        nearest = np.asarray(round_to(values, fmt), np.float64)
        kept = (values == nearest) & (np.signbit(values) == np.signbit(nearest))
        wrong = ~(kept | (np.isnan(values) & np.isnan(nearest)))
        off = np.where(wrong, np.nan_to_num(np.abs(values - nearest) / ulp(values, fmt), nan=np.inf, posinf=np.inf), -1)
    if wrong.any():
        i = int(np.argmax(off))
        value = float(values.flat[i])
        if np.isfinite(value) and abs(value) <= fmt.max and value >= fmt.min:
            below, above = float(next_down(value, fmt)), float(next_up(value, fmt))
            where = f"between {spelled(below, fmt)} and {spelled(above, fmt)}"
        else:
            where = f"outside {fmt.min:.9g} to {fmt.max:.9g}" if value == value else f"for which {fmt} has no code"
        head = failed(wrong, f"no number of {fmt}")
        raise AssertionError(f"{head}\nworst at {_index(i, values.shape)}: {value!r}, {where}")


def assert_same_bits(actual: Any, expected: Any, format: object = None, *, equal_nan: bool = False) -> None:
    """Fail where two arrays differ in a bit: signs of zeros and payloads of NaN included.

    Both are tensors, arrays of a float dtype, or arrays of unsigned integers, which are bit patterns of ``format``;
    of one shape and one format. Other numbers are encoded in ``format``. With ``equal_nan`` any NaN equals any other.
    The message shows both patterns of the element that is furthest off, and by how many ulp. ``AssertionError`` where
    it fails, also for another shape or format; ``ValueError`` for bit patterns without a ``format``.

    >>> assert_same_bits(np.float16([1.0, -0.0]), np.uint16([0x3C00, 0x8000]), "float16")
    >>> try:
    ...     assert_same_bits(np.float16([0.0]), np.float16([-0.0]))
    ... except AssertionError as error:
    ...     print(error)
    1 of 1 elements (100 %) has other bits
    worst at [0]: 0 (0x0000 = 0 00000 0000000000) for -0 (0x8000 = 1 00000 0000000000), 0 ulp of float16 apart
    """
    both = [_own_format(x) for x in (actual, expected)]
    if format is None and None not in both and both[0] != both[1]:
        raise Mismatch(f"actual: {both[0]} is not allowed; allowed: {both[1]}, the format of expected")
    fmt = _format("format", format, actual if both[0] is not None else expected)
    a, b = _bits("actual", actual, fmt), _bits("expected", expected, fmt)
    if a.shape != b.shape:
        raise Mismatch(f"actual: shape {a.shape} is not allowed; allowed: {b.shape}")
    given, wanted = decode(a, fmt), decode(b, fmt)
    wrong = a != b
    if equal_nan:
        wrong &= ~(np.isnan(given) & np.isnan(wanted))
    if wrong.any():
        off = np.where(wrong, distance(given, wanted, fmt), -1.0)
        i = int(np.argmax(off))
        left, right = (f"{v.flat[i]:.9g} ({_pattern(int(c.flat[i]), fmt)})" for v, c in ((given, a), (wanted, b)))
        one = "has" if np.count_nonzero(wrong) == 1 else "have"
        head = failed(wrong, "other bits", one)
        where = f"worst at {_index(i, a.shape)}: {left} for {right}, {ulps(off.flat[i])} of {fmt} apart"
        raise AssertionError("\n".join([head, where, *_made(actual)]))


def assert_no(kind: str | Iterable[str], f_or_trace: Trace | Callable[[], Any], *, precision: object = None) -> None:
    """Fail where a trace has trouble of a ``kind``: "overflow", "underflow", "swamping", "cancellation", ...

    ``kind`` is one of `halfsim.diagnose.finding.CLASSES` ("NaN" for short of "NaN propagation"), or several of them.
    ``f_or_trace`` is what `halfsim.trace` gave, or a function without arguments that is run under a trace of its own,
    in ``precision`` if that is given. The message is that of the finding: the operation, its line, how many numbers,
    and what is usually done. ``AssertionError`` where it fails, ``ValueError`` for another kind, ``TypeError`` for
    another object.

    >>> import halfsim as hs
    >>> assert_no(["overflow", "NaN"], lambda: hs.tensor([200.0], "fp16") * 300.0)
    >>> try:
    ...     assert_no("overflow", lambda: hs.tensor([300.0], "fp16") * 300.0)
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[0].partition(" (")[0])
    overflow
    """
    kinds = kinds_of("kind", kind)
    if isinstance(f_or_trace, Trace):
        if precision is not None:
            raise ValueError("precision: it is not allowed beside a trace, which is over; allowed: beside a function")
        found = f_or_trace
    elif callable(f_or_trace):
        with under(scope().rule if precision is None else precision), trace() as found:
            f_or_trace()
    else:
        raise TypeError(f"f_or_trace: {shown(f_or_trace)} is not allowed; allowed: a trace, a function")
    told = troubles(found, kinds)
    if told:
        raise AssertionError(told)


def kinds_of(argument: str, given: object) -> tuple[str, ...]:
    """The kinds of trouble that an argument names: one, or several; errors of unknown ones in one line."""
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument}: {shown(given)} is not allowed; allowed: kinds of trouble, as 'overflow'")
    words = (given,) if isinstance(given, str) else tuple(given)
    for word in words:
        if word not in (*CLASSES, "NaN"):
            raise unknown(argument, word, [*CLASSES, "NaN"])
    return words


def troubles(found: Trace, kinds: Iterable[str]) -> str:
    """What a trace tells of these kinds, the first of each; nothing where it has none of them."""
    return "\n".join(str(trouble) for word in kinds if (trouble := found.first(word)) is not None)


def distance(given: Array, wanted: Array, fmt: Format) -> Array:
    """How far numbers are from a reference, in ulp of ``fmt`` there; infinite where one is no number and not both.

    >>> from halfsim import float16
    >>> distance(np.array([1.0, np.inf, np.inf]), np.array([1.0, 65504.0, 70000.0]), float16).tolist()
    [0.0, inf, 0.0]
    """
    with np.errstate(all="ignore"):
        meant = np.asarray(round_to(wanted, fmt), np.float64)  # which may be an infinity, or what the format has for it
        same = (given == wanted) | (np.isnan(given) & np.isnan(wanted)) | (~np.isfinite(given) & (given == meant))
        same |= np.isnan(given) & np.isnan(meant)
        off = np.abs(given - wanted) / ulp(wanted, fmt)
        return np.asarray(np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf)))


def ulps(distance: float) -> str:
    """A `distance` in words.

    >>> ulps(0.5), ulps(float("inf"))
    ('0.5 ulp', 'infinitely many ulp')
    """
    return "infinitely many ulp" if np.isinf(distance) else f"{distance:.6g} ulp"


def numbers_of(name: str, x: Any, fmt: Format) -> Array:
    """``x`` in float64; ``ValueError`` for a NaN where ``fmt`` has none, ``TypeError`` for what are no numbers."""
    values = _floats(name, x)
    if not fmt.has_nan and np.isnan(values).any():
        raise ValueError(f"{name}: NaN is not allowed; allowed: numbers, for {fmt} has no NaN")
    return values


def failed(wrong: Array, words: str, verb: str = "") -> str:
    """The first line of a message: how many elements are not as they should be."""
    n = int(np.count_nonzero(wrong))
    verb = verb or ("is" if n == 1 else "are")
    return f"{n:,} of {wrong.size:,} elements ({percent(n, wrong.size)}) {verb} {words}"


def described(given: Array, i: int, wanted: Array, fmt: Format) -> list[str]:
    """What is to be known of element ``i``: its value and bits, the reference, the distance, and the neighbours."""
    value, reference = float(given.flat[i]), float(wanted.flat[i])
    off = float(distance(np.array(value), np.array(reference), fmt))
    lines = [f"worst at {_index(i, given.shape)}: {spelled(value, fmt)} for {reference:.9g}, {ulps(off)} of {fmt} away"]
    with np.errstate(all="ignore"):
        nearest = float(round_to(reference, fmt))
    if np.isfinite(nearest):
        below, above = float(next_down(nearest, fmt)), float(next_up(nearest, fmt))
        lines.append(f"{fmt} has {spelled(nearest, fmt)} there, below it {below:.9g} and above it {above:.9g}")
    return lines


def spelled(value: float, fmt: Format) -> str:
    """A number with its bits in ``fmt``: all of them in hexadecimal, and sign, exponent and fraction apart.

    >>> from halfsim import float16
    >>> spelled(-2.0, float16)
    '-2 (0xc000 = 1 10000 0000000000)'
    """
    with np.errstate(all="ignore"):
        code = int(encode(value, fmt))
        on = float(decode(code, fmt))
    if on != value and value == value:
        return f"{value:.9g} (no number of {fmt})"
    return f"{value:.9g} ({_pattern(code, fmt)})"


def _pattern(code: int, fmt: Format) -> str:
    bits = f"{code:0{fmt.bits}b}"
    sign = 1 if fmt.signed else 0
    parts = (bits[:sign], bits[sign : sign + fmt.exponent_bits], bits[sign + fmt.exponent_bits :])
    return f"0x{code:0{-(-fmt.bits // 4)}x} = {' '.join(part for part in parts if part)}"


def _index(i: int, shape: tuple[int, ...]) -> str:
    return str([int(n) for n in np.unravel_index(i, shape)])


def _made(x: Any) -> list[str]:
    """The operation where the error of a tensor was made, if a trace has seen it, or else the one that gave it."""
    if not isinstance(x, Tensor):
        return []
    known = x.shadow if isinstance(x.shadow, Shadow) and x.shadow.of is x.array else None
    if known is not None and isinstance(known.trace, Trace):
        rows = known.trace.errors()
        if rows and rows[0].local.relative:
            row = rows[0]
            return [f"the largest error was made in {row.op}{f' in {row.path}' if row.path else ''}, {row.phase}"]
        found = known.trace.verdict()
        return [] if found is None else [found.sentence]
    return [] if x.node is None else [f"it is the result of {x.node.op}"]


def _own_format(x: Any) -> Format | None:
    """The format of a tensor or of an array of floats; None for anything else."""
    if isinstance(x, Tensor):
        return x.format if isinstance(x.format, Format) else None
    dtype = getattr(x, "dtype", None)
    if dtype is None or np.dtype(dtype).kind not in "fV":  # those of ml_dtypes are of one or the other
        return None
    return format_of(x)


def _format(name: str, given: object, x: Any) -> Format:
    if given is not None:
        return as_format(given, name)
    own = _own_format(x)
    if own is None:
        raise ValueError(f"{name}: it is missing for {shown(x)}, which has none; allowed: as 'float16'")
    return own


def _floats(name: str, x: Any) -> Array:
    values = x.array if isinstance(x, Tensor) else x
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(as_floats(unquoted(values), as_format("float64")))
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {shown(x)} is not allowed; allowed: numbers, arrays, tensors") from None
    return found.astype(np.float64)


def _bits(name: str, x: Any, fmt: Format) -> Array:
    """The bit patterns of ``x`` in ``fmt``: its own, where it has them."""
    if not isinstance(x, Tensor):
        dtype = getattr(x, "dtype", None)
        if dtype is not None and np.dtype(dtype).kind == "u":
            return np.asarray(x)
        if _own_format(x) == fmt and dtype is not None and dtype.itemsize == np.dtype(layout(fmt).word).itemsize:
            return np.ascontiguousarray(x).view(layout(fmt).word).reshape(np.shape(x))
    return encode(x.array if isinstance(x, Tensor) else x, fmt)


def _pair(actual: Any, reference: Any, fmt: Format, name: str) -> tuple[Array, Array]:
    given, wanted = numbers_of("actual", actual, fmt), numbers_of(name, reference, fmt)
    if wanted.ndim == 0:
        wanted = np.broadcast_to(wanted, given.shape)
    if given.shape != wanted.shape:
        raise Mismatch(f"actual: shape {given.shape} is not allowed; allowed: {wanted.shape}")
    return given, wanted
