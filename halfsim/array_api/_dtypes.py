"""Dtypes of the array API: names, kinds, numbers and rules of promotion; constants; what a library may ask for."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.device import CPU, device
from halfsim.autograd.making import made_in
from halfsim.autograd.operators import OPS
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import (
    Format,
    Integer,
    as_dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promoted,
    uint8,
    uint16,
    uint32,
    uint64,
    unknown,
)
from halfsim.options import guarded_names, refused

__all__ = [
    "astype",
    "bfloat16",
    "bool",
    "can_cast",
    "e",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "nan",
    "newaxis",
    "pi",
    "result_type",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None

_SIGNED, _UNSIGNED, _FLOATS = (int8, int16, int32, int64), (uint8, uint16, uint32, uint64), (float32, float64)
_KINDS: dict[str, tuple[Any, ...]] = {
    "bool": (bool_,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": (*_SIGNED, *_UNSIGNED),
    "real floating": _FLOATS,
    "complex floating": (),
    "numeric": (*_SIGNED, *_UNSIGNED, *_FLOATS),
}


def dtype_of(x: Any) -> Format | Integer:
    """The dtype of an array, or that a dtype is."""
    return x.dtype if isinstance(x, Tensor) else as_dtype(x)


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether ``dtype`` is of a kind: "bool", "integral", "real floating", ..., a dtype, or one of a tuple of these.

    Every floating-point format is "real floating" and "numeric".
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if not isinstance(kind, str):
        return dtype_of(dtype) == dtype_of(kind)
    if kind not in _KINDS:
        raise unknown("kind", kind, _KINDS)
    found = dtype_of(dtype)
    return found in _KINDS[kind] or (isinstance(found, Format) and kind in ("real floating", "numeric"))


class FInfo(NamedTuple):
    """The numbers of a floating-point format."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Format


class IInfo(NamedTuple):
    """The numbers of a dtype of integers."""

    bits: int
    max: int
    min: int
    dtype: Integer


def finfo(type: Any, /) -> FInfo:
    """The numbers of a floating-point format, or of an array's."""
    fmt = dtype_of(type)
    if isinstance(fmt, Integer):
        raise refused("type", str(fmt), "floating-point dtypes")
    return FInfo(fmt.bits, fmt.eps, fmt.max, fmt.min, fmt.smallest_normal, fmt)


def iinfo(type: Any, /) -> IInfo:
    """The numbers of a dtype of integers, or of an array's."""
    found = dtype_of(type)
    if not isinstance(found, Integer) or found is bool_:
        raise refused("type", str(found), "dtypes of integers")
    return IInfo(found.bits, found.max, found.min, found)


def result_type(*arrays_and_dtypes: Any) -> Format | Integer:
    """The dtype that arrays and dtypes give together; Python's numbers adopt one of their kind, or the default.

    An array without axes counts as any other, unlike in PyTorch.
    """
    numbers = [x for x in arrays_and_dtypes if isinstance(x, (int, float))]
    found = [dtype_of(x) for x in arrays_and_dtypes if not isinstance(x, (int, float))]
    if not found:
        raise TypeError("result_type: no array and no dtype is given; allowed: at least one")
    if uint64 in found and any(isinstance(d, Integer) and d.signed for d in found):
        raise TypeError("result_type: uint64 beside a signed dtype is not allowed; allowed: of one sign, or narrower")
    together: Format | Integer = promoted(found)
    if any(isinstance(x, float) for x in numbers) and isinstance(together, Integer):
        return made_in(None)
    if together is bool_ and any(type(x) is int for x in numbers):
        return int64
    return together


def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether every number of one dtype, or of an array's, is one of another."""
    source, target = dtype_of(from_), dtype_of(to)
    if isinstance(target, Format) and isinstance(source, Integer):
        return source.max <= min(2**target.precision, target.max)
    return target == source or (target is not bool_ and target.contains(source))  # type: ignore[arg-type]


def astype(x: Tensor, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Tensor:
    """The values in another dtype, on the tape where both are floating-point; without ``copy`` the array itself."""
    placed(device)
    found = dtype_of(dtype)
    if found == x.dtype:
        return x.clone() if copy else x
    return OPS["cast"](x, found)


def placed(where: Any) -> None:
    """Refuse a device that there is none of."""
    if where is not None and device(where).type != "cpu":
        raise ValueError(f"device: {where!s} is not allowed; allowed: cpu")


class _Info:
    """What `__array_namespace_info__` gives."""

    def capabilities(self) -> dict[str, Any]:
        """What is there: boolean indices, shapes that depend on values, up to 64 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> device:
        """The CPU."""
        return CPU

    def devices(self) -> list[device]:
        """The CPU."""
        return [CPU]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes of what is made without one: floats in the format in force; there is no complex one."""
        placed(device)
        return {"real floating": made_in(None), "integral": int64, "indexing": int64}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The standard's dtypes of a kind, by name."""
        placed(device)
        kinds = ("bool", "numeric") if kind is None else kind if isinstance(kind, tuple) else (kind,)
        return {dtype.name: dtype for k in kinds for dtype in _KINDS[k]}


def __array_namespace_info__() -> _Info:  # noqa: N807  # the standard's name
    """What a library may ask of this namespace: dtypes, devices, capabilities."""
    return _Info()


def adopted(*operands: Any) -> tuple[Any, ...]:
    """Operands of one dtype, as the standard promotes them; Python's numbers stay what they are."""
    tensors = [x for x in operands if isinstance(x, Tensor)]
    if not tensors:
        raise TypeError("x1, x2: numbers alone are not allowed; allowed: at least one array")
    common = result_type(*(x for x in operands if isinstance(x, (Tensor, int, float))))
    return tuple(x.to(common) if isinstance(x, Tensor) else known(x) for x in operands)


def known(x: Any) -> Any:
    """A Python number."""
    if not isinstance(x, (int, float)) or isinstance(x, np.generic):
        raise refused("x", type(x).__name__, "arrays of this namespace, Python's numbers")
    return x


bool = bool_  # which hides Python's below this line


guarded_names(globals(), __all__)
