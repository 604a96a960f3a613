"""Distributions against PyTorch's, and against their own definitions where it is not installed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import distributions as d

# A distribution made of a library's tensors, another of its class, and values to ask about.
CASES: dict[str, tuple[Any, Any, Any]] = {
    "Normal": (lambda t, d: d.Normal(t([0.0, 1.5]), t([1.0, 0.3])), lambda t, d: d.Normal(0.5, 2.0), [0.3, -2.0]),
    "LogNormal": (lambda t, d: d.LogNormal(t([0.0, 1.5]), t([1.0, 0.3])), None, [0.3, 2.0]),
    "Laplace": (lambda t, d: d.Laplace(t([0.0, 1.5]), 0.7), lambda t, d: d.Laplace(t([1.0]), 0.5), [0.3, -2.0]),
    "Exponential": (lambda t, d: d.Exponential(t([0.5, 3.0])), lambda t, d: d.Exponential(1.0), [0.3, 2.0]),
    "Uniform": (lambda t, d: d.Uniform(t([0.0, 1.5]), 2.0), lambda t, d: d.Uniform(t(-1.0), t(2.0)), [0.3, 1.9]),
    "Bernoulli": (lambda t, d: d.Bernoulli(t([0.2, 0.9])), lambda t, d: d.Bernoulli(logits=t([1.0, -1.0])), [1.0, 0.0]),
    "Categorical": (
        lambda t, d: d.Categorical(t([[0.2, 0.9, 0.3], [1.0, 1.0, 2.0]])),
        lambda t, d: d.Categorical(logits=t([[1.0, 0.0, -1.0]] * 2)),
        [2, 0],
    ),
    "OneHotCategorical": (
        lambda t, d: d.OneHotCategorical(logits=t([0.2, 0.9, 0.3])),
        lambda t, d: d.OneHotCategorical(t([0.2, 0.2, 0.6])),
        [0.0, 1.0, 0.0],
    ),
    "Independent": (
        lambda t, d: d.Independent(d.Normal(t([[0.0, 1.5]]), 1.0), 1),
        lambda t, d: d.Independent(d.Normal(t([[1.0, 1.0]]), 2.0), 1),
        [[0.3, -2.0]],
    ),
}


def _told(library: Any, distributions: Any, name: str) -> list[Any]:
    make, other, values = CASES[name]
    p, x = make(library.tensor, distributions), library.tensor(values)
    library.manual_seed(3)
    found = [p.log_prob(x), p.entropy(), p.sample((4,)), p.sample()]
    found += [p.rsample((2, 3))] if p.has_rsample else []
    found += [p.variance] if name != "Categorical" else [p.probs, p.logits, p.mode]
    if other is not None:
        found.append(distributions.kl_divergence(p, other(library.tensor, distributions)))
    return [np.array(x.tolist()) for x in found]


@pytest.mark.parametrize("name", CASES)
def test_values_and_samples_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for ours, theirs in zip(_told(hs, d, name), _told(torch, torch.distributions, name), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_values_are_those_of_the_definitions() -> None:
    density = math.exp(-0.5 * (3 / 2) ** 2) / (2 * math.sqrt(2 * math.pi))
    assert d.Normal(1.0, 2.0).log_prob(4.0).item() == pytest.approx(math.log(density), rel=1e-6)
    p = np.array([0.2, 0.3, 0.5])
    q = np.array([0.5, 0.25, 0.25])
    divergence = d.kl_divergence(d.Categorical(hs.tensor(p * 2)), d.Categorical(logits=hs.tensor(np.log(q))))
    assert divergence.item() == pytest.approx((p * np.log(p / q)).sum(), rel=1e-6)
    assert d.Categorical(hs.tensor(p)).entropy().item() == pytest.approx(-(p * np.log(p)).sum(), rel=1e-6)
    assert d.Uniform(0.0, 2.0).log_prob(3.0).item() == -math.inf
    hs.manual_seed(0)
    drawn = d.Normal(5.0, 0.1).sample((1000,))
    assert abs(drawn.mean().item() - 5) < 0.02
    assert not drawn.requires_grad


@pytest.mark.parametrize(
    ("made", "low", "high"),
    [
        (d.Normal(0.5, 1.5), -20.0, 20.0), (d.LogNormal(0.25, 0.5), 1e-9, 60.0), (d.Laplace(-1.0, 0.75), -30.0, 30.0),
        (d.Exponential(0.5), 0.0, 60.0), (d.Uniform(-1.0, 4.0), -1.0, 3.9999999),
    ],
)  # fmt: skip
def test_a_density_has_the_area_one_and_its_own_moments(made: d.Distribution, low: float, high: float) -> None:
    with hs.precision("fp64", override=True):
        x = np.linspace(low, high, 200001)
        told = made.log_prob(hs.tensor(x)).numpy()
        values = [1.0, made.mean.item(), made.variance.item() + made.mean.item() ** 2, made.entropy().item()]
    found = [np.trapezoid(np.exp(told) * part, x) for part in (1.0, x, x**2, -told)]
    np.testing.assert_allclose(found, values, rtol=1e-5)


def test_gradients_pass_through_rsample_and_log_prob() -> None:
    scale = hs.tensor([2.0], requires_grad=True)
    hs.manual_seed(0)
    noise = hs.randn(3, 1)
    hs.manual_seed(0)
    d.Normal(hs.tensor([1.0]), scale).rsample((3,)).sum().backward()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(noise.sum().item(), rel=1e-6)
    logits = hs.tensor([0.0, 0.0], requires_grad=True)
    d.Categorical(logits=logits).log_prob(hs.tensor(1)).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [-0.5, 0.5]


def test_in_half_the_trace_names_the_operation() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        d.Normal(hs.tensor([0.0]), hs.tensor([1e-4])).log_prob(hs.tensor([1.0]))
    first = t.first()
    assert first is not None
    assert (first.klass, first.op) == ("underflow", "pow")  # the variance 1e-8 is zero in half


def test_what_is_not_allowed_is_refused() -> None:
    for make, message in (
        (lambda: d.Normal(0.0, -1.0), r"^scale: a value is not allowed; allowed: positive numbers$"),
        (lambda: d.Categorical(), r"^probs, logits: both or none are not allowed; allowed: one of them$"),
        (lambda: d.Categorical(hs.tensor([-1.0, 2.0])), r"^probs: a value is not allowed; allowed: numbers from 0 on"),
        (lambda: d.Uniform(1.0, 1.0), r"^high: a value is not allowed; allowed: numbers above low$"),
        (lambda: d.Independent(d.Normal(0.0, 1.0), 1), r"^reinterpreted_batch_ndims: 1 is not allowed"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(NotImplementedError, match=r"^kl_divergence: none for Normal and Uniform"):
        d.kl_divergence(d.Normal(0.0, 1.0), d.Uniform(0.0, 1.0))
    with pytest.raises(NotImplementedError, match=r"^rsample: Categorical has none; allowed: sample$"):
        d.Categorical(hs.tensor([0.5, 0.5])).rsample()
    for name in ("mean", "variance", "stddev"):
        with pytest.raises(NotImplementedError, match=r"^(mean|variance): Categorical has none$"):
            getattr(d.Categorical(hs.tensor([0.5, 0.5])), name)
    with pytest.raises(AttributeError, match="Normal"):
        d.Norml  # noqa: B018


def test_the_most_likely_value_of_what_is_symmetric_is_its_mean() -> None:
    for kind in (hs.distributions.Normal, hs.distributions.Laplace):
        found = kind(hs.tensor([0.5, -2.0]), hs.tensor([1.0, 3.0]))
        assert found.mode.numpy().tolist() == found.mean.numpy().tolist() == [0.5, -2.0]
