"""New tensors: constant or counted values, or given ones. Each is rounded once, to the format that is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import foreign, made_in, tensor
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import Integer, as_dtype, int64
from halfsim.numerics.quantize import Array
from halfsim.options import refused

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "range_",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def shape_given(name: str, given: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as a tuple, or as several integers."""
    sizes = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    try:
        shape = tuple(n.__index__() for n in sizes)
    except AttributeError:
        raise refused(name, sizes, "integers from 0") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: {shape} is not allowed; allowed: integers from 0")
    return shape


def floats(values: Array, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor of floats, in the format that is asked for or in force."""
    return tensor(values, made_in(None) if dtype is None else dtype, requires_grad)


def zeros(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Zeros of the shape ``size``, given as a tuple or as integers.

    >>> zeros(2, 3).shape, zeros((2,), dtype="int64")
    ((2, 3), tensor([0, 0], int64))
    """
    size = size or (shape_named(ignored),)
    return floats(np.zeros(shape_given("size", size), np.float32), dtype, requires_grad)


def shape_named(options: dict[str, Any]) -> Any:
    """A shape that is given by name."""
    return options.get("size", options.get("shape", ()))


def ones(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Ones of the shape ``size``, given as a tuple or as integers."""
    size = size or (shape_named(ignored),)
    return floats(np.ones(shape_given("size", size), np.float32), dtype, requires_grad)


def empty(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Zeros of the shape ``size``, where PyTorch leaves what is in memory."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad, **ignored)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``fill_value`` everywhere in the shape ``size``; of its own kind (float, integer, bool) without ``dtype``.

    >>> full((2,), 0.1, dtype="float16"), full((2,), 3)
    (tensor([0.1, 0.1], float16), tensor([3, 3], int64))
    """
    value = numbers(fill_value)
    if value.dtype.kind == "c":
        raise TypeError("fill_value: complex is not allowed; allowed: numbers")
    if value.ndim:
        raise ValueError(f"fill_value: shape {value.shape} is not allowed; allowed: a number")
    kept = value if value.dtype.kind in "biu" else value.astype(np.float64)
    values = np.full(shape_given("size", (size,)), kept)
    if dtype is None and value.dtype.kind in "biu":
        return tensor(values, values.dtype)
    return floats(values, dtype, requires_grad)


def format_like(input: Any, dtype: object) -> Any:
    return dtype if dtype is not None else input.dtype if isinstance(input, (Tensor, np.ndarray)) else None


def zeros_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Zeros of the shape and the format of ``input``."""
    return zeros(numbers(input).shape, dtype=format_like(input, dtype), requires_grad=requires_grad)


def ones_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Ones of the shape and the format of ``input``."""
    return ones(numbers(input).shape, dtype=format_like(input, dtype), requires_grad=requires_grad)


def empty_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Zeros of the shape and the format of ``input``, where PyTorch leaves what is in memory."""
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``fill_value`` everywhere in the shape and the format of ``input``."""
    return full(numbers(input).shape, fill_value, dtype=format_like(input, dtype), requires_grad=requires_grad)


def scalar_tensor(s: float, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """A tensor without axes."""
    return floats(np.asarray(float(s), np.float64), dtype, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``start`` (0 if one number is given), and on by ``step`` while it is short of ``end``.

    Integers where all three are, else floats, each ``start + i * step`` rounded once. ``ValueError`` for a step of 0
    and for bounds that a step leads away from.

    >>> arange(3), arange(0, 1, 0.5)
    (tensor([0, 1, 2], int64), tensor([0. , 0.5], float32))
    """
    if end is None:
        start, end = 0, start
    first, last, by = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    for name, x in (("start", first), ("end", last), ("step", by)):
        if not isinstance(x, (int, float)) or not math.isfinite(x):
            raise refused(name, x, "finite numbers")
    fmt = None if dtype is None else as_dtype(dtype)
    if isinstance(fmt, Integer):  # which bounds and step are cut to
        first, by, last = int(first), int(by), int(last) if fmt is int64 else last
    if by == 0 or (last - first) / by < 0:
        raise ValueError(f"step: {by} from {first} to {last} is not allowed; allowed: steps towards the end, not 0")
    if all(isinstance(x, int) for x in (first, last, by)):
        counted = np.arange(int(first), int(last), int(by), dtype=np.int64)
        return tensor(counted, "int64" if dtype is None else dtype, requires_grad)
    values = first + np.arange(max(math.ceil((last - first) / by), 0)) * by
    return floats(np.asarray(values, np.float64), dtype, requires_grad)


def range_(start: float = 0, end: float = 0, step: float = 1, **options: Any) -> Tensor:
    """PyTorch's old ``range``: floats from ``start`` to ``end``, which is included."""
    if not math.isfinite(step) or not step:
        raise ValueError(f"step: {step} is not allowed; allowed: finite numbers other than 0")
    start, end, step = float(start), float(end), float(step)
    return floats(start + np.arange(math.floor((end - start) / step) + 1) * step, **options)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``steps`` values from ``start`` to ``end``, both included, evenly spaced; each rounded once from float64."""
    first, last = _ends(start, end, steps, dtype)
    return floats(_spaced(first, last, steps), dtype, requires_grad)


def _ends(start: Any, end: Any, steps: int, dtype: object) -> tuple[Array, Array]:
    """The first number and the last, cut to integers where these are asked for."""
    for name, x in (("start", start), ("end", end)):
        if np.ndim(plain(x)):
            raise ValueError(f"{name}: shape {np.shape(plain(x))} is not allowed; allowed: a number")
    if steps < 0:
        raise ValueError(f"steps: {steps} is not allowed; allowed: integers from 0")
    ends = (numbers(x, np.float64) for x in (start, end))
    first, last = map(np.trunc, ends) if dtype is not None and isinstance(as_dtype(dtype), Integer) else ends
    return first, last


def _spaced(first: Array, last: Array, steps: int) -> Array:
    """By halves from either end, as in PyTorch."""
    with np.errstate(all="ignore"):
        by, i = (last - first) / max(steps - 1, 1), np.arange(steps).reshape(-1, *[1] * np.ndim(first - last))
        return np.where(i < steps // 2, first + i * by, last - (steps - i - 1) * by) if steps != 1 else first + 0 * i


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``base`` to the powers from ``start`` to ``end``, evenly spaced; each rounded once from float64."""
    first, last = _ends(start, end, steps, dtype)
    with np.errstate(all="ignore"):
        return floats(np.power(float(base), _spaced(first, last, steps)), dtype, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Ones on the diagonal of a matrix (n, m), zeros elsewhere; m is n if it is missing."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"n, m: {n}, {m} are not allowed; allowed: integers from 0")
    return floats(np.eye(n, m, dtype=np.float32), dtype, requires_grad)


def as_tensor(data: Any, dtype: object = None, device: object = None) -> Tensor:
    """``data`` as a tensor: itself if it is one of that format, else `halfsim.tensor`, which copies."""
    data = foreign(data)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    kept = isinstance(data, np.ndarray) and data.dtype.kind in "biu"
    return tensor(data, data.dtype if dtype is None and kept else dtype)


def asarray(
    obj: Any, *, dtype: object = None, device: object = None, copy: bool | None = None, **ignored: Any
) -> Tensor:
    """``obj`` as a tensor, a copy of its own with ``copy``."""
    made = as_tensor(obj, dtype)
    return made.clone() if copy and made is obj else made


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor of the values and the dtype of an array; a copy, where PyTorch shares memory."""
    if not isinstance(ndarray, np.ndarray):
        raise refused("ndarray", type(ndarray).__name__, "numpy.ndarray")
    return tensor(ndarray, ndarray.dtype)


def tril_indices(row: int, col: int, offset: int = 0, **ignored: Any) -> Tensor:
    """The rows and columns (2, N) of the elements on and below a diagonal."""
    return integer_tensor(np.asarray(np.tril_indices(row, offset, col), np.int64))


def triu_indices(row: int, col: int, offset: int = 0, **ignored: Any) -> Tensor:
    """The rows and columns (2, N) of the elements on and above a diagonal."""
    return integer_tensor(np.asarray(np.triu_indices(row, offset, col), np.int64))
