"""Metamorphic properties: what must hold between two results of a function, whatever the right result is.

Each is an assertion of one line: it runs ``f`` and raises an AssertionError that names the worst element. They hold for
any function of arrays, NumPy's or a framework's, and for functions of halfsim's tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from halfsim.autograd.gradcheck import gradcheck
from halfsim.autograd.tensor import Tensor, format_of
from halfsim.numerics.codec import encode
from halfsim.numerics.formats import Format, float64
from halfsim.numerics.neighbours import ulp
from halfsim.numerics.quantize import Array
from halfsim.options import shown
from halfsim.testing.assertions import distance, ulps

__all__ = [
    "batch_invariant",
    "bounded_by",
    "gradient_matches",
    "monotone",
    "permutation_stable",
    "scale_equivariant",
    "shape_invariant",
    "sums_to_one",
]

Function = Callable[..., Any]

__tracebackhide__ = True  # pytest shows the line of the test that failed, not those in here


def _quiet(f: Function) -> Function:
    """``f`` without NumPy's warnings: a property judges the result, and says more of it."""

    def run(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return f(x)

    return run


def permutation_stable(f: Function, x: Any, *, axis: int = -1, max_ulp: float = 1.0) -> None:
    """``f(x)`` stays within ``max_ulp`` when the elements of ``x`` along ``axis`` are reordered.

    The orders are the reverse, ascending, descending, by size, and four random ones that are the same in every run. For
    sums, norms, means, softmax's denominator. NaN must stay NaN, infinities infinities of their sign, both zeros are
    zero. ``AssertionError`` that names the order and the worst element.

    1 ulp is the standard of a sum that is carried in a wider format and rounded once, at the end, its terms not
    cancelling: each order is half an ulp off at most. Terms of one sign that are added one by one in their own format
    are within ``2 * (n - 1)`` of each other, n being their number: each order has n - 1 roundings. Where terms cancel
    no number of ulp holds for every input; `assert_within_precision` takes the terms' magnitudes into account.

    >>> import numpy as np
    >>> permutation_stable(np.max, np.float16([2048, 1, 1]))
    >>> permutation_stable(lambda x: np.cumsum(x)[-1], np.float16([2048, 1, 1, 1, 1]), max_ulp=2 * 4)
    >>> permutation_stable(lambda x: np.cumsum(x)[-1], np.float16([2048, 1, 1, 1, 1]))
    Traceback (most recent call last):
    AssertionError: permutation_stable: reversed: 2048.0 became 2052.0 (0x6802), 2 ulp apart; allowed: 1
    """
    f = _quiet(f)
    values, before = _plain(x), f(x)
    count = _length(values, axis)
    for name, order in _orders(values, axis, count):
        _same("permutation_stable", f"{name}: ", before, f(_taken(x, order, axis)), max_ulp)


def _length(values: Array, axis: int) -> int:
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis: {shown(axis)} is not allowed; allowed: one of the {values.ndim} axes of x")
    return values.shape[axis]


def _orders(values: Array, axis: int, count: int) -> Iterator[tuple[str, Array]]:
    flat = np.moveaxis(values, axis, 0).reshape(count, -1)[:, 0] if values.size else np.zeros(count)
    up, size = np.argsort(flat, kind="stable"), np.argsort(np.abs(flat), kind="stable")
    yield "reversed", np.arange(count)[::-1]
    yield from (("ascending", up), ("descending", up[::-1]), ("smallest first", size), ("largest first", size[::-1]))
    random = np.random.default_rng(0)
    yield from ((f"order {k} at random", random.permutation(count)) for k in range(4))


def _taken(x: Any, order: Array, axis: int) -> Any:
    """``x`` with its elements along ``axis`` in another order: a tensor of the same format, or an array."""
    if isinstance(x, Tensor):
        return Tensor(np.take(x.array, order, axis), x.format, x.requires_grad)
    return np.take(np.asarray(x), order, axis)


def scale_equivariant(
    f: Function, x: Any, *, degree: int = 1, exponents: Any = (-2, -1, 1, 2), max_ulp: float = 0.0
) -> None:
    """``f(x * 2**k)`` is ``f(x) * 2**(k * degree)``: exactly, where nothing overflows or underflows.

    A power of two changes no digits of a binary number, so a function that is homogeneous of a ``degree`` (sums and
    norms 1, variances 2, softmax of differences none, normalizations 0) must give the same digits; where it does not,
    a constant such as an eps is in it, or an intermediate result overflowed. NaN must stay NaN. Exponents by which
    ``x`` itself would overflow or lose digits are left out.

    >>> import numpy as np
    >>> scale_equivariant(np.linalg.norm, np.float32([3, 4]))
    >>> scale_equivariant(lambda x: np.sqrt((x * x).sum()), np.float16([100, 100]))
    Traceback (most recent call last):
    AssertionError: scale_equivariant: times 2**1: 282.75 became inf (0x7c00), infinitely many ulp apart; allowed: 0
    """
    f = _quiet(f)
    before = f(x)
    for k in exponents:
        values = _plain(x)
        with np.errstate(all="ignore"):
            scaled = values * values.dtype.type(2.0**k)
            exact = np.array_equal(scaled.astype(float), values.astype(float) * 2.0**k, equal_nan=True)
        if not exact:
            continue
        moved = Tensor(scaled, x.format, x.requires_grad) if isinstance(x, Tensor) else scaled
        wanted = [one.astype(np.float64) * 2.0 ** (k * degree) for one in map(_plain, _results(before))]
        _same("scale_equivariant", f"times 2**{k}: ", wanted, f(moved), max_ulp)


def bounded_by(f: Function, x: Any, low: float, high: float) -> None:
    """Every element of ``f(x)`` is from ``low`` to ``high``: a probability, a cosine, a mean between its numbers.

    NaN is outside; infinities are inside only where a bound is one.

    >>> import numpy as np
    >>> bounded_by(np.mean, np.float16([1, 2]), 1, 2)
    >>> bounded_by(np.linalg.norm, np.float16([200, 200, 200]), 200, 600)
    Traceback (most recent call last):
    AssertionError: bounded_by: inf (0x7c00) is outside 200 to 600
    """
    for result in _results(_quiet(f)(x)):
        values = _plain(result).astype(np.float64)
        outside = ~((values >= low) & (values <= high))
        if outside.any():
            with np.errstate(all="ignore"):
                far = np.where(outside, np.maximum(low - values, values - high), -np.inf)
            worst = int(np.argmax(np.where(np.isnan(far), np.inf, far)))
            raise AssertionError(f"bounded_by: {_shown(result, worst)} is outside {low:g} to {high:g}")


def sums_to_one(f: Function, x: Any, *, axis: int = -1, max_ulp: float | None = None) -> None:
    """The elements of ``f(x)`` along ``axis`` are from 0 to 1 and their exact sum is 1, to what rounding each allows.

    That is half an ulp of each element, and as much again for the ulp of a sum of 1 that they were divided by; with
    ``max_ulp`` so many ulps of 1. For softmax and normalized weights. NaN and infinities are no parts of 1.

    >>> import numpy as np
    >>> sums_to_one(lambda x: np.exp(x) / np.exp(x).sum(), np.float32([1, 2, 3]))
    >>> sums_to_one(lambda x: np.exp(x) / np.exp(x).sum(), np.zeros(70_000, np.float16))
    Traceback (most recent call last):
    AssertionError: sums_to_one: row (): the sum is 0.0; allowed: 1 to within 0.00306
    """
    for result in _results(_quiet(f)(x)):
        bounded_by(lambda _, found=result: found, x, 0.0, 1.0)
        fmt, values = _format(result), np.moveaxis(_plain(result).astype(np.float64), axis, -1)
        total = values.sum(axis=-1)  # of up to 2**29 halves without error
        room = (
            ulp(values, fmt).sum(axis=-1) / 2 + fmt.eps if max_ulp is None else np.full(total.shape, max_ulp * fmt.eps)
        )
        off = np.abs(total - 1) - room
        if off.size and off.max() > 0:
            at = np.unravel_index(int(np.argmax(off)), off.shape)
            row = tuple(map(int, at))
            told = f"row {row}: the sum is {float(total[at])!r}; allowed: 1 to within {float(room[at]):.3g}"
            raise AssertionError(f"sums_to_one: {told}")


def monotone(f: Function, x: Any, *, decreasing: bool = False) -> None:
    """``f``, taken element by element, does not fall where ``x`` rises (or rise, if ``decreasing``).

    ``f(x)`` has the shape of ``x``; the elements of ``x`` are sorted first, NaN left out. A result of NaN breaks it.

    >>> import numpy as np
    >>> monotone(np.exp, np.float16([1, 2, 3]))
    >>> monotone(np.sin, np.float16([1, 2, 3]))
    Traceback (most recent call last):
    AssertionError: monotone: f(2) = 0.90918 but f(3) = 0.141113; x rises, so must f
    """
    values = _plain(x).ravel()
    rising = np.sort(values[~np.isnan(values)])
    given = Tensor(rising, x.format) if isinstance(x, Tensor) else rising
    found = _plain(_quiet(f)(given)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        step = -np.diff(found) if decreasing else np.diff(found)
        fallen = ~((step >= 0) | (found[1:] == found[:-1]))
    if fallen.any():
        k = int(np.flatnonzero(fallen)[np.argmin(np.nan_to_num(step[fallen], nan=-np.inf))])
        a, b = (f"f({float(rising[j]):g}) = {float(found[j]):.6g}" for j in (k, k + 1))
        raise AssertionError(f"monotone: {a} but {b}; x rises, so must f{' fall' if decreasing else ''}")


def batch_invariant(f: Function, x: Any, *, axis: int = 0, max_ulp: float = 0.0) -> None:
    """Each slice of ``f(x)`` along ``axis`` is what ``f`` gives for that slice alone, to the bit or to ``max_ulp``.

    ``f`` takes a batch and gives a batch. Where a kernel chooses its order of sums by the batch's size, this fails.

    >>> import numpy as np
    >>> batch_invariant(np.exp, np.float16([[1, 2], [3, 4]]))
    >>> batch_invariant(lambda x: x - x.mean(), np.float16([[1, 2], [3, 5]]))
    Traceback (most recent call last):
    AssertionError: batch_invariant: slice 0: element (0, 1): -0.75 became 0.5 (0x3800), 2560 ulp apart; allowed: 0
    """
    f = _quiet(f)
    whole = f(x)
    for k in range(_length(_plain(x), axis)):
        one = np.array([k])
        wanted = [_taken(result, one, axis) for result in _results(whole)]
        _same("batch_invariant", f"slice {k}: ", wanted, f(_taken(x, one, axis)), max_ulp)


def shape_invariant(f: Function, x: Any, *, max_ulp: float = 0.0) -> None:
    """``f``, taken element by element, gives an element the same bits in an array of any shape, order or stride.

    ``x`` goes in flat, as one column, reversed in memory, every element alone, and with a stride of 2. Vectorised loops
    that treat their last elements by another formula fail.

    >>> import numpy as np
    >>> shape_invariant(np.exp, np.float16([[1, 2], [3, 4]]))
    """
    values = _plain(x)
    f = _quiet(f)
    wanted = _plain(f(x)).ravel()

    def run(made: Array) -> Array:
        return _plain(f(Tensor(made, x.format, x.requires_grad) if isinstance(x, Tensor) else made)).ravel()

    flat = values.ravel()
    ways: dict[str, Callable[[], Array]] = {
        "flat": lambda: run(flat),
        "as a column": lambda: run(flat[:, None]),
        "reversed": lambda: run(flat[::-1])[::-1],
        "with a stride": lambda: run(np.repeat(flat, 2)[::2]),
        "one by one": lambda: np.concatenate([run(flat[k : k + 1]) for k in range(flat.size)] or [wanted]),
    }
    fmt = _format(f(x))
    for name, way in ways.items():
        _compared("shape_invariant", f"{name}: ", wanted, way(), max_ulp, fmt)


def gradient_matches(f: Function, x: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3) -> None:
    """The gradients of ``f`` at ``x`` agree with central differences, all in float64: `halfsim.gradcheck`.

    ``x`` is a Tensor or a tuple of them. ``AssertionError`` names the input, the output and the worst element.

    >>> import halfsim as hs
    >>> gradient_matches(lambda x: (x * x).sum(), hs.tensor([1.0, -2.0]))
    """
    gradcheck(f, x, eps, atol, rtol)


def _results(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _plain(x: Any) -> Array:
    return np.asarray(x.array if isinstance(x, Tensor) else x)


def _format(result: Any) -> Format:
    return format_of(result) if isinstance(result, (Tensor, np.ndarray, np.floating)) else float64


def _same(what: str, where: str, before: Any, after: Any, max_ulp: float) -> None:
    """``AssertionError`` where one of the results differs by more than ``max_ulp``."""
    wanted, found = _results(before), _results(after)
    if len(wanted) != len(found):
        raise AssertionError(f"{what}: {where}{len(wanted)} results became {len(found)}")
    for a, b in zip(wanted, found, strict=True):
        _compared(what, where, _plain(a), _plain(b), max_ulp, _format(b))


def _compared(what: str, where: str, wanted: Array, found: Array, max_ulp: float, fmt: Format) -> None:
    if wanted.shape != found.shape:
        raise AssertionError(f"{what}: {where}shape {wanted.shape} became {found.shape}")
    if not wanted.size:
        return
    error = distance(found.astype(np.float64), wanted.astype(np.float64), fmt)
    worst = int(np.argmax(error))
    if error.flat[worst] > max_ulp:
        at = tuple(int(k) for k in np.unravel_index(worst, wanted.shape))
        place = f"element {at}: " if at else ""
        was, now = float(wanted.flat[worst]), _value(float(found.flat[worst]), fmt)
        apart = ulps(float(error.flat[worst]))
        raise AssertionError(f"{what}: {where}{place}{was!r} became {now}, {apart} apart; allowed: {max_ulp:g}")


def _value(x: float, fmt: Format) -> str:
    return f"{x!r} ({int(encode(x, fmt)):#x})"


def _shown(result: Any, worst: int) -> str:
    values = _plain(result)
    at = tuple(int(k) for k in np.unravel_index(worst, values.shape))
    return f"{f'element {at}: ' if at else ''}{_value(float(values.flat[worst]), _format(result))}"
