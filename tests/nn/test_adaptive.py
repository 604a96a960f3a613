"""Adaptive softmax: probabilities that add up, PyTorch's numbers, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

X, TARGET = np.random.default_rng(0).standard_normal((6, 8)), np.array([0, 9, 3, 5, 2, 6])


def layer(nn: Any = hs.nn) -> Any:
    return nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2.0, head_bias=True)


def test_outputs_are_the_log_probabilities_of_the_targets() -> None:
    with hs.precision("fp64"):
        model = layer().double()
        every = model.log_prob(hs.tensor(X))
        np.testing.assert_allclose(np.exp(every.numpy()).sum(1), 1)
        output, loss = model(hs.tensor(X), TARGET)
        np.testing.assert_allclose(output.numpy(), every.numpy()[np.arange(6), TARGET])
        assert loss.item() == pytest.approx(-output.numpy().mean())
        np.testing.assert_array_equal(np.asarray(model.predict(hs.tensor(X))), every.numpy().argmax(1))
        single = model(hs.tensor(X[1]), np.array(9))
        assert single.output.shape == ()
        assert single.output.item() == pytest.approx(output.numpy()[1])


def test_it_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = layer(torch.nn).double()
    with hs.precision("fp64"):
        ours = layer()
        ours.load_state_dict({name: p.numpy() for name, p in theirs.state_dict().items()})
        x, t = hs.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
        ours(x, TARGET).loss.backward()
        theirs(t, torch.tensor(TARGET)).loss.backward()
    for mine, other in zip([x, *ours.parameters()], [t, *theirs.parameters()], strict=True):
        assert mine.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_refusals() -> None:
    for cutoffs in ([], [0, 3], [3, 3], [6, 3], [10]):
        with pytest.raises(ValueError, match="cutoffs: "):
            hs.nn.AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs)
    with pytest.raises(ValueError, match="target: classes 0 to 10"):
        layer()(hs.tensor(X), [0, 10, 0, 0, 0, 0])
    with pytest.raises(ValueError, match=r"target: shape \(2,\)"):
        layer()(hs.tensor(X), [0, 1])
