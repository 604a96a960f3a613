"""Distributions of real numbers: normal, log-normal, Laplace, exponential, uniform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.distributions.distribution import POSITIVE, REAL, Distribution, broadcast
from halfsim.options import guarded_class

__all__ = ["Exponential", "Laplace", "LogNormal", "Normal", "Uniform"]


@guarded_class
class _Symmetric(Distribution):
    """A distribution about ``loc``, of width ``scale``."""

    has_rsample = True
    arg_constraints = {"loc": REAL, "scale": POSITIVE}  # noqa: RUF012

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

    mode = mean


@guarded_class
class Normal(_Symmetric):
    """Normal with mean ``loc`` and standard deviation ``scale``.

    >>> from halfsim import tensor
    >>> Normal(tensor([0.0]), tensor([1.0])).log_prob(tensor([1.0]))
    tensor([-1.4189385], float32)
    """

    @property
    def stddev(self) -> Tensor:
        """``scale``."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """``scale ** 2``."""
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``loc + noise * scale``."""
        return self.loc + ops.randn(self._shape(sample_shape), dtype=self.loc.format) * self.scale

    def log_prob(self, value: Any) -> Tensor:
        """``-(value - loc)**2 / (2 scale**2) - log(scale) - log(sqrt(2 pi))``, each step stored."""
        var = self.scale**2
        return -(ops.sub(value, self.loc) ** 2) / (2 * var) - ops.log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Any) -> Tensor:
        """The probability of values up to ``value``."""
        return 0.5 * (1 + ops.erf(ops.sub(value, self.loc) * ops.reciprocal(self.scale) / math.sqrt(2)))

    def icdf(self, value: Any) -> Tensor:
        """The value up to which the probability is ``value``."""
        return self.loc + self.scale * ops.erfinv(ops.sub(ops.mul(2, value), 1)) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """``0.5 + 0.5 log(2 pi) + log(scale)``."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + ops.log(self.scale)


@guarded_class
class LogNormal(Distribution):
    """``exp`` of a `Normal`."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.base = Normal(loc, scale, validate_args)
        super().__init__(self.base.batch_shape)

    @property
    def mean(self) -> Tensor:
        """``exp(loc + scale**2 / 2)``."""
        return ops.exp(self.base.loc + self.base.scale**2 / 2)

    @property
    def variance(self) -> Tensor:
        """``expm1(scale**2) exp(2 loc + scale**2)``."""
        square = self.base.scale**2
        return ops.expm1(square) * ops.exp(2 * self.base.loc + square)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``exp`` of the normal values."""
        return ops.exp(self.base.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        """That of the logarithm, minus the logarithm."""
        log = ops.log(value)
        return 0.0 - log + self.base.log_prob(log)

    def entropy(self) -> Tensor:
        """That of the normal values plus ``loc``."""
        return self.base.entropy() + self.base.loc


@guarded_class
class Laplace(_Symmetric):
    """Laplace, with mean ``loc`` and mean distance ``scale``."""

    @property
    def variance(self) -> Tensor:
        """``2 scale**2``."""
        return 2 * self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``loc - scale sign(u) log1p(-abs(u))`` of a uniform u."""
        drawn = ops.zeros(self._shape(sample_shape), dtype=self.loc.format)
        u = drawn.uniform_(self.loc.format.eps - 1, 1)
        return self.loc - self.scale * ops.sign(u) * ops.log1p(-ops.abs(u))

    def log_prob(self, value: Any) -> Tensor:
        """``-log(2 scale) - abs(value - loc) / scale``."""
        return -ops.log(2 * self.scale) - ops.abs(ops.sub(value, self.loc)) / self.scale

    def entropy(self) -> Tensor:
        """``1 + log(2 scale)``."""
        return 1 + ops.log(2 * self.scale)


@guarded_class
class Exponential(Distribution):
    """Exponential, with mean ``1 / rate``."""

    has_rsample = True
    arg_constraints = {"rate": POSITIVE}  # noqa: RUF012

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """``1 / rate``."""
        return ops.reciprocal(self.rate)

    @property
    def variance(self) -> Tensor:
        """``1 / rate**2``."""
        return self.rate**-2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Values of mean 1, divided by ``rate``."""
        return ops.zeros(self._shape(sample_shape), dtype=self.rate.format).exponential_() / self.rate

    def log_prob(self, value: Any) -> Tensor:
        """``log(rate) - rate * value``."""
        return ops.log(self.rate) - self.rate * value

    def entropy(self) -> Tensor:
        """``1 - log(rate)``."""
        return 1.0 - ops.log(self.rate)


@guarded_class
class Uniform(Distribution):
    """Uniform from ``low`` to below ``high``."""

    has_rsample = True
    arg_constraints = {"low": REAL, "high": REAL}  # noqa: RUF012

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast(low, high)
        if validate_args is not False and not np.all(self.low.array < self.high.array):
            raise ValueError("high: a value is not allowed; allowed: numbers above low")
        super().__init__(self.low.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Tensor:
        """``(high - low)**2 / 12``."""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``low + noise * (high - low)``."""
        return self.low + ops.rand(self._shape(sample_shape), dtype=self.low.format) * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        """``log(inside) - log(high - low)``: -inf outside."""
        inside = (self.low <= value) * (self.high > value)
        return ops.log(inside.to(self.low.format)) - ops.log(self.high - self.low)

    def entropy(self) -> Tensor:
        """``log(high - low)``."""
        return ops.log(self.high - self.low)
