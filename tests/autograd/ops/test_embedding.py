"""Embedding and indexing: rows picked, and sums of what comes back to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops.embedding import scatter_sum


@settings(max_examples=15)
@given(
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=st.integers(0, 4)),
    st.none() | st.integers(-5, 4),
)
def test_gradients(indices: np.ndarray, padding_idx: int | None) -> None:
    weight = np.random.default_rng(0).standard_normal((5, 2))
    if padding_idx is None:
        assert hs.gradcheck(lambda w: hs.ops.embedding(indices, w), weight)
    w = hs.tensor(weight, requires_grad=True)
    y = hs.ops.embedding(indices, w, padding_idx)
    np.testing.assert_array_equal(y.numpy(), weight[indices])
    y.backward(np.ones(y.shape))
    counts = np.bincount(indices.reshape(-1), minlength=5)
    if padding_idx is not None:
        counts[padding_idx] = 0
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), np.repeat(counts[:, None], 2, 1))


@given(
    st.lists(st.integers(0, 6), max_size=60),
    st.sampled_from(
        [
            "pure_fp16",
            "storage=fp16, compute=fp16, accumulate=fp16:pairwise",
            "storage=fp16, compute=fp16, accumulate=fp16:kahan",
            "fp16",
        ]
    ),
)
def test_each_sum_is_that_of_its_rows(where: list[int], rule: str) -> None:
    """Bit for bit, whatever the other sums are: a sum of rows is what `sum` makes of them."""
    index = np.array(where, np.int64)
    values = np.random.default_rng(len(where)).standard_normal((len(where), 3)).astype(np.float16).astype(np.float32)
    precision = hs.Precision(rule)
    got = scatter_sum(Arithmetic(precision), values, index, 8)
    for k in range(8):
        rows = values[index == k]
        expected = rows[0] if len(rows) == 1 else Arithmetic(precision).sum(rows, 0)
        np.testing.assert_array_equal(got[k], expected)


def test_half_sums_are_the_loop_of_rounded_additions(rng: np.random.Generator) -> None:
    indices = rng.integers(0, 4, (40, 50))
    g = rng.uniform(0, 16, (40, 50, 2)).astype(np.float16)
    expected = np.zeros((4, 2), np.float16)
    for row, value in zip(indices.reshape(-1), g.reshape(-1, 2), strict=True):
        expected[row] += value
    for function in (hs.ops.embedding, lambda i, w: w[i]):
        with hs.precision("pure_fp16"):
            w = hs.tensor(np.zeros((4, 2)), requires_grad=True)
            function(indices, w).backward(g)
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), expected)


def test_a_frequent_token_swamps_its_gradient_in_half() -> None:
    """4096 gradients of 1 to one row: float16 stops at 2048, a kernel that adds in float32 does not."""
    w = hs.tensor(np.zeros((2, 1)), "fp16", requires_grad=True)
    for rule, expected in (("pure_fp16", 2048), ("fp16", 4096)):
        w.grad = None
        with hs.precision(rule), hs.trace() as t:
            hs.ops.embedding(np.zeros(4096, int), w).sum().backward()
        assert w.grad is not None
        assert w.grad.numpy().tolist() == [[expected], [0]]
        assert (("backward", "", "embedding", "") in t.totals) is True
        assert (t.totals["backward", "", "embedding", ""].swamped > 0) == (rule == "pure_fp16")


def test_infinities_stay_in_their_row() -> None:
    w = hs.tensor(np.zeros((3, 1)), requires_grad=True)
    hs.ops.embedding([0, 1, 1, 2, 2], w).backward(np.array([[1], [np.inf], [1], [np.nan], [1.0]]))
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), [[1], [np.inf], [np.nan]])


@pytest.mark.parametrize(
    "index",
    [
        1,
        -1,
        slice(1, 3),
        (slice(None), 2),
        (..., None, 1),
        np.array([0, 0, 2]),
        [2, 1],
        (np.array([1, 1]), slice(1, 3)),
    ],
    ids=str,
)
def test_gradients_of_indexing(index: object) -> None:
    x = np.random.default_rng(1).standard_normal((3, 4))
    assert hs.gradcheck(lambda t: t[index], x)
    mask = x > 0
    assert hs.gradcheck(lambda t: t[mask], x)
    assert hs.gradcheck(lambda t: t[np.zeros(0, int)].sum() + t[1, 2], x)


def test_indices_may_be_a_tensor_or_a_list() -> None:
    w = hs.tensor([[1.0], [2.0]])
    for indices in ([1, 0], hs.tensor([1, 0]), np.array([1, 0], np.uint8), ((1), 0)):
        assert hs.ops.embedding(indices, w).numpy().tolist() == [[2], [1]]
    assert hs.ops.embedding([], w).shape == (0, 1)
    assert hs.ops.embedding(1, w).shape == (1,)


W = np.ones((3, 2))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.ops.embedding([3], W), ValueError, "input: rows 3 to 3 of 3; allowed: 0 to 2"),
    (lambda: hs.ops.embedding([-1], W), ValueError, "input: rows -1 to -1 of 3"),
    (lambda: hs.ops.embedding([0], np.ones((0, 2))), ValueError, "input: rows 0 to 0 of 0; allowed: none"),
    (lambda: hs.ops.embedding([0.5], W), TypeError, "input: dtype float64 is not allowed"),
    (lambda: hs.ops.embedding(hs.tensor([0.5]), W), TypeError, "input: dtype float32 is not allowed"),
    (lambda: hs.ops.embedding([[0], [1, 2]], W), ValueError, "input: rows of unequal length"),
    (lambda: hs.ops.embedding([True], W), TypeError, "input: dtype bool"),
    (lambda: hs.ops.embedding([0], np.ones(3)), ValueError, "embedding: weight (3,) is not allowed"),
    (lambda: hs.ops.embedding([0], W, padding_idx=3), ValueError, "padding_idx: 3 is not allowed; allowed: -3 to 2"),
    (lambda: hs.ops.embedding([0], W, max_norm=1.0), TypeError, "max_norm: the weight is a ndarray"),
    (lambda: hs.ops.embedding([0], hs.tensor(W), max_norm=1.0, norm_type=0), ValueError, "norm_type: 0 is not allowed"),
]


@pytest.mark.parametrize(
    ("order", "norms"), [(2.0, [5.0, 0.5]), (1.0, [7.0, 0.7]), (3.0, [91 ** (1 / 3), 0.4**3]), (np.inf, [4.0, 0.4])]
)
def test_rows_longer_than_max_norm_are_shortened_where_they_are_picked(order: float, norms: list[float]) -> None:
    rows = np.array([[3.0, -4.0], [0.3, 0.4], [30.0, 40.0]])
    weight = hs.tensor(rows, "fp64", requires_grad=True)
    y = hs.ops.embedding([0, 1, 0], weight, max_norm=2.0, norm_type=order)
    short = rows.copy()
    short[0] *= 2 / (norms[0] + 1e-7)
    np.testing.assert_allclose(weight.numpy(), short, rtol=1e-15)
    np.testing.assert_array_equal(y.numpy(), weight.numpy()[[0, 1, 0]])
    y.sum().backward()
    assert weight.grad is not None
    assert weight.grad.numpy().tolist() == [[2, 2], [1, 1], [0, 0]], "the gradient knows nothing of it"
    half = hs.tensor([[300.0, 400.0]], "fp16")
    hs.ops.embedding([0], half, max_norm=1.0)
    norm = np.float32(500) + np.float32(1e-7)
    assert half.numpy().tolist() == [(np.float32([300, 400]) * (np.float32(1) / norm)).astype(np.float16).tolist()]


def test_gradients_of_a_row_are_divided_by_how_often_it_was_picked() -> None:
    weight = hs.tensor(np.zeros((3, 1)), "fp64", requires_grad=True)
    hs.ops.embedding([1, 2, 1, 1], weight, padding_idx=2, scale_grad_by_freq=True).backward(
        [[1.0], [5.0], [2.0], [6.0]]
    )
    assert weight.grad is not None
    assert weight.grad.numpy().tolist() == [[0], [3], [0]]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
