"""Normalisation layers against what PyTorch computes, recorded, and their edge cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.modules import HALVES, LAYERS, MIXED

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "modules.npz")


def recorded(prefix: str) -> dict[str, np.ndarray]:
    start = f"{prefix}."
    return {key[len(start) :]: RECORDED[key] for key in RECORDED.files if key.startswith(start)}


def agree(got: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_gradients_and_statistics_are_pytorchs(name: str) -> None:
    kind, args, options, _ = LAYERS[name]
    known = recorded(name)
    with hs.precision("fp64"):
        layer = getattr(hs.nn, kind)(*args, **options)
        assert list(layer.state_dict()) == list(recorded(f"{name}.before"))
        layer.load_state_dict(recorded(f"{name}.before"))
        first, *values, g = known["in"]
        layer(hs.tensor(first))
        for i, phase in enumerate(("train", "eval")):
            layer.train(phase == "train").zero_grad()
            x = hs.tensor(values[i], requires_grad=True)
            y = layer(x)
            y.backward(g)
            agree(y, known["out"][2 * i])
            agree(x.grad, known["out"][2 * i + 1])
            for key, p in layer.named_parameters():
                agree(p.grad, known[f"{phase}.d{key}"])
    after = recorded(f"{name}.after")
    for key, value in layer.state_dict().items():
        agree(value, after[key])
        assert np.shape(value) == after[key].shape
        assert (key == "num_batches_tracked") == (getattr(value, "dtype", None) == np.int64)


@pytest.mark.parametrize("name", HALVES + MIXED)
def test_half_precision_is_within_one_ulp_of_pytorchs(name: str) -> None:
    """Both compute in float32 and store once; the order of a float32 sum is each library's own."""
    kind, args, options, _ = LAYERS[name]
    known = recorded(f"{name}.half")
    layer = getattr(hs.nn, kind)(*args, **options).to("fp16" if name in HALVES else "fp32")
    layer.load_state_dict({key: known[key] for key in layer.state_dict()})
    for scale in (2.0**-10, 4.0):
        y = layer(hs.tensor(known[f"x{scale}"]))
        assert y.format is hs.float16
        expected = known[f"y{scale}"].astype(np.float64)
        error = np.abs(y.numpy() - expected) / np.asarray(hs.ulp(expected, "float16"))
        assert error.max() <= 1
        assert (error == 0).mean() > 0.9


def test_running_statistics_are_rounded_to_their_format_and_seen() -> None:
    """The mean 1 moves by 1e-4 * (1.25 - 1), below half an ulp of float16: there it stalls, in float32 it goes on."""
    x = np.float32([[1.25], [1.75], [1.25], [0.75]])
    layer, wide = hs.nn.BatchNorm1d(1, momentum=1e-4).half(), hs.nn.BatchNorm1d(1, momentum=1e-4)
    expected = np.float32(1)
    for norm in (layer, wide):
        norm.load_state_dict({**norm.state_dict(), "running_mean": [1.0]})
    with hs.trace() as t:
        for _ in range(20):
            layer(hs.tensor(x, "fp16"))
            wide(hs.tensor(x))
            expected = np.float32(1.25) * np.float32(1e-4) + expected * np.float32(1 - 1e-4)
    assert layer.running_mean.format is hs.float16
    assert layer.running_mean.item() == 1
    assert wide.running_mean.item() == expected > 1.0004
    assert ("forward", "", "running_average", "running_mean") in t.totals
    assert int(layer.num_batches_tracked) == 20


def test_statistics_of_float32_serve_an_input_of_float16() -> None:
    """As in PyTorch: under a Policy the result and dx have the input's format; weight and statistics keep theirs."""
    layer = hs.nn.BatchNorm1d(2)
    layer.load_state_dict({**layer.state_dict(), "weight": [1 + 2.0**-20, 3.0]})
    for rule in ("amp", "promote"):
        with hs.precision(rule):
            x = hs.tensor([[1.0, 2.0], [2.0, 5.0], [4.0, 4.0]], "fp16", requires_grad=True)
            y = layer(x)
            (y * y).sum().backward()
        assert y.format is hs.float16
        assert x.grad is not None
        assert x.grad.format is hs.float16
        assert layer.running_mean.format is hs.float32
        assert layer.weight.grad is not None
        assert layer.weight.grad.format is hs.float32
    assert layer(hs.tensor([[1.0, 2.0], [2.0, 5.0]])).format is hs.float32


def test_formats_under_autocast() -> None:
    x = hs.tensor(np.ones((2, 4, 3)), "fp16")
    with hs.precision("amp"):
        assert hs.nn.LayerNorm(3)(x).format is hs.float32
        assert hs.nn.GroupNorm(2, 4)(x).format is hs.float32
        assert hs.nn.RMSNorm(3)(x).format is hs.float32
        assert hs.nn.InstanceNorm1d(4)(x).format is hs.float16


def test_reset() -> None:
    layer = hs.nn.BatchNorm1d(3)
    before = layer.state_dict()
    layer.load_state_dict({key: np.asarray(value) + 2 for key, value in before.items()})
    layer.reset_running_stats()
    layer.reset_parameters()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(before[key]))


def test_empty_batches_leave_the_statistics() -> None:
    layer = hs.nn.BatchNorm1d(3)
    assert layer(hs.tensor(np.zeros((0, 3)))).shape == (0, 3)
    assert layer.running_mean.numpy().tolist() == [0, 0, 0]
    assert int(layer.num_batches_tracked) == 1
    assert hs.nn.LayerNorm(3)(hs.tensor(np.zeros((0, 3)))).shape == (0, 3)
    assert hs.nn.LayerNorm(0)(hs.tensor(np.zeros((2, 0)))).shape == (2, 0)
    assert hs.nn.GroupNorm(1, 2)(hs.tensor(np.zeros((0, 2, 3)))).shape == (0, 2, 3)
    assert hs.nn.GroupNorm(1, 2)(hs.tensor(np.zeros((2, 2, 0)))).shape == (2, 2, 0)
    assert hs.nn.InstanceNorm1d(2)(hs.tensor(np.zeros((2, 2, 0)))).shape == (2, 2, 0)


def test_looks_are_pytorchs() -> None:
    assert repr(hs.nn.BatchNorm1d(3)) == (
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    )
    assert repr(hs.nn.InstanceNorm2d(3)) == (
        "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)"
    )
    assert repr(hs.nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"
    assert repr(hs.nn.RMSNorm(4)) == "RMSNorm((4,), eps=None, elementwise_affine=True)"


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.nn.BatchNorm1d(3)(np.zeros((1, 3))), "batch_norm: input (1, 3) has one value a channel"),
    (
        lambda: hs.nn.BatchNorm1d(3)(np.zeros((2, 3, 4, 5))),
        "BatchNorm1d: 4 dimensions are not allowed; allowed: 2 or 3",
    ),
    (lambda: hs.nn.BatchNorm2d(3)(np.zeros((2, 3))), "BatchNorm2d: 2 dimensions"),
    (lambda: hs.nn.BatchNorm1d(3)(np.zeros((2, 4))), "batch_norm: weight (3,) does not fit 4 channels"),
    (lambda: hs.nn.BatchNorm1d(-1), "num_features: -1 is not allowed"),
    (lambda: hs.nn.InstanceNorm1d(3)(np.zeros((2, 3, 1))), "instance_norm: input (2, 3, 1) has one value a channel"),
    (lambda: hs.nn.InstanceNorm1d(3, affine=True)(np.zeros((2, 4, 5))), "instance_norm: weight (3,) does not fit"),
    (lambda: hs.nn.GroupNorm(2, 3), "num_channels: 3 is no multiple of num_groups 2"),
    (lambda: hs.nn.GroupNorm(2, 4)(np.zeros((2, 6))), "group_norm: weight (4,) does not fit 6 channels"),
    (lambda: hs.nn.GroupNorm(4, 4)(np.zeros((1, 4))), "group_norm: input (1, 4) has one value a group"),
    (lambda: hs.nn.GroupNorm(2, 4)(np.zeros(4)), "group_norm: 2 groups of (4,)"),
    (lambda: hs.nn.LayerNorm(4)(np.zeros((2, 3))), "layer_norm: input (2, 3) does not end in normalized_shape (4,)"),
    (lambda: hs.nn.LayerNorm(()), "normalized_shape: () is not allowed"),
    (lambda: hs.nn.LayerNorm(2.5), "normalized_shape: 2.5 is not allowed"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
