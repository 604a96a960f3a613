"""Layers that put elements around an image, with PyTorch's class names and arguments; see `halfsim.ops.pad`."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.ops._windows import layouts
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.module import Module
from halfsim.numerics.formats import whole


class _Pad(Module):
    """``padding`` is one number for all sides, or (left, right, top, bottom, front, back)."""

    dims: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        each = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * self.dims)
        if len(each) != 2 * self.dims:
            raise ValueError(f"padding: {padding!r} is not allowed; allowed: an integer or {2 * self.dims} of them")
        self.padding = tuple(whole("padding", n) for n in each)

    def forward(self, input: Any) -> Tensor:
        shape = np.shape(plain(input))
        if self.mode != "constant" and len(shape) not in (self.dims + 1, self.dims + 2):
            raise ValueError(f"{type(self).__name__}: input {shape} is not allowed; allowed: {layouts(self.dims)}")
        return ops.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """``value`` around the last axis of x (..., L)."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """``value`` around the last two axes of x (..., H, W)."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """``value`` around the last three axes of x (..., D, H, W)."""

    dims = 3


class ZeroPad1d(_Pad):
    """Zeros around the last axis of x (..., L)."""

    dims = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two axes of x (..., H, W)."""

    dims = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three axes of x (..., D, H, W)."""

    dims = 3


class ReflectionPad1d(_Pad):
    """The mirrored elements, without the edge, around the last axis of x (N, C, L) or (C, L).

    >>> import halfsim as hs
    >>> ReflectionPad1d((2, 1))(hs.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2.]], float32)
    """

    dims = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """The mirrored elements, without the edge, around the last two axes of x (N, C, H, W) or (C, H, W)."""

    dims = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """The mirrored elements, without the edge, around the last three axes of x (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The elements at the edge around the last axis of x (N, C, L) or (C, L)."""

    dims = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The elements at the edge around the last two axes of x (N, C, H, W) or (C, H, W)."""

    dims = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """The elements at the edge around the last three axes of x (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """The elements of the other end around the last axis of x (N, C, L) or (C, L)."""

    dims = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """The elements of the other end around the last two axes of x (N, C, H, W) or (C, H, W)."""

    dims = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """The elements of the other end around the last three axes of x (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3
    mode = "circular"
