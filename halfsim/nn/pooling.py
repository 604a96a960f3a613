"""Pooling layers, with PyTorch's class names and arguments."""

from __future__ import annotations

from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module


class _MaxPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = ops.max_pool1d if self.dims == 1 else ops.max_pool2d
        sizes = (self.kernel_size, self.stride, self.padding, self.dilation)
        return pool(input, *sizes, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class MaxPool1d(_MaxPool):
    """The largest element of every window of x (N, C, L) or (C, L); see `halfsim.ops.max_pool1d`."""

    dims = 1


class MaxPool2d(_MaxPool):
    """The largest element of every window of x (N, C, H, W) or (C, H, W); see `halfsim.ops.max_pool2d`.

    >>> import halfsim as hs
    >>> MaxPool2d(2)(hs.tensor([[[1.0, 2.0], [4.0, 3.0]]]))
    tensor([[[4.]]], float32)
    """

    dims = 2


class AvgPool1d(Module):
    """The mean of every window of x (N, C, L) or (C, L); see `halfsim.ops.avg_pool1d`."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        one = [
            v if isinstance(v, tuple) else (v,)
            for v in (kernel_size, kernel_size if stride is None else stride, padding)
        ]
        self.kernel_size, self.stride, self.padding = one
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        return ops.avg_pool1d(input, *sizes, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of every window of x (N, C, H, W) or (C, H, W); see `halfsim.ops.avg_pool2d`.

    >>> import halfsim as hs
    >>> AvgPool2d(2)(hs.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
    tensor([[[3.]]], float32)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        return ops.avg_pool2d(input, *sizes, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptiveAvgPool(Module):
    dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Tensor:
        pool = ops.adaptive_avg_pool1d if self.dims == 1 else ops.adaptive_avg_pool2d
        return pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of ``output_size`` windows of x (N, C, L) or (C, L); see `halfsim.ops.adaptive_avg_pool1d`."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of windows that divide x (N, C, H, W) or (C, H, W); see `halfsim.ops.adaptive_avg_pool2d`.

    >>> import halfsim as hs
    >>> AdaptiveAvgPool2d((1, None))(hs.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
    tensor([[[2., 4.]]], float32)
    """

    dims = 2
