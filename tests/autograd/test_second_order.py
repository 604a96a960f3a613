"""Gradients of gradients of what is not made of elementary steps: linear operations, choices, picks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
import halfsim.nn.functional as F

RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4)), RNG.normal(size=4)
CLASSES = [0, 3, 1]

CASES: dict[str, Callable[..., Any]] = {
    "mlp": lambda m, f, x, w, b: f.softplus(m.tanh(f.linear(x, w, b)) @ w),
    "relu": lambda m, f, x, w, b: m.relu(x @ w) ** 2,
    "softmax": lambda m, f, x, w, b: m.softmax(x, 1) * w[:3],
    "log_softmax": lambda m, f, x, w, b: m.log_softmax(x, 1) * w[:3],
    "cross_entropy": lambda m, f, x, w, b: f.cross_entropy(x @ w, m.tensor(CLASSES), label_smoothing=0.1),
    "nll_loss": lambda m, f, x, w, b: f.nll_loss(m.log_softmax(x, -1), m.tensor(CLASSES), w[0].detach() ** 2),
    "mse_loss": lambda m, f, x, w, b: f.mse_loss(x, w[:3]),
    "norm": lambda m, f, x, w, b: x.norm() * x.norm(2, dim=1) / x.sum(1).exp(),
    "pow": lambda m, f, x, w, b: (x.abs() + 1) ** w[:3],
    "log": lambda m, f, x, w, b: m.log(m.sqrt(x**2 + 1)) * x.mean(1, keepdim=True),
    "getitem": lambda m, f, x, w, b: x[1:, ::2] ** 3,
    "picked": lambda m, f, x, w, b: x[[0, 0, 1]] ** 3,
    "masked": lambda m, f, x, w, b: x[x > 0] ** 3,
    "gather": lambda m, f, x, w, b: x.gather(1, m.tensor(CLASSES)[:, None]) ** 3,
    "setitem": lambda m, f, x, w, b: _changed(x * 1, x),
    "cat": lambda m, f, x, w, b: m.cat([x**2, w**3]).reshape(-1),
    "where": lambda m, f, x, w, b: m.where(x > 0, x**3, x**2).masked_fill(x > 1, 1.0) ** 2,
    "scatter_add": lambda m, f, x, w, b: (x * 1).scatter_add(1, m.tensor(CLASSES)[:, None], b[:3, None]) ** 3,
    "max": lambda m, f, x, w, b: x.max(1)[0] ** 2 * x.amax() + x.amin(0).sum(),
    "logsumexp": lambda m, f, x, w, b: m.logsumexp(x, 1),
    "std": lambda m, f, x, w, b: x.std(1) * x.var(1),
    "layer_norm": lambda m, f, x, w, b: f.layer_norm(x, (4,), w[0], b) * w[:3],
    "conv1d": lambda m, f, x, w, b: f.conv1d(x[None], w.reshape(4, 4, 1)[:, :3], b, padding=1) ** 2,
    "conv2d": lambda m, f, x, w, b: f.conv2d(x[None, None], w.reshape(1, 1, 4, 4)[:, :, :2, :3], b[:1], stride=2) ** 2,
    "conv_transpose2d": lambda m, f, x, w, b: f.conv_transpose2d(x[None, None], w[None, None, :2, :3], stride=2) ** 2,
    "max_pool2d": lambda m, f, x, w, b: f.max_pool2d(x[None, None], 2, 1) ** 3,
    "adaptive_max_pool1d": lambda m, f, x, w, b: f.adaptive_max_pool1d(x[None], 3) ** 3,
    "nearest": lambda m, f, x, w, b: f.interpolate(x[None, None], scale_factor=2) ** 3,
    "glu": lambda m, f, x, w, b: f.glu(x) ** 2,
    "avg_pool2d": lambda m, f, x, w, b: f.avg_pool2d(x[None, None], 2) ** 3,
    "interpolate": lambda m, f, x, w, b: f.interpolate(x[None, None], scale_factor=2, mode="bilinear") ** 3,
    "embedding": lambda m, f, x, w, b: f.embedding(m.tensor([0, 3, 3]), w, padding_idx=0) ** 3,
    "pad": lambda m, f, x, w, b: f.pad(x, (1, 2)) ** 3,
    "diagonal": lambda m, f, x, w, b: m.diagonal(x) ** 3,
    "bilinear": lambda m, f, x, w, b: f.bilinear(x, x, w.reshape(1, 4, 4)),
    "attention": lambda m, f, x, w, b: f.scaled_dot_product_attention(x[None], x[None], w[None, :3]),
    "inverse": lambda m, f, x, w, b: m.inverse(w) * m.det(w),
    "in place": lambda m, f, x, w, b: (x * 1).mul_(x).add_(x**3),
}


def _changed(y: Any, x: Any) -> Any:
    y[0] = x[1] ** 2
    y[1:, 1] = 3.0
    return y * x


def _gradients(m: Any, f: Any, case: Callable[..., Any], shift: float = 0.0) -> tuple[list[Any], Any, Any]:
    """The leaves, a function of the first gradients, and its own gradients."""
    draw = np.random.default_rng(1)
    leaves = [m.tensor(a, dtype=m.float64, requires_grad=True) for a in (X + shift * np.sin(np.arange(4)), W, B)]
    y = case(m, f, *leaves)
    loss = (y * m.tensor(draw.normal(size=tuple(y.shape)), dtype=m.float64)).sum()
    first = m.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    total = m.zeros((), dtype=m.float64)
    for g, x in zip(first, leaves, strict=True):
        if g is not None:
            total = total + (g * m.tensor(draw.normal(size=tuple(x.shape)), dtype=m.float64)).sum() + (g**2).sum()
    return leaves, total, m.autograd.grad(total, leaves, allow_unused=True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients_of_gradients_are_pytorchs(case: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    _, _, expected = _gradients(torch, torch.nn.functional, case)
    _, _, found = _gradients(hs, F, case)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(0 if b is None else b.numpy(), 0 if a is None else a.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients_of_gradients_are_the_differences_of_gradients(case: Callable[..., Any]) -> None:
    _, _, (grad, *_) = _gradients(hs, F, case)
    step = 1e-6
    (_, up, _), (_, down, _) = (_gradients(hs, F, case, s) for s in (step, -step))
    slope = 0.0 if grad is None else float((grad.numpy() * np.sin(np.arange(4))).sum())
    assert (up.item() - down.item()) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_third_gradient_goes_the_same_way() -> None:
    x = hs.tensor([[[1.0, 2.0, 3.0]]], "fp64", requires_grad=True)
    w = hs.tensor([[[0.5, -1.0]]], "fp64", requires_grad=True)
    y = (F.conv1d(x, w) ** 4)[..., 0].sum()  # (x0 w0 + x1 w1) ** 4
    (g,) = hs.autograd.grad(y, x, create_graph=True)
    (h,) = hs.autograd.grad(g[0, 0, 0], x, create_graph=True)
    (t,) = hs.autograd.grad(h[0, 0, 0], w)
    s = 1.0 * 0.5 - 2.0  # h is 12 s**2 w0**2
    assert h[0, 0, 0].item() == pytest.approx(12 * s**2 * 0.25)
    assert t.reshape(-1).tolist() == pytest.approx([24 * s * 0.25 + 24 * s**2 * 0.5, 24 * s * 2 * 0.25])


def test_what_has_no_second_gradient_is_refused_by_name() -> None:
    x = hs.tensor([1.0, 2.0, 3.0], "fp64", requires_grad=True)
    with pytest.raises(RuntimeError, match="create_graph: the gradient of cumprod has none here"):
        hs.autograd.grad(hs.cumprod(x, 0).sum(), x, create_graph=True)


def test_an_operand_that_was_changed_since_is_refused() -> None:
    x = hs.tensor([1.0, 2.0], "fp64", requires_grad=True)
    y = (x**3).sum()
    with hs.no_grad():
        x.mul_(2.0)
    with pytest.raises(RuntimeError, match="an operand of pow was changed since"):
        hs.autograd.grad(y, x, create_graph=True)


def test_in_half_each_step_is_rounded() -> None:
    x = hs.tensor([1.1, 2.3], "fp16", requires_grad=True)
    (g,) = hs.autograd.grad((x[:1] ** 3).sum(), x, create_graph=True)
    assert g.format is hs.float16
    (h,) = hs.autograd.grad(g.sum(), x)
    half = np.float16(1.1)
    assert h.tolist() == [float(np.float16(np.float32(6) * np.float32(half))), 0.0]
