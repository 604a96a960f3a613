"""Systems of linear equations: against NumPy's in float64, and against the same steps written out in half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741


def t(x: Any) -> hs.Tensor:
    return hs.tensor(x, "fp64")


@pytest.fixture
def a(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((2, 4, 4))


def test_solutions_are_numpys(a: np.ndarray, rng: np.random.Generator) -> None:
    b = rng.standard_normal((2, 4, 3))
    np.testing.assert_allclose(O.solve(t(a), t(b)).numpy(), np.linalg.solve(a, b), rtol=1e-10)
    np.testing.assert_allclose(O.solve(t(a[0]), t(b[0, :, 0])).numpy(), np.linalg.solve(a[0], b[0, :, 0]), rtol=1e-10)
    right = O.solve(t(a), t(b.swapaxes(1, 2)), left=False).numpy()
    np.testing.assert_allclose(right @ a, b.swapaxes(1, 2), atol=1e-10)
    np.testing.assert_allclose(O.inv(t(a)).numpy(), np.linalg.inv(a), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(O.det(t(a)).numpy(), np.linalg.det(a), rtol=1e-12)
    positive = a @ a.swapaxes(1, 2) + np.eye(4)
    np.testing.assert_allclose(O.cholesky(t(positive)).numpy(), np.linalg.cholesky(positive), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(O.matrix_power(t(a), -3).numpy(), np.linalg.matrix_power(a, -3), rtol=1e-7)
    for upper in (False, True):
        triangle = (np.triu if upper else np.tril)(a) + 3 * np.eye(4)
        found = O.solve_triangular(t(triangle), t(b), upper=upper).numpy()
        np.testing.assert_allclose(triangle @ found, b, atol=1e-12)


def test_gradients(a: np.ndarray, rng: np.random.Generator) -> None:
    b = rng.standard_normal((2, 4, 2))
    assert hs.gradcheck(O.solve, (t(a), t(b)))
    assert hs.gradcheck(lambda a, b: O.solve(a, b, left=False), (t(a), t(b.swapaxes(1, 2))))
    assert hs.gradcheck(O.solve, (t(a[0]), t(b)))
    assert hs.gradcheck(O.inv, t(a))
    assert hs.gradcheck(O.det, t(a))
    for upper in (False, True):
        assert hs.gradcheck(lambda a, upper=upper: O.cholesky(O.matmul(a, a.mT) + np.eye(4), upper=upper), t(a))
    assert hs.gradcheck(lambda a: O.matrix_power(a, -2), t(a[0] + 3 * np.eye(4)))


def test_each_step_is_rounded_to_half(rng: np.random.Generator) -> None:
    """Gaussian elimination with NumPy's float16, whose every operation rounds."""
    a, b = rng.standard_normal((6, 6)).astype(np.float16), rng.standard_normal(6).astype(np.float16)
    u, y = a.copy(), b.copy()
    for k in range(6):
        pivot = k + int(np.argmax(np.abs(u[k:, k])))
        u[[k, pivot]], y[[k, pivot]] = u[[pivot, k]], y[[pivot, k]]
        for i in range(k + 1, 6):
            u[i, k] = u[i, k] / u[k, k]
            u[i, k + 1 :] = u[i, k + 1 :] - u[i, k] * u[k, k + 1 :]
    for k in range(6):
        y[k + 1 :] = y[k + 1 :] - u[k + 1 :, k] * y[k]
    for k in range(5, -1, -1):
        y[k] = y[k] / u[k, k]
        y[:k] = y[:k] - u[:k, k] * y[k]
    with hs.precision("pure_fp16"):
        np.testing.assert_array_equal(O.solve(hs.tensor(a), hs.tensor(b)).numpy(), y)
        signs = np.float16(np.linalg.det(np.eye(6)))
        for k in range(6):
            signs = signs * u[k, k]
        assert abs(O.det(hs.tensor(a)).item()) == abs(signs)


def test_zero_pivots_are_exchanged_and_singular_matrices_refused() -> None:
    swap = [[0.0, 1.0], [1.0, 0.0]]
    assert O.inv(t(swap)).numpy().tolist() == swap
    assert O.det(t(swap)).item() == -1
    singular = [[1.0, 2.0], [2.0, 4.0]]
    assert O.det(t(singular)).item() == 0
    assert O.inv(t(np.zeros((0, 2, 2)))).shape == (0, 2, 2)
    assert O.det(t(np.zeros((0, 0)))).item() == 1
    for call, text in (
        (lambda: O.inv(t(singular)), "inv: a matrix is singular; allowed: matrices that have an inverse"),
        (lambda: O.solve(t(singular), t([1.0, 2.0])), "solve: a matrix is singular"),
        (lambda: O.cholesky(t(singular)), "cholesky: a matrix is not positive definite"),
        (lambda: O.cholesky(t(-np.eye(2))), "cholesky: a matrix is not positive definite"),
        (lambda: O.inv(t(np.ones((2, 3)))), "inv: shape (2, 3) is not allowed; allowed: (..., M, M)"),
        (lambda: O.solve(t(swap), t([1.0, 2.0, 3.0])), "solve: shapes (2, 2) and (3,) do not fit"),
        (lambda: O.solve(t(swap), t([1.0, 2.0]), left=False), "left: False is not allowed with vectors"),
        (lambda: O.solve_triangular(t(swap), t([[1.0]]), upper=True), "solve_triangular: (2, 2) and (1, 1) do not fit"),
    ):
        with pytest.raises(ValueError, match=r".") as caught:
            call()
        assert text in str(caught.value)
