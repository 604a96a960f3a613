"""Normalisation layers, with PyTorch's arguments, parameter and buffer names."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter


def _constant(value: float, shape: tuple[int, ...]) -> Tensor:
    return tensor(np.full(shape, value, np.float32))


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not sizes or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sizes):
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: integers from 0")
    return tuple(int(n) for n in sizes)


class _Affine(Module):
    """A layer with an optional weight, ones at first, and an optional bias, zeros at first."""

    def _make(self, shape: tuple[int, ...], weight: bool, bias: bool) -> None:
        self.register_parameter("weight", Parameter(_constant(1, shape)) if weight else None)
        self.register_parameter("bias", Parameter(_constant(0, shape)) if bias else None)

    def reset_parameters(self) -> None:
        """Ones and zeros again, in the formats that the parameters have."""
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            parameter = self._parameters.get(name)
            if parameter is not None:
                parameter.array = np.full_like(parameter.array, value)


class LayerNorm(_Affine):
    """Every example as its deviation from its mean in units of its standard deviation; see `halfsim.ops.layer_norm`.

    >>> LayerNorm(4)
    LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    """

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _sizes("normalized_shape", normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, elementwise_affine and bias)

    def forward(self, input: Any) -> Tensor:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(_Affine):
    """Every example in units of its root mean square; see `halfsim.ops.rms_norm`, also for ``eps=None``."""

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _sizes("normalized_shape", normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter(
            "weight", Parameter(_constant(1, self.normalized_shape)) if elementwise_affine else None
        )

    def forward(self, input: Any) -> Tensor:
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Groups of channels normalised for themselves in each example; see `halfsim.ops.group_norm`."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ) -> None:
        super().__init__()
        (self.num_groups,), (self.num_channels,) = (
            _sizes("num_groups", num_groups),
            _sizes("num_channels", num_channels),
        )
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ValueError(
                f"num_channels: {num_channels} is no multiple of num_groups {num_groups}; allowed: multiples"
            )
        self.eps, self.affine = eps, affine
        self._make((self.num_channels,), affine, affine and bias)

    def forward(self, input: Any) -> Tensor:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"


class _Tracking(_Affine):
    """What batch and instance normalisation share: a weight and a bias a channel, and running statistics.

    The statistics are buffers in the format of the parameters; ``num_batches_tracked`` is a 0-d tensor of int64.
    """

    dimensions: tuple[int, ...] = ()
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        (self.num_features,) = _sizes("num_features", num_features)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make((self.num_features,), affine, affine and bias)
        tracked = track_running_stats
        self.register_buffer("running_mean", _constant(0, (self.num_features,)) if tracked else None)
        self.register_buffer("running_var", _constant(1, (self.num_features,)) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(np.array(0), "int64") if tracked else None)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches."""
        for name, value in (("running_mean", 0.0), ("running_var", 1.0)):
            buffer = self._buffers.get(name)
            if isinstance(buffer, Tensor):
                buffer.array = np.full_like(buffer.array, value)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def _checked(self, x: Any) -> int:
        ndim = len(np.shape(x.array if isinstance(x, Tensor) else x))
        if ndim not in self.dimensions:
            allowed = " or ".join(map(str, self.dimensions))
            raise ValueError(f"{type(self).__name__}: {ndim} dimensions are not allowed; allowed: {allowed}")
        return ndim

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        tracked = f"track_running_stats={self.track_running_stats}"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, {affine}, {tracked}"


class _BatchNorm(_Tracking):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)
        if not eps > 0:
            raise ValueError(f"eps: {eps} is not allowed; allowed: positive numbers")

    def forward(self, input: Any) -> Tensor:
        self._checked(input)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            factor = 1 / int(self.num_batches_tracked) if self.momentum is None else factor
        own = self.training or (self.running_mean is None and self.running_var is None)
        kept = not self.training or self.track_running_stats
        mean, variance = (self.running_mean, self.running_var) if kept else (None, None)
        return ops.batch_norm(input, mean, variance, self.weight, self.bias, own, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Channels of (N, C) or (N, C, L) normalised over batch and length; see `halfsim.ops.batch_norm`.

    In training by the batch's moments, which move the running ones by ``momentum`` (None: their plain average over
    all batches); in evaluation by the running ones, or the batch's with ``track_running_stats=False``.

    >>> sorted(BatchNorm1d(4).state_dict())
    ['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight']
    """

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Channels of (N, C, H, W) normalised over batch, height and width; see `BatchNorm1d`."""

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Channels of (N, C, D, H, W) normalised over batch, depth, height and width; see `BatchNorm1d`."""

    dimensions = (5,)


class SyncBatchNorm(_BatchNorm):
    """Channels of (N, C, ...) normalised over all other axes: `BatchNorm1d` of the one process that there is here.

    ``process_group`` changes nothing.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)
        self.process_group = process_group

    def _checked(self, x: Any) -> int:
        ndim = len(np.shape(x.array if isinstance(x, Tensor) else x))
        if ndim < 2:
            raise ValueError(f"SyncBatchNorm: {ndim} dimensions are not allowed; allowed: at least 2")
        return ndim

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: object = None) -> Module:
        """``module`` with a SyncBatchNorm of the same parameters in place of each batch normalisation inside.

        >>> from halfsim.nn import Linear, Sequential
        >>> SyncBatchNorm.convert_sync_batchnorm(Sequential(Linear(2, 3), BatchNorm1d(3)))[1]
        SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        converted = module
        if isinstance(module, _BatchNorm):
            options = (module.eps, module.momentum, module.affine, module.track_running_stats, process_group)
            converted = cls(module.num_features, *options, bias=module.bias is not None)
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.train(module.training)
        for name, child in list(module.named_children()):
            setattr(converted, name, cls.convert_sync_batchnorm(child, process_group))
        return converted


class _InstanceNorm(_Tracking):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: Any) -> Tensor:
        if self._checked(input) == self.dimensions[0]:  # without a batch axis
            shape = np.shape(input.array if isinstance(input, Tensor) else input)
            return ops.reshape(self._normalised(ops.reshape(input, (1, *shape))), shape)
        return self._normalised(input)

    def _normalised(self, x: Any) -> Tensor:
        own, factor = self.training or not self.track_running_stats, self.momentum or 0.0
        return ops.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, factor, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Channels of (N, C, L) or (C, L) normalised in each example; see `halfsim.ops.instance_norm`.

    As in PyTorch it has neither weight nor running statistics unless asked, and counts no batches.
    """

    dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Channels of (N, C, H, W) or (C, H, W) normalised in each example; see `InstanceNorm1d`."""

    dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Channels of (N, C, D, H, W) or (C, D, H, W) normalised in each example; see `InstanceNorm1d`."""

    dimensions = (4, 5)


class LocalResponseNorm(Module):
    """Each channel over a power of the mean square of its neighbours; see `halfsim.ops.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Tensor:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
