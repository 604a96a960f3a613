"""Convolutional layers, with PyTorch's class names, arguments, parameter names and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.ops._windows import Sizes
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.init import weight_and_bias
from halfsim.nn.module import Module
from halfsim.numerics.formats import unknown, whole

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _sizes(name: str, value: object, dims: int, least: int) -> tuple[int, ...]:
    given = list(value) if isinstance(value, (tuple, list)) else [value] * dims
    numbers = tuple(whole(name, v) for v in given) * (dims if len(given) == 1 else 1)
    if len(numbers) != dims or min(numbers) < least:
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: an integer from {least}, or a tuple of {dims}")
    return numbers


class _Convolution(Module):
    """What the convolutional layers share: their arguments, and weights drawn as PyTorch draws them."""

    dims: int
    transposed = False

    def __init__(
        self,
        channels: tuple[int, int],
        kernel_size: Any,
        stride: Any,
        padding: Any,
        output_padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
    ) -> None:
        super().__init__()
        self.groups = whole("groups", groups)
        if self.groups < 1:
            raise ValueError(f"groups: {groups} is not allowed; allowed: integers from 1")
        for name, size in zip(("in_channels", "out_channels"), channels, strict=True):
            if whole(name, size) < 1 or size % self.groups:
                raise ValueError(f"{name}: {size} is not allowed; allowed: positive multiples of groups {self.groups}")
        self.in_channels, self.out_channels = channels
        self.kernel_size = _sizes("kernel_size", kernel_size, self.dims, 1)
        self.stride, self.dilation = _sizes("stride", stride, self.dims, 1), _sizes("dilation", dilation, self.dims, 1)
        self.padding: Any = padding if isinstance(padding, str) else _sizes("padding", padding, self.dims, 0)
        self.output_padding = _sizes("output_padding", output_padding, self.dims, 0)
        self.padding_mode = padding_mode
        self._check_modes()
        first, second = channels if self.transposed else channels[::-1]
        shape = (first, second // self.groups, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, self.out_channels if bias else 0)

    def _check_modes(self) -> None:
        modes = _PADDING_MODES[:1] if self.transposed else _PADDING_MODES
        if self.padding_mode not in modes:
            raise unknown("padding_mode", self.padding_mode, modes)
        if isinstance(self.padding, str):
            if self.transposed or self.padding not in ("same", "valid"):
                raise unknown("padding", self.padding, ("integers",) if self.transposed else ("same", "valid"))
            if self.padding == "same" and max(self.stride) > 1:
                raise ValueError(f"padding: 'same' does not go with stride {self.stride}; allowed: stride 1")

    def _padded(self, x: Any) -> tuple[Any, Any]:
        """``x`` and the zeros still to be put around it: other padding is put there by an operation of its own."""
        if self.padding_mode == "zeros":
            return x, self.padding
        if isinstance(self.padding, str):
            total = [
                d * (k - 1) * (self.padding == "same") for d, k in zip(self.dilation, self.kernel_size, strict=True)
            ]
            each = [(t // 2, t - t // 2) for t in total]
        else:
            each = [(p, p) for p in self.padding]
        return ops.pad(x, [n for pair in reversed(each) for n in pair], self.padding_mode), 0

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            if value != (default,) * self.dims:
                parts.append(f"{name}={value}")
        parts += [f"groups={self.groups}"] * (self.groups != 1) + ["bias=False"] * (self.bias is None)
        parts += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return ", ".join(parts)


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        channels = (in_channels, out_channels)
        super().__init__(channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode)

    def forward(self, input: Any) -> Tensor:
        x, padding = self._padded(input)
        conv: Callable[..., Tensor] = getattr(ops, f"conv{self.dims}d")
        return conv(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Windows of x (N, in_channels, L) or (in_channels, L) times weight, plus bias; see `Conv2d`."""

    dims = 1


class Conv2d(_Conv):
    """Windows of x (N, in_channels, H, W) or (in_channels, H, W) times weight, plus bias; see `halfsim.ops.conv2d`.

    Weight (out_channels, in_channels / groups, KH, KW) and bias (out_channels,) are drawn as PyTorch draws them,
    uniformly between -1/sqrt(n) and 1/sqrt(n), n being the number of weights of an output channel.
    ``padding_mode`` is "zeros", or one of `halfsim.ops.pad`, which then pads in an operation of its own.
    ``ValueError`` for sizes and words that are not allowed.

    >>> import halfsim as hs
    >>> layer = Conv2d(1, 8, 3, padding="same")
    >>> layer
    Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=same)
    >>> layer(hs.tensor([[[[0.0] * 28] * 28]])).shape
    (1, 8, 28, 28)
    """

    dims = 2


class Conv3d(_Conv):
    """Windows of x (N, in_channels, D, H, W) or (in_channels, D, H, W) times weight, plus bias; see `Conv2d`."""

    dims = 3


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
    ) -> None:
        channels = (in_channels, out_channels)
        super().__init__(channels, kernel_size, stride, padding, output_padding, dilation, groups, bias, padding_mode)

    def forward(self, input: Any, output_size: Sizes | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._extra(plain(input), output_size)
        conv: Callable[..., Tensor] = getattr(ops, f"conv_transpose{self.dims}d")
        return conv(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _extra(self, x: Any, output_size: Sizes) -> tuple[int, ...]:
        """The output padding that gives ``output_size``, with or without the axes that precede the windows'."""
        shape = getattr(x, "shape", ())
        wanted = list(output_size) if isinstance(output_size, Sequence) else []
        wanted = wanted[-self.dims :] if len(wanted) == len(shape) else wanted
        settings = zip(self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, (s, p, d, k) in zip(shape[-self.dims :], settings, strict=False)
        ]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=False)]
        if len(wanted) != self.dims or not all(a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ValueError(f"output_size: {output_size!r} is not allowed; allowed: from {least} to {most}")
        return tuple(n - a for n, a in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The gradient of a `Conv1d` as a layer, for x (N, in_channels, L) or (in_channels, L); see `ConvTranspose2d`."""

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    """The gradient of a `Conv2d` as a layer, for x (N, in_channels, H, W) or (in_channels, H, W).

    Weight is (in_channels, out_channels / groups, KH, KW), bias (out_channels,); both are drawn as PyTorch draws
    them, uniformly between -1/sqrt(n) and 1/sqrt(n), n being the number of weights of an input channel.
    A call takes ``output_size``, with or without the leading axes, in place of ``output_padding``. See
    `halfsim.ops.conv_transpose2d`. ``ValueError`` for sizes that are not allowed.

    >>> import halfsim as hs
    >>> layer = ConvTranspose2d(8, 1, 3, stride=2, padding=1)
    >>> layer(hs.tensor([[[[0.0] * 14] * 14] * 8]), output_size=(28, 28)).shape
    (1, 1, 28, 28)
    """

    dims = 2


class ConvTranspose3d(_ConvTranspose):
    """The gradient of a `Conv3d` as a layer, for x (N, in_channels, D, H, W) or (in_channels, D, H, W).

    See `ConvTranspose2d`.
    """

    dims = 3
