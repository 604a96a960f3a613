"""Running sums, products and extremes, differences, integrals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741


def leaf(x: Any, fmt: str = "fp64") -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), fmt, requires_grad=True)


@pytest.mark.parametrize("zeros", [(), (2,), (0,), (1, 3), (0, 1, 2, 3, 4)])
def test_gradients_of_running_products_know_zeros(zeros: tuple[int, ...]) -> None:
    """The sum over all results of the product of the other factors, written out."""
    x = np.array([2.0, -3.0, 0.5, 4.0, 1.5])
    x[list(zeros)] = 0
    g = np.array([1.0, 2.0, -1.0, 0.5, 3.0])
    expected = [sum(g[i] * np.prod([x[j] for j in range(i + 1) if j != k]) for i in range(k, 5)) for k in range(5)]
    if len(zeros) > 1:  # what follows the first zero gets nothing, which is what it is
        assert all(v == 0 for v in expected[zeros[0] + 1 :])
    t = leaf(x)
    O.cumprod(t, 0).backward(g)
    assert t.grad is not None
    np.testing.assert_allclose(t.grad.numpy(), expected)


def test_running_products_are_rounded_each() -> None:
    x = np.linspace(0.9, 1.3, 12).astype(np.float16)
    with hs.precision("pure_fp16"):
        got = O.cumprod(hs.tensor(x), 0).numpy()
    np.testing.assert_array_equal(got, list(itertools.accumulate(x, lambda a, b: a * b)))


def test_logcumsumexp_is_the_logarithm_of_sums() -> None:
    x = np.array([[1000.0, -np.inf, 1001.0], [-np.inf, -np.inf, 2.0]])
    np.testing.assert_allclose(O.logcumsumexp(leaf(x), 1).numpy(), np.logaddexp.accumulate(x, 1))
    assert np.isinf(O.logcumsumexp(leaf([np.inf, 1.0, np.inf]), 0).numpy()).all()
    y = leaf([0.3, -1.0, 2.0])
    assert hs.gradcheck(lambda t: O.logcumsumexp(t, 0), y)
    assert hs.gradcheck(lambda t: O.logcumsumexp(t, 0) * hs.tensor([1.0, -2.0, 0.0], "fp64"), y)


def test_differences_are_numpys(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5))
    for n in range(4):
        np.testing.assert_allclose(O.diff(leaf(x), n).numpy(), np.diff(x, n), rtol=1e-15)
    more = rng.standard_normal((1, 5))
    got = O.diff(leaf(x), dim=0, prepend=leaf(more), append=leaf(more)).numpy()
    np.testing.assert_array_equal(got, np.diff(x, axis=0, prepend=more, append=more))
    assert O.diff(leaf([1.0]), 5).shape == (0,)


def test_integrals_are_numpys(rng: np.random.Generator) -> None:
    y, x = rng.standard_normal((3, 5)), np.sort(rng.standard_normal(5))
    integrate = getattr(np, "trapezoid", None) or np.trapz
    np.testing.assert_allclose(O.trapezoid(leaf(y), leaf(x)).numpy(), integrate(y, x), rtol=1e-13)
    np.testing.assert_allclose(O.trapezoid(leaf(y), dx=0.1, dim=0).numpy(), integrate(y, dx=0.1, axis=0), rtol=1e-13)
    np.testing.assert_allclose(O.cumulative_trapezoid(leaf(y), leaf(x)).numpy()[:, -1], integrate(y, x), rtol=1e-13)
    grid = np.broadcast_to(x, y.shape)
    np.testing.assert_allclose(O.trapezoid(leaf(y), leaf(grid)).numpy(), integrate(y, x), rtol=1e-13)
    assert O.trapezoid(leaf(np.zeros((2, 0)))).numpy().tolist() == [0, 0]


def test_sums_in_a_format_of_their_own() -> None:
    """1 + 1 + ... stops at 2048 in half, and does not in float32: PyTorch's ``dtype``."""
    x = hs.tensor(np.ones(3000), "fp16", requires_grad=True)
    with hs.precision("pure_fp16"):
        assert O.cumsum(x, 0).numpy()[-1] == 2048
        y = O.cumsum(x, 0, dtype=hs.float32)
        assert (y.format, y.numpy()[-1]) == (hs.float32, 3000)
        y[2999].backward()
    assert x.grad is not None
    assert x.grad.format == hs.float16


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: O.diff(leaf([1.0]), -1), ValueError, "n: -1 is not allowed; allowed: integers from 0"),
        (lambda: O.diff(leaf(1.0)), ValueError, "diff: a number is not allowed; allowed: at least one dimension"),
        (lambda: O.trapezoid(leaf([1.0]), leaf([1.0]), dx=1.0), TypeError, "trapezoid: both x and dx are not allowed"),
        (
            lambda: O.trapezoid(leaf([1.0, 2.0]), leaf([1.0, 2.0, 3.0])),
            ValueError,
            "trapezoid: y (2,) and x (3,) do not",
        ),
        (lambda: O.cumulative_trapezoid(leaf(1.0)), ValueError, "cumulative_trapezoid: a number is not allowed"),
        (lambda: O.cumprod(leaf([1.0]), 1), ValueError, "axis: 1 is not allowed; allowed: -1 to 0"),
    ],
)
def test_bad_input_gets_one_line(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
