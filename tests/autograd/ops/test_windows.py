"""Convolutions, pooling and padding against PyTorch: recorded results, and random ones where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.window_cases import CASES, operands, seed_of

RECORDED = np.load(Path(__file__).parents[2] / "recorded" / "windows.npz")


@pytest.mark.parametrize("name", CASES)
def test_recorded_results_and_gradients(name: str) -> None:
    function, _, options = CASES[name]
    tensors = [hs.tensor(a, "fp64", requires_grad=True) for a in operands(name)]
    with hs.precision("fp64"):
        y = getattr(hs.ops, function)(*tensors, **options)
        y.backward(seed_of(name, y.shape))
    np.testing.assert_allclose(y.numpy(), RECORDED[f"{name}.y"], rtol=1e-9, atol=1e-12)
    for i, t in enumerate(tensors):
        assert t.grad is not None
        np.testing.assert_allclose(t.grad.numpy(), RECORDED[f"{name}.grad{i}"], rtol=1e-9, atol=1e-12)


class Draw:
    """Random shapes and options."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dims, self.groups = self(1, 3), self(1, 3)
        self.kernel = tuple(self(1, 3) for _ in range(self.dims))
        batch: tuple[int, ...] = (self(1, 3),) if self(0, 3) else ()
        self.channels = self.groups * self(1, 2)
        self.shape = (*batch, self.channels, *(self(3, 9 if self.dims < 3 else 5) for _ in range(self.dims)))

    def __call__(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def sizes(self, low: int, high: int) -> Any:
        return self(low, high) if self(0, 1) else tuple(self(low, high) for _ in range(self.dims))

    def convolution(self) -> tuple[str, list[tuple[int, ...]], dict[str, Any]]:
        options = {"stride": self.sizes(1, 3), "padding": self.sizes(0, 2), "dilation": self.sizes(1, 2)}
        if not self(0, 4):
            options |= {"stride": 1, "padding": "same"}
        per, outputs = self.channels // self.groups, self.groups * self(1, 2)
        shapes = [self.shape, (outputs, per, *self.kernel), (outputs,)][: self(2, 3)]
        return f"conv{self.dims}d", shapes, options | {"groups": self.groups}

    def transposed(self) -> tuple[str, list[tuple[int, ...]], dict[str, Any]]:
        options = {"stride": self.sizes(2, 3), "padding": self.sizes(0, 1), "dilation": self.sizes(1, 2)}
        options |= {"output_padding": self.sizes(0, 1), "groups": self.groups}
        per = self(1, 2)
        shapes = [self.shape, (self.channels, per, *self.kernel), (self.groups * per,)][: self(2, 3)]
        return f"conv_transpose{self.dims}d", shapes, options

    def pooling(self, kind: str) -> tuple[str, list[tuple[int, ...]], dict[str, Any]]:
        options = {"kernel_size": self.sizes(2, 3), "padding": self.sizes(0, 1), "ceil_mode": bool(self(0, 1))}
        options |= {"stride": self.sizes(1, 3)} if self(0, 1) else {}
        if kind == "avg":
            options |= {"count_include_pad": bool(self(0, 1))}
        return f"{kind}_pool{self.dims}d", [self.shape], options

    def adaptive(self, kind: str) -> tuple[str, list[tuple[int, ...]], dict[str, Any]]:
        return f"adaptive_{kind}_pool{self.dims}d", [self.shape], {"output_size": self.sizes(1, 10)}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("seed", range(40))
def test_random_shapes_and_options_against_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    draw = Draw(seed)
    cases = [draw.convolution(), draw.transposed(), draw.pooling("max"), draw.pooling("avg")]
    cases += [draw.adaptive("avg"), draw.adaptive("max")]
    for function, shapes, options in cases:
        arrays = [np.round(draw.rng.standard_normal(shape), 1) for shape in shapes]
        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        ours = [hs.tensor(a, "fp64", requires_grad=True) for a in arrays]
        try:
            expected = getattr(torch.nn.functional, function)(*theirs, **options)
        except RuntimeError:
            with pytest.raises(ValueError, match="allowed"):
                getattr(hs.ops, function)(*ours, **options)
            continue
        y = getattr(hs.ops, function)(*ours, **options)
        seed_gradient = draw.rng.standard_normal(y.shape)
        expected.backward(torch.tensor(seed_gradient))
        y.backward(seed_gradient)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9)
        for a, b in zip(ours, theirs, strict=True):
            assert a.grad is not None
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-9)


def test_indices_of_the_largest_against_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    for kernel, stride, padding, dilation, ceil in [(2, 2, 0, 1, False), (3, 1, 1, 1, True), (3, 2, 1, 2, True)]:
        x = np.round(rng.standard_normal((2, 3, 8, 7)))
        x[rng.random(x.shape) < 0.2], x[rng.random(x.shape) < 0.05] = -np.inf, np.nan
        y, found = hs.ops.max_pool2d(hs.tensor(x), kernel, stride, padding, dilation, ceil, return_indices=True)
        expected = torch.nn.functional.max_pool2d(
            torch.tensor(x), kernel, stride, padding, dilation, ceil, return_indices=True
        )
        np.testing.assert_array_equal(y.numpy(), expected[0].numpy())
        np.testing.assert_array_equal(found, expected[1].numpy())


def test_windows_that_see_nothing_but_padding_leave_the_bias() -> None:
    x, weight = hs.tensor(np.ones((1, 1, 2, 2))), hs.tensor(np.ones((1, 1, 1, 1)))
    y = hs.nn.functional.conv2d(x, weight, hs.tensor([2.0]), stride=9, padding=4)
    assert y.tolist() == [[[[2, 2], [2, 2]]]]
