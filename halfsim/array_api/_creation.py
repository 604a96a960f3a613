"""Creation functions of the array API."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halfsim.array_api._dtypes import bool as bool_
from halfsim.array_api._dtypes import dtype_of, int64, placed
from halfsim.autograd.making import foreign, made_in, tensor
from halfsim.autograd.numpy_protocol import as_numpy
from halfsim.autograd.operators import OPS
from halfsim.autograd.tensor import Tensor, numbers
from halfsim.numerics.inputs import unmasked
from halfsim.options import guarded_names

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def _made(values: Any, dtype: Any, device: Any) -> Tensor:
    placed(device)
    kind = np.asarray(values).dtype.kind
    default = bool_ if kind == "b" else int64 if kind in "iu" else made_in(None)
    return tensor(values, default if dtype is None else dtype_of(dtype))


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array of numbers, of nested sequences of these, of an array of any library; itself without ``copy``.

    Python's integers are int64, its floats have the format in force. ``ValueError`` where ``copy=False`` cannot be.
    """
    placed(device)
    same = isinstance(obj, Tensor) and (dtype is None or dtype_of(dtype) == obj.dtype)
    if same and not copy:
        return obj
    if copy is False:
        raise ValueError("copy: False is not allowed for another dtype or library; allowed: None, True")
    if isinstance(obj, Tensor):
        return Tensor(obj.array.copy(), obj.dtype) if same else OPS["cast"](obj, dtype_of(dtype))
    values = foreign(obj)
    if isinstance(values, (Tensor, np.ndarray, np.generic)) or hasattr(values, "__array_interface__"):
        return tensor(values if isinstance(values, Tensor) else np.asarray(values), dtype)
    if isinstance(obj, (memoryview, bytearray)):
        return tensor(np.asarray(obj), dtype)
    values = as_numpy(values)
    if isinstance(values, int) and not -(2**63) <= values < 2**64:
        raise OverflowError("obj: an integer past 64 bits is not allowed; allowed: -2**63 to 2**64 - 1")
    return _made(values, dtype, device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A copy of an array of another library, by DLPack. ``BufferError`` for ``copy=False``."""
    placed(device)
    if copy is False:
        raise BufferError("copy: False is not allowed, for a tensor's array is its own; allowed: True, None")
    return tensor(np.from_dlpack(unmasked(x)))


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``fill_value`` everywhere."""
    return _made(np.full(_shape(shape), numbers(fill_value)), dtype, device)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros."""
    return full(shape, 0.0, dtype=dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones."""
    return full(shape, 1.0, dtype=dtype, device=device)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros."""
    return full(shape, 0.0, dtype=dtype, device=device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``fill_value`` in the shape and dtype of ``x``."""
    return full(numbers(x).shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros in the shape and dtype of ``x``."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones in the shape and dtype of ``x``."""
    return full_like(x, 1, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros in the shape and dtype of ``x``."""
    return full_like(x, 0, dtype=dtype, device=device)


def _number(name: str, x: Any) -> Any:
    """``x`` if it is one real number; ``TypeError`` for arrays of several, text and complex numbers."""
    if numbers(x).size != 1:
        raise TypeError(f"{name}: shape {np.shape(x)} is not allowed; allowed: a number")
    return x


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``start`` (0 if one number is given) and on by ``step`` to before ``stop``, each rounded once; or none."""
    _number("start", start), _number("stop", 0 if stop is None else stop), _number("step", step)
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("step: 0 is not allowed; allowed: other numbers")
    count = max(math.ceil((last - first) / step), 0)
    if all(isinstance(x, int) for x in (first, last, step)):
        return _made(first + step * np.arange(count, dtype=np.int64), dtype, device)
    return _made(np.asarray(first + step * np.arange(count), np.float64), dtype, device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: Any = True
) -> Tensor:
    """``num`` values from ``start`` to ``stop``, evenly spaced, each rounded once from float64."""
    with np.errstate(all="ignore"):
        ends = float(_number("start", start)), float(_number("stop", stop))
        return _made(np.linspace(*ends, num, endpoint), dtype, device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones on the ``k``-th diagonal, zeros elsewhere."""
    return _made(np.eye(n_rows, n_cols, k), dtype, device)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """Each vector along an axis of its own, in the shape of all."""
    return list(OPS["meshgrid"](*arrays, indexing=indexing)) if arrays else []


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The values on the ``k``-th diagonal and below, zeros above."""
    return OPS["tril"](x, k)


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The values on the ``k``-th diagonal and above, zeros below."""
    return OPS["triu"](x, k)


guarded_names(globals(), __all__)
