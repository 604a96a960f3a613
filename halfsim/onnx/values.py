"""What travels between nodes: tensors of floats, NumPy arrays of anything else, lists for sequences, None for nothing.

An element type is ONNX's number of it, as ``TensorProto.FLOAT``; it is what the file says, whatever precision rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import resolve
from halfsim.autograd.tape import SPECS, apply
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import INTEGERS, NARROW, Format, as_format
from halfsim.onnx.package import package
from halfsim.text import clipped

FLOAT, STRING, FLOAT16, DOUBLE = 1, 8, 10, 11

# ONNX's element types: the word for one in "tensor(word)", and NumPy's or ml_dtypes' name of its dtype.
_ELEMENTS = {
    1: ("float", "float32"), 2: ("uint8", "uint8"), 3: ("int8", "int8"), 4: ("uint16", "uint16"), 5: ("int16", "int16"),
    6: ("int32", "int32"), 7: ("int64", "int64"), 8: ("string", "object"), 9: ("bool", "bool"),
    10: ("float16", "float16"), 11: ("double", "float64"), 12: ("uint32", "uint32"), 13: ("uint64", "uint64"),
    14: ("complex64", "complex64"), 15: ("complex128", "complex128"), 16: ("bfloat16", "bfloat16"),
    17: ("float8e4m3fn", "float8_e4m3fn"), 18: ("float8e4m3fnuz", "float8_e4m3fnuz"),
    19: ("float8e5m2", "float8_e5m2"), 20: ("float8e5m2fnuz", "float8_e5m2fnuz"), 21: ("uint4", "uint4"),
    22: ("int4", "int4"), 23: ("float4e2m1", "float4_e2m1fn"), 24: ("float8e8m0", "float8_e8m0fnu"),
    25: ("uint2", "uint2"), 26: ("int2", "int2"), 27: ("float6e2m3", "float6_e2m3fn"),
    28: ("float6e3m2", "float6_e3m2fn"),
}  # fmt: skip
WORDS = {number: word for number, (word, _) in _ELEMENTS.items()}
NUMBERS = {word: number for number, (word, _) in _ELEMENTS.items()}
_NUMPY = ("float16", "float32", "float64")
FORMATS: dict[int, Format] = {
    number: as_format(name) for number, (_, name) in _ELEMENTS.items() if name in NARROW or name in _NUMPY
}
_OF_FORMAT = {fmt: number for number, fmt in FORMATS.items()}
_OF_DTYPE = {name: number for number, (_, name) in _ELEMENTS.items()}

LIMIT = 2**31  # values of one tensor: what asks for more is a mistake, or meant to fill the memory


def dtype_of(element: int) -> Any:
    """The dtype of arrays of an element type; ``TypeError`` for a number that is none."""
    name = _ELEMENTS.get(element, ("", ""))[1]
    if not name:
        raise TypeError(f"element type: {element} is not allowed; allowed: {min(WORDS)} to {max(WORDS)}")
    if name in NARROW or name in ("int4", "uint4", "int2", "uint2"):
        package()  # which says what is missing
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


def element_of(value: Any) -> int:
    """The element type of a value, of a sequence that of its first member; 0 where there is none."""
    if isinstance(value, Tensor):
        found = _OF_FORMAT.get(value.format) if isinstance(value.format, Format) else _OF_DTYPE[value.format.name]
        return found or FLOAT
    if isinstance(value, (list, tuple)):
        return element_of(value[0]) if value else 0
    name = getattr(getattr(value, "dtype", None), "name", "")
    return STRING if name.startswith("str") else _OF_DTYPE.get(name, 0)


def is_float(value: Any) -> bool:
    """Whether a value is a tensor of floats."""
    return isinstance(value, Tensor) and isinstance(value.format, Format)


def as_array(value: Any) -> Any:
    """A value as the package onnx has it: arrays for tensors, of ml_dtypes' dtypes where NumPy has none."""
    if isinstance(value, Tensor):
        if value.format in _OF_FORMAT and value.format.name not in _NUMPY:
            return value.array.astype(dtype_of(_OF_FORMAT[value.format]))
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return [as_array(x) for x in value]
    return value


def as_value(array: Any) -> Any:
    """What the package onnx has as a value here, exact: arrays of floats are tensors, in the dtype's own format."""
    if isinstance(array, (list, tuple)):
        return [as_value(x) for x in array]
    if isinstance(array, Tensor):
        return array if is_float(array) else array.array
    if array is None or isinstance(array, dict) or hasattr(array, "todense"):
        return array
    array = np.asarray(array)
    if array.dtype.name in NARROW or array.dtype.name in _NUMPY:
        return tensor(array, array.dtype.name)
    return array.astype(object) if array.dtype.kind in "US" else array


def stored(value: Any, element: int = 0) -> Any:
    """A value that no operation computed, as the precision in force stores it; told to who watches.

    ``element`` is the element type that it has in the file, by default that of the value itself.
    """
    if isinstance(value, (list, tuple)):
        return [stored(x, element) for x in value]
    value = as_value(value)
    if not is_float(value):
        return value
    fmt = FORMATS.get(element, value.format)
    return apply(SPECS["cast"], (value,), precision=resolve("cast", None, fmt))


def numbers(value: Any) -> Any:
    """A value as a plain array of numbers in the container that carries it; None stays None."""
    return value.array if isinstance(value, Tensor) else value


def axis_of(axis: int, ndim: int) -> int:
    """An axis counted from the first; ``ValueError`` for one that is not there."""
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"axis: {axis} is not allowed; allowed: {-ndim} to {ndim - 1}")
    return axis % max(ndim, 1)


def integers(value: Any) -> list[int]:
    """A small tensor of integers, as axes and shapes are, as a list."""
    return [int(x) for x in np.asarray(numbers(value)).reshape(-1)]


def wrapped(value: Any) -> Any:
    """An array of integers or bools as a tensor, for operations that move values; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.name in INTEGERS:
        return Tensor(value, INTEGERS[value.dtype.name])
    return value


def unwrapped(value: Any) -> Any:
    """The reverse of `wrapped`."""
    return value.array if isinstance(value, Tensor) and not isinstance(value.format, Format) else value


def fitting(shape: Sequence[int], what: str = "shape") -> tuple[int, ...]:
    """A shape that fits in memory; ``ValueError`` for one that does not, and for negative lengths."""
    wanted, size = tuple(int(n) for n in shape), 1
    for n in wanted:
        size *= max(n, 0) if n else 1
    if any(n < 0 for n in wanted) or size > LIMIT:
        raise ValueError(f"{what}: {clipped(str(wanted), 60)} is not allowed; allowed: lengths from 0, 2**31 values")
    return wanted
