"""Pooling: gradients against differences, values against loops, ties, NaN, and half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from tests.oracles import same

H = np.float16


def windows(n: int, kernel: int, stride: int, pad: int, ceil: bool) -> list[list[int]]:
    """The elements under each window of an axis, PyTorch's rule: a window begins inside or in the padding before."""
    last = [i for i in range(0, n + 2 * pad, stride) if i + kernel <= n + 2 * pad or (ceil and i < n + pad)]
    if ceil:
        count = -(-(n + 2 * pad - kernel) // stride) + 1
        last = last[:count]
    return [[e for e in range(i - pad, i - pad + kernel) if 0 <= e < n] for i in last]


GEOMETRY = st.tuples(st.integers(2, 3), st.integers(1, 3), st.integers(0, 1), st.booleans())


@settings(max_examples=30)
@given(st.integers(0, 2), st.tuples(st.integers(3, 6), st.integers(3, 6)), GEOMETRY, st.booleans())
def test_values_are_the_loops(n: int, size: Any, geometry: Any, count_include_pad: bool) -> None:
    kernel, stride, pad, ceil = geometry
    x = np.round(np.random.default_rng(0).standard_normal((n, 2, *size)), 1)
    rows, columns = (windows(length, kernel, stride, pad, ceil) for length in size)
    blocks = [[x[..., np.array(r)[:, None], c].reshape(n, 2, len(r) * len(c)) for c in columns] for r in rows]
    largest = hs.ops.max_pool2d(hs.tensor(x), kernel, stride, pad, ceil_mode=ceil)
    expected = np.array([[b.max(-1) for b in row] for row in blocks]).transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(largest.numpy(), expected)
    if not count_include_pad or not (pad or ceil):
        mean = hs.ops.avg_pool2d(hs.tensor(x), kernel, stride, pad, ceil, count_include_pad)
        expected = np.array([[b.mean(-1) for b in row] for row in blocks]).transpose(2, 3, 0, 1)
        np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=15)
@given(st.tuples(st.integers(3, 5), st.integers(3, 5)), GEOMETRY, st.integers(1, 6), st.booleans())
def test_gradients_are_finite_differences(size: Any, geometry: Any, outputs: int, flag: bool) -> None:
    kernel, stride, pad, ceil = geometry
    x = np.random.default_rng(0).permutation(2 * size[0] * size[1]).reshape(2, *size) / 10
    assert hs.gradcheck(lambda t: hs.ops.max_pool2d(t, kernel, stride, pad, ceil_mode=ceil), x)
    assert hs.gradcheck(lambda t: hs.ops.max_pool1d(t, 2, stride, pad, dilation=2, ceil_mode=ceil), x[0])
    assert hs.gradcheck(lambda t: hs.ops.avg_pool2d(t, kernel, stride, pad, ceil, flag), x)
    assert hs.gradcheck(lambda t: hs.ops.avg_pool1d(t, kernel, stride, pad, ceil, flag), x[0])
    assert hs.gradcheck(lambda t: hs.ops.adaptive_avg_pool2d(t, (outputs, None)), x)
    assert hs.gradcheck(lambda t: hs.ops.adaptive_avg_pool1d(t, outputs), x[0])


def test_the_first_of_equal_elements_wins_and_the_last_nan() -> None:
    """As recorded from PyTorch."""
    x = hs.tensor([[[3.0, 3.0, -0.0, 0.0], [1.0, 3.0, 0.0, -0.0]]], "fp16", requires_grad=True)
    y, found = hs.ops.max_pool2d(x, 2, return_indices=True)
    assert same(y.numpy(), [[[3, -0.0]]]).all()
    assert found.tolist() == [[[0, 2]]]
    assert found.dtype == np.int64
    y.backward(np.array([[[5.0, 7.0]]]))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[[5, 0, 7, 0], [0, 0, 0, 0]]]
    nan = hs.tensor([[[1.0, np.nan], [np.nan, 2.0]]], requires_grad=True)
    y, found = hs.ops.max_pool2d(nan, 2, return_indices=True)
    assert np.isnan(y.item())
    assert found.item() == 2
    y.backward()
    assert nan.grad is not None
    assert nan.grad.numpy().tolist() == [[[0, 0], [1, 0]]]


def test_of_zeros_the_first_gives_its_sign(rng: np.random.Generator) -> None:
    x = rng.choice([-0.0, 0.0], (2, 3, 16, 34)).astype(np.float32)
    blocks = x.reshape(2, 3, 8, 2, 17, 2)
    np.testing.assert_array_equal(
        np.signbit(hs.ops.max_pool2d(hs.tensor(x), 2).numpy()), np.signbit(blocks[..., 0, :, 0])
    )


def test_padding_never_wins() -> None:
    y, found = hs.ops.max_pool2d(hs.tensor(np.full((1, 4, 4), -np.inf)), 3, 1, 1, return_indices=True)
    assert (y.numpy() == -np.inf).all()
    assert found.tolist() == [[[0, 0, 1, 2], [0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]]]
    y, found = hs.ops.max_pool1d(hs.tensor(np.full((1, 9), -5.0)), 2, 3, 1, 2, True, return_indices=True)
    assert (y.numpy() == -5).all()
    assert found.tolist() == [[1, 2, 5, 8]]


def test_kernels_of_many_positions(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 20, 18))
    y = hs.ops.max_pool2d(hs.tensor(x, requires_grad=True), (20, 18))
    np.testing.assert_array_equal(y.numpy()[..., 0, 0], x.max((2, 3)))
    y.sum().backward()


def test_overlapping_gradients_are_rounded_in_half() -> None:
    """2048 + 1 + 1, windows ascending: 2048 where each sum is rounded, 2050 where the kernel keeps float32."""
    for rule, expected in (("pure_fp16", 2048), ("fp16", 2050)):
        with hs.precision(rule):
            x = hs.tensor([[0.0, 1.0, 0.0, 5.0, 0.0, 1.0, 0.0]], requires_grad=True)
            y = hs.ops.max_pool1d(x, 3, 1)
            y.backward(np.array([[0.0, 2048.0, 1.0, 1.0, 0.0]]))
            assert x.grad is not None
            assert x.grad.numpy()[0, 3] == expected
    x = hs.tensor([[5.0, 0.0, 0.0]], "fp16", requires_grad=True)
    hs.ops.max_pool1d(x, 3, 1, 1).backward(np.array([[2048.0, 1.0, 0.0]]))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[2048, 0, 0]]  # 2049 is stored in half, though the shape has not changed


def test_fp16_means_are_their_steps(rng: np.random.Generator) -> None:
    """A sum by rows and columns, then one division; every step in half, or all of it in float32."""
    x = rng.standard_normal((2, 3, 6, 6)).astype(H)
    blocks = x.reshape(2, 3, 2, 3, 2, 3).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 2, 2, 9)
    total, wide = np.zeros((2, 3, 2, 2), H), blocks.astype("f").sum(-1) / np.float32(9)
    for k in range(9):
        total += blocks[..., k]
    for pool in (lambda t: hs.ops.avg_pool2d(t, 3), lambda t: hs.ops.avg_pool2d(t, 3, divisor_override=9)):
        with hs.precision("fp16"):
            np.testing.assert_array_equal(pool(hs.tensor(x)).numpy(), wide.astype(H))
        with hs.precision("pure_fp16"):
            np.testing.assert_array_equal(pool(hs.tensor(x)).numpy(), total / H(9))
    with hs.precision("pure_fp16"):
        adaptive = hs.ops.adaptive_avg_pool2d(hs.tensor(x), 2)
        np.testing.assert_array_equal(adaptive.numpy(), total / H(3) / H(3))
        whole = hs.ops.adaptive_avg_pool2d(hs.tensor(x), 1)
        total = np.zeros((2, 3), H)
        for i, j in np.ndindex(6, 6):
            total += x[:, :, i, j]
        np.testing.assert_array_equal(whole.numpy()[..., 0, 0], total / H(36))


def test_an_adaptive_mean_divides_by_rows_first_and_its_gradient_by_columns(rng: np.random.Generator) -> None:
    x, g = rng.standard_normal((8, 3, 9)).astype(H), rng.standard_normal((8, 1, 2)).astype(H)
    with hs.precision("pure_fp16"):
        t = hs.tensor(x, requires_grad=True)
        y = hs.ops.adaptive_avg_pool2d(t, (1, 2))
        y.backward(g)
    for output, columns in enumerate((slice(0, 5), slice(4, 9))):
        total = np.zeros(8, H)
        for i, j in np.ndindex(3, 5):
            total += x[:, i, columns][:, j]
        np.testing.assert_array_equal(y.numpy()[:, 0, output], total / H(3) / H(5))
    share, expected = g / H(5) / H(3), np.zeros((8, 3, 9), H)
    expected[..., :5] += share[..., :1]
    expected[..., 4:] += share[..., 1:]
    assert t.grad is not None
    np.testing.assert_array_equal(t.grad.numpy(), expected)


def test_means_of_three_axes_take_the_steps_of_their_own_kernels(rng: np.random.Generator) -> None:
    """One division; quotients of gradients are stored, or with stride 1 their sum comes before the product."""
    x, g = rng.standard_normal((5, 3, 3, 3)).astype(H), rng.standard_normal((5, 1, 1, 1)).astype(H)
    with hs.precision("pure_fp16"):
        t = hs.tensor(x, requires_grad=True)
        y = hs.ops.adaptive_avg_pool3d(t, 1)
        y.backward(g)
        total = np.zeros(5, H)
        for i, j, k in np.ndindex(3, 3, 3):
            total += x[:, i, j, k]
        np.testing.assert_array_equal(y.numpy().ravel(), total / H(27))
        assert t.grad is not None
        np.testing.assert_array_equal(t.grad.numpy()[:, 0, 0, 0], g.ravel() / H(27))
        part = hs.ops.adaptive_avg_pool3d(hs.tensor(x), (1, 1, 3)).numpy()
        total = np.zeros((5, 3), H)
        for i, j in np.ndindex(3, 3):
            total += x[:, i, j]
        np.testing.assert_array_equal(part[:, 0, 0], total / H(9))
    for stride, padding in ((1, 0), (1, 1)):
        with hs.precision("fp16"):
            t = hs.tensor(np.zeros((1, 1, 1, 9)), "fp16", requires_grad=True)
            y = hs.ops.avg_pool3d(t, (1, 1, 3), stride, (0, 0, padding))
            g = rng.standard_normal(y.shape).astype(H)
            y.backward(g)
        row = np.pad(g.ravel().astype("f"), 2 - padding)
        if padding:
            row = (row / np.float32(3)).astype(H).astype("f")
        expected = (row[:-2] + row[1:-1]) + row[2:]
        if not padding:
            expected = expected * (np.float32(1) / np.float32(3))
        assert t.grad is not None
        np.testing.assert_array_equal(t.grad.numpy().ravel(), expected.astype(H))


def test_gradients_of_means_in_half_are_their_steps(rng: np.random.Generator) -> None:
    g = rng.standard_normal((1, 4)).astype(H)
    with hs.precision("pure_fp16"):
        x = hs.tensor(np.zeros((1, 6)), requires_grad=True)
        hs.ops.avg_pool1d(x, 3, 1).backward(g)
        share, expected = g[0] / H(3), np.zeros(6, H)
        for window in range(4):
            expected[window : window + 3] += share[window]
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy()[0], expected)


def test_shapes_of_careless_and_empty_inputs() -> None:
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            empty = hs.tensor(np.zeros((0, 2, 4, 4)), requires_grad=True)
            for pool in (hs.ops.max_pool2d, hs.ops.avg_pool2d, hs.ops.adaptive_avg_pool2d):
                y = pool(empty, 2)
                assert y.shape == (0, 2, 2, 2)
                y.sum().backward()
    assert hs.ops.adaptive_avg_pool2d(hs.tensor(np.zeros((2, 3, 4))), 0).shape == (2, 0, 0)
    assert hs.ops.avg_pool1d(input=np.zeros((2, 3, 4)), kernel_size=(2,), stride=()).shape == (2, 3, 2)
    assert hs.ops.max_pool1d(input=np.zeros((3, 4)), kernel_size=np.int64(2)).shape == (3, 2)


X = np.ones((1, 1, 4, 4))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: hs.ops.max_pool2d(X[0, 0], 2),
        ValueError,
        "max_pool2d: input (4, 4) is not allowed; allowed: (N, C, H, W)",
    ),
    (lambda: hs.ops.max_pool2d(X[:, :0], 2), ValueError, "max_pool2d: input (1, 0, 4, 4) is not allowed"),
    (lambda: hs.ops.max_pool2d(X, 5), ValueError, "max_pool2d: padded input of 4 is smaller than the kernel's reach 5"),
    (lambda: hs.ops.max_pool2d(X, 3, 1, 2), ValueError, "max_pool2d: padding 2 is not allowed; allowed: up to half"),
    (lambda: hs.ops.max_pool2d(X, 0), ValueError, "max_pool2d: kernel_size 0 is not allowed"),
    (lambda: hs.ops.max_pool2d(X, 2.0), TypeError, "kernel_size: 2.0 is not allowed; allowed: integers"),
    (lambda: hs.ops.max_pool2d(X, (2, 2, 2)), ValueError, "max_pool2d: kernel_size (2, 2, 2) is not allowed"),
    (lambda: hs.ops.avg_pool2d(X, 2, stride=0), ValueError, "avg_pool2d: stride 0 is not allowed"),
    (lambda: hs.ops.avg_pool2d(X, 2, divisor_override=0), ValueError, "avg_pool2d: divisor_override 0"),
    (lambda: hs.ops.avg_pool1d(X, 2), ValueError, "avg_pool1d: input (1, 1, 4, 4) is not allowed"),
    (lambda: hs.ops.adaptive_avg_pool2d(X, (1, 2, 3)), ValueError, "adaptive_avg_pool2d: output_size (1, 2, 3)"),
    (lambda: hs.ops.adaptive_avg_pool1d(X[0], "a"), TypeError, "output_size: 'a' is not allowed; allowed: integers"),
    (lambda: hs.ops.adaptive_avg_pool1d(X[0], -1), ValueError, "adaptive_avg_pool1d: output_size"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
