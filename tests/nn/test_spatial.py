"""Layers of pooling, padding, size and order: PyTorch's words, and each the operation of its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

X = np.random.default_rng(0).standard_normal((2, 4, 6, 4))
LINE, CUBE = X[:, :, 0], np.random.default_rng(1).standard_normal((2, 4, 3, 5, 4))
SAMPLES = np.array([[[0.3, 0.8]] * 4] * 2)

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], np.ndarray]] = [
    ("MaxPool3d", (2,), {"stride": 1, "ceil_mode": True}, CUBE),
    ("AvgPool3d", ((2, 3, 2),), {"padding": 1, "divisor_override": 5}, CUBE),
    ("AdaptiveAvgPool3d", ((2, None, 1),), {}, CUBE),
    ("AdaptiveMaxPool1d", (3,), {}, LINE),
    ("AdaptiveMaxPool2d", ((2, None),), {}, X),
    ("AdaptiveMaxPool3d", (2,), {}, CUBE),
    ("LPPool1d", (2, 2), {}, LINE),
    ("LPPool2d", (2, 2), {"stride": 1}, X),
    ("LPPool3d", (2, 2), {"ceil_mode": True}, CUBE),
    ("FractionalMaxPool2d", (2,), {"output_size": 3, "_random_samples": SAMPLES}, X),
    ("Upsample", (), {"scale_factor": 2}, LINE),
    ("Upsample", (), {"size": (3, 7), "mode": "bicubic", "align_corners": True}, X),
    ("UpsamplingNearest2d", (), {"scale_factor": 1.5}, X),
    ("UpsamplingBilinear2d", (), {"size": (5, 9)}, X),
    ("Unfold", ((2, 3),), {"padding": 1, "stride": 2}, X),
    ("Fold", ((4, 4), 2), {"stride": 2}, X[:, :, 0].reshape(2, 4, 4)),
    ("PixelShuffle", (2,), {}, X),
    ("PixelUnshuffle", (2,), {}, X),
    ("ChannelShuffle", (2,), {}, X),
    ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 2.0}, X),
    ("LocalResponseNorm", (2,), {"beta": 0.5}, LINE),
    ("ReflectionPad1d", ((2, 1),), {}, LINE),
    ("ReflectionPad2d", (2,), {}, X),
    ("ReflectionPad3d", (1,), {}, CUBE),
    ("ReplicationPad1d", (3,), {}, LINE),
    ("ReplicationPad2d", ((1, 2, 3, 4),), {}, X[0]),
    ("ReplicationPad3d", (2,), {}, CUBE),
    ("CircularPad1d", (1,), {}, LINE),
    ("CircularPad2d", ((1, 2, 0, 1),), {}, X),
    ("CircularPad3d", (1,), {}, CUBE),
    ("ZeroPad1d", (2,), {}, LINE),
    ("ZeroPad2d", ((1, -1, 2, 0),), {}, X),
    ("ZeroPad3d", (1,), {}, CUBE),
    ("ConstantPad1d", (2, 3.5), {}, LINE),
    ("ConstantPad2d", (1, -0.5), {}, X),
    ("ConstantPad3d", ((1, 0, 2, 0, 0, 1), 1.0), {}, CUBE),
    ("InstanceNorm3d", (4,), {"affine": True}, CUBE),
    ("BatchNorm3d", (4,), {"momentum": 0.3}, CUBE),
]


@pytest.mark.parametrize(("name", "args", "options", "x"), LAYERS)
def test_layers_are_pytorchs(name: str, args: Any, options: dict[str, Any], x: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    given = {key: torch.tensor(v) if isinstance(v, np.ndarray) else v for key, v in options.items()}
    theirs = getattr(torch.nn, name)(*args, **given).double()
    ours = getattr(hs.nn, name)(*args, **options).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    a, b = torch.tensor(x, requires_grad=True), hs.tensor(x, "fp64", requires_grad=True)
    with hs.precision("fp64"):
        y = ours(b)
    expected = theirs(a)
    g = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    assert b.grad is not None
    np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted({name for name, *_ in LAYERS} | {"Conv3d", "ConvTranspose3d", "MaxUnpool3d"}))
def test_arguments_have_pytorchs_names_and_defaults(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def arguments(layer: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(layer).parameters.values()
        return [(p.name, p.default) for p in parameters if p.name not in ("device", "dtype")]  # see test_placement.py

    assert arguments(getattr(hs.nn, name)) == arguments(getattr(torch.nn, name))


def test_layers_without_pytorch() -> None:
    x = hs.tensor(X, "fp64")
    pooled, found = hs.nn.MaxPool2d(2, return_indices=True)(x)
    back = hs.nn.MaxUnpool2d(2)(pooled, found)
    assert back.shape == x.shape
    np.testing.assert_array_equal(hs.nn.MaxPool2d(2)(back).numpy(), np.maximum(pooled.numpy(), 0))
    y, indices = hs.nn.AdaptiveMaxPool2d(1, return_indices=True)(x)
    np.testing.assert_array_equal(y.numpy()[..., 0, 0], X.max((2, 3)))
    assert np.asarray(indices).shape == (2, 4, 1, 1)
    np.testing.assert_array_equal(hs.nn.ZeroPad2d((1, 0, 0, 2))(x).numpy(), np.pad(X, ((0, 0), (0, 0), (0, 2), (1, 0))))
    np.testing.assert_array_equal(hs.nn.CircularPad2d(1)(x).numpy()[..., 0, 1:-1], X[..., -1, :])
    np.testing.assert_array_equal(hs.nn.PixelUnshuffle(2)(hs.nn.PixelShuffle(2)(x)).numpy(), X)
    assert hs.nn.MaxUnpool1d(2)(x[:, :, 0], np.array([[[0, 2, 4, 6]] * 4] * 2), [8]).shape == (2, 4, 8)
    pooled, found = hs.nn.MaxPool3d(1, return_indices=True)(hs.tensor(CUBE))
    np.testing.assert_array_equal(hs.nn.MaxUnpool3d(1)(pooled, found).numpy(), pooled.numpy())
    assert hs.nn.FractionalMaxPool3d(1, output_ratio=0.5)(hs.tensor(CUBE)).shape == (2, 4, 1, 2, 2)


def test_convolutions_of_three_axes() -> None:
    x = hs.tensor(np.random.default_rng(0).standard_normal((2, 4, 3, 4, 5)))
    conv = hs.nn.Conv3d(4, 6, (1, 2, 3), stride=(1, 2, 1), padding=1, groups=2)
    assert conv.weight.shape == (6, 2, 1, 2, 3)
    expected = hs.ops.conv3d(x, conv.weight, conv.bias, (1, 2, 1), 1, 1, 2)
    np.testing.assert_array_equal(conv(x).numpy(), expected.numpy())
    back = hs.nn.ConvTranspose3d(4, 2, 3, stride=2, padding=1)
    assert back(x, output_size=(6, 7, 10)).shape == (2, 2, 6, 7, 10)
    padded = hs.nn.Conv3d(4, 1, 3, padding="same", padding_mode="circular")
    around = np.pad(x.numpy(), ((0, 0), (0, 0), *[(1, 1)] * 3), mode="wrap")
    np.testing.assert_allclose(padded(x).numpy(), hs.ops.conv3d(around, padded.weight, padded.bias).numpy(), rtol=1e-5)
    assert hs.nn.Conv3d(1, 1, 1, device="cuda", dtype="fp16").weight.format is hs.float16
    assert hs.nn.BatchNorm3d(3, dtype="fp16").running_mean.format is hs.float16


def test_a_batch_of_one_process() -> None:
    model = hs.nn.Sequential(
        hs.nn.Linear(3, 4), hs.nn.BatchNorm1d(4), hs.nn.Sequential(hs.nn.BatchNorm2d(2, affine=False))
    )
    model.eval()
    converted = hs.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(converted[1], hs.nn.SyncBatchNorm)
    assert isinstance(converted[2][0], hs.nn.SyncBatchNorm)
    assert converted[1].weight is not None
    assert not converted[1].training
    x = hs.tensor(np.random.default_rng(0).standard_normal((5, 4)))
    plain, synced = hs.nn.BatchNorm1d(4), hs.nn.SyncBatchNorm.convert_sync_batchnorm(hs.nn.BatchNorm1d(4))
    np.testing.assert_array_equal(synced(x).numpy(), plain(x).numpy())
    np.testing.assert_array_equal(synced.running_var.numpy(), plain.running_var.numpy())
    assert synced(hs.tensor(np.ones((2, 4, 3, 2, 2, 2)))).shape == (2, 4, 3, 2, 2, 2)


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.nn.ReflectionPad2d((1, 2)), ValueError, "padding: (1, 2) is not allowed; allowed: an integer or 4"),
    (lambda: hs.nn.ReplicationPad1d(1.5), TypeError, "padding: 1.5 is not allowed; allowed: integers"),
    (
        lambda: hs.nn.CircularPad2d(1)(LINE[0]),
        ValueError,
        "CircularPad2d: input (4, 4) is not allowed; allowed: (N, C,",
    ),
    (lambda: hs.nn.MaxUnpool2d((2, 2, 2)), ValueError, "kernel_size: (2, 2, 2) is not allowed"),
    (
        lambda: hs.nn.FractionalMaxPool2d(2),
        ValueError,
        "output_size: None with output_ratio None; allowed: one of them",
    ),
    (lambda: hs.nn.FractionalMaxPool2d(2, output_ratio=2.0), ValueError, "output_ratio: 2.0 is not allowed"),
    (lambda: hs.nn.SyncBatchNorm(3)(hs.tensor([1.0])), ValueError, "SyncBatchNorm: 1 dimensions are not allowed"),
    (lambda: hs.nn.BatchNorm3d(4)(X), ValueError, "BatchNorm3d: 4 dimensions are not allowed; allowed: 5"),
    (lambda: hs.nn.BatchNorm2d(4, eps=0.0)(X), ValueError, "eps: 0.0 is not allowed; allowed: positive numbers"),
    (lambda: hs.nn.Conv3d(1, 1, (1, 2)), ValueError, "kernel_size: (1, 2) is not allowed"),
    (
        lambda: hs.nn.LazyConv2d,
        AttributeError,
        "nn.LazyConv2d: shapes are not found from the first input; allowed: Conv2d",
    ),
    (lambda: hs.nn.Conv9d, AttributeError, "halfsim.nn has no attribute 'Conv9d'"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
