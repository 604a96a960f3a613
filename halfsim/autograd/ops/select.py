"""Operations that choose between values: bounds, the larger of two, masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import bound, choose, mask_of, named
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "fmax",
    "fmin",
    "masked_fill",
    "maximum",
    "minimum",
    "where",
]


@op()
def clamp(fp: Arithmetic, x: Array, min: Array | None = None, max: Array | None = None, /) -> Any:
    """``x`` between ``min`` and ``max`` (numbers or tensors, one may be missing); NaN stays, ``max`` wins over ``min``.

    Bounds have the format of the result, as in PyTorch: 0.1 is 0.10009765625 in bfloat16. The gradient goes to ``x``
    where it lies between them, bounds included, and not at NaN; else to the bound taken.
    """
    if min is None and max is None:
        raise ValueError("clamp: min and max are missing; allowed: at least one of them")
    low: Any = None if min is None else bound(fp, min)
    high: Any = None if max is None else bound(fp, max)
    y = x if min is None else _bounded(np.maximum, x, min, low, np.less)
    y = y if max is None else _bounded(np.minimum, y, max, high, np.greater)
    both = low is not None and high is not None
    ordered, crossed = (low < high, high < low) if both else (np.True_, np.False_)
    inside = (np.True_ if low is None else x >= low) & (np.True_ if high is None else x <= high)
    return y, (
        lambda fp, g: fp.keep(g, inside),
        lambda fp, g: fp.keep(g, (x < low) & ordered),
        lambda fp, g: fp.keep(g, (x > high) | crossed),
    )


def _bounded(extreme: Any, x: Array, limit: Any, stored: Any, beyond: Any) -> Array:
    """``x`` within one bound, which the store rounds where it is taken; NaN on either side stays.

    A zero that equals a bound that is a number, as ``stored``, keeps its sign.
    """
    if np.ndim(limit):
        return extreme(x, limit)
    taken = choose(np.equal(x, stored), np.copysign(limit, x), limit)
    return choose(beyond(x, limit) | np.isnan(limit), taken, x)


clip = clamp


def clamp_min(input: Any, min: Any) -> Tensor:
    """The larger of ``input`` and the bound ``min``: `clamp` with one bound."""
    return clamp(input, min)


def clamp_max(input: Any, max: Any) -> Tensor:
    """The smaller of ``input`` and the bound ``max``: `clamp` with one bound."""
    return clamp(input, None, max)


@op()
def maximum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The larger of two elements, NaN if one is; equal ones share the gradient by halves."""
    return np.maximum(a, b), (lambda fp, g: _share(fp, g, a, b, a < b), lambda fp, g: _share(fp, g, a, b, b < a))


@op()
def minimum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The smaller of two elements, NaN if one is; equal ones share the gradient by halves."""
    return np.minimum(a, b), (lambda fp, g: _share(fp, g, a, b, a > b), lambda fp, g: _share(fp, g, a, b, b > a))


@op()
def fmax(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The larger of two elements, the number of a number and NaN; the gradient of equal ones goes to ``a``."""
    first = (a >= b) | np.isnan(b)
    return choose((a > b) | np.isnan(b), a, b), (lambda fp, g: fp.keep(g, first), lambda fp, g: fp.keep(g, ~first))


@op()
def fmin(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The smaller of two elements, the number of a number and NaN; the gradient of equal ones goes to ``a``."""
    first = (a <= b) | np.isnan(b)
    return choose((a < b) | np.isnan(b), a, b), (lambda fp, g: fp.keep(g, first), lambda fp, g: fp.keep(g, ~first))


def _share(fp: Arithmetic, g: Array, a: Array, b: Array, lost: Array) -> Array:
    equal = np.equal(a, b)
    g = fp.mul(g, choose(equal, fp.constant(0.5), fp.constant(1.0))) if equal.any() else g
    return fp.keep(g, ~lost)


@op()
@named("where")
def _where(fp: Arithmetic, a: Array, b: Array, /, mask: Array) -> Any:
    _check("where", "condition", mask, a, b)
    return choose(mask, a, b), (lambda fp, g: fp.keep(g, mask), lambda fp, g: fp.keep(g, ~mask))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` (bool) is true and ``other`` elsewhere; all three broadcast.

    Of a condition alone the places of what is not zero, a tensor for each axis.

    >>> from halfsim import tensor
    >>> where([True, False], tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.], float32)
    """
    if input is None and other is None:
        return OPS["nonzero"](condition, as_tuple=True)
    return _where(input, other, mask_of("condition", condition))


def _check(name: str, mask_name: str, mask: Array, *operands: Array) -> tuple[int, ...]:
    """The common shape of a mask and operands."""
    shapes = [np.shape(x) for x in operands]
    try:
        return np.broadcast_shapes(mask.shape, *shapes)
    except ValueError:
        given = " and ".join(map(str, shapes))
        raise ValueError(f"{name}: {mask_name} {mask.shape} does not fit {given}; allowed: equal sides or 1") from None


@op()
@named("masked_fill")
def _masked_fill(fp: Arithmetic, x: Array, value: Array, /, mask: Array) -> Any:
    _check("masked_fill", "mask", mask, x)
    if np.ndim(value):
        raise ValueError(f"masked_fill: value has shape {value.shape}; allowed: a number")
    return choose(mask, value, x), (lambda fp, g: fp.keep(g, ~mask), lambda fp, g: fp.keep(g, mask))


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """``value`` (a number) where ``mask`` (bool) is true, ``input`` elsewhere; both broadcast.

    The number is rounded to the format of ``input``: -1e9 is -inf in float16, where PyTorch refuses it.
    """
    return _masked_fill(input, value, mask_of("mask", mask))
