"""The Kullback-Leibler divergence of two distributions: a row of a table for each pair of classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.distributions.continuous import Exponential, Laplace, Normal, Uniform
from halfsim.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from halfsim.distributions.distribution import Distribution, Independent
from halfsim.options import guarded_names, refused

__all__ = ["kl_divergence", "register_kl"]

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


guarded_names(globals(), __all__)
