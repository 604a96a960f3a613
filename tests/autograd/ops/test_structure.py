"""Operations that move, pick, join, reduce and bound: as NumPy does it, with gradients that differences confirm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from halfsim.autograd.tape import SPECS
from tests.oracles import same

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)
O = hs.ops  # noqa: E741


def halves(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(np.float16) / 4 - 1


def moved(data: Any, x: np.ndarray) -> tuple[Callable[[Any], hs.Tensor], np.ndarray]:
    """One of the operations that only move values, with what NumPy makes of ``x``."""
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    other = data.draw(st.integers(-x.ndim, x.ndim - 1))
    order = tuple(data.draw(st.permutations(range(x.ndim))))
    n = data.draw(st.integers(1, 3))
    index = np.arange(n * 2) % x.shape[axis]
    options: list[tuple[Callable[[Any], hs.Tensor], np.ndarray]] = [
        (lambda t: O.flip(t, axis), np.flip(x, axis)),
        (lambda t: O.roll(t, n, axis), np.roll(x, n, axis)),
        (lambda t: O.roll(t, -n), np.roll(x, -n)),
        (lambda t: O.permute(t, order), x.transpose(order)),
        (lambda t: O.transpose(t, order), x.transpose(order)),
        (lambda t: O.swapaxes(t, axis, other), np.swapaxes(x, axis, other)),
        (lambda t: O.transpose(t, axis, other), np.swapaxes(x, axis, other)),
        (lambda t: O.moveaxis(t, axis, other), np.moveaxis(x, axis, other)),
        (lambda t: O.squeeze(t), x.squeeze()),
        (lambda t: O.unsqueeze(t, axis), np.expand_dims(x, axis)),
        (lambda t: O.flatten(t), x.reshape(-1)),
        (lambda t: O.tile(t, (n, 2)), np.tile(x, (n, 2))),
        (lambda t: O.repeat_interleave(t, n, axis), np.repeat(x, n, axis)),
        (lambda t: O.index_select(t, axis, index), np.take(x, index, axis)),
        (lambda t: O.expand(t, n, *x.shape), np.broadcast_to(x, (n, *x.shape))),
        (lambda t: O.cat([t, t * 1.0], axis), np.concatenate([x, x], axis)),
        (lambda t: O.stack([t, t], axis), np.stack([x, x], axis)),
        (lambda t: O.cat(O.split(t, n, axis), axis), x),
        (lambda t: O.cat(O.chunk(t, n, axis), axis), x),
    ]
    return data.draw(st.sampled_from(options))


@settings(max_examples=60)
@given(shape=SHAPES, data=st.data())
def test_moves_are_numpys_and_round_nothing(shape: tuple[int, ...], data: Any) -> None:
    x = halves(shape)
    function, expected = moved(data, x)
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            got = function(hs.tensor(x))
            assert got.shape == expected.shape
            np.testing.assert_array_equal(got.numpy(), expected)
    assert hs.gradcheck(function, hs.tensor(x, "fp64"))


@settings(max_examples=40)
@given(
    shape=SHAPES,
    name=st.sampled_from(["sum", "mean", "amax", "amin", "prod", "std", "logsumexp", "norm"]),
    axes=st.sets(st.integers(0, 2)),
    keepdims=st.booleans(),
)
def test_reductions_are_numpys(shape: tuple[int, ...], name: str, axes: set[int], keepdims: bool) -> None:
    axis = tuple(a for a in axes if a < len(shape)) or None
    x = np.random.default_rng(2).uniform(0.5, 2, shape)
    count = x.size if axis is None else int(np.prod([shape[a] for a in axis]))
    if name == "std" and count < 2:
        return
    numpys = {
        "std": lambda v, **kw: np.std(v, ddof=1, **kw),
        "norm": lambda v, **kw: np.sqrt(np.sum(v * v, **kw)),
        "logsumexp": lambda v, **kw: np.log(np.sum(np.exp(v), **kw)),
    }
    expected = numpys.get(name, getattr(np, name, None))(x, axis=axis, keepdims=keepdims)  # type: ignore[misc]
    got = getattr(O, name)(hs.tensor(x, "fp64"), axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
    assert hs.gradcheck(lambda t: getattr(O, name)(t, axis=axis, keepdims=keepdims), hs.tensor(x, "fp64"))


def test_broadcasts_are_views_and_their_gradients_sums() -> None:
    x = hs.tensor([[1.0], [2.0]], "fp16", requires_grad=True)
    y = O.expand(x, 3, -1, 4)
    assert y.array.strides[0] == y.array.strides[2] == 0
    y.backward(np.full((3, 2, 4), 0.1))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[np.float16(12 * np.float32(np.float16(0.1)))]] * 2


def test_gradients_of_an_element_picked_twice_are_rounded_sums() -> None:
    x = hs.tensor([1.0, 2.0], "fp16", requires_grad=True)
    with hs.precision("pure_fp16"):
        O.gather(x, 0, [0, 0, 0]).backward(np.array([2048.0, 1.0, 1.0]))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [2048, 0]


def test_indices_may_be_lists_arrays_and_tensors() -> None:
    x = hs.tensor([[1.0, 2.0], [3.0, 4.0]])
    for index in ([[1], [0]], np.array([[1], [0]], np.uint8), hs.tensor([[1], [0]])):
        assert O.gather(x, 1, index).numpy().tolist() == [[2], [3]]
    assert O.take(x, -1).item() == 4
    assert O.index_select(x, -1, 1).numpy().tolist() == [[2], [4]]


def test_joining_promotes_to_the_widest() -> None:
    half, wide = hs.tensor([0.1], "fp16", requires_grad=True), hs.tensor([0.1], "fp32", requires_grad=True)
    for function in (O.cat, O.concatenate, O.stack):
        out = function([half, wide])
        assert out.format is hs.float32
        assert out.numpy().ravel().tolist() == [np.float16(0.1), np.float32(0.1)]
    O.cat([half, wide]).backward(np.float32([1 / 3, 1 / 3]))
    assert half.grad is not None
    assert wide.grad is not None
    assert half.grad.item() == np.float16(np.float32(1 / 3))
    assert wide.grad.item() == np.float32(1 / 3)
    assert O.cat([hs.tensor(np.zeros(0)), wide[None]], 1).shape == (1, 1)


def test_torchs_transpose_swaps_and_numpys_permutes() -> None:
    x = np.zeros((2, 3, 4))
    assert O.transpose(x).shape == (4, 3, 2)
    assert O.transpose(x, 0, 1).shape == O.transpose(x, (0, 1)).shape == O.transpose(x, dim0=0, dim1=1).shape
    assert O.transpose(x, 0, 1).shape == O.transpose(x, 0, dim1=1).shape == (3, 2, 4)
    for alone in ("dim0", "dim1"):
        with pytest.raises(TypeError, match="^axes: 1 is not allowed; allowed: a tuple of integers, None$"):
            O.transpose(x, **{alone: 1})
    assert O.transpose(x[0], 0, 1).shape == (4, 3)
    assert O.transpose(x[0], (0, 1)).shape == (3, 4)
    assert hs.tensor(x).transpose(0, 1).shape == (3, 2, 4)


def test_bounds_and_their_gradients() -> None:
    x = hs.tensor([-2.0, -1.0, 0.0, 1.0, np.nan], requires_grad=True)
    low = hs.tensor([-1.0] * 5, requires_grad=True)
    y = O.clamp(x, low, 0.5)
    y.backward(np.ones(5))
    assert x.grad is not None
    assert low.grad is not None
    assert same(y.numpy(), [-1, -1, 0, 0.5, np.nan]).all()
    assert x.grad.numpy().tolist() == [0, 1, 1, 0, 0]
    assert low.grad.numpy().tolist() == [1, 0, 0, 0, 0]
    assert O.clip is O.clamp
    a, b = hs.tensor([1.0, np.nan], requires_grad=True), hs.tensor([1.0, 0.0], requires_grad=True)
    O.maximum(a, b).backward(np.ones(2))
    assert a.grad is not None
    assert a.grad.numpy().tolist() == [0.5, 1]


def test_what_is_not_chosen_sends_nothing_back() -> None:
    x = hs.tensor([0.0, 2.0], requires_grad=True)
    y = O.where(x != 0, 1.0 / x, 0.0)
    y.sum().backward()
    assert x.grad is not None
    assert y.numpy().tolist() == [0, 0.5]
    assert np.isnan(x.grad.numpy()[0]), "0 * inf, as in PyTorch: choose the operand, not the result"
    x.grad = None
    O.where(x != 0, x, 7.0).backward(np.array([np.inf, 1.0]))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [0, 1]


def test_a_mask_value_beyond_half_is_infinite() -> None:
    x = hs.tensor([1.0, 2.0], "fp16")
    assert O.masked_fill(x, [True, False], -1e9).numpy().tolist() == [-np.inf, 2]
    assert O.masked_fill(x, hs.tensor([False, True]), 0.1).numpy().tolist() == [1, np.float16(0.1)]


def test_products_multiply_halves_with_halves() -> None:
    x = np.array([300.0, 0.5, 0.25, 300.0, 1.0], np.float16)
    with hs.precision("pure_fp16"):
        assert O.prod(hs.tensor(x)).item() == np.float16(np.float16(300 * 0.25) * np.float16(0.5 * 300))
        assert O.prod(hs.tensor([300.0, 1.0, 300.0, 0.1])).item() == np.inf
    assert O.prod(hs.tensor(np.zeros((0, 2))), 0).numpy().tolist() == [1, 1]
    one = hs.tensor([2.0, 0.0, 3.0], requires_grad=True)
    O.prod(one).backward()
    assert one.grad is not None
    assert one.grad.numpy().tolist() == [0, 6, 0]
    rows = hs.tensor([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]], requires_grad=True)
    O.prod(rows, 1).backward(np.ones(3))
    assert rows.grad is not None
    assert rows.grad.numpy().tolist() == [[0, 6, 0], [0, 0, 0], [6, 3, 2]]


def test_a_logsumexp_keeps_infinities() -> None:
    x = [[-np.inf, np.inf, 60000.0], [-np.inf, 1.0, 60000.0]]
    with hs.precision("pure_fp16"):
        assert O.logsumexp(hs.tensor(x), 0).numpy().tolist() == [-np.inf, np.inf, 60000]


def test_indices_of_extremes() -> None:
    x = hs.tensor([[1.0, 3.0, 3.0], [np.nan, 5.0, 0.0]])
    assert O.argmax(x, 1).tolist() == [1, 0]
    assert O.argmin(x[:1], dim=1, keepdim=True).tolist() == [[0]]
    assert O.argmax(x).dtype == np.int64
    assert O.argmax(hs.tensor(2.0)) == 0


def test_what_rounds_to_integers_computes_nothing() -> None:
    """Where a trace counts what is computed, and costs what is moved."""
    assert {name: SPECS[name].exact for name in ("floor", "ceil", "trunc", "round")} == dict.fromkeys(
        ("floor", "ceil", "trunc", "round"), True
    )


def test_rounding_to_integers_has_no_gradient() -> None:
    x = hs.tensor([-1.5, -0.5, 0.5, 1.5, 2.5], "fp16", requires_grad=True)
    expected = {"floor": [-2, -1, 0, 1, 2], "ceil": [-1, -0.0, 1, 2, 3], "round": [-2, -0.0, 0, 2, 2]}
    for name, values in {**expected, "trunc": [-1, -0.0, 0, 1, 2], "sign": [-1, -1, 1, 1, 1]}.items():
        y = getattr(O, name)(x)
        assert same(y.numpy(), values).all(), name
        x.grad = None
        y.sum().backward()
        assert x.grad is not None
        assert not x.grad.numpy().any()


def test_dots_accumulate_as_told() -> None:
    a = hs.tensor([2048.0, 1.0, 1.0])
    with hs.precision("pure_fp16"):
        assert O.dot(a, np.ones(3)).item() == 2048
    with hs.precision("fp16"):
        assert O.dot(a, np.ones(3)).item() == 2050


def test_bilinear_takes_a_product_then_another(rng: np.random.Generator) -> None:
    x1, x2 = rng.standard_normal((4, 3)).astype(np.float16), rng.standard_normal((4, 2)).astype(np.float16)
    w, b = rng.standard_normal((5, 3, 2)).astype(np.float16), rng.standard_normal(5).astype(np.float16)
    y = np.zeros((4, 5), np.float16)
    for j in range(2):
        t = np.zeros((4, 5), np.float16)
        for i in range(3):
            t += x1[:, i, None] * w[None, :, i, j]
        y += t * x2[:, j, None]
    with hs.precision("pure_fp16"):
        np.testing.assert_array_equal(O.bilinear(*map(hs.tensor, (x1, x2, w, b))).numpy(), y + b)
    wide = np.einsum("bi,oij,bj->bo", *(v.astype(np.float64) for v in (x1, w, x2))) + b
    with hs.precision("fp16"):
        np.testing.assert_allclose(O.bilinear(*map(hs.tensor, (x1, x2, w, b))).numpy(), wide, rtol=1e-3, atol=1e-3)


def test_einsum_of_a_product_is_its_matrix_product(rng: np.random.Generator) -> None:
    a, b = hs.tensor(rng.standard_normal((3, 20)), "fp16"), hs.tensor(rng.standard_normal((20, 4)), "fp16")
    with hs.precision("pure_fp16"):
        np.testing.assert_array_equal(O.einsum("ij,jk->ik", a, b).bits(), (a @ b).bits())
        np.testing.assert_array_equal(O.tensordot(a, b, 1).bits(), (a @ b).bits())


X = hs.tensor(np.zeros((2, 3)))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: O.reshape(X, (4,)), ValueError, "reshape: shape (4,) does not fit input (2, 3)"),
    (lambda: O.permute(X, (0,)), ValueError, "permute: dims (0,) do not fit input (2, 3)"),
    (lambda: O.permute(X, (0, 0)), ValueError, "transpose: axes (0, 0) do not fit input (2, 3)"),
    (lambda: O.swapaxes(X, 0, 2), ValueError, "axis: 2 is not allowed; allowed: -2 to 1"),
    (lambda: O.moveaxis(X, (0, 1), 0), ValueError, "moveaxis: (0, 1) to 0 is not allowed"),
    (lambda: O.unsqueeze(X, 3), ValueError, "axis: 3 is not allowed; allowed: -3 to 2"),
    (lambda: O.flatten(X, 1, 0), ValueError, "start_dim: 1 comes after end_dim 0"),
    (lambda: O.unflatten(X, 1, (2, -1)), ValueError, "sizes: (2, -1) do not fit an axis of length 3"),
    (lambda: O.expand(X, 3, 3), ValueError, "broadcast_to: shapes (2, 3) do not fit"),
    (lambda: O.expand(X, -1, 2, 3), ValueError, "expand: sizes (-1, 2, 3) do not fit input (2, 3)"),
    (lambda: O.cat([X, X[0]]), ValueError, "cat: shapes (2, 3) and (3,) do not fit"),
    (lambda: O.cat([]), ValueError, "cat: list is not allowed; allowed: a list or tuple with tensors in it"),
    (lambda: O.cat([X, None]), TypeError, "cat: a tensor is missing"),
    (lambda: O.stack([X, X[0]]), ValueError, "stack: shapes (2, 3) and (3,) do not fit"),
    (lambda: O.split(X, [1, 2]), ValueError, "split: lengths [1, 2] do not fit an axis of 2"),
    (lambda: O.split(X, 0), ValueError, "split: 0 is not allowed"),
    (lambda: O.chunk(X, 0), ValueError, "chunk: 0 is not allowed"),
    (lambda: O.repeat(X, 3), ValueError, "repeat: (3,) does not fit input (2, 3)"),
    (lambda: O.gather(X, 1, [[3]]), ValueError, "index: 3 to 3 is not allowed; allowed: 0 to 2"),
    (lambda: O.gather(X, 1, [0]), ValueError, "index: shape (1,) does not fit input (2, 3)"),
    (lambda: O.gather(X, 1, [[0.5]]), TypeError, "index: dtype float64 is not allowed; allowed: integers"),
    (lambda: O.take(X, [[0], [1, 2]]), ValueError, "index: rows of unequal length"),
    (lambda: O.index_select(X, 0, [[0]]), ValueError, "index: shape (1, 1) is not allowed"),
    (lambda: O.tril(X[0]), ValueError, "x: shape (3,) is not allowed; allowed: at least two dimensions"),
    (lambda: O.clamp(X), ValueError, "clamp: min and max are missing"),
    (lambda: O.where([1, 0, 1], X, X), TypeError, "condition: dtype int64 is not allowed; allowed: bool"),
    (lambda: O.where([True, False], X, X), ValueError, "where: condition (2,) does not fit (2, 3) and (2, 3)"),
    (lambda: O.masked_fill(X[0, :2], X == 0, 1), ValueError, "masked_fill: mask (2, 3) does not fit (2,)"),
    (lambda: O.masked_fill(X, X == 0, X), ValueError, "masked_fill: value has shape (2, 3)"),
    (lambda: O.amax(hs.tensor(np.zeros((0, 3))), 0), ValueError, "axis: 0 of an input (0, 3) has no elements"),
    (lambda: O.argmax(hs.tensor(np.zeros((0, 3)))), ValueError, "axis: None of an input (0, 3) has no elements"),
    (lambda: O.prod(X, 2), ValueError, "axis: 2 is not allowed"),
    (lambda: O.dot(X, X), ValueError, "dot: shapes (2, 3) and (2, 3) do not fit"),
    (lambda: O.bilinear(X, X, X), ValueError, "bilinear: inputs (2, 3) and (2, 3) do not fit weight (2, 3)"),
    (lambda: O.bilinear(X, X[:1], np.zeros((1, 3, 3))), ValueError, "bilinear: inputs (2, 3) and (1, 3) do not fit"),
    (lambda: O.bilinear(X, X, np.zeros((1, 3, 3)), [1.0, 2.0]), ValueError, "bilinear: bias (2,) does not fit"),
    (lambda: O.einsum("ij,jk->iz", X, X), ValueError, "equation: result 'iz' is not allowed"),
    (lambda: O.einsum("ij,jk", X, X), ValueError, "equation: 'ij,jk': 'j' has lengths 3 and 2"),
    (lambda: O.einsum("ijk,jk", X, X), ValueError, "equation: 'ijk' does not fit an operand (2, 3)"),
    (lambda: O.einsum("ij", X, X), ValueError, "equation: 'ij' has 1 operands, not 2"),
    (lambda: O.einsum(X, X), TypeError, "equation: Tensor (2, 3) is not allowed"),
    (lambda: O.tensordot(X, X, ([0, 1], [0])), ValueError, "tensordot: 2 and 1 axes do not fit"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_operations_on_nothing() -> None:
    x = hs.tensor(np.zeros((0, 3)), "fp16", requires_grad=True)
    for function in (O.flip, O.abs, O.square, lambda t: O.sum(t, 0), lambda t: O.cat([t, t]), O.gelu, lambda t: t[:0]):
        y = function(x)
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == (0, 3)
    assert O.logsumexp(x, 0).numpy().tolist() == [-np.inf] * 3
    with pytest.raises(ValueError, match="p: inf of no elements"):
        O.norm(x, p=np.inf)


def test_linear_takes_a_weight_for_one_output() -> None:
    rng = np.random.default_rng(0)
    x, w, b = (hs.tensor(rng.standard_normal(s), "fp64") for s in ((2, 3), (3,), ()))
    np.testing.assert_allclose(O.linear(x, w, b).numpy(), x.numpy() @ w.numpy() + b.numpy(), rtol=1e-14)
    assert O.linear(x[0], w).shape == ()
    assert hs.gradcheck(O.linear, (x, w, b))
    with pytest.raises(ValueError, match=r"linear: bias \(1,\) does not fit weight \(3,\); allowed: \(\)"):
        O.linear(x, w, [1.0])


def test_bilinear_takes_its_inputs_by_pytorchs_names() -> None:
    y = O.bilinear(input1=[[1.0, 2.0]], input2=[[3.0]], weight=[[[1.0], [1.0]]], bias=[0.5])
    assert y.numpy().tolist() == [[9.5]]


def test_cosine_similarity_broadcasts_before_it_sums() -> None:
    rng = np.random.default_rng(0)
    x, y = hs.tensor(rng.standard_normal((2, 3, 4)), "fp64"), hs.tensor(rng.standard_normal((1, 3, 1)), "fp64")
    a, b = np.broadcast_arrays(x.numpy(), y.numpy())
    expected = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    np.testing.assert_allclose(O.cosine_similarity(x, y, -1).numpy(), expected, rtol=1e-14)
    assert hs.gradcheck(lambda a, b: O.cosine_similarity(a, b, dim=1), (x, y))
    with pytest.raises(ValueError, match=r"cosine_similarity: shapes \(2,\) and \(3,\) do not fit"):
        O.cosine_similarity([1.0, 2.0], [1.0, 2.0, 3.0], 0)


def test_a_number_is_a_row_of_one() -> None:
    t = hs.tensor(3.0, requires_grad=True)
    assert O.gather(t, 0, 0).shape == O.gather(t, -1, np.array(0)).shape == O.index_select(t, 0, [0]).shape == ()
    y = O.gather(t, 0, [0, 0])
    assert y.numpy().tolist() == [3, 3]
    y.sum().backward()
    assert t.grad is not None
    assert t.grad.item() == 2
    assert O.roll(t, 1).item() == O.index_select(t, 0, 0).item() == 3


TWICE: list[tuple[Callable[[], object], str]] = [
    (lambda: O.amax(hs.tensor(np.ones((2, 2))), (0, -2)), "axis: (0, -2) names an axis twice; allowed: each once"),
    (lambda: O.sum(hs.tensor(np.ones((2, 2))), (1, 1)), "axis: (1, 1) names an axis twice"),
    (lambda: O.diagonal(hs.tensor(np.ones((2, 2))), 0, 1, -1), "diagonal: dim1=1, dim2=-1 of (2, 2) is not allowed"),
    (lambda: O.diagonal(hs.tensor(np.ones(2))), "axis: 1 is not allowed"),
    (lambda: O.roll(hs.tensor(1.0), 1, 0), "roll: dims 0 of a number is not allowed; allowed: None"),
    (lambda: O.index_select(hs.tensor(1.0), 0, [0, 0]), "index: shape (2,) is not allowed"),
    (lambda: O.gather(hs.tensor(1.0), 0, 1), "index: 1 to 1 is not allowed; allowed: 0 to 0"),
]


@pytest.mark.parametrize(("call", "text"), TWICE)
def test_axes_that_do_not_fit_are_refused_in_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is looked at below
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
