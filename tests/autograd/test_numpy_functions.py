"""NumPy's functions and the methods of tensors do what NumPy and PyTorch do under these names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

X = np.random.default_rng(0).standard_normal((3, 4))
Y = np.random.default_rng(1).uniform(0.5, 2, (3, 4))
V = X[0]


def evaluated(expression: str, make: Any) -> Any:
    return eval(expression, {"np": np, "x": make(X), "y": make(Y), "v": make(V), "hs": hs})


@pytest.mark.parametrize(
    "expression",
    """np.var(x); np.var(x, axis=0); np.var(x, ddof=1); np.var(x, correction=1); np.std(x, 1); np.std(x, ddof=1)
    np.mean(x, axis=0, keepdims=True); np.sum(x, 0); np.max(x, axis=1); np.argmax(x, axis=1); np.argmin(x)
    np.cumsum(x); np.cumsum(x, axis=0); np.stack([x, y], axis=-1); np.hstack([x, y]); np.hstack([v, v])
    np.vstack([x, v]); np.split(x, 2, axis=1)[1]; np.split(x, [1, 3], axis=1)[1]; np.dot(x, y.T); np.dot(x, v)
    np.dot(v, v); np.dot(x, x[0, 0]); np.dot(x[None], y.T[None]); np.tensordot(x, y.T, axes=1); np.roll(x, 1, axis=0)
    np.flip(x, axis=0); np.repeat(x, 2); np.repeat(x, 2, axis=0); np.take(x, [[0, 2]], axis=1); np.take(x, [0, 5])
    np.take(x, [0, 2], axis=-1); np.pad(x, 1); np.pad(x, ((1, 2), (0, 1)), constant_values=3); np.linalg.norm(x)
    np.linalg.norm(x, axis=1); np.linalg.norm(v, 1); np.linalg.norm(v, ord=3); np.linalg.norm(x, 2, 1)
    np.linalg.norm(x, "fro"); np.linalg.norm(x, np.inf, 0, True); np.around(x); np.copy(x); np.any(x > 5); np.all(x)
    np.cumprod(x); np.cumprod(x, axis=1); np.diff(x); np.diff(x, 2, axis=0); np.diff(v, prepend=v[:1])
    np.trapezoid(x, axis=0); np.trapezoid(x, v); np.trapezoid(v, dx=0.5); np.nanmean(x, axis=0); np.nansum(x, axis=1)
    np.nan_to_num(x, False); np.round(x, 1); np.round(x, decimals=-1); np.cross(x[:, :3], y[:, 1:])
    np.rot90(x, axes=(1, 0))
    np.meshgrid(v, v[:3])[0]; np.meshgrid(v, v[:3], indexing="ij")[1]; np.broadcast_arrays(x, v)[1]
    np.squeeze(x[None], axis=0); np.array_split(v, 3)[1]; np.linalg.inv(x[:, :3]); np.linalg.det(x[:, 1:])
    np.kron(x, v)
    np.linalg.solve(x[:, :3], y); np.hsplit(x, 2)[1]; np.fmod(x, y); np.remainder(x, y); np.floor_divide(x, y)
    np.hypot(x, y); np.copysign(x, -y); np.diag(x); np.trace(x); np.vander(v); np.inner(x, y)
    np.linalg.matrix_power(x[:, :3], 2)
    np.argsort(v); x.ravel(); x.argmax(axis=1); x.argmin(axis=0, keepdims=True)""".replace("\n", ";").split(";"),
)
def test_numpys_functions_keep_numpys_arguments_and_defaults(expression: str) -> None:
    got = evaluated(expression.strip(), lambda a: hs.tensor(a, "fp64"))
    expected = evaluated(expression.strip(), lambda a: a)
    assert np.shape(np.asarray(got)) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x.norm(1)", np.abs(X).sum()),
        ("x.norm(2, 1)", np.linalg.norm(X, axis=1)),
        ("x.norm(p=3, dim=0)", np.linalg.norm(X, 3, 0)),
        ("x.norm('fro')", np.linalg.norm(X)),
        ("x.var()", X.var(ddof=1)),
        ("x.var(dim=1, unbiased=False)", X.var(1)),
        ("x.std(unbiased=False)", X.std()),
        ("x.sub(y, alpha=2)", X - 2 * Y),
        ("x.amax(1)", X.max(1)),
        ("x.amin(0)", X.min(0)),
        ("x.t()", X.T),
        ("v.t()", V),
        ("x.mm(y.t())", X @ Y.T),
        ("x.mv(v)", X @ V),
        ("x[None].bmm(y.T[None])", (X @ Y.T)[None]),
        ("v.outer(v)", np.outer(V, V)),
        ("x.view_as(y.T)", X.reshape(4, 3)),
        ("v.expand_as(x)", np.broadcast_to(V, (3, 4))),
        ("x.where(y > 1, y)", np.where(Y > 1, X, Y)),
        ("x.contiguous()", X),
        ("x.lerp(y, 0.25)", X + 0.25 * (Y - X)),
        ("x.movedim(0, 1)", X.T),
        ("x.repeat_interleave(2, dim=0)", X.repeat(2, 0)),
        ("x.diagonal()", np.diagonal(X)),
        ("x.exp2()", np.exp2(X)),
        ("x[hs.tensor([2, 0])]", X[[2, 0]]),
        ("x[hs.tensor([2, 0]), 1:]", X[[2, 0], 1:]),
        ("x.isnan()", np.isnan(X)),
        ("x.isinf()", np.isinf(X)),
        ("x.isfinite()", np.isfinite(X)),
        ("x.dim()", 2),
        ("x.numel()", 12),
    ],
)
def test_methods_are_pytorchs(expression: str, expected: Any) -> None:
    got = evaluated(expression, lambda a: hs.tensor(a, "fp64"))
    assert np.shape(np.asarray(got)) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "function", [lambda t: t.norm(1, 0), lambda t: t.sub(t * t, alpha=2), lambda t: t.lerp(t, 0.2)]
)
def test_their_gradients_agree_with_differences(function: Any) -> None:
    assert hs.gradcheck(function, hs.tensor(X, "fp64"))


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("np.linalg.norm(x, 1)", TypeError, "numpy.norm of 2 axes with ord=1 is not simulated"),
        ("np.pad(x, 1, 'edge')", TypeError, "numpy.pad with mode='edge' is not simulated"),
        ("x.norm('two')", ValueError, "p: 'two' is not allowed"),
        ("x.mm(v)", ValueError, "mm: shapes (3, 4) and (4,) do not fit; allowed: 2 dimensions and 2 dimensions"),
        ("x.mv(y)", ValueError, "mv: shapes"),
        ("x[None].bmm(hs.ops.stack([y.T, y.T]))", ValueError, "bmm: shapes (1, 3, 4) and (2, 4, 3) do not fit"),
        ("x[None].t()", ValueError, "t: shape (1, 3, 4) is not allowed"),
        ("x[hs.tensor([0.5])]", TypeError, "index: dtype float32 is not allowed"),
    ],
)
def test_bad_input_gets_one_line(expression: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        evaluated(expression, lambda a: hs.tensor(a, "fp64"))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def flipped(mask: Any) -> None:
    mask[...] = ~mask


def shifted(index: Any) -> None:
    index[...] = (index + 1) % 3


@pytest.mark.parametrize(
    ("function", "given", "change"),
    [
        (lambda x, m: hs.ops.where(m, x, 0.0), Y > 1, flipped),
        (lambda x, m: x.masked_fill(m, 0.0), Y > 1, flipped),
        (lambda x, m: x[m], Y > 1, flipped),
        (lambda x, i: x[i], np.array([0, 1, 1]), shifted),
        (lambda x, i: x[i, i], np.array([0, 1, 1]), shifted),
    ],
)
def test_masks_and_indices_may_change_before_the_backward_pass(function: Any, given: Any, change: Any) -> None:
    grads = []
    for later in (lambda _: None, change):
        x, own = hs.tensor(X, "fp64", requires_grad=True), given.copy()
        y = function(x, own)
        later(own)
        (y * y).sum().backward()
        assert x.grad is not None
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)
