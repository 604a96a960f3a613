"""One call of PyTorch's and of halfsim's, compared where PyTorch is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs


def agree(call: Callable[..., Any], *arrays: np.ndarray, rtol: float = 1e-9) -> None:
    """``call(library, *tensors)`` in float64: its results, and the gradients of what takes one.

    ``library`` is torch or halfsim; arrays of floats become tensors that take a gradient, other arrays (in ``call``)
    are given as ``library`` takes them, see `given`.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    with hs.precision("fp64"):
        ours = [hs.tensor(x, requires_grad=True) for x in arrays]
        y, expected = call(hs, *ours), call(torch, *theirs)
        assert y.shape == tuple(expected.shape)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=rtol, atol=1e-12)
        g = np.random.default_rng(0).standard_normal(y.shape)
        y.backward(g)
        expected.backward(torch.tensor(g))
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=rtol, atol=1e-10)


def given(library: Any, values: Any) -> Any:
    """Integers as a library takes them: an array, or a tensor of PyTorch's."""
    return np.asarray(values) if library is hs else library.tensor(values)
