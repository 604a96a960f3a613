"""Gradients of gradients: of every kind of operation, against differences in float64 and against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

X = np.array([[0.5, -1.25, 2.0, 0.75], [-0.3, 1.1, -2.2, 0.9], [1.7, 0.2, -0.6, -1.4]])
INDEX = [[0, 2, 1, 0], [1, 1, 0, 2], [2, 0, 2, 1]]

# A function of the library, its nn.functional and a (3, 4) matrix, and what shall be told of it.
CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "getitem": lambda lib, f, x: x[1:, ::2] * x[[0, 2]][:, :2],
    "gather": lambda lib, f, x: x.gather(0, lib.tensor(INDEX)) ** 2,
    "boolean": lambda lib, f, x: x[x > 0] ** 3,
    "where": lambda lib, f, x: lib.where(x > 0, x**2, x[:1] ** 3),
    "masked_fill": lambda lib, f, x: x.masked_fill(x > 1, 0.5) ** 3,
    "pad": lambda lib, f, x: f.pad(x[None], (2, 1), mode="reflect") ** 3,
    "diagonal": lambda lib, f, x: x.diagonal() ** 3,
    "scatter_add": lambda lib, f, x: lib.zeros(3, 4).to(x.dtype).scatter_add(0, lib.tensor(INDEX), x) ** 3,
    "setitem": lambda lib, f, x: _set(x),
    "embedding": lambda lib, f, x: f.embedding(lib.tensor([0, 1, 1]), x) ** 3,
    "unfold": lambda lib, f, x: f.unfold(x[None, None], 2) ** 3,
    "interpolate": lambda lib, f, x: f.interpolate(x[None, None], scale_factor=2, mode="bilinear") ** 3,
    "conv1d": lambda lib, f, x: f.conv1d(x[None], x[:2, None, :2].expand(2, 3, 2), x[0, :2]) ** 2,
    "conv2d": lambda lib, f, x: f.conv2d(x[None, None], x[None, None, :2, :2], padding=1, stride=2) ** 2,
    "conv_transpose2d": lambda lib, f, x: f.conv_transpose2d(x[None, None], x[None, None, :2, :2], stride=2) ** 2,
    "avg_pool2d": lambda lib, f, x: f.avg_pool2d(x[None, None], 2, 1) ** 3,
    "max_pool2d": lambda lib, f, x: f.max_pool2d(x[None, None], 2, 1) ** 3,
    "max": lambda lib, f, x: x.max(1)[0] ** 3,
    "min": lambda lib, f, x: x.min() ** 3,
    "amax": lambda lib, f, x: lib.cat([x, x]).amax(0) ** 3,
    "sort": lambda lib, f, x: x.sort(1)[0] * x,
    "softmax": lambda lib, f, x: f.softmax(x, 1) ** 2,
    "log_softmax": lambda lib, f, x: f.log_softmax(x, 1) ** 2,
    "logsumexp": lambda lib, f, x: lib.logsumexp(x, 1) ** 2,
    "cross_entropy": lambda lib, f, x: f.cross_entropy(x, lib.tensor([0, 1, 2])),
    "std": lambda lib, f, x: x.std(1) ** 2 * x[:, 0],
    "pow": lambda lib, f, x: lib.pow(x**2 + 1, x),
    "glu": lambda lib, f, x: f.glu(x) ** 2,
    "attention": lambda lib, f, x: f.scaled_dot_product_attention(x[None], x[None] * 2, x[None]) ** 2,
    "layer_norm": lambda lib, f, x: f.layer_norm(x, (4,)) ** 3,
    "batch_norm": lambda lib, f, x: f.batch_norm(x, None, None, training=True) ** 3,
    "matmul": lambda lib, f, x: (x @ x.t()).tanh(),
    "linear": lambda lib, f, x: f.linear(x, x, x[:, 0]) ** 2,
    "norm": lambda lib, f, x: x.norm(2, dim=1),
}


def _set(x: Any) -> Any:
    y = x * 1.0
    y[0, 1:] = x[1, :3] ** 2
    return y * x


def _gradient(lib: Any, f: Any, case: Callable[..., Any], x: Any) -> Any:
    """The gradient, on the tape, of a sum in which every element has another weight."""
    y = case(lib, f, x)
    weights = (lib.arange(y.numel()).to(y.dtype) / 8 + 0.5).reshape(y.shape)
    return lib.autograd.grad((y * weights).sum(), x, create_graph=True)[0]


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_has_the_gradient_that_differences_have(name: str) -> None:
    def gradient(x: Any) -> Any:
        with hs.enable_grad():
            x = x if x.requires_grad else x.clone().requires_grad_()
            return _gradient(hs, hs.nn.functional, CASES[name], x)

    assert hs.gradcheck(gradient, hs.tensor(X, requires_grad=True))


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    found = []
    for library in (hs, torch):
        x = library.tensor(X.tolist(), dtype=library.float64, requires_grad=True)
        (_gradient(library, library.nn.functional, CASES[name], x) ** 2).sum().backward()
        found.append(np.array(x.grad.tolist()))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)


def test_the_third_derivative() -> None:
    x = hs.tensor([1.0, 2.0], "fp64", requires_grad=True)
    w = hs.tensor([[[1.0, 3.0]]], "fp64", requires_grad=True)
    y = (hs.ops.conv1d(x[None, None], w) ** 4).sum()
    (first,) = hs.autograd.grad(y, x, create_graph=True)
    (second,) = hs.autograd.grad(first[0], x, create_graph=True)
    (third,) = hs.autograd.grad(second[1], w)
    assert second.tolist() == [12 * 49 * 1, 12 * 49 * 3]
    # d/dw of 12 (x w)**2 w0 w1
    assert third.reshape(-1).tolist() == [12 * (2 * 7 * 1 * 3 + 49 * 3), 12 * (2 * 7 * 2 * 3 + 49 * 1)]


def test_a_gradient_of_a_gradient_rounds_like_the_operation_itself() -> None:
    """In half: the convolution with what comes in, each result stored once."""
    x, w = (hs.tensor(a, "fp16", requires_grad=True) for a in (X[None], X[:2, None, :2].repeat(3, 1)))
    g = hs.tensor(np.full((1, 2, 3), 0.1), "fp16", requires_grad=True)
    (dx,) = hs.autograd.grad(hs.ops.conv1d(x, w), x, g, create_graph=True)
    h = hs.tensor(X[None] / 3, "fp16")
    (dg,) = hs.autograd.grad(dx, g, h)
    assert dg.bits().tolist() == hs.ops.conv1d(h, w).bits().tolist()


def test_what_has_none_is_refused_by_name() -> None:
    x = hs.tensor(np.eye(2), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"^create_graph: the gradient of cholesky has none here"):
        hs.autograd.grad(hs.linalg.cholesky(x).sum(), x, create_graph=True)
    with pytest.raises(ValueError, match=r"^only_inputs: False is not allowed"):
        hs.autograd.grad(x.sum(), x, only_inputs=False)
