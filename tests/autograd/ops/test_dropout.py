"""Dropout: one product, one mask for both ways, and PyTorch's edge cases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs


@given(hnp.array_shapes(max_dims=3), st.floats(0, 1), st.integers(0, 99))
def test_values_are_dropped_or_scaled_and_so_are_gradients(shape: tuple[int, ...], p: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, g = rng.uniform(1, 2, shape), rng.uniform(1, 2, shape)
    hs.manual_seed(seed)
    with hs.precision("fp64"):
        t = hs.tensor(x, requires_grad=True)
        y = hs.ops.dropout(t, p)
        y.backward(g)
    assert t.grad is not None
    kept = y.numpy() != 0
    scale = 1 / (1 - p) if p < 1 else 0.0
    np.testing.assert_array_equal(y.numpy(), np.where(kept, x * scale, 0))
    np.testing.assert_array_equal(t.grad.numpy(), np.where(kept, g * scale, 0))


def test_the_share_of_zeros_is_p_and_seeds_repeat() -> None:
    x = hs.tensor(np.ones(100_000), "fp16")
    hs.manual_seed(3)
    first = hs.ops.dropout(x, 0.3).numpy()
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert (hs.ops.dropout(x, 0.3).numpy() != first).any()
    hs.manual_seed(3)
    np.testing.assert_array_equal(hs.ops.dropout(x, 0.3).numpy(), first)


@pytest.mark.parametrize("rule", ["fp16", "pure_fp16"])
def test_the_factor_is_a_constant_of_the_kernel(rule: str, rng: np.random.Generator) -> None:
    """1 / 0.9 is rounded to ``compute``: once in float32 with one store, or in float16."""
    x = rng.standard_normal(1000).astype(np.float16)
    dtype = np.float16 if rule == "pure_fp16" else np.float32
    with hs.precision(rule):
        y = hs.ops.dropout(hs.tensor(x), 0.1).numpy()
    expected = (x.astype(dtype) * dtype(1 / 0.9)).astype(np.float16)
    np.testing.assert_array_equal(y, np.where(y == 0, 0, expected))
    assert 850 < np.count_nonzero(y) < 950


def test_edges() -> None:
    """As recorded from PyTorch: p = 1 gives zeros, but NaN for what is not finite; p = 0 gives the input."""
    x = hs.tensor([1.0, np.inf, np.nan], requires_grad=True)
    y = hs.ops.dropout(x, 1.0)
    np.testing.assert_array_equal(y.numpy(), [0, np.nan, np.nan])
    assert hs.ops.dropout(x, 0.0) is x
    assert hs.ops.dropout(x, 0.5, False) is x
    assert isinstance(hs.ops.dropout([1.0], 0.5, training=False), hs.Tensor)
    assert hs.ops.dropout(hs.tensor(np.zeros((0, 3)))).shape == (0, 3)
    assert hs.ops.dropout(hs.tensor(2.0)).shape == ()


@pytest.mark.parametrize(
    ("function", "shape", "whole"),
    [
        (hs.ops.dropout1d, (50, 4, 3), (2,)),
        (hs.ops.dropout1d, (50, 3), (1,)),
        (hs.ops.dropout2d, (50, 4, 3, 2), (2, 3)),
        (hs.ops.dropout2d, (50, 4, 3), (2,)),
    ],
)
def test_whole_channels(function: Callable[..., hs.Tensor], shape: tuple[int, ...], whole: tuple[int, ...]) -> None:
    y = function(hs.tensor(np.ones(shape)), 0.5).numpy()
    assert set(np.unique(y)) == {0, 2}
    np.testing.assert_array_equal(y.min(whole), y.max(whole))


def test_layers() -> None:
    x = hs.tensor(np.ones((4, 5, 6)))
    for layer in (hs.nn.Dropout(), hs.nn.Dropout1d(), hs.nn.Dropout2d()):
        assert repr(layer) == f"{type(layer).__name__}(p=0.5, inplace=False)"
        assert (layer(x).numpy() == 0).any()
        assert layer.eval()(x) is x


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.nn.Dropout(1.5), "p: 1.5 is not allowed; allowed: numbers from 0 to 1"),
    (lambda: hs.nn.Dropout(float("nan")), "p: nan"),
    (lambda: hs.ops.dropout([1.0], 2.0), "p: 2.0"),
    (lambda: hs.ops.dropout([1.0], -0.1, training=False), "p: -0.1"),
    (lambda: hs.ops.dropout1d(np.ones(3)), "dropout1d: input (3,) is not allowed; allowed: 2 or 3 dimensions"),
    (lambda: hs.ops.dropout2d(np.ones((3, 2))), "dropout2d: input (3, 2)"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
