"""Activations with random numbers: their bounds, their gradients, their seeds."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs

F = hs.nn.functional


def test_rrelu_draws_slopes_within_its_bounds() -> None:
    x = hs.tensor(np.concatenate([np.full(1000, -1.0), [0.0, 2.0, np.nan]]), "fp16", requires_grad=True)
    y = F.rrelu(x, 0.25, 0.75, training=True)
    slopes = -y.numpy()[:1000].astype(np.float64)
    assert 0.25 <= slopes.min() < 0.26
    assert 0.74 < slopes.max() <= 0.75
    assert abs(slopes.mean() - 0.5) < 0.02
    assert y.numpy()[1001] == 2
    y.backward(np.ones(1003))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy()[:1000], -y.numpy()[:1000])
    assert x.grad.numpy()[1001:].tolist() == [1, 1]


def test_rrelu_is_leaky_relu_outside_training() -> None:
    x = hs.tensor([-4.0, 4.0])
    np.testing.assert_array_equal(F.rrelu(x).numpy(), F.leaky_relu(x, (1 / 8 + 1 / 3) / 2).numpy())
    assert hs.nn.RReLU(0.5, 0.5)(x).numpy().tolist() == [-2, 4]
    assert hs.nn.RReLU(0.25, 0.75).eval()(x).numpy().tolist() == [-2, 4]


def test_seeds_rule() -> None:
    def run() -> list[float]:
        hs.manual_seed(7)
        x = hs.tensor([-1.0, -2.0, 1.0])
        return [*F.rrelu(x, training=True).tolist(), *F.gumbel_softmax(x).tolist()]

    assert run() == run()


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_gumbel_softmax_picks_by_probability(tau: float) -> None:
    p = np.array([0.2, 0.5, 0.3])
    picks = F.gumbel_softmax(hs.tensor(np.log(np.tile(p, (4000, 1)))), tau, hard=True)
    assert set(np.unique(picks.numpy())) == {0.0, 1.0}
    np.testing.assert_allclose(picks.numpy().mean(0), p, atol=0.03)


def test_gumbel_softmax_passes_the_soft_gradient() -> None:
    grads = []
    for hard in (False, True):
        hs.manual_seed(3)
        x = hs.tensor([[0.5, -0.5, 1.0]], "fp64", requires_grad=True)
        (F.gumbel_softmax(x, 0.5, hard=hard, dim=1) * np.array([1.0, 2.0, 3.0])).sum().backward()
        assert x.grad is not None
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1])
    soft = F.gumbel_softmax(hs.tensor(np.zeros((4, 5)), "fp16"), dim=0)
    assert soft.format is hs.float16
    np.testing.assert_allclose(soft.numpy().sum(0), 1, rtol=2e-3)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="lower: 0.5 and upper 0.25"):
        F.rrelu([1.0], 0.5, 0.25)
    with pytest.warns(UserWarning, match="eps: has no effect"):
        F.gumbel_softmax([1.0], eps=1e-3)
