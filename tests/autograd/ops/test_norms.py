"""Norms and distances: orders, edges, and what cannot be simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, np.inf, -np.inf, -2])
def test_vector_norms_are_numpys(p: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    x[1, 2] = 0 if p >= 0 else 1
    for dim in (0, 1):
        got = O.vector_norm(hs.tensor(x, "fp64"), p, dim).numpy()
        np.testing.assert_allclose(got, np.linalg.norm(x, p, dim), rtol=1e-14)
    assert O.vector_norm(hs.tensor(x, "fp64"), p).item() == pytest.approx(np.linalg.norm(x.ravel(), p), rel=1e-14)


@pytest.mark.parametrize("order", ["fro", 1, -1, np.inf, -np.inf])
def test_matrix_norms_are_numpys(order: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4))
    for dim in ((0, 1), (2, 0)):
        got = O.matrix_norm(hs.tensor(x, "fp64"), order, dim)
        np.testing.assert_allclose(got.numpy(), np.linalg.norm(x, order, dim), rtol=1e-14)
        np.testing.assert_allclose(O.linalg_norm(hs.tensor(x, "fp64"), order, dim).numpy(), got.numpy())
    assert O.matrix_norm(hs.tensor(x, "fp64"), order, (0, 1), keepdim=True).shape == (1, 1, 4)


def test_gradients_at_zero_and_at_ties() -> None:
    for p in (0, 1, 1.5, 2, 3):
        x = hs.tensor([0.0, 0.0], "fp64", requires_grad=True)
        O.vector_norm(x, p).backward()
        assert x.grad is not None
        assert x.grad.numpy().tolist() == [0, 0]
    x = hs.tensor([3.0, -3.0, 1.0], "fp64", requires_grad=True)
    O.vector_norm(x, np.inf).backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [0.5, -0.5, 0]


def test_a_norm_in_another_format_does_not_overflow() -> None:
    x = hs.tensor([300.0, 400.0], "fp16", requires_grad=True)
    with hs.precision("pure_fp16"):
        assert O.norm(x).item() == np.inf
        y = O.norm(x, dtype="fp32")
        assert (y.format, y.item()) == (hs.float32, 500)
        y.backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [np.float16(0.6), np.float16(0.8)]


def test_distances_of_many_points_lose_the_small_ones(rng: np.random.Generator) -> None:
    """They are formed by one matrix product, as in PyTorch from 26 points on."""
    x = (rng.standard_normal((30, 4)) + 100).astype(np.float32)
    direct = O.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    product = O.cdist(x, x).numpy()
    np.testing.assert_allclose(direct, np.linalg.norm(x[:, None] - x[None], axis=-1), rtol=1e-5)
    assert (np.diag(direct) == 0).all()
    assert 0.001 < np.abs(direct - product).max() < 0.5
    with hs.precision("fp64"):
        np.testing.assert_allclose(O.cdist(x, x, compute_mode="use_mm_for_euclid_dist").numpy(), direct, atol=1e-5)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, np.inf])
def test_gradients_of_distances(p: float, rng: np.random.Generator) -> None:
    a, b = (hs.tensor(rng.standard_normal(s), "fp64") for s in ((2, 3, 4), (5, 4)))
    assert hs.gradcheck(lambda a, b: O.cdist(a, b, p), (a, b))
    if p == 2:
        assert hs.gradcheck(lambda a, b: O.cdist(a, b, p, "use_mm_for_euclid_dist"), (a, b))
    assert O.cdist(np.zeros((2, 0)), np.zeros((3, 0)), p).numpy().tolist() == [[0, 0, 0]] * 2


def test_renorm_shortens_what_is_too_long() -> None:
    x = hs.tensor([[3.0, 4.0], [0.3, 0.4]], "fp64")
    np.testing.assert_allclose(O.renorm(x, 2, 0, 1.0).numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-7)
    assert O.renorm(x, 2, 0, 1.0).numpy()[1].tolist() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: O.matrix_norm(x, 3), "ord: 3 is not allowed"),
        (lambda x: O.matrix_norm(x, "fro", 1), "dim: 1 is not allowed; allowed: two different axes"),
        (lambda x: O.matrix_norm(x, "fro", (1, 1)), "axis: (1, 1) names an axis twice"),
        (lambda x: O.linalg_norm(x[0], "fro"), "ord: 'fro' of an input of 1 dimensions is not allowed"),
        (lambda x: O.linalg_norm(x[None], 2), "ord: 2 of an input of 3 dimensions is not allowed"),
        (lambda x: O.norm(x[:0], np.inf), "p: inf of no elements (shape (0, 3)) is not allowed"),
        (lambda x: O.cdist(x, x, -1.0), "p: -1.0 is not allowed; allowed: numbers from 0"),
        (lambda x: O.cdist(x, x[:, :2]), "cdist: shapes (2, 3) and (2, 2) do not fit"),
        (lambda x: O.cdist(x, x, 2.0, "mm"), "compute_mode: 'mm' is not allowed"),
        (lambda x: O.renorm(x, 2, 0, -1.0), "renorm: p=2, maxnorm=-1.0 is not allowed"),
        (lambda x: O.renorm(x[0], 2, 0, 1.0), "renorm: an input of 1 dimensions is not allowed"),
    ],
)
def test_bad_input_gets_one_line(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        call(hs.tensor(np.ones((2, 3))))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
