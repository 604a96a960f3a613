"""Sampling by a grid: PyTorch at random, differences, loops in half, places beyond the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halfsim as hs

H, S = np.float16, np.float32
PADDING = ("zeros", "border", "reflection")


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_random_grids_against_pytorch(mode: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    for dims in (2,) if mode == "bicubic" else (2, 3):
        for padding in PADDING:
            for corners in (False, True):
                x = rng.standard_normal((2, 3, *rng.integers(1, 6, dims)))
                grid = rng.uniform(-2.5, 2.5, (2, *rng.integers(1, 5, dims), dims))
                theirs = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
                ours = [hs.tensor(a, "fp64", requires_grad=True) for a in (x, grid)]
                expected = torch.nn.functional.grid_sample(*theirs, mode, padding, corners)
                y = hs.ops.grid_sample(*ours, mode, padding, corners)
                g = rng.standard_normal(y.shape)
                expected.backward(torch.tensor(g))
                y.backward(g)
                np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9)
                for a, b in zip(ours, theirs, strict=True):
                    assert a.grad is not None
                    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_gradients_are_finite_differences(mode: str, padding: str, rng: np.random.Generator) -> None:
    x, grid = rng.standard_normal((1, 2, 3, 4)), rng.uniform(-1.2, 1.2, (1, 2, 3, 2))
    assert hs.gradcheck(lambda *a: hs.ops.grid_sample(*a, mode, padding, False), [x, grid])


def half_steps(x: np.ndarray, grid: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One channel by CUDA's kernels: float32 forward; backward in half, but for sums, which are in float32 here."""
    rows, columns = x.shape
    y, dx, dgrid = np.zeros(len(grid), S), np.zeros((rows, columns), S), np.zeros((len(grid), 2), H)
    for p, place in enumerate(grid):
        wide = [((S(v) + S(1)) * S(n) - S(1)) / S(2) for v, n in zip(place, (columns, rows), strict=True)]
        for real in (S, H):
            c, r = (real(v) for v in wide)
            left, top = np.floor(c), np.floor(r)
            part = {0: (real(left + 1) - c, real(top + 1) - r), 1: (c - left, r - top)}
            slopes = [S(0), S(0)]
            for i in (0, 1):
                for j in (0, 1):
                    at = int(top) + i, int(left) + j
                    if not (0 <= at[0] < rows and 0 <= at[1] < columns):
                        continue
                    weight = real(part[j][0] * part[i][1])
                    if real is S:
                        y[p] = S(y[p] + S(S(x[at]) * weight))
                        continue
                    dx[at] += S(H(weight * g[p]))
                    slopes[0] += S(H(H(x[at] * (2 * j - 1)) * part[i][1]) * g[p])
                    slopes[1] += S(H(H(x[at] * (2 * i - 1)) * part[j][0]) * g[p])
            if real is H:
                dgrid[p] = [H(H(n / 2) * H(slope)) for n, slope in zip((columns, rows), slopes, strict=True)]
    return y.astype(H), dx.astype(H), dgrid


def test_half_takes_the_steps_of_cuda_kernels(rng: np.random.Generator) -> None:
    x, grid = rng.standard_normal((5, 4)).astype(H), rng.uniform(-1.3, 1.3, (30, 2)).astype(H)
    g = rng.standard_normal(30).astype(H)
    with hs.precision("fp16"):
        image, places = hs.tensor(x[None, None], requires_grad=True), hs.tensor(grid[None, None], requires_grad=True)
        out = hs.ops.grid_sample(image, places, align_corners=False)
        out.backward(g[None, None, None])
    y, dx, dgrid = half_steps(x, grid, g)
    assert image.grad is not None
    assert places.grad is not None
    np.testing.assert_array_equal(out.numpy().ravel(), y)
    np.testing.assert_array_equal(image.grad.numpy()[0, 0], dx)
    np.testing.assert_array_equal(places.grad.numpy()[0, 0], dgrid)


def test_places_that_are_no_numbers() -> None:
    x = np.array([[[[3.0, 5.0]]]])
    grid = np.array([[[[np.nan, 0.0], [np.inf, 0.0], [-np.inf, 0.0]]]])
    for mode in ("bilinear", "nearest"):
        for padding, expected in (("zeros", [0, 0, 0]), ("border", [3, 5, 3]), ("reflection", [3, 3, 3])):
            image, places = hs.tensor(x, requires_grad=True), hs.tensor(grid, requires_grad=True)
            y = hs.ops.grid_sample(image, places, mode, padding)
            assert y.numpy().ravel().tolist() == expected
            y.backward(np.array([[[[1.0, 10.0, 100.0]]]]))
            assert image.grad is not None
            back = {"zeros": [0, 0], "border": [100, 10], "reflection": [0, 0]}[padding]  # of NaN none, as in CUDA
            assert image.grad.numpy().ravel().tolist() == back
            assert places.grad is not None
            assert np.isfinite(places.grad.numpy()).all()


def test_nearest_takes_the_even_of_two() -> None:
    x = np.arange(4.0).reshape(1, 1, 1, 4)
    grid = np.array([[[[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]]]])  # 0.5, 1.5 and 2.5
    assert hs.ops.grid_sample(hs.tensor(x), hs.tensor(grid), "nearest").numpy().ravel().tolist() == [0, 2, 2]


def test_the_identity_gives_the_image_back(rng: np.random.Generator) -> None:
    for shape, theta in (((2, 3, 4, 5), np.eye(2, 3)), ((1, 2, 3, 4, 2), np.eye(3, 4))):
        x = rng.standard_normal(shape)
        for corners in (False, True):
            with hs.precision("fp64"):
                grid = hs.ops.affine_grid(hs.tensor(np.tile(theta, (shape[0], 1, 1)), "fp64"), shape, corners)
                y = hs.ops.grid_sample(hs.tensor(x, "fp64"), grid, align_corners=corners)
            np.testing.assert_allclose(y.numpy(), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_an_affine_grid_in_half_is_pytorchs(kind: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta = torch.tensor(rng.standard_normal((2, 2, 3))).to(torch.float16 if kind == "fp16" else torch.bfloat16)
    for corners in (False, True):
        expected = torch.nn.functional.affine_grid(theta, (2, 1, 7, 13), corners)
        ours = hs.ops.affine_grid(hs.tensor(theta.float().numpy(), kind), (2, 1, 7, 13), corners)
        np.testing.assert_array_equal(ours.array, expected.float().numpy())


X, G = np.ones((1, 1, 4, 4)), np.zeros((1, 2, 2, 2))
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.ops.grid_sample(X, G, "cubic"), "mode: 'cubic' is not allowed"),
    (lambda: hs.ops.grid_sample(X, G, padding_mode="wrap"), "padding_mode: 'wrap' is not allowed"),
    (lambda: hs.ops.grid_sample(X, G[..., :1]), "grid_sample: input (1, 1, 4, 4) with grid (1, 2, 2, 1)"),
    (lambda: hs.ops.grid_sample(X[0], G[0]), "grid_sample: input (1, 4, 4) with grid (2, 2, 2)"),
    (lambda: hs.ops.grid_sample(X[..., :0], G), "grid_sample: input (1, 1, 4, 0) has no elements"),
    (
        lambda: hs.ops.grid_sample(X[None], np.zeros((1, 1, 1, 1, 3)), "bicubic"),
        "mode: 'bicubic' does not go with input (1, 1, 1, 4, 4)",
    ),
    (lambda: hs.ops.affine_grid(np.ones((1, 2, 2)), (1, 1, 2, 2)), "affine_grid: theta (1, 2, 2) with size"),
    (lambda: hs.ops.affine_grid(np.ones((1, 2, 3)), (1, 1, 0, 2)), "affine_grid: theta (1, 2, 3) with size"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
