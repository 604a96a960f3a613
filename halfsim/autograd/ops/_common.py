"""What the modules of operations share."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Axis
from halfsim.autograd.policy import resolve
from halfsim.autograd.tape import _widest as widest
from halfsim.autograd.tensor import Tensor, plain, tensor
from halfsim.numerics.quantize import Array


def named(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Under an operation's decorator: the name it has in traces, where a function around it goes by that name."""

    def rename(formula: Callable[..., Any]) -> Callable[..., Any]:
        formula.__name__ = name
        return formula

    return rename


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """``axis`` (an int, a tuple or list, None for all) as axes from 0; a number without axes has axis 0 and -1."""
    axes = tuple(range(ndim)) if axis is None else tuple(axis) if isinstance(axis, (tuple, list)) else (index(axis),)
    limit = ndim or (len(axes) and 1)
    for a in axes:
        if not -limit <= a < limit:
            raise ValueError(f"axis: {a} is not allowed; allowed: {-limit} to {limit - 1} for {ndim} dimensions")
    return tuple(a % ndim for a in axes) if ndim else ()


def axis_of(axis: int, ndim: int) -> int:
    """One axis, from 0."""
    return axes_of(index(axis), max(ndim, 1))[0]


def off_tape(x: Any) -> Any:
    """An operand that takes no gradient."""
    return x.detach() if isinstance(x, Tensor) else x


def indices(name: str, values: Any) -> Array:
    """Integers, given as an array, a list or a Tensor that holds whole numbers."""
    try:
        found = np.asarray(plain(values))
    except ValueError:
        raise ValueError(f"{name}: rows of unequal length are not allowed; allowed: an array of integers") from None
    if isinstance(values, Tensor) and (found == np.trunc(found)).all():
        return found.astype(np.int64)
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError(f"{name}: dtype {found.dtype} is not allowed; allowed: integers")
    return found.astype(np.int64)


def mask_of(name: str, values: Any) -> Array:
    """Truth values, given as an array, a list or a Tensor of zeros and ones."""
    found = np.array(plain(values))  # a copy: the caller's array may change
    if isinstance(values, Tensor) and ((found == 0) | (found == 1)).all():
        return found == 1
    if found.dtype != np.bool_:
        raise TypeError(f"{name}: dtype {found.dtype} is not allowed; allowed: bool")
    return found


def choose(mask: Any, a: Any, b: Any) -> Array:
    """``a`` where ``mask`` is true, else ``b``, as ``np.where`` of floats; by their bits, which needs no branches."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype:  # their bits mean different numbers
        kind = np.result_type(a, b)
        a, b = a.astype(kind), b.astype(kind)
    word = np.dtype(f"i{a.itemsize}")
    a, b, chosen = a.view(word), b.view(word), -np.asarray(mask).astype(word)
    return np.asarray(b ^ ((a ^ b) & chosen)).view(f"f{word.itemsize}")


def signs(x: Array) -> Array:
    """-1, 0 or 1 for each element, 0 for NaN."""
    return np.subtract(x > 0, x < 0, dtype=x.dtype)


def like(x: Any, other: Tensor) -> Tensor:
    """A Tensor as it is; an array or a number in the format of another tensor."""
    return x if isinstance(x, Tensor) else tensor(x, other.format)


def as_category(category: str, *operands: Any) -> tuple[Any, ...]:
    """The tensors as autocast hands them to a function of ``category`` that is made of other operations."""
    storage = resolve("", category, widest(operands)).storage
    return tuple(x.to(storage) if isinstance(x, Tensor) else x for x in operands)
