"""Probability distributions by the names of ``torch.distributions``: composed of operations, step by step as PyTorch's.

So a log-probability that overflows in half does so here, and a trace names the operation. Samples come from the
generator that `halfsim.manual_seed` seeds and are PyTorch's for the same seed; `rsample` has gradients.
"""

from halfsim.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from halfsim.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from halfsim.distributions.distribution import Distribution, Independent
from halfsim.distributions.kl import kl_divergence, register_kl
from halfsim.names import public as _public

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

_public(__name__)
