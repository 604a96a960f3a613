"""Distributions of zeros and ones and of classes, given by probabilities or by logits."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Size, Tensor
from halfsim.distributions.distribution import REAL, SIMPLEX, UNIT, Distribution, broadcast
from halfsim.nn import functional as F
from halfsim.options import guarded_class

__all__ = ["Bernoulli", "Categorical", "OneHotCategorical"]


class _ByProbability(Distribution):
    """What is given by ``probs`` or by ``logits``, and has the other too."""

    def _given(self, probs: Any, logits: Any, dims: int) -> Tensor:
        if (probs is None) == (logits is None):
            raise ValueError("probs, logits: both or none are not allowed; allowed: one of them")
        (given,) = broadcast(logits if probs is None else probs)
        if given.ndim < dims:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"{name}: a number is not allowed; allowed: at least one dimension")
        return given

    def _clamped(self) -> Tensor:
        eps = self.probs.format.eps
        return ops.clamp(self.probs, eps, 1 - eps)

    probs: Any
    logits: Any


@guarded_class
class Bernoulli(_ByProbability):
    """1 with probability ``probs``, else 0; ``logits`` is ``log(p / (1 - p))``.

    >>> Bernoulli(probs=tensor([0.5])).entropy()
    tensor([0.6931472], float32)
    """

    arg_constraints = {"probs": UNIT, "logits": REAL}  # noqa: RUF012

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._given(probs, logits, 0)
        self.__dict__["logits" if probs is None else "probs"] = given
        super().__init__(given.shape, (), validate_args)

    @cached_property
    def probs(self) -> Tensor:
        """``sigmoid(logits)``."""
        return ops.sigmoid(self.logits)

    @cached_property
    def logits(self) -> Tensor:
        """``log(p) - log1p(-p)``, of probabilities that are neither 0 nor 1."""
        p = self._clamped()
        return ops.log(p) - ops.log1p(-p)

    @property
    def mean(self) -> Tensor:
        """``probs``."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """``p (1 - p)``."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Zeros and ones."""
        with no_grad():
            return ops.bernoulli(ops.expand(self.probs, self._shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        """Minus the binary cross entropy of ``logits``."""
        logits, value = ops.broadcast_tensors(self.logits, value)
        return -ops.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        """The binary cross entropy of ``logits`` with ``probs``."""
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


@guarded_class
class Categorical(_ByProbability):
    """Integers from 0 to K - 1, of relative probabilities ``probs`` or of ``logits`` (..., K).

    >>> Categorical(logits=tensor([0.0, 0.0])).log_prob(tensor(1))
    tensor(-0.6931472, float32)
    """

    arg_constraints = {"probs": SIMPLEX, "logits": REAL}  # noqa: RUF012

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._given(probs, logits, 1)
        if probs is None:
            self.logits = given - ops.logsumexp(given, -1, True)
        else:
            self.probs = given / ops.sum(given, -1, True)
        super().__init__(given.shape[:-1], (), validate_args)

    @cached_property
    def probs(self) -> Tensor:
        """``softmax(logits)``."""
        return ops.softmax(self.logits, -1)

    @cached_property
    def logits(self) -> Tensor:
        """``log(probs)``, of probabilities that are neither 0 nor 1."""
        return ops.log(self._clamped())

    @property
    def mode(self) -> Tensor:
        """The likeliest class."""
        return ops.argmax(self.probs, -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Classes, by `halfsim.ops.multinomial`."""
        count = Size(sample_shape).numel()
        with no_grad():
            rows = ops.reshape(self.probs.detach(), (-1, self.probs.shape[-1]))
            return ops.reshape(ops.multinomial(rows, count, True).T, (*sample_shape, *self.batch_shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logit of the class."""
        places = tensor(value).long().unsqueeze(-1)
        shape = np.broadcast_shapes(places.shape[:-1], self.batch_shape)
        logits = ops.expand(self.logits, (*shape, self.logits.shape[-1]))
        return ops.squeeze(ops.gather(logits, -1, ops.expand(places, (*shape, 1))), -1)

    def entropy(self) -> Tensor:
        """``-sum(p log(p))``."""
        return -ops.sum(ops.clamp(self.logits, min=self.logits.format.min) * self.probs, -1)


@guarded_class
class OneHotCategorical(Distribution):
    """`Categorical`, with rows of zeros and a one for values."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self.base = Categorical(probs, logits, validate_args)
        super().__init__(self.base.batch_shape, self.base.probs.shape[-1:])

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.base.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self.base.logits

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.base.probs

    @property
    def variance(self) -> Tensor:
        """``p (1 - p)``."""
        return self.base.probs * (1 - self.base.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Rows of zeros and a one."""
        return F.one_hot(self.base.sample(sample_shape), self.event_shape[0]).to(self.base.probs.format)

    def log_prob(self, value: Any) -> Tensor:
        """The logit of the class."""
        return self.base.log_prob(ops.argmax(value, -1))

    def entropy(self) -> Tensor:
        """That of `Categorical`."""
        return self.base.entropy()
