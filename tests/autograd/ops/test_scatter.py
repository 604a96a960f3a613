"""Places counted through a tensor, strided parts, slopes, numbers in two parts, other shapes in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.live import agree


def test_places_by_hand() -> None:
    assert [x.tolist() for x in hs.unravel_index(hs.tensor([5, 0]), (2, 3))] == [[1, 0], [2, 0]]
    assert hs.broadcast_shapes((2, 1), 3, (1, 1, 1)).numel() == 6
    assert hs.nonzero_static(hs.tensor([0, 3, 4]), size=3).tolist() == [[1], [2], [-1]]
    assert hs.gather(hs.tensor([1.0, 2.0]), 0, np.zeros((2, 0), np.int64)).shape == (2, 0)
    assert hs.tensor(3.0).put(hs.tensor([], dtype="int64"), hs.tensor([])).tolist() == 3.0


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("how", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("whole", [True, False])
def test_index_reduce_is_pytorchs(how: str, whole: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    x, source, index = rng.standard_normal((3, 4)), rng.standard_normal((3, 5)), np.array([0, 2, 2, 0, 1])
    expected = torch.index_reduce(
        torch.tensor(x), 1, torch.tensor(index), torch.tensor(source), how, include_self=whole
    )
    found = hs.index_reduce(hs.tensor(x), 1, index, hs.tensor(source), how, include_self=whole)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    hs.gradcheck(
        lambda a, b: hs.index_reduce(a, 1, index, b, how, include_self=whole),
        (hs.tensor(x, "fp64", requires_grad=True), hs.tensor(source, "fp64", requires_grad=True)),
    )


def test_strided_parts() -> None:
    x = hs.tensor([1.0, 2.0, 3.0, 4.0], "float64", requires_grad=True)
    y = hs.as_strided(x, (3, 2), (1, 1))
    assert y.tolist() == [[1, 2], [2, 3], [3, 4]]
    y.sum().backward()
    assert x.grad.tolist() == [1, 2, 2, 1]
    plain = x.detach().clone()
    plain.as_strided((2,), (2,), 1).zero_()
    assert plain.tolist() == [1, 0, 3, 0]
    matrix = hs.tensor(np.arange(6.0).reshape(2, 3))
    assert matrix.as_strided((3, 2), (1, 3)).tolist() == matrix.t().tolist()
    hs.gradcheck(
        lambda v: hs.as_strided(v, (2, 2), (1, 2), 1), (hs.tensor(np.arange(5.0), "fp64", requires_grad=True),)
    )
    for call in (
        lambda: matrix.as_strided((3, 3), (3, 1)),
        lambda: matrix.as_strided((3,), (1, 1)),
        lambda: matrix.t().as_strided((2,), (1,)),
        lambda: matrix.as_strided((2,), (-1,)),
    ):
        with pytest.raises(ValueError, match=r"^as_strided: .* allowed: [^\n]+$"):
            call()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("spacing", [1, 0.7, [2, 2.1]])
def test_slopes_are_numpys(order: int, spacing: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 6))
    by = spacing if isinstance(spacing, list) else [spacing]
    found = hs.gradient(hs.tensor(x), spacing=spacing, edge_order=order)
    for y, expected in zip(found, np.gradient(x, *by, edge_order=order), strict=True):
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    at = np.cumsum(rng.random(6) + 0.1)
    (y,) = hs.gradient(hs.tensor(x), spacing=[hs.tensor(at)], dim=1, edge_order=order)
    np.testing.assert_allclose(y.numpy(), np.gradient(x, at, axis=1, edge_order=order), rtol=1e-9)
    hs.gradcheck(lambda v: hs.gradient(v, edge_order=order)[0], (hs.tensor(x, "fp64", requires_grad=True),))


def test_slopes_take_pytorchs_steps(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    x = rng.standard_normal(40).astype(np.float32)
    (found,), (expected,) = hs.gradient(hs.tensor(x), spacing=0.3), torch.gradient(torch.tensor(x), spacing=0.3)
    assert (found.numpy() == expected.numpy()).all()


def test_numbers_in_two_parts(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.standard_normal(20), [0.0, -0.0, np.inf, np.nan, 2.0**-1060]])
    mantissa, exponent = hs.frexp(hs.tensor(x))
    assert np.array_equal(mantissa.numpy(), np.frexp(x)[0], equal_nan=True)
    assert exponent.dtype == hs.int32
    assert (hs.ldexp(mantissa, exponent).numpy()[:20] == x[:20]).all()
    agree(lambda library, v: library.frexp(v).mantissa, x[:20])
    with pytest.raises(TypeError, match="^frexp: int64 is not allowed; allowed: "):
        hs.frexp(hs.tensor([1]))


def test_weighted_covariances_are_numpys(rng: np.random.Generator) -> None:
    x, f, a = rng.standard_normal((3, 6)), rng.integers(1, 4, 6), rng.random(6)
    for weights in ({"fweights": f}, {"aweights": a}, {"fweights": f, "aweights": a}):
        given = {name: hs.tensor(w) for name, w in weights.items()}
        np.testing.assert_allclose(hs.cov(hs.tensor(x), **given).numpy(), np.cov(x, **weights), rtol=1e-12)
    assert hs.cov(hs.tensor([[1.0, 2.0]])).shape == ()
    with pytest.raises(TypeError, match="^fweights: .* allowed: "):
        hs.cov(hs.tensor(x), fweights=hs.tensor(a))


def test_other_shapes_in_place() -> None:
    x = hs.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.resize_(3).tolist() == [1, 2, 3]
    assert x.resize_as_(hs.zeros(2, 2)).tolist() == [[1, 2], [3, 0]]
    with pytest.raises(RuntimeError, match="^resize_: .* allowed: "):
        hs.tensor([1.0], requires_grad=True).resize_(2)


def test_the_gradient_of_a_filled_slice_counts_places_once() -> None:
    value = hs.tensor(2.0, "float64", requires_grad=True)
    hs.index_fill(hs.tensor(np.zeros((2, 3))), 1, [1, 1], value).sum().backward()
    assert value.grad.item() == 2


def test_only_index_fill_counts_slices_from_the_end() -> None:
    x, row = hs.tensor(np.zeros((3, 2))), hs.tensor([[1.0, 2.0]])
    assert hs.index_fill(x, 0, [-1], 5.0).tolist() == [[0, 0], [0, 0], [5, 5]]
    for function in (hs.index_add, hs.index_copy):
        assert function(x, 0, [2], row).tolist() == [[0, 0], [0, 0], [1, 2]]
        with pytest.raises(ValueError, match="^index: -1 to -1 is not allowed; allowed: 0 to 2$"):
            function(x, 0, [-1], row)


def test_a_quantile_moves_with_its_share(rng: np.random.Generator) -> None:
    x, q = rng.standard_normal(7), np.array([0.3, 0.81])
    agree(lambda library, v, w: library.quantile(v, w), x, q)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_part_takes_the_place_of_a_slice_or_of_one_index(dim: int) -> None:
    x, axis = np.arange(12.0).reshape(3, 4), dim % 2
    place: list[Any] = [slice(None)] * 2
    for index, put in (
        (slice(1, 3), lambda src: hs.slice_scatter(hs.tensor(x), src, dim, 1, 3)),
        (slice(0, None, 2), lambda src: hs.slice_scatter(hs.tensor(x), src, dim, step=2)),
        (1, lambda src: hs.select_scatter(hs.tensor(x), src, dim, 1)),
    ):
        place[axis] = index
        expected = x.copy()
        src = -1.0 - np.arange(expected[tuple(place)].size).reshape(expected[tuple(place)].shape)
        expected[tuple(place)] = src
        assert put(hs.tensor(src)).tolist() == expected.tolist()


def test_bytes_are_no_places() -> None:
    with pytest.raises(TypeError, match="places: bytes is not allowed"):
        hs.ops.put_at(hs.tensor([1.0, 2.0]), 0.0, b"\x01")
    with pytest.raises(TypeError, match="input: bytearray is not allowed"):
        hs.ops.bincount(bytearray(b"\x01"))
