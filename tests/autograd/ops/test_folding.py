"""Unfolding, folding and shuffling: NumPy's loops, PyTorch at random, sums in half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs


def columns(x: np.ndarray, kernel: Any, dilation: Any, padding: Any, stride: Any) -> np.ndarray:
    """Every window as a column, one at a time."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    starts = [range(0, padded.shape[2 + a] - reach[a] + 1, stride[a]) for a in (0, 1)]
    found = [
        padded[:, :, i : i + reach[0] : dilation[0], j : j + reach[1] : dilation[1]].reshape(len(x), -1)
        for i in starts[0]
        for j in starts[1]
    ]
    return np.stack(found, -1)


def test_columns_are_windows_and_fold_is_their_transpose(rng: np.random.Generator) -> None:
    for _ in range(20):
        how = [tuple(rng.integers(low, 4, 2).tolist()) for low in (1, 1, 0, 1)]
        x = rng.standard_normal((2, 3, 8, 9))
        t = hs.tensor(x, "fp64", requires_grad=True)
        y = hs.ops.unfold(t, *how)
        np.testing.assert_array_equal(y.numpy(), columns(x, *how))
        g = rng.standard_normal(y.shape)
        y.backward(g)
        folded = hs.ops.fold(hs.tensor(g, "fp64"), (8, 9), *how)
        assert t.grad is not None
        np.testing.assert_array_equal(folded.numpy(), t.grad.numpy())
        np.testing.assert_allclose((folded.numpy() * x).sum(), (g * columns(x, *how)).sum(), rtol=1e-10)


def test_folding_against_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(1)
    for kernel, dilation, padding, stride in [(2, 1, 0, 1), ((3, 2), 1, 1, 2), (2, (2, 3), (1, 2), (2, 1))]:
        image = rng.standard_normal((2, 2, 7, 8))
        flat = torch.nn.functional.unfold(torch.tensor(image), kernel, dilation, padding, stride).requires_grad_()
        x = hs.tensor(flat.detach().numpy(), "fp64", requires_grad=True)
        expected = torch.nn.functional.fold(flat, (7, 8), kernel, dilation, padding, stride)
        y = hs.ops.fold(x, (7, 8), kernel, dilation, padding, stride)
        expected.backward(torch.tensor(image))
        y.backward(image)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-12)
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), flat.grad.numpy())


def test_gradients_are_finite_differences(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 4, 4, 6))
    assert hs.gradcheck(lambda t: hs.ops.unfold(t, (2, 3), padding=1, stride=2), x)
    assert hs.gradcheck(lambda t: hs.ops.fold(t, (2, 7), (2, 2)), rng.standard_normal((4, 6)))
    for call in (
        lambda t: hs.ops.pixel_shuffle(t, 2),
        lambda t: hs.ops.pixel_unshuffle(t, 2),
        lambda t: hs.ops.channel_shuffle(t, 2),
        lambda t: hs.ops.local_response_norm(t, 3, 0.5, 0.75, 2.0),
        lambda t: hs.ops.local_response_norm(t.reshape(4, 4, 6), 2),
    ):
        assert hs.gradcheck(call, x)


def test_folds_in_half_add_windows_by_rows_and_columns() -> None:
    """2048 + 1 + 1: 2048 where each sum is rounded, 2050 where the kernel keeps float32."""
    x = np.zeros((3, 5))
    x[[2, 1, 0], [0, 1, 2]] = [2048, 1, 1]
    for rule, expected in (("pure_fp16", 2048), ("fp16", 2050)):
        with hs.precision(rule):
            assert hs.ops.fold(hs.tensor(x), (1, 7), (1, 3)).numpy()[0, 0, 2] == expected


def test_shuffles_undo_one_another_and_match_numpy(rng: np.random.Generator) -> None:
    x = hs.tensor(rng.standard_normal((2, 3, 18, 2, 5)), "fp16")
    y = hs.ops.pixel_shuffle(x, 3)
    assert y.shape == (2, 3, 2, 6, 15)
    np.testing.assert_array_equal(hs.ops.pixel_unshuffle(y, 3).numpy(), x.numpy())
    np.testing.assert_array_equal(y.numpy()[0, 0, 1, 4, 7], x.numpy()[0, 0, 9 + 3 * 1 + 1, 1, 2])
    mixed = hs.ops.channel_shuffle(x[:, 0], 6).numpy()
    np.testing.assert_array_equal(mixed[:, :6], x.numpy()[:, 0, ::3])
    np.testing.assert_array_equal(hs.ops.channel_shuffle(hs.tensor(mixed), 3).numpy(), x.numpy()[:, 0])


def test_a_response_overflows_in_half() -> None:
    x = hs.tensor(np.full((1, 1, 2), 256.0), "fp16")
    assert hs.ops.local_response_norm(x, 1).numpy().tolist() == [[[0, 0]]]
    assert hs.ops.local_response_norm(hs.tensor(np.zeros((0, 2, 3))), 2).shape == (0, 2, 3)


EMPTY: list[tuple[Callable[..., hs.Tensor], tuple[tuple[int, ...], ...], tuple[int, ...]]] = [
    (lambda x: hs.ops.adaptive_max_pool2d(x, 2), ((0, 2, 4, 4),), (0, 2, 2, 2)),
    (lambda x: hs.ops.fractional_max_pool2d(x, 2, 3), ((0, 2, 4, 4),), (0, 2, 3, 3)),
    (lambda x: hs.ops.max_unpool2d(x, np.zeros((0, 2, 4, 4), int), 2), ((0, 2, 4, 4),), (0, 2, 8, 8)),
    (lambda x: hs.ops.adaptive_avg_pool3d(x, (0, 1, 1)), ((1, 2, 4, 4, 4),), (1, 2, 0, 1, 1)),
    (lambda x: hs.ops.interpolate(x, (3, 5)), ((0, 2, 4, 4),), (0, 2, 3, 5)),
    (lambda x: hs.ops.interpolate(x, (3, 5), mode="bicubic"), ((0, 2, 4, 4),), (0, 2, 3, 5)),
    (lambda x, g: hs.ops.grid_sample(x, g), ((2, 2, 4, 4), (2, 0, 3, 2)), (2, 2, 0, 3)),
    (lambda x, g: hs.ops.grid_sample(x, g, "bicubic"), ((2, 0, 4, 4), (2, 1, 3, 2)), (2, 0, 1, 3)),
    (lambda x, g: hs.ops.grid_sample(x, g, "nearest"), ((0, 2, 4, 4), (0, 1, 3, 2)), (0, 2, 1, 3)),
    (lambda x: hs.ops.unfold(x, 2), ((0, 2, 4, 4),), (0, 8, 9)),
    (lambda x: hs.ops.fold(x, (4, 4), 2), ((0, 8, 9),), (0, 2, 4, 4)),
    (lambda x: hs.ops.pixel_unshuffle(x, 2), ((0, 2, 4, 4),), (0, 8, 2, 2)),
    (lambda x: hs.ops.channel_shuffle(x, 2), ((2, 0, 3),), (2, 0, 3)),
    (lambda x, w: hs.ops.conv3d(x, w), ((0, 2, 4, 4, 4), (3, 2, 2, 2, 2)), (0, 3, 3, 3, 3)),
]


@pytest.mark.parametrize(("call", "shapes", "expected"), EMPTY)
def test_nothing_gives_nothing(call: Callable[..., hs.Tensor], shapes: Any, expected: tuple[int, ...]) -> None:
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            given = [hs.tensor(np.zeros(shape), requires_grad=True) for shape in shapes]
            y = call(*given)
            y.backward(np.ones(expected))
        assert y.shape == expected
        assert [x.grad is not None and x.grad.shape for x in given] == list(shapes)


X = np.ones((1, 4, 4, 4))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.ops.unfold(X[0, 0], 2), ValueError, "unfold: input (4, 4) is not allowed; allowed: (N, C, H, W)"),
    (lambda: hs.ops.unfold(X, 5), ValueError, "unfold: no window of (5, 5) fits an image of (4, 4)"),
    (lambda: hs.ops.unfold(X, 2, stride=0), ValueError, "unfold: stride 0 is not allowed"),
    (lambda: hs.ops.unfold(X, 1.5), TypeError, "kernel_size: 1.5 is not allowed; allowed: integers"),
    (lambda: hs.ops.fold(X[0], (2, 2), 2), ValueError, "fold: input (4, 4, 4) does not fit output_size (2, 2)"),
    (lambda: hs.ops.fold(X[0, :3, :1], (2, 2), 2), ValueError, "(N, multiple of 4, 1)"),
    (
        lambda: hs.ops.pixel_shuffle(X, 3),
        ValueError,
        "pixel_shuffle: 4 channels are not allowed; allowed: multiples of 9",
    ),
    (lambda: hs.ops.pixel_shuffle(X[0, 0], 2), ValueError, "pixel_shuffle: upscale_factor 2 of (4, 4)"),
    (lambda: hs.ops.pixel_unshuffle(X, 3), ValueError, "pixel_unshuffle: an image of (4, 4)"),
    (lambda: hs.ops.pixel_unshuffle(X, 0), ValueError, "pixel_unshuffle: downscale_factor 0"),
    (lambda: hs.ops.channel_shuffle(X, 3), ValueError, "channel_shuffle: 3 groups of (1, 4, 4, 4)"),
    (lambda: hs.ops.local_response_norm(X[0, 0], 2), ValueError, "local_response_norm: size 2 of (4, 4)"),
    (lambda: hs.ops.local_response_norm(X, 0), ValueError, "local_response_norm: size 0 of (1, 4, 4, 4)"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
