"""What every distribution has, and the one that makes batch axes of another part of the event."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Size, Tensor, plain
from halfsim.card import Card
from halfsim.options import guarded_class

__all__ = ["Distribution", "Independent"]

# What a parameter may be: a test of its values, and the words for it.
REAL = (lambda x: ~np.isnan(x), "numbers")
POSITIVE = (lambda x: x > 0, "positive numbers")
UNIT = (lambda x: (x >= 0) & (x <= 1), "numbers from 0 to 1")
SIMPLEX = (lambda x: x >= 0, "numbers from 0 on, of a positive sum")  # PyTorch's test of the sum fails in half


def broadcast(*values: Any) -> list[Tensor]:
    """Numbers and tensors as tensors of one shape."""
    known = [x for x in values if isinstance(x, Tensor)]
    made = [x if isinstance(x, Tensor) else tensor(x, known[0].format if known else None) for x in values]
    return list(ops.broadcast_tensors(*(x if x.is_floating_point() else x.float() for x in made)))


@guarded_class
class Distribution(Card):
    """What all distributions have: ``batch_shape``, ``event_shape``, `sample`, `rsample`, `log_prob`, `entropy`."""

    has_rsample = False
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  # a subclass has its own

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self.batch_shape, self.event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not False:
            for name, (holds, words) in self.arg_constraints.items():
                if name in self.__dict__ and not np.all(holds(plain(self.__dict__[name]))):
                    raise ValueError(f"{name}: a value is not allowed; allowed: {words}")

    def _shape(self, sample_shape: Any = ()) -> Size:
        return Size((*Size(sample_shape), *self.batch_shape, *self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError(f"mean: {type(self).__name__} has none")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError(f"variance: {type(self).__name__} has none")

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return ops.sqrt(self.variance)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Values drawn, of shape ``sample_shape + batch_shape + event_shape``, off the tape."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Values drawn with gradients for the parameters, where the distribution has such."""
        raise NotImplementedError(f"rsample: {type(self).__name__} has none; allowed: sample")

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density or probability at ``value``."""
        raise NotImplementedError(f"log_prob: {type(self).__name__} has none")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise NotImplementedError(f"entropy: {type(self).__name__} has none")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}: {self.__dict__[name]}" for name in self.arg_constraints if name in self.__dict__)
        return f"{type(self).__name__}({shown})"


@guarded_class
class Independent(Distribution):
    """A distribution whose last batch axes, as many as are given, belong to one event: log-probabilities add up."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        self.base_dist, self.count = base_distribution, reinterpreted_batch_ndims
        batch, own = base_distribution.batch_shape, len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        if own < 0:
            got, allowed = reinterpreted_batch_ndims, f"0 to {len(batch)}"
            raise ValueError(f"reinterpreted_batch_ndims: {got} is not allowed; allowed: {allowed}")
        self.has_rsample = base_distribution.has_rsample
        super().__init__(batch[:own], (*batch[own:], *base_distribution.event_shape), validate_args)

    @property
    def mean(self) -> Tensor:
        """That of the base."""
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        """That of the base."""
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """As the base."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """As the base."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        """The sum over the event."""
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        """The sum over the event."""
        return self._summed(self.base_dist.entropy())

    def _summed(self, x: Tensor) -> Tensor:
        return ops.sum(x, tuple(range(-self.count, 0))) if self.count else x
