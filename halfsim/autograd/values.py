"""The values of a tensor as Python and NumPy read them: numbers, lists, arrays, bit patterns, text."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.scope import scope
from halfsim.numerics.codec import encode
from halfsim.numerics.formats import Format, Integer, float16, float32, float64
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class, refused

# The formats that are dtypes of NumPy.
DTYPES: dict[Format, np.dtype[Any]] = {
    float16: np.dtype(np.float16),
    float32: np.dtype(np.float32),
    float64: np.dtype(np.float64),
}


class Values:
    """Methods by which the values leave a tensor, off the tape."""

    __slots__ = ()

    def numpy(self: Any, *, force: bool = False) -> Array:
        """A copy of the values: float16, float32, float64 for these formats, else float32 if that has them all."""
        return self.array.astype(DTYPES.get(self.format, self.array.dtype))

    def bits(self: Any) -> Array:
        """The bit patterns, as unsigned integers of the format's width (uint16 for float16)."""
        if isinstance(self.format, Integer):
            return self.array.view(f"u{self.array.itemsize}")
        return encode(self.array, self.format)

    def item(self: Any) -> Any:
        """The only value, a Python number; ``ValueError`` if there are more."""
        if self.array.size != 1:
            raise ValueError(f"item: a tensor of {self.size} values has no single value; allowed: size 1")
        if self.requires_grad and scope().phase == "on tape":  # where the number would have no gradient
            raise TypeError("it takes the value out of the tape")
        return self.array.reshape(-1)[0].item()

    def tolist(self: Any) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy: False is not allowed, for a tensor's array is its own; allowed: True, None")
        if self.requires_grad and scope().phase == "on tape":  # where the array would have no gradient
            raise TypeError("it takes the values out of the tape")
        values = self.numpy()
        if dtype is None:
            return values
        if isinstance(dtype, dict):
            raise refused("dtype", dtype, "NumPy's dtypes")
        return values.astype(dtype)

    def __dlpack__(
        self: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        """A DLPack capsule of a copy of the values, for float16, float32 and float64, integers and bools."""
        if self.format not in DTYPES and not isinstance(self.format, Integer):
            raise BufferError(f"__dlpack__: {self.format} has no NumPy dtype; allowed: float16, float32, float64")
        return self.numpy().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self: Any) -> Any:
        return self.array.__dlpack_device__()

    def __len__(self: Any) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    def __float__(self: Any) -> Any:  # `float` names a method here
        return float(self.item())

    def __int__(self: Any) -> Any:
        return int(self.item())

    def __index__(self: Any) -> Any:
        if not isinstance(self.format, Integer) or self.array.size != 1:
            raise TypeError(f"index: a tensor of {self.format} {self.shape} is no integer; allowed: one integer")
        return int(self.item())

    def __format__(self: Any, spec: str) -> str:
        """A single value as Python formats a number, as in ``f"{loss:.4f}"``; with no ``spec``, as ``str``."""
        return format(self.item(), spec) if spec else str(self)

    def __bool__(self: Any) -> bool:
        if self.array.size != 1:
            raise ValueError(f"bool: a tensor of {self.size} values is not one truth; allowed: .any(), .all()")
        return self.item() != 0

    def __repr__(self: Any) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        return f"tensor({values}, {self.format}{', requires_grad=True' if self.requires_grad else ''})"


guarded_class(Values, ("__array__", "__format__", "__len__", "item", "numpy"))
