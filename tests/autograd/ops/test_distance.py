"""Distances of all pairs, and of two; values are recorded elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs

X = np.random.default_rng(4).standard_normal((5, 3))


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.5, np.inf])
def test_pairs_come_in_the_order_of_rows(p: float) -> None:
    expected = [np.linalg.norm(X[i] - X[k], p) for i in range(5) for k in range(i + 1, 5)]
    np.testing.assert_allclose(hs.ops.pdist(hs.tensor(X, "fp64"), p).numpy(), expected, rtol=1e-12)
    if p:
        assert hs.gradcheck(lambda x: hs.ops.pdist(x, p), hs.tensor(X))


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, np.inf])
def test_equal_rows_take_no_gradient(p: float) -> None:
    x = hs.tensor([[1.0, 2.0], [1.0, 2.0]], requires_grad=True)
    hs.ops.pdist(x, p).backward(np.ones(1))
    assert x.grad is not None
    assert not x.grad.numpy().any()


def test_few_rows_have_no_distances() -> None:
    assert hs.ops.pdist(np.ones((1, 3))).shape == (0,)
    assert hs.ops.pdist(np.ones((2, 0))).numpy().tolist() == [0]


def test_the_small_number_is_stored_in_half() -> None:
    """1e-6 is a subnormal half, and lost beside a difference of 1."""
    assert hs.ops.pairwise_distance(hs.tensor([1.0], "fp16"), hs.tensor([1.0], "fp16")).item() == np.float16(1e-6)
    assert hs.ops.pairwise_distance(hs.tensor([2.0], "fp16"), hs.tensor([1.0], "fp16")).item() == 1


def test_refusals() -> None:
    with pytest.raises(ValueError, match="pdist: input .5,. is not allowed"):
        hs.ops.pdist(np.ones(5))
    with pytest.raises(ValueError, match="p: -1.0"):
        hs.ops.pdist(X, -1.0)
    with pytest.raises(ValueError, match="pairwise_distance: numbers"):
        hs.ops.pairwise_distance(1.0, 2.0)
