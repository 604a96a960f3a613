"""Adaptive, fractional and inverse maxima, and norms of windows; see test_pool.py for plain windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_maxima_are_loops(dims: int, rng: np.random.Generator) -> None:
    """The first of equal elements wins, the last NaN."""
    x = np.round(rng.standard_normal((2, 2, *(5, 4, 7)[:dims])))
    x[rng.random(x.shape) < 0.05] = np.nan
    counts = (3, 4, 2)[:dims]
    y, found = getattr(hs.ops, f"adaptive_max_pool{dims}d")(hs.tensor(x, "fp64"), counts, return_indices=True)
    number = np.arange(np.prod(x.shape[2:])).reshape(x.shape[2:])
    for n, c, *window in np.ndindex(*y.shape):
        ends = [(i * s // m, -(-(i + 1) * s // m)) for i, s, m in zip(window, x.shape[2:], counts, strict=True)]
        part = tuple(slice(*end) for end in ends)
        values, places = x[n, c][part].ravel(), number[part].ravel()
        nans = np.flatnonzero(np.isnan(values))
        best = nans[-1] if nans.size else values.argmax()
        np.testing.assert_array_equal(y.numpy()[(n, c, *window)], values[best])
        assert np.asarray(found)[(n, c, *window)] == places[best]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gradients_are_finite_differences(dims: int, rng: np.random.Generator) -> None:
    x = rng.permutation(2 * 5 * 4 * 3).reshape(2, 5, 4, 3)[(slice(None),) * (dims + 1) + (0,) * (3 - dims)] / 10
    assert hs.gradcheck(lambda t: getattr(hs.ops, f"adaptive_max_pool{dims}d")(t, 2), x)
    assert hs.gradcheck(lambda t: getattr(hs.ops, f"lp_pool{dims}d")(t, 3.0, 2), x + 1)
    if dims == 3:
        assert hs.gradcheck(lambda t: hs.ops.max_pool3d(t, 2, 1, 1, ceil_mode=True), x)
        assert hs.gradcheck(lambda t: hs.ops.avg_pool3d(t, 2, 1, 1, count_include_pad=False), x)
        assert hs.gradcheck(lambda t: hs.ops.adaptive_avg_pool3d(t, (2, None, 1)), x)
        w = rng.standard_normal((3, 2, 2, 1, 2))
        assert hs.gradcheck(lambda *a: hs.ops.conv3d(*a, stride=(2, 1, 1), padding=1), [x, w])
        assert hs.gradcheck(lambda *a: hs.ops.conv_transpose3d(*a, stride=(1, 2, 1)), [x, w.swapaxes(0, 1)])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling_puts_maxima_back(dims: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, *(4, 6, 2)[:dims]))
    pooled, found = getattr(hs.ops, f"max_pool{dims}d")(hs.tensor(x), 2, return_indices=True)
    t = hs.tensor(pooled.numpy(), requires_grad=True)
    y = getattr(hs.ops, f"max_unpool{dims}d")(t, found, 2)
    assert y.shape == x.shape
    kept = y.numpy() != 0
    assert kept.sum() == pooled.size
    np.testing.assert_array_equal(y.numpy()[kept], x[kept].astype(np.float64))
    y.backward(x)
    assert t.grad is not None
    np.testing.assert_array_equal(t.grad.numpy(), pooled.numpy())


def test_unpooling_takes_another_size_and_half_moves_unchanged() -> None:
    x = hs.tensor([[[3.0, np.inf, 5.0]]], "fp16")
    where = np.array([[[0, 2, 4]]])
    assert hs.ops.max_unpool1d(x, where, 2, output_size=[1, 1, 7]).numpy().tolist() == [[[3, 0, np.inf, 0, 5, 0, 0]]]
    assert hs.ops.max_unpool1d(x, where, 2, output_size=[5]).shape == (1, 1, 5)
    assert hs.ops.max_unpool1d(x, where, 3, 2, 1).shape == (1, 1, 5)


def test_integers_stay_integers() -> None:
    x = hs.tensor([[[5, -7, 3, 9]]])
    y, found = hs.ops.max_pool1d(x, 2, padding=1, return_indices=True)
    assert y.tolist() == [[[5, 3, 9]]]
    assert y.dtype == x.dtype == found.dtype
    assert hs.ops.max_unpool1d(y, found, 2, output_size=[5]).tolist() == [[[5, 0, 3, 9, 0]]]
    assert hs.ops.adaptive_max_pool1d(x, 2).tolist() == [[[5, 9]]]


def test_fractional_windows_are_drawn_by_seed() -> None:
    x = hs.tensor(np.random.default_rng(0).standard_normal((2, 3, 9, 9)))

    def draw() -> Any:
        y, found = hs.ops.fractional_max_pool2d(x, 2, output_ratio=0.5, return_indices=True)
        assert y.shape == (2, 3, 4, 4)
        np.testing.assert_array_equal(
            np.take_along_axis(x.numpy().reshape(2, 3, 81), np.asarray(found).reshape(2, 3, 16), 2).ravel(),
            y.numpy().ravel(),
        )
        return y.numpy()

    hs.manual_seed(1)
    first = draw()
    assert (draw() != first).any()
    hs.manual_seed(1)
    np.testing.assert_array_equal(draw(), first)
    assert hs.ops.fractional_max_pool3d(np.ones((2, 4, 5, 6)), (1, 2, 3), (2, 3, 1)).shape == (2, 2, 3, 1)


def test_norms_of_windows() -> None:
    x = hs.tensor([[[3.0, -4.0, 0.0, 0.0]]], requires_grad=True)
    y = hs.ops.lp_pool1d(x, 2.0, 2)
    assert y.numpy().tolist() == [[[5, 0]]]
    assert hs.ops.lp_pool1d(x, np.inf, 2).numpy().tolist() == [[[4, 0]]]
    assert hs.ops.lp_pool1d(x, -np.inf, 2).numpy().tolist() == [[[3, 0]]]
    big = hs.tensor([[[300.0, 400.0]]], "fp16")
    assert hs.ops.lp_pool1d(big, 2.0, 2).item() == np.inf  # the power is stored


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_norms_in_half_are_pytorchs(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    x = x.to(torch.float16 if kind == "fp16" else torch.bfloat16)
    for power in (1.0, 2.0, 4.0):
        expected = torch.nn.functional.lp_pool2d(x, power, 2)
        y = hs.ops.lp_pool2d(hs.tensor(x.float().numpy(), kind), power, 2)
        np.testing.assert_array_equal(y.array, expected.float().numpy())


X = np.ones((1, 1, 4, 4))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.ops.max_pool3d(X[0, 0], 2), ValueError, "max_pool3d: input (4, 4) is not allowed; allowed: (N, C, D,"),
    (lambda: hs.ops.avg_pool3d(X, (2, 2)), ValueError, "avg_pool3d: kernel_size (2, 2) is not allowed"),
    (lambda: hs.ops.adaptive_max_pool2d(X, (1, 2, 3)), ValueError, "adaptive_max_pool2d: output_size (1, 2, 3)"),
    (lambda: hs.ops.adaptive_max_pool1d(X, 2), ValueError, "adaptive_max_pool1d: input (1, 1, 4, 4)"),
    (lambda: hs.ops.lp_pool2d(X, 0.0, 2), ValueError, "lp_pool2d: norm_type 0.0 is not allowed"),
    (lambda: hs.ops.max_unpool2d(X, np.zeros((1, 1, 2, 2), int), 2), ValueError, "max_unpool2d: indices (1, 1, 2, 2)"),
    (lambda: hs.ops.max_unpool2d(X, np.full(X.shape, 64), 2), ValueError, "max_unpool2d: indices 64 to 64; allowed: 0"),
    (lambda: hs.ops.max_unpool2d(X, np.full(X.shape, 0.5), 2), TypeError, "max_unpool2d: indices: dtype float64"),
    (lambda: hs.ops.max_unpool2d(X, np.zeros(X.shape, int), 2, output_size=(8, 10)), ValueError, "nearer than (2, 2)"),
    (lambda: hs.ops.max_unpool1d(X, np.zeros(X.shape, int), 2), ValueError, "max_unpool1d: input (1, 1, 4, 4)"),
    (
        lambda: hs.ops.fractional_max_pool2d(X, 2),
        ValueError,
        "fractional_max_pool2d: output_size None with output_ratio",
    ),
    (lambda: hs.ops.fractional_max_pool2d(X, 2, output_ratio=1.5), ValueError, "output_ratio 1.5 is not allowed"),
    (lambda: hs.ops.fractional_max_pool2d(X, 3, 3), ValueError, "(3, 3) windows of (3, 3) do not fit"),
    (
        lambda: hs.ops.fractional_max_pool2d(X, 2, 2, _random_samples=np.ones((1, 2, 2))),
        ValueError,
        "_random_samples (1, 2, 2) is not allowed; allowed: (1, 1, 2)",
    ),
    (lambda: hs.ops.conv3d(X, X), ValueError, "conv3d: input (1, 1, 4, 4) does not fit weight (1, 1, 4, 4)"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
