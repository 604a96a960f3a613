"""Operations that choose between values: bounds, the larger of two, masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import choose, mask_of, named
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array


@op()
def clamp(fp: Arithmetic, x: Array, min: Array | None = None, max: Array | None = None, /) -> Any:
    """``x`` between ``min`` and ``max`` (numbers or tensors, one may be missing); NaN stays, ``max`` wins over ``min``.

    The gradient goes to ``x`` where it lies between them, bounds included, and not at NaN; else to the bound taken.
    """
    if min is None and max is None:
        raise ValueError("clamp: min and max are missing; allowed: at least one of them")
    y = x if min is None else np.maximum(x, min)
    y = y if max is None else np.minimum(y, max)
    low, high = -np.inf if min is None else min, np.inf if max is None else max
    return y, (
        lambda fp, g: fp.keep(g, (x >= low) & (x <= high)),
        lambda fp, g: fp.keep(g, (x < low) & (low < high)),
        lambda fp, g: fp.keep(g, (x > high) | (high < low)),
    )


clip = clamp


@op()
def maximum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The larger of two elements, NaN if one is; equal ones share the gradient by halves."""
    return np.maximum(a, b), (lambda fp, g: _share(fp, g, a, b, a < b), lambda fp, g: _share(fp, g, a, b, b < a))


@op()
def minimum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The smaller of two elements, NaN if one is; equal ones share the gradient by halves."""
    return np.minimum(a, b), (lambda fp, g: _share(fp, g, a, b, a > b), lambda fp, g: _share(fp, g, a, b, b > a))


def _share(fp: Arithmetic, g: Array, a: Array, b: Array, lost: Array) -> Array:
    equal = np.equal(a, b)
    g = fp.mul(g, choose(equal, fp.constant(0.5), fp.constant(1.0))) if equal.any() else g
    return fp.keep(g, ~lost)


@op()
@named("where")
def _where(fp: Arithmetic, a: Array, b: Array, /, mask: Array) -> Any:
    _check("where", "condition", mask, a, b)
    return choose(mask, a, b), (lambda fp, g: fp.keep(g, mask), lambda fp, g: fp.keep(g, ~mask))


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """``input`` where ``condition`` (bool) is true and ``other`` elsewhere; all three broadcast.

    >>> from halfsim import tensor
    >>> where([True, False], tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.], float32)
    """
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
    if _check("masked_fill", "mask", mask, x) != x.shape:
        raise ValueError(f"masked_fill: mask {mask.shape} does not fit input {x.shape}; allowed: no larger ones")
    if np.ndim(value):
        raise ValueError(f"masked_fill: value has shape {value.shape}; allowed: a number")
    return choose(mask, value, x), (lambda fp, g: fp.keep(g, ~mask), lambda fp, g: fp.keep(g, mask))


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """``value`` (a number) where ``mask`` (bool) is true, ``input`` elsewhere.

    The number is rounded to the format of ``input``: -1e9 is -inf in float16, where PyTorch refuses it.
    """
    return _masked_fill(input, value, mask_of("mask", mask))
