"""Pooling layers, with PyTorch's class names and arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from halfsim.autograd import ops
from halfsim.autograd.ops._windows import Sizes
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module
from halfsim.numerics.formats import whole

_Outputs: TypeAlias = int | Sequence[int | None] | None  # None: as many as there are elements


class _MaxPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = getattr(ops, f"max_pool{self.dims}d")
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


class MaxPool3d(_MaxPool):
    """The largest element of every window of x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.max_pool3d`."""

    dims = 3


class AvgPool1d(Module):
    """The mean of every window of x (N, C, L) or (C, L); see `halfsim.ops.avg_pool1d`."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
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


class _AvgPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
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
        pool: Callable[..., Tensor] = getattr(ops, f"avg_pool{self.dims}d")
        return pool(input, *sizes, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of every window of x (N, C, H, W) or (C, H, W); see `halfsim.ops.avg_pool2d`.

    >>> import halfsim as hs
    >>> AvgPool2d(2)(hs.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
    tensor([[[3.]]], float32)
    """

    dims = 2


class AvgPool3d(_AvgPool):
    """The mean of every window of x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.avg_pool3d`."""

    dims = 3


class _AdaptiveAvgPool(Module):
    dims: int

    def __init__(self, output_size: _Outputs) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Tensor:
        pool: Callable[..., Tensor] = getattr(ops, f"adaptive_avg_pool{self.dims}d")
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


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of windows that divide x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.adaptive_avg_pool3d`."""

    dims = 3


class _AdaptiveMaxPool(Module):
    dims: int

    def __init__(self, output_size: _Outputs, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Any) -> Any:
        return getattr(ops, f"adaptive_max_pool{self.dims}d")(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima of windows that divide x (N, C, L) or (C, L); see `halfsim.ops.adaptive_max_pool1d`."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of windows that divide x (N, C, H, W) or (C, H, W); see `halfsim.ops.adaptive_max_pool2d`."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima of windows that divide x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.adaptive_max_pool3d`."""

    dims = 3


def _each(name: str, value: Any, dims: int) -> tuple[int, ...]:
    """An integer, or a tuple of them, as a tuple of ``dims``."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    if len(sizes) != dims:
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: an integer or {dims} of them")
    return tuple(whole(name, n) for n in sizes)


class _MaxUnpool(Module):
    dims: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = _each("kernel_size", kernel_size, self.dims)
        self.stride = _each("stride", kernel_size if stride is None else stride, self.dims)
        self.padding = _each("padding", padding, self.dims)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Tensor:
        unpool: Callable[..., Tensor] = getattr(ops, f"max_unpool{self.dims}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima at their indices among zeros, for x (N, C, L) or (C, L); see `halfsim.ops.max_unpool1d`."""

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """Maxima at their indices among zeros, for x (N, C, H, W) or (C, H, W); see `halfsim.ops.max_unpool2d`."""

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Maxima at their indices among zeros, for x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.max_unpool3d`."""

    dims = 3


class _LPPool(Module):
    dims: int

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Tensor:
        pool: Callable[..., Tensor] = getattr(ops, f"lp_pool{self.dims}d")
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        names = ("norm_type", "kernel_size", "stride", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class LPPool1d(_LPPool):
    """The norm of every window of x (N, C, L) or (C, L); see `halfsim.ops.lp_pool1d`."""

    dims = 1


class LPPool2d(_LPPool):
    """The norm of every window of x (N, C, H, W) or (C, H, W); see `halfsim.ops.lp_pool2d`."""

    dims = 2


class LPPool3d(_LPPool):
    """The norm of every window of x (N, C, D, H, W) or (C, D, H, W); see `halfsim.ops.lp_pool3d`."""

    dims = 3


class _FractionalMaxPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _each("kernel_size", kernel_size, self.dims)
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"output_size: {output_size!r} with output_ratio {output_ratio!r}; allowed: one of them")
        ratio: Any = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * self.dims
        if output_ratio is not None and not all(0 < r < 1 for r in ratio):
            raise ValueError(f"output_ratio: {output_ratio!r} is not allowed; allowed: between 0 and 1")
        self.output_size = None if output_size is None else _each("output_size", output_size, self.dims)
        self.output_ratio = None if output_ratio is None else tuple(ratio)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Any) -> Any:
        pool = getattr(ops, f"fractional_max_pool{self.dims}d")
        options = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices)
        return pool(input, *options, _random_samples=self._random_samples)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest elements of windows at places drawn at random; see `halfsim.ops.fractional_max_pool2d`."""

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest elements of windows at places drawn at random; see `halfsim.ops.fractional_max_pool3d`."""

    dims = 3
