"""What a module holds beside modules: parameters and buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import carried
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.numerics.inputs import unmasked
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module learns; its ``name`` is its path in the outermost module, as "0.weight"."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        kept = isinstance(data, Tensor) and data.format == carried(data.format)
        values = data if kept else tensor(data)
        super().__init__(values.array, values.format, requires_grad)


class Buffer(Tensor):
    """A tensor that a module keeps and does not learn: assigned to an attribute, it is registered as a buffer.

    It is part of the state, unless ``persistent`` is false.
    """

    persistent: bool

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        values = tensor([] if data is None else data)
        super().__init__(values.array, values.format)
        self.persistent = persistent


guarded_class(Parameter, ["__init__"])
guarded_class(Buffer, ["__init__"])


def as_buffer(name: str, value: Any) -> Tensor | Array | None:
    """``value`` as a module keeps it: a Tensor, an array of integers or bools, or None."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(unmasked(value, name))
        return array if array.dtype.kind in "biu" else tensor(array)
    if value is not None and not isinstance(value, Tensor):
        raise TypeError(f"{name}: {type(value).__name__} is not allowed there; allowed: Tensor, ndarray, None")
    return value


public(__name__)
