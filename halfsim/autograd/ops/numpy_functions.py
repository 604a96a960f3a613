"""NumPy's functions on tensors where their arguments or defaults are not those of the operation of that name.

What they do is in NumPy's documentation; every step is an operation of `halfsim.ops`.
"""

# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.numpy_protocol import as_numpy, numpy_functions
from halfsim.autograd.operators import OPS


def _numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    numpy_functions[function.__name__] = function
    return function


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(as_numpy(x))


@_numpy
def var(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False, correction: float | None = None) -> Any:
    return OPS["var"](a, axis, keepdims=keepdims, correction=ddof if correction is None else correction)


@_numpy
def std(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False, correction: float | None = None) -> Any:
    return OPS["std"](a, axis, keepdims=keepdims, correction=ddof if correction is None else correction)


@_numpy
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    over = len(_shape(x)) if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord is None or (ord == "fro" and over == 2):
        ord = 2
    elif isinstance(ord, str) or over != 1:
        raise TypeError(f"numpy.norm of {over} axes with ord={ord!r} is not simulated; allowed: None, 'fro', vectors")
    return OPS["norm"](x, ord, axis, keepdims)


@_numpy
def cumsum(a: Any, axis: int | None = None) -> Any:
    return OPS["cumsum"](OPS["flatten"](a), 0) if axis is None else OPS["cumsum"](a, axis)


@_numpy
def cumprod(a: Any, axis: int | None = None) -> Any:
    return OPS["cumprod"](OPS["flatten"](a), 0) if axis is None else OPS["cumprod"](a, axis)


@_numpy
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    return OPS["diff"](a, n, axis, prepend, append)


@_numpy
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    return OPS["trapezoid"](y, x, dx=dx if x is None else None, dim=axis)


@_numpy
def nanmean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return OPS["nanmean"](a, axis, keepdims)


@_numpy
def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    return OPS["nan_to_num"](x, nan, posinf, neginf)


@_numpy
def round(a: Any, decimals: int = 0) -> Any:
    return OPS["round"](a, decimals=decimals)


@_numpy
def cross(a: Any, b: Any, axis: int = -1) -> Any:
    return OPS["linalg_cross"](*OPS["broadcast_tensors"](a, b), axis)


@_numpy
def meshgrid(*xi: Any, indexing: str = "xy") -> Any:
    return OPS["meshgrid"](*xi, indexing=indexing)


@_numpy
def broadcast_arrays(*args: Any) -> Any:
    return OPS["broadcast_tensors"](*args)


@_numpy
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    return OPS["rot90"](m, k, axes)


@_numpy
def squeeze(a: Any, axis: Any = None) -> Any:
    return OPS["squeeze"](a, axis)


@_numpy
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return list(OPS["tensor_split"](ary, indices_or_sections, axis))


@_numpy
def argmax(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    return OPS["argmax"](a, axis, keepdims)


@_numpy
def argmin(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    return OPS["argmin"](a, axis, keepdims)


@_numpy
def max(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return OPS["max_values"](a, axis, keepdims)


@_numpy
def min(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return OPS["min_values"](a, axis, keepdims)


amax, amin = max, min
numpy_functions |= {"amax": amax, "amin": amin}


@_numpy
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return OPS["stack"](arrays, axis)


@_numpy
def hstack(tup: Sequence[Any]) -> Any:
    return OPS["cat"](tup, 1 if len(_shape(tup[0])) > 1 else 0)


@_numpy
def vstack(tup: Sequence[Any]) -> Any:
    return OPS["cat"]([OPS["unsqueeze"](x, 0) if len(_shape(x)) == 1 else x for x in tup], 0)


@_numpy
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    lengths = [len(part) for part in np.split(np.arange(_shape(ary)[axis]), indices_or_sections)]
    return list(OPS["split"](ary, lengths, axis))


@_numpy
def dot(a: Any, b: Any) -> Any:
    left, right = len(_shape(a)), len(_shape(b))
    if not left or not right:
        return OPS["mul"](a, b)
    if left == right == 1:
        return OPS["dot"](a, b)
    return OPS["matmul"](a, b) if right <= 2 else OPS["tensordot"](a, b, ([left - 1], [right - 2]))


@_numpy
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    return OPS["tensordot"](a, b, axes)


@_numpy
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return OPS["roll"](a, shift, axis)


@_numpy
def flip(m: Any, axis: Any = None) -> Any:
    return OPS["flip"](m, axis)


@_numpy
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    return OPS["repeat_interleave"](a, repeats, axis)


@_numpy
def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return OPS["take"](a, indices)
    before = axis if axis >= 0 else axis + len(_shape(a))
    return a[(slice(None),) * before + (np.asarray(indices),)]


@_numpy
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    if mode != "constant":
        raise TypeError(f"numpy.pad with mode={mode!r} is not simulated; allowed: constant")
    pairs = np.broadcast_to(pad_width, (len(_shape(array)), 2))
    return OPS["pad"](array, [int(n) for pair in pairs[::-1] for n in pair], value=constant_values)


@_numpy
def copy(a: Any) -> Any:
    return OPS["cast"](a, a.format)
