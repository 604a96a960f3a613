"""Probability distributions by the names of ``torch.distributions``: composed of operations, step by step as PyTorch's.

So a log-probability that overflows in half does so here, and a trace names the operation. Samples come from the
generator that `halfsim.manual_seed` seeds and are PyTorch's for the same seed; `rsample` has gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Size, Tensor, plain
from halfsim.names import public
from halfsim.nn import functional as F
from halfsim.options import guarded_class, guarded_names, refused

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "LogNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "kl_divergence",
    "register_kl",
]

# What a parameter may be: a test of its values, and the words for it.
_REAL = (lambda x: ~np.isnan(x), "numbers")
_POSITIVE = (lambda x: x > 0, "positive numbers")
_UNIT = (lambda x: (x >= 0) & (x <= 1), "numbers from 0 to 1")
_SIMPLEX = (lambda x: x >= 0, "numbers from 0 on, of a positive sum")  # PyTorch's test of the sum fails in half


def _all(*values: Any) -> list[Tensor]:
    """Numbers and tensors as tensors of one shape."""
    known = [x for x in values if isinstance(x, Tensor)]
    made = [x if isinstance(x, Tensor) else tensor(x, known[0].format if known else None) for x in values]
    return list(ops.broadcast_tensors(*(x if x.is_floating_point() else x.float() for x in made)))


class Distribution:
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


class Normal(Distribution):
    """Normal with mean ``loc`` and standard deviation ``scale``.

    >>> Normal(tensor([0.0]), tensor([1.0])).log_prob(tensor([1.0]))
    tensor([-1.4189385], float32)
    """

    has_rsample = True
    arg_constraints = {"loc": _REAL, "scale": _POSITIVE}  # noqa: RUF012

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _all(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

    mode = mean

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


class Laplace(Distribution):
    """Laplace, with mean ``loc`` and mean distance ``scale``."""

    has_rsample = True
    arg_constraints = {"loc": _REAL, "scale": _POSITIVE}  # noqa: RUF012

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _all(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

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


class Exponential(Distribution):
    """Exponential, with mean ``1 / rate``."""

    has_rsample = True
    arg_constraints = {"rate": _POSITIVE}  # noqa: RUF012

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = _all(rate)
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


class Uniform(Distribution):
    """Uniform from ``low`` to below ``high``."""

    has_rsample = True
    arg_constraints = {"low": _REAL, "high": _REAL}  # noqa: RUF012

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = _all(low, high)
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


class _ByProbability(Distribution):
    """What is given by ``probs`` or by ``logits``, and has the other too."""

    def _given(self, probs: Any, logits: Any, dims: int) -> Tensor:
        if (probs is None) == (logits is None):
            raise ValueError("probs, logits: both or none are not allowed; allowed: one of them")
        (given,) = _all(logits if probs is None else probs)
        if given.ndim < dims:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"{name}: a number is not allowed; allowed: at least one dimension")
        return given

    def _clamped(self) -> Tensor:
        eps = self.probs.format.eps
        return ops.clamp(self.probs, eps, 1 - eps)

    probs: Any
    logits: Any


class Bernoulli(_ByProbability):
    """1 with probability ``probs``, else 0; ``logits`` is ``log(p / (1 - p))``.

    >>> Bernoulli(probs=tensor([0.5])).entropy()
    tensor([0.6931472], float32)
    """

    arg_constraints = {"probs": _UNIT, "logits": _REAL}  # noqa: RUF012

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


class Categorical(_ByProbability):
    """Integers from 0 to K - 1, of relative probabilities ``probs`` or of ``logits`` (..., K).

    >>> Categorical(logits=tensor([0.0, 0.0])).log_prob(tensor(1))
    tensor(-0.6931472, float32)
    """

    arg_constraints = {"probs": _SIMPLEX, "logits": _REAL}  # noqa: RUF012

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


_Divergence = Callable[[Any, Any], Tensor]
_KL: dict[tuple[type, type], _Divergence] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[_Divergence], _Divergence]:
    """A decorator: what `kl_divergence` is to compute for these two classes."""
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):
            raise refused(name, kind, "classes of distributions")

    def note(function: _Divergence) -> _Divergence:
        _KL[type_p, type_q] = function
        return function

    return note


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """``sum(p log(p / q))``, for two distributions of one class; ``NotImplementedError`` for others.

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5, float32)
    """
    kinds: Sequence[type] = type(p).__mro__
    rule = next((_KL[a, b] for a in kinds for b in type(q).__mro__ if (a, b) in _KL), None)
    if rule is None:
        raise NotImplementedError(f"kl_divergence: none for {type(p).__name__} and {type(q).__name__}; see register_kl")
    return rule(p, q)


@register_kl(Normal, Normal)
def _of_normals(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ops.log(ratio))


@register_kl(Categorical, Categorical)
def _of_classes(p: Categorical, q: Categorical) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    t = ops.where(ops.expand(q.probs, t.shape) == 0, math.inf, t)
    return ops.sum(ops.where(ops.expand(p.probs, t.shape) == 0, 0.0, t), -1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _of_rows(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _of_classes(p.base, q.base)


@register_kl(Bernoulli, Bernoulli)
def _of_bits(p: Bernoulli, q: Bernoulli) -> Tensor:
    first = p.probs * (ops.softplus(-q.logits) - ops.softplus(-p.logits))
    first = ops.where(p.probs == 0, 0.0, ops.where(q.probs == 0, math.inf, first))
    second = (1 - p.probs) * (ops.softplus(q.logits) - ops.softplus(p.logits))
    return first + ops.where(p.probs == 1, 0.0, ops.where(q.probs == 1, math.inf, second))


@register_kl(Exponential, Exponential)
def _of_waits(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -ops.log(ratio) + ratio - 1


@register_kl(Laplace, Laplace)
def _of_laplaces(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, ops.abs(p.loc - q.loc)
    return -ops.log(ratio) + distance / q.scale + ratio * ops.exp(-distance / p.scale) - 1


@register_kl(Uniform, Uniform)
def _of_uniforms(p: Uniform, q: Uniform) -> Tensor:
    result = ops.log((q.high - q.low) / (p.high - p.low))
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Independent, Independent)
def _of_events(p: Independent, q: Independent) -> Tensor:
    if p.count != q.count:
        raise NotImplementedError("kl_divergence: events of unlike axes; allowed: equal reinterpreted_batch_ndims")
    return p._summed(kl_divergence(p.base_dist, q.base_dist))


for _name in __all__:
    if isinstance(globals()[_name], type):
        guarded_class(globals()[_name])
guarded_names(globals(), __all__)
public(__name__)
