"""What is made of solutions and singular values: NumPy's in float64, PyTorch's where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.live import agree

L = hs.linalg


@pytest.fixture
def a(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((2, 4, 4)) + 3 * np.eye(4)


def test_solutions_by_cholesky(a: np.ndarray, rng: np.random.Generator) -> None:
    b = rng.standard_normal((2, 4, 3))
    for upper in (False, True):
        factor = np.triu(a) if upper else np.tril(a)
        product = factor.swapaxes(1, 2) @ factor if upper else factor @ factor.swapaxes(1, 2)
        x = hs.cholesky_solve(hs.tensor(b), hs.tensor(factor), upper).numpy()
        np.testing.assert_allclose(product @ x, b, atol=1e-12)
        inverse = hs.cholesky_inverse(hs.tensor(factor), upper).numpy()
        np.testing.assert_allclose(product @ inverse, np.broadcast_to(np.eye(4), product.shape), atol=1e-12)
        agree(lambda library, v, w, upper=upper: library.cholesky_solve(v, w, upper), b, factor)
        agree(lambda library, w, upper=upper: library.cholesky_inverse(w, upper), factor)
        keep = np.triu if upper else np.tril
        mask = keep(np.ones((4, 4)))
        hs.gradcheck(
            lambda v, w, mask=mask, upper=upper: hs.cholesky_solve(v, w * mask, upper),
            (hs.tensor(b[0], "fp64", requires_grad=True), hs.tensor(factor[0], "fp64", requires_grad=True)),
        )


def test_triangular_solve(a: np.ndarray, rng: np.random.Generator) -> None:
    b = rng.standard_normal((2, 4, 3))
    for upper, transpose in ((True, False), (True, True), (False, True)):
        triangle = np.triu(a) if upper else np.tril(a)
        x = hs.triangular_solve(hs.tensor(b), hs.tensor(a), upper, transpose).solution.numpy()
        np.testing.assert_allclose((triangle.swapaxes(1, 2) if transpose else triangle) @ x, b, atol=1e-12)


def test_failures_are_told_by_info(a: np.ndarray) -> None:
    singular = np.stack([a[0], np.ones((4, 4))])
    y, info = L.inv_ex(hs.tensor(singular))
    assert (info.dtype, info.tolist()) == (hs.int32, [0, 2])
    np.testing.assert_allclose(y.numpy()[0], np.linalg.inv(a[0]), rtol=1e-9)
    assert np.isnan(y.numpy()[1]).all()
    assert np.isnan(L.solve_ex(hs.tensor(singular), hs.tensor(np.ones((2, 4)))).result.numpy()[1]).all()
    assert L.solve_ex(hs.tensor(a), hs.tensor(np.ones((2, 4)))).info.tolist() == [0, 0]
    factor, info = L.cholesky_ex(hs.tensor([[4.0, 0.0], [0.0, 9.0]]))
    assert (factor.tolist(), info.item()) == ([[2, 0], [0, 3]], 0)
    assert L.cholesky_ex(hs.tensor([[1.0, 2.0], [2.0, 1.0]])).info.item() == 2
    for call in (
        lambda: L.inv_ex(hs.tensor(singular), check_errors=True),
        lambda: L.inv_ex(hs.tensor([1.0])),
        lambda: L.cholesky_ex(hs.tensor(np.ones((2, 3)))),
    ):
        with pytest.raises(ValueError, match=r"^\S+: [^\n]* allowed: [^\n]+$"):
            call()


def test_singular_values(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 3))
    agree(lambda library, v: library.linalg.svdvals(v), x)
    np.testing.assert_allclose(L.svdvals(hs.tensor(x)).numpy(), np.linalg.svd(x, compute_uv=False), rtol=1e-12)
    hs.gradcheck(L.svdvals, (hs.tensor(x[0], "fp64", requires_grad=True),))
    half = hs.tensor(x, "fp16")
    wide = np.linalg.svd(half.array.astype(np.float64), compute_uv=False)
    with hs.precision("fp16"):
        assert (L.svdvals(half).numpy() == wide.astype(np.float16)).all()
    assert np.isnan(L.svdvals(hs.tensor([[np.inf, 0.0], [0.0, 1.0]])).numpy()).all()


@pytest.mark.parametrize("ord_", ["nuc", 2, -2, "fro", 1, -np.inf])
def test_norms_of_matrices(ord_: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    expected = np.linalg.norm(x, ord_)
    np.testing.assert_allclose(L.norm(hs.tensor(x), ord_).numpy(), expected, rtol=1e-12)
    stacked = L.matrix_norm(hs.tensor(np.stack([x, 2 * x], 2)), ord_, (0, 1), keepdim=True)
    assert stacked.shape == (1, 1, 2)
    np.testing.assert_allclose(stacked.numpy()[0, 0], [expected, 2 * expected], rtol=1e-12)
    if ord_ == "nuc":
        np.testing.assert_allclose(hs.norm(hs.tensor(x), "nuc").numpy(), expected, rtol=1e-12)
    agree(lambda library, v: library.linalg.matrix_norm(v, ord_), x)


def test_norms_of_nothing_are_zero() -> None:
    assert [L.norm(hs.zeros(0, 2), p).item() for p in ("nuc", 2, np.inf)] == [0, 0, 0]


@pytest.mark.parametrize("p", [None, 1, -1, 2, -2, "fro", "nuc", np.inf])
def test_conditions_are_numpys(p: Any, a: np.ndarray) -> None:
    for x in a:
        np.testing.assert_allclose(L.cond(hs.tensor(x), p).numpy(), np.linalg.cond(x, p), rtol=1e-9)
    assert L.cond(hs.tensor(np.ones((2, 2))), 1).item() == np.inf


def test_ranks_and_tensors(a: np.ndarray, rng: np.random.Generator) -> None:
    low = np.stack([np.outer(np.arange(4.0), np.ones(4)), a[0]])
    assert L.matrix_rank(hs.tensor(low)).tolist() == np.linalg.matrix_rank(low).tolist() == [1, 4]
    assert L.matrix_rank(hs.tensor(np.diag([1.0, 1e-3])), atol=1e-2).item() == 1
    assert L.matrix_rank(hs.tensor(np.diag([1.0, 1e-3])), rtol=1e-2).item() == 1
    cube = rng.standard_normal((2, 3, 6)) + 0.1
    np.testing.assert_allclose(L.tensorinv(hs.tensor(cube), 2).numpy(), np.linalg.tensorinv(cube, 2), rtol=1e-9)
    b = rng.standard_normal((2, 3))
    np.testing.assert_allclose(
        L.tensorsolve(hs.tensor(cube), hs.tensor(b)).numpy(), np.linalg.tensorsolve(cube, b), rtol=1e-8
    )
    with pytest.raises(ValueError, match="^ind: .* allowed: "):
        L.tensorinv(hs.tensor(cube), 1)
