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
        (hs.ops.dropout3d, (50, 4, 3, 2, 1), (2, 3, 4)),
        (hs.ops.dropout3d, (50, 3, 2, 1), (1, 2, 3)),
    ],
)
def test_whole_channels(function: Callable[..., hs.Tensor], shape: tuple[int, ...], whole: tuple[int, ...]) -> None:
    y = function(hs.tensor(np.ones(shape)), 0.5).numpy()
    assert set(np.unique(y)) == {0, 2}
    np.testing.assert_array_equal(y.min(whole), y.max(whole))


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_whole_channels_keep_their_factor_in_the_format(kind: str, rng: np.random.Generator) -> None:
    """1 / (1 - p) is rounded to half before the product, as in PyTorch, where it is a tensor."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    dtype = torch.float16 if kind == "fp16" else torch.bfloat16
    x = torch.tensor(rng.standard_normal((40, 5, 30))).to(dtype)
    y = hs.ops.dropout1d(hs.tensor(x.float().numpy(), kind), 0.3)
    factor = torch.ones((), dtype=dtype).div_(1 - 0.3)
    np.testing.assert_array_equal(y.array, np.where(y.array == 0, 0, (x * factor).float().numpy()))


@pytest.mark.parametrize("kind", ["fp64", "fp16", "bf16"])
def test_alpha_dropout_is_pytorchs_composition(kind: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    dtype = {"fp64": torch.float64, "fp16": torch.float16, "bf16": torch.bfloat16}[kind]
    p, alpha = 0.3, 1.7580993408473766
    theirs = torch.tensor(rng.standard_normal((50, 40))).to(dtype).requires_grad_()
    x = hs.tensor(theirs.detach().double().numpy(), kind, requires_grad=True)
    y, g = hs.ops.alpha_dropout(x, p, training=True), torch.tensor(rng.standard_normal((50, 40))).to(dtype)
    values, counts = np.unique(y.array, return_counts=True)
    dropped = y.array == values[counts.argmax()]
    assert dropped.mean() == pytest.approx(p, abs=0.05)
    noise = torch.tensor(~dropped).to(dtype)
    a = 1.0 / np.sqrt((alpha * alpha * p + 1) * (1 - p))
    shift = noise.add(-1).mul_(alpha * a).add_(alpha * a * p)
    expected = torch.mul(theirs, noise.mul_(a)).add_(shift)
    expected.backward(g)
    y.backward(g.double().numpy())
    np.testing.assert_array_equal(y.array, expected.detach().double().numpy())
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.array, theirs.grad.double().numpy())


def test_alpha_dropout_keeps_mean_and_variance(rng: np.random.Generator) -> None:
    hs.manual_seed(0)
    x = hs.tensor(rng.standard_normal(100_000))
    for p in (0.1, 0.5):
        y = hs.ops.alpha_dropout(x, p, training=True).numpy()
        assert y.mean() == pytest.approx(0, abs=0.02)
        assert y.var() == pytest.approx(1, abs=0.02)
    assert hs.ops.alpha_dropout(x) is x
    whole = hs.ops.feature_alpha_dropout(hs.tensor(np.ones((50, 4, 3, 2))), 0.5, training=True).numpy()
    assert (whole.min((2, 3)) == whole.max((2, 3))).all()
    assert len(np.unique(whole)) == 2
    none = hs.ops.alpha_dropout(hs.tensor([1.0, np.inf]), 1.0, training=True).numpy()
    np.testing.assert_array_equal(none, [0, np.nan])


def test_layers() -> None:
    x = hs.tensor(np.ones((4, 5, 6)))
    for layer in (hs.nn.Dropout(), hs.nn.Dropout1d(), hs.nn.Dropout2d()):
        assert repr(layer) == f"{type(layer).__name__}(p=0.5, inplace=False)"
        assert (layer(x).numpy() == 0).any()
        assert layer.eval()(x) is x
    image = hs.tensor(np.ones((4, 5, 3, 2, 2)))
    for layer in (hs.nn.Dropout3d(), hs.nn.AlphaDropout(), hs.nn.FeatureAlphaDropout()):
        assert repr(layer) == f"{type(layer).__name__}(p=0.5, inplace=False)"
        assert (layer(image).numpy() != 1).any()
        assert layer.eval()(image) is image


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.nn.Dropout(1.5), "p: 1.5 is not allowed; allowed: numbers from 0 to 1"),
    (lambda: hs.nn.Dropout(float("nan")), "p: nan"),
    (lambda: hs.ops.dropout([1.0], 2.0), "p: 2.0"),
    (lambda: hs.ops.dropout([1.0], -0.1, training=False), "p: -0.1"),
    (lambda: hs.ops.dropout1d(np.ones(3)), "dropout1d: input (3,) is not allowed; allowed: 2 or 3 dimensions"),
    (lambda: hs.ops.dropout2d(np.ones((3, 2))), "dropout2d: input (3, 2)"),
    (lambda: hs.ops.dropout3d(np.ones((3, 2, 1))), "dropout3d: input (3, 2, 1)"),
    (lambda: hs.ops.feature_alpha_dropout(np.ones(3), 0.5, True), "feature_alpha_dropout: input (3,)"),
    (lambda: hs.ops.alpha_dropout([1.0], 2.0), "p: 2.0"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
