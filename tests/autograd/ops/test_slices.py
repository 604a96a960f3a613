"""Parts of tensors, tensors put together, grids and turns: against NumPy, and their refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741
X = np.arange(24.0).reshape(2, 3, 4)


def t(x: Any = X) -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), "fp64")


def equal(got: Any, expected: Any) -> None:
    """Tensors, or tuples of them, are these arrays."""
    if isinstance(got, tuple):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            equal(a, b)
    else:
        np.testing.assert_array_equal(got.numpy(), expected)
        assert got.shape == np.shape(expected)


def test_parts_are_numpys() -> None:
    equal(O.narrow(t(), -1, 1, 2), X[..., 1:3])
    equal(O.narrow(t(), 1, -2, 2), X[:, 1:])
    equal(O.narrow(t(), 0, 2, 0), X[2:])
    equal(O.select(t(), 1, -1), X[:, -1])
    equal(O.unbind(t(), 2), tuple(np.moveaxis(X, 2, 0)))
    for given in (1, 2, 3, 7, (1, 3), (0, 2, 9), [-1]):
        equal(O.tensor_split(t(), given, 2), np.array_split(X, given, 2))
    equal(O.tensor_split(t(), np.array([1, 2]), 1), np.array_split(X, [1, 2], 1))
    equal(O.hsplit(t(), 3), np.hsplit(X, 3))
    equal(O.hsplit(t(X[0, 0]), 2), np.hsplit(X[0, 0], 2))
    equal(O.vsplit(t(), [1]), np.vsplit(X, [1]))
    equal(O.dsplit(t(), 2), np.dsplit(X, 2))


def test_windows_are_numpys_and_their_gradients_sums() -> None:
    for axis, size, step in ((2, 2, 1), (2, 3, 2), (1, 2, 3), (0, 1, 1), (2, 0, 2)):
        every = (slice(None),) * axis + (slice(None, None, step),)
        windows = np.lib.stride_tricks.sliding_window_view(X, size, axis)[every] if size else np.zeros((2, 3, 3, 0))
        equal(O.unfold_dim(t(), axis, size, step), windows)
        assert hs.gradcheck(lambda x, a=axis, s=size, k=step: O.unfold_dim(x, a, s, k), t())
    equal(O.unfold_dim(t(5.0), 0, 1, 1), [5.0])
    x = hs.tensor(np.full(6, 60000.0), "fp16", requires_grad=True)
    with hs.precision("fp16"):
        O.unfold_dim(x, 0, 3, 1).backward(np.full((4, 3), 30000.0))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [30000, 60000, np.inf, np.inf, 60000, 30000]


def test_stacks_are_numpys() -> None:
    for shapes in ([(2, 3), (2, 3)], [(3,), (3,)], [(), ()], [(2, 3, 4), (2, 3, 4)]):
        arrays = [np.full(s, k + 1.0) for k, s in enumerate(shapes)]
        for name in ("hstack", "vstack", "dstack", "column_stack"):
            equal(getattr(O, name)([t(a) for a in arrays]), getattr(np, name)(arrays))
    equal(O.row_stack((t([1.0]), t([[2.0]]))), [[1], [2]])
    for n in (1, 2, 3):
        for shape in ((), (3,), (2, 3), (2, 3, 4, 1)):
            equal(getattr(O, f"atleast_{n}d")(t(np.ones(shape))), getattr(np, f"atleast_{n}d")(np.ones(shape)))
    equal(O.atleast_2d(t(1.0), t([2.0])), ([[1]], [[2]]))
    equal(O.atleast_1d([t(1.0)]), ([1],))


def test_grids_are_numpys() -> None:
    vectors = [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]), np.array([6.0])]
    for indexing in ("ij", "xy"):
        for count in (1, 2, 3):
            expected = tuple(np.meshgrid(*vectors[:count], indexing=indexing))
            equal(O.meshgrid(*map(t, vectors[:count]), indexing=indexing), expected)
            equal(O.meshgrid([t(v) for v in vectors[:count]], indexing=indexing), expected)
    equal(O.broadcast_tensors(t(np.ones((2, 1))), t([1.0, 2.0])), np.broadcast_arrays(np.ones((2, 1)), [1.0, 2.0]))
    equal(O.cartesian_prod(t(vectors[0]), t(vectors[1])), [[a, b] for a in vectors[0] for b in vectors[1]])
    equal(O.combinations(t(vectors[1]), 2, True), [[3, 3], [3, 4], [3, 5], [4, 4], [4, 5], [5, 5]])
    assert O.combinations(t(vectors[1]), 0).shape == (0,)
    assert O.combinations(t(vectors[0]), 3).shape == (0, 3)


def test_turns_and_names_of_axes_are_numpys() -> None:
    for k in range(-2, 6):
        equal(O.rot90(t(), k, (2, 0)), np.rot90(X, k, (2, 0)))
    equal(O.fliplr(t()), np.fliplr(X))
    equal(O.flipud(t()), np.flipud(X))
    equal(O.ravel(t()), X.ravel())
    equal(O.ravel(t(1.0)), [1.0])
    equal(O.t(t(X[0])), X[0].T)
    equal(O.t(t(X[0, 0])), X[0, 0])
    equal(O.adjoint(t()), X.swapaxes(1, 2))
    equal(O.movedim(t(), 0, -1), np.moveaxis(X, 0, -1))
    equal(O.swapdims(t(), 0, 1), X.swapaxes(0, 1))


def test_repeats_may_be_one_for_each() -> None:
    equal(O.repeat_interleave(t(), [2, 0, 1], 1), np.repeat(X, [2, 0, 1], 1))
    equal(O.repeat_interleave(t(), np.array([3]), 0, output_size=6), np.repeat(X, 3, 0))
    equal(O.repeat_interleave(t(5.0), 3), [5.0] * 3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: O.narrow(t(), 1, 2, 2), ValueError, "narrow: start 2, length 2 do not fit an axis of 3"),
        (lambda: O.narrow(t(1.0), 0, 0, 0), ValueError, "narrow: a number is not allowed"),
        (lambda: O.select(t(), 0, 2), ValueError, "select: index 2 is not allowed; allowed: -2 to 1"),
        (lambda: O.tensor_split(t(), 0), ValueError, "tensor_split: 0 sections are not allowed"),
        (lambda: O.tensor_split(t(), [[1]]), ValueError, "indices_or_sections: shape (1, 1) is not allowed"),
        (
            lambda: O.hsplit(t(), 2),
            ValueError,
            "hsplit: 2 sections of an axis of 3 are not allowed; allowed: its divisors",
        ),
        (
            lambda: O.vsplit(t([1.0]), 1),
            ValueError,
            "vsplit: shape (1,) is not allowed; allowed: at least 2 dimensions",
        ),
        (lambda: O.unfold_dim(t(), 0, 3, 1), ValueError, "unfold: size 3, step 1 is not allowed"),
        (lambda: O.unfold_dim(t(), 0, 1, 0), ValueError, "unfold: size 1, step 0 is not allowed"),
        (lambda: O.as_strided(t(), (99,), (1,)), ValueError, "as_strided: element 98 is not there"),
        (lambda: O.hstack(()), ValueError, "hstack: tuple is not allowed"),
        (lambda: O.meshgrid(t([1.0]), indexing="ji"), ValueError, "indexing: 'ji' is not allowed"),
        (lambda: O.meshgrid(t()), ValueError, "meshgrid: allowed: at least one vector or number"),
        (lambda: O.meshgrid(t([1.0]), hs.tensor([1.0], "fp16")), ValueError, "meshgrid: tensors of several formats"),
        (lambda: O.cartesian_prod(t()), ValueError, "cartesian_prod: allowed: at least one vector"),
        (lambda: O.combinations(t(), 2), ValueError, "combinations: r=2 of an input (2, 3, 4) is not allowed"),
        (
            lambda: O.broadcast_tensors(t(), t([1.0, 2.0])),
            ValueError,
            "broadcast_tensors: shapes (2, 3, 4) and (2,) do",
        ),
        (lambda: O.rot90(t(), 1, (0, 0)), ValueError, "dims: (0, 0) is not allowed; allowed: two different axes"),
        (lambda: O.fliplr(t([1.0])), ValueError, "fliplr: shape (1,) is not allowed; allowed: more than 1 dimensions"),
        (lambda: O.t(t()), ValueError, "t: shape (2, 3, 4) is not allowed"),
        (lambda: O.adjoint(t([1.0])), ValueError, "adjoint: shape (1,) is not allowed"),
        (lambda: O.roll(t(), (2, 1), 0), ValueError, "roll: 2 shifts for 1 dims do not fit"),
        (lambda: O.roll(t(), (2, 1)), ValueError, "roll: 2 shifts for 1 dims do not fit"),
        (lambda: O.repeat_interleave(t(), [1, 2], 1), ValueError, "repeats: 2 for an axis of 3 do not fit"),
        (lambda: O.repeat_interleave(t(), -1, 1), ValueError, "repeats: 1 for an axis of 3 do not fit"),
        (
            lambda: O.repeat_interleave(t(), 2, 1, output_size=5),
            ValueError,
            "output_size: 5 is not allowed; allowed: 6",
        ),
    ],
)
def test_bad_input_gets_one_line(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
