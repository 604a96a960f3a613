"""Interpolation: PyTorch at random, differences, loops in half, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

H, S = np.float16, np.float32
MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area", "lanczos"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}


def drawn(rng: np.random.Generator) -> tuple[tuple[int, ...], dict[str, Any]]:
    dims = int(rng.integers(1, 4))
    options: dict[str, Any] = {"mode": MODES[dims][rng.integers(len(MODES[dims]))]}
    if rng.random() < 0.5:
        options["size"] = tuple(rng.integers(2, 12, dims).tolist())
    else:
        options["scale_factor"] = tuple(np.round(rng.uniform(0.5, 1.9, dims), 2).tolist())
        options["recompute_scale_factor"] = bool(rng.random() < 0.3)
    weighted = options["mode"] not in ("nearest", "nearest-exact", "area")
    if options["mode"] == "lanczos" or (options["mode"] in ("bilinear", "bicubic") and rng.random() < 0.4):
        options["antialias"] = True
    elif weighted and rng.random() < 0.5:
        options["align_corners"] = bool(rng.random() < 0.6)
    return (int(rng.integers(1, 3)), int(rng.integers(1, 3)), *rng.integers(2, 9, dims).tolist()), options


def contradicts_itself(shape: tuple[int, ...], out: tuple[int, ...], options: dict[str, Any]) -> bool:
    """Where PyTorch's CPU kernels differ from its CUDA kernels, and from their own gradients.

    An axis that stays as long, or doubles, by a factor that is not 1 or 2: nearest and smooth kernels take it as 1 or 2
    in one direction, and by its factor in the other.
    """
    by_factor = "scale_factor" in options and not options["recompute_scale_factor"]
    odd = any(m in (n, 2 * n) for n, m in zip(shape[2:], out[2:], strict=True))
    return by_factor and odd and (options["mode"] == "nearest" or options.get("antialias", False))


def test_random_images_against_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    met: set[str] = set()
    for _ in range(100):
        shape, options = drawn(rng)
        x = rng.standard_normal(shape)
        theirs, ours = torch.tensor(x, requires_grad=True), hs.tensor(x, "fp64", requires_grad=True)
        y, expected = hs.ops.interpolate(ours, **options), torch.nn.functional.interpolate(theirs, **options)
        g = rng.standard_normal(y.shape)
        if contradicts_itself(shape, y.shape, options):
            continue
        y.backward(g)
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9, err_msg=str(options))
        assert ours.grad is not None
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-9, err_msg=str(options))
        met.add(options["mode"])
    assert met == {mode for modes in MODES.values() for mode in modes}


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area", "lanczos"])
@pytest.mark.parametrize("size", [(7, 2), (3, 9), (1, 1)])
def test_gradients_are_finite_differences(mode: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 4, 5))
    smooth = [True] if mode == "lanczos" else [False, True] if mode in ("bilinear", "bicubic") else [False]
    for antialias in smooth:
        assert hs.gradcheck(lambda t, a=antialias: hs.ops.interpolate(t, size, mode=mode, antialias=a), x)


def test_a_gradient_is_that_of_the_result_where_pytorch_contradicts_itself() -> None:
    x = np.arange(14.0).reshape(1, 2, 7)
    assert hs.gradcheck(lambda t: hs.ops.interpolate(t, scale_factor=1.02), x)
    assert hs.ops.interpolate(hs.tensor(x[:, :1]), scale_factor=1.02).numpy().tolist() == [[[0, 0, 1, 2, 3, 4, 5]]]


def test_weights_add_up_to_one() -> None:
    x = hs.tensor(np.full((1, 1, 6, 5), 3.0), "fp64")
    for mode in ("bilinear", "bicubic", "lanczos"):
        for size in ((2, 9), (11, 3)):
            y = hs.ops.interpolate(x, size, mode=mode, antialias=True).numpy()
            np.testing.assert_allclose(y, 3.0, rtol=1e-14)
    y = hs.ops.interpolate(hs.tensor(np.arange(5.0)[None, None]), 9, mode="linear", align_corners=True)
    np.testing.assert_array_equal(y.numpy()[0, 0], np.arange(9) / 2)


def lines(size: int, count: int) -> list[tuple[int, int, Any, Any]]:
    """The two neighbours of each result and their weights, in float32."""
    found = []
    for i in range(count):
        place = max(S(size) / S(count) * (S(i) + S(0.5)) - S(0.5), S(0))
        first = int(place)
        part = S(place - S(first))
        found.append((first, min(first + 1, size - 1), S(S(1) - part), part))
    return found


def test_bilinear_in_half_is_float32_with_one_store_or_every_step(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5)).astype(H)
    for rule, real in (("fp16", S), ("pure_fp16", H)):
        expected = np.zeros((7, 9), real)
        for i, (top, bottom, u, v) in enumerate(lines(4, 7)):
            for j, (left, right, a, b) in enumerate(lines(5, 9)):
                rows = [real(a) * real(x[k, left]) + real(b) * real(x[k, right]) for k in (top, bottom)]
                expected[i, j] = real(u) * rows[0] + real(v) * rows[1]
        with hs.precision(rule):
            y = hs.ops.interpolate(hs.tensor(x[None, None], "fp16"), (7, 9), mode="bilinear")
        np.testing.assert_array_equal(y.numpy()[0, 0], expected.astype(H))


def test_products_of_a_gradient_are_stored_and_their_sum_once_more(rng: np.random.Generator) -> None:
    """As CUDA's kernel stores each product; its sum is in no order, ours in float32."""
    g = rng.standard_normal((7, 9)).astype(H)
    total = np.zeros((4, 5), S)
    for i, (top, bottom, u, v) in enumerate(lines(4, 7)):
        for j, (left, right, a, b) in enumerate(lines(5, 9)):
            for r, w in ((top, u), (bottom, v)):
                for c, z in ((left, a), (right, b)):
                    total[r, c] += S(H(S(S(w * z) * S(g[i, j]))))
    with hs.precision("fp16"):
        x = hs.tensor(np.zeros((1, 1, 4, 5)), "fp16", requires_grad=True)
        hs.ops.interpolate(x, (7, 9), mode="bilinear").backward(g[None, None])
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], total.astype(H))


def shares(size: int, count: int) -> list[tuple[int, np.ndarray]]:
    """Of each result its first element, and the triangle's weights as CUDA's kernel stores them in half."""
    step, found = S(size) / S(count), []
    for i in range(count):
        centre = S(step * S(i + 0.5))
        low, high = max(int(S(centre - step + S(0.5))), 0), min(int(S(centre + step + S(0.5))), size)
        inverse = S(1) / step
        weights = [S(1) - abs(S(S(S(k) + S(S(low) - centre) + S(0.5)) * inverse)) for k in range(high - low)]
        total = S(0)
        for weight in weights:
            total = S(total + weight)
        found.append((low, np.array([H(S(H(weight)) / total) for weight in weights])))
    return found


def test_smooth_weights_and_rows_are_stored_in_half(rng: np.random.Generator) -> None:
    x = rng.standard_normal((11, 13)).astype(H)
    rows, y = np.zeros((11, 5), H), np.zeros((4, 5), H)
    for image, out, axis in ((x.T, rows.T, shares(13, 5)), (rows, y, shares(11, 4))):
        for i, (low, weights) in enumerate(axis):
            total = S(0) * image[0].astype(S)
            for k, weight in enumerate(weights):
                total = total + image[low + k].astype(S) * S(weight)
            out[i] = total.astype(H)
    with hs.precision("fp16"):
        found = hs.ops.interpolate(hs.tensor(x[None, None], "fp16"), (4, 5), mode="bilinear", antialias=True)
    np.testing.assert_array_equal(found.numpy()[0, 0], y)


def test_a_cubic_gradient_is_multiplied_by_rows_then_columns(rng: np.random.Generator) -> None:
    """A result amid four elements an axis: its gradient times one of the rows' weights, then one of the columns'."""
    w = np.array([-0.09375, 0.59375, 0.59375, -0.09375], H)
    g = rng.standard_normal((50, 1, 1, 1)).astype(H)
    with hs.precision("pure_fp16"):
        x = hs.tensor(np.zeros((50, 1, 4, 4)), "fp16", requires_grad=True)
        hs.ops.interpolate(x, 1, mode="bicubic").backward(g)
    expected = (g * w[:, None]) * w
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    assert (expected != g * (w[:, None] * w)).any()


def test_an_image_of_the_same_size_stays_as_it_is() -> None:
    x = np.array([[[1.0, np.inf, -0.0, np.nan]]])
    np.testing.assert_array_equal(hs.ops.interpolate(hs.tensor(x), 4, mode="linear").numpy(), x)
    np.testing.assert_array_equal(hs.ops.upsample_nearest(hs.tensor(x), scale_factor=2).numpy(), x.repeat(2, -1))


def test_autocast_interpolates_in_float32() -> None:
    x = hs.tensor(np.ones((1, 1, 4, 4)), "fp16")
    with hs.precision("amp"):
        assert hs.ops.interpolate(x, scale_factor=2).format is hs.float32
        assert hs.ops.interpolate(x, scale_factor=2, mode="bicubic").format is hs.float32
        assert hs.ops.interpolate(x, size=2, mode="area").format is hs.float16


X = np.ones((1, 1, 4, 4))
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.ops.interpolate(X), "interpolate: size None with scale_factor None; allowed: one of them"),
    (lambda: hs.ops.interpolate(X, 2, 2.0), "interpolate: size 2 with scale_factor 2.0"),
    (lambda: hs.ops.interpolate(X, (1, 2, 3)), "interpolate: size (1, 2, 3) is not allowed"),
    (lambda: hs.ops.interpolate(X, 0), "interpolate: (4, 4) to (0, 0) is not allowed; allowed: sizes from 1"),
    (lambda: hs.ops.interpolate(X, 2, mode="cubic"), "mode: 'cubic' is not allowed"),
    (lambda: hs.ops.interpolate(X, 2, mode="linear"), "allowed: (N, C, L)"),
    (lambda: hs.ops.interpolate(X, 2, align_corners=True), "align_corners: True does not go with mode 'nearest'"),
    (lambda: hs.ops.interpolate(X, 2, antialias=True), "antialias: True does not go with mode 'nearest'"),
    (lambda: hs.ops.interpolate(X, 2, mode="lanczos"), "antialias: False does not go with mode 'lanczos'"),
    (lambda: hs.ops.interpolate(X, 2, recompute_scale_factor=True), "recompute_scale_factor: True does not go"),
    (lambda: hs.ops.interpolate(X[:, :0], 2), "interpolate: input (1, 0, 4, 4) has no elements"),
    (lambda: hs.ops.interpolate(X[0, 0], 2), "interpolate: input (4, 4) with mode 'nearest' is not allowed"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
