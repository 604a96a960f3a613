"""Products of matrices and vectors, and matrices made of diagonals: against NumPy, and their refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.ops.linalg import _splits

O = hs.ops  # noqa: E741


def t(x: Any) -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), "fp64")


def test_products_are_numpys(rng: np.random.Generator) -> None:
    a, b, v, w = (rng.standard_normal(s) for s in ((3, 4), (2, 4), (3,), (3,)))
    np.testing.assert_allclose(O.inner(t(a), t(b)).numpy(), np.inner(a, b), rtol=1e-13)
    assert O.inner(t(2.0), t(a)).numpy().tolist() == (2 * a).tolist()
    np.testing.assert_allclose(O.kron(t(a), t(b)).numpy(), np.kron(a, b))
    np.testing.assert_allclose(O.kron(t(v), t(b)).numpy(), np.kron(v, b))
    np.testing.assert_allclose(O.ger(t(v), t(w)).numpy(), np.outer(v, w))
    np.testing.assert_allclose(O.cross(t(v), t(w)).numpy(), np.cross(v, w))
    np.testing.assert_allclose(O.cross(t(a), t(a[:, ::-1])).numpy(), np.cross(a, a[:, ::-1], axis=0))
    assert O.vdot(t(v), t(w)).item() == pytest.approx(np.vdot(v, w))
    np.testing.assert_allclose(O.vecdot(t(a), t(b[:1])).numpy(), (a * b[0]).sum(1))
    for dims in (0, 1, 2):  # up to all axes of both
        np.testing.assert_allclose(
            O.tensordot(t(a), t(a.T if dims == 1 else a), dims).numpy(), np.tensordot(a, a.T if dims == 1 else a, dims)
        )
    np.testing.assert_allclose(O.matrix_power(t(a @ a.T), 5).numpy(), np.linalg.matrix_power(a @ a.T, 5), rtol=1e-12)
    assert O.matrix_power(t(a @ a.T), 0).numpy().tolist() == np.eye(3).tolist()


def test_a_chain_is_multiplied_in_the_cheapest_order(rng: np.random.Generator) -> None:
    shapes = [(10, 2), (2, 30), (30, 3), (3, 8)]
    arrays = [rng.standard_normal(s) for s in shapes]
    y = O.chain_matmul(*map(t, arrays))
    vector = O.multi_dot([t(arrays[0][0]), *map(t, arrays[1:])])
    np.testing.assert_allclose(y.numpy(), np.linalg.multi_dot(arrays), rtol=1e-12)
    np.testing.assert_allclose(vector.numpy(), y.numpy()[0], rtol=1e-12)
    split = _splits([10, 2, 30, 3, 8])
    assert (split[0, 3], split[1, 3]) == (0, 2)  # the first times ((the second times the third) times the last)
    assert O.chain_matmul(t(arrays[0])).shape == (10, 2)


def test_a_factor_of_zero_leaves_nothing_not_even_nan(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    x = hs.tensor(np.full((2, 4), np.nan), "fp64", requires_grad=True)
    y = O.addmm(x, t(a), t(b), beta=0, alpha=2)
    np.testing.assert_allclose(y.numpy(), 2 * a @ b)
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad.numpy() == 0).all()
    np.testing.assert_allclose(O.addr(x, t(a[:, 0]), t(b[0]), beta=0).numpy(), np.outer(a[:, 0], b[0]))
    empty = O.addbmm(t(np.ones(4)), t(np.zeros((0, 2, 3))), t(np.zeros((0, 3, 4))), beta=0.5)
    assert empty.numpy().tolist() == [[0.5] * 4] * 2


def test_matrices_of_diagonals_are_numpys() -> None:
    v, m = np.array([1.0, 2.0, 3.0]), np.arange(12.0).reshape(3, 4)
    for k in (-2, 0, 1):
        assert O.diag(t(v), k).numpy().tolist() == np.diag(v, k).tolist()
        assert O.diag(t(m), k).numpy().tolist() == np.diag(m, k).tolist()
        assert O.diagflat(t(m), k).numpy().tolist() == np.diagflat(m, k).tolist()
    for increasing in (False, True):
        assert O.vander(t(v), 4, increasing).numpy().tolist() == np.vander(v, 4, increasing).tolist()
    assert O.vander(t(v)).numpy().tolist() == np.vander(v).tolist()
    assert O.vander(t(v), 0).shape == (3, 0)
    assert O.diag_embed(t(m), 0, 0, 2).shape == (4, 3, 4)
    assert O.block_diag(t(m), t(v), t(7.0)).shape == (5, 8)
    assert O.block_diag().shape == (1, 0)
    stacked = np.arange(24.0).reshape(2, 3, 4)
    assert hs.diagonal(t(stacked)).numpy().tolist() == np.diagonal(stacked).tolist()
    for k in (-1, 0, 2):  # of the last two axes, as in the array API
        y = hs.linalg.diagonal(t(stacked), offset=k)
        assert y.numpy().tolist() == np.linalg.diagonal(stacked, offset=k).tolist()
    assert O.trace(t(m)).item() == 15
    assert hs.gradcheck(lambda v: O.vander(v, 3), t(v))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda a: O.addmm(a, a, a), "addmm: shapes (2, 3) and (2, 3) do not fit; allowed: (..., L, K)"),
        (lambda a: O.addmm(a, a, a[0]), "addmm: an operand (3,) does not fit; allowed: 2 dimensions"),
        (lambda a: O.addmm(a[None], a, a.T), "addmm: input (1, 2, 3) does not fit the product (2, 2)"),
        (lambda a: O.addr(a, a[0], a[0]), "addr: input (2, 3) does not fit the product (3, 3)"),
        (lambda a: O.addbmm(a, a, a), "addbmm: shapes (2, 3) and (2, 3) do not fit"),
        (lambda a: O.baddbmm(a, a, a), "baddbmm: an operand (2, 3) does not fit"),
        (lambda a: O.inner(a, a.T), "inner: shapes (2, 3) and (3, 2) do not fit"),
        (lambda a: O.multi_dot([a]), "multi_dot: 1 tensors are not allowed; allowed: two or more"),
        (lambda a: O.multi_dot([a, a]), "multi_dot: shapes (2, 3) and (2, 3) do not fit"),
        (lambda a: O.multi_dot([a[None], a]), "multi_dot: dimensions do not fit"),
        (lambda a: O.chain_matmul(a[0], a), "chain_matmul: dimensions do not fit"),
        (lambda a: O.cross(a[:, :2], a[:, :2]), "cross: shape (2, 2) is not allowed; allowed: an axis of length 3"),
        (
            lambda a: O.linalg_cross(a, a, dim=0),
            "cross: shapes (2, 3) and (2, 3) do not fit; allowed: length 3 along 0",
        ),
        (lambda a: O.linalg_cross(a, a[0]), "cross: shapes (2, 3) and (3,) do not fit; allowed: equally many"),
        (lambda a: O.matrix_power(a, 2), "matrix_power: shape (2, 3) is not allowed; allowed: (..., M, M)"),
        (lambda a: O.trace(a[0]), "trace: shape (3,) is not allowed; allowed: two dimensions"),
        (lambda a: O.diag(a[None]), "diag: an input of 3 dimensions is not allowed"),
        (lambda a: O.diag_embed(a, 0, 1, 1), "diag_embed: dim1=1, dim2=1 are one axis"),
        (lambda a: O.vander(a), "vander: N=None of an input (2, 3) is not allowed"),
        (lambda a: O.linalg_vander(a, 1), "vander: N=1 of an input (2, 3) is not allowed"),
        (lambda a: O.block_diag(a[None]), "block_diag: more than two dimensions are not allowed"),
    ],
)
def test_bad_input_gets_one_line(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        call(t(np.ones((2, 3))))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("left", "right", "stored"),
    [
        ((4, 8), (5, 8, 3), False),
        ((8,), (5, 8, 3), False),
        ((1, 4, 8), (5, 8, 3), False),
        ((1, 4, 8), (2, 5, 8, 3), True),
        ((2, 1, 4, 8), (2, 5, 8, 3), True),
    ],
)
def test_the_gradient_of_what_serves_a_batch(
    left: tuple[int, ...], right: tuple[int, ...], stored: bool, rng: np.random.Generator
) -> None:
    """One product where PyTorch folds the batch into the rows; else products, which are stored, and their sum."""
    a, b = (rng.standard_normal(shape).astype(np.float16) for shape in (left, right))
    x = hs.tensor(a, requires_grad=True)
    y = x @ hs.tensor(b)
    g = rng.standard_normal(y.shape).astype(np.float16)
    y.backward(g)
    rows = np.expand_dims(g, -2) if len(left) == 1 else g
    each = rows.astype(np.float32) @ np.swapaxes(b, -1, -2).astype(np.float32)
    each = each.astype(np.float16).astype(np.float32) if stored else each
    whole = left if len(left) > 1 else (1, *left)
    lost = each.ndim - len(whole)
    axes = tuple(i for i in range(each.ndim) if i < lost or (whole[i - lost] == 1 != each.shape[i]))
    expected = each.sum(axes, keepdims=True).reshape(left).astype(np.float16)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(a, requires_grad=True)
    (leaf @ torch.tensor(b)).backward(torch.tensor(g))
    np.testing.assert_array_equal(leaf.grad.numpy(), expected)
