"""Convolution and pooling layers: names, shapes, words and errors as PyTorch's; a network of them learns."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import halfsim as hs

REPRS = [
    (
        hs.nn.Conv2d(4, 6, 3, padding="same", groups=2, padding_mode="reflect", bias=False, dilation=2),
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=same, dilation=(2, 2), groups=2, bias=False, "
        "padding_mode=reflect)",
    ),
    (
        hs.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
        "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
    ),
    (hs.nn.Conv1d(2, 3, 3, padding=1), "Conv1d(2, 3, kernel_size=(3,), stride=(1,), padding=(1,))"),
    (hs.nn.Conv2d(2, 3, (3, 2), padding="valid"), "Conv2d(2, 3, kernel_size=(3, 2), stride=(1, 1), padding=valid)"),
    (hs.nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
    (
        hs.nn.MaxPool1d(3, 2, 1, 2, ceil_mode=True),
        "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True)",
    ),
    (hs.nn.AvgPool2d(2), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
    (hs.nn.AvgPool1d(2, 3, 1), "AvgPool1d(kernel_size=(2,), stride=(3,), padding=(1,))"),
    (hs.nn.AdaptiveAvgPool2d((None, 3)), "AdaptiveAvgPool2d(output_size=(None, 3))"),
    (hs.nn.AdaptiveAvgPool1d(2), "AdaptiveAvgPool1d(output_size=2)"),
]


@pytest.mark.parametrize(("layer", "text"), REPRS)
def test_layers_are_written_as_in_pytorch(layer: hs.nn.Module, text: str) -> None:
    assert repr(layer) == text


def test_parameters_have_pytorchs_names_shapes_and_spread() -> None:
    for layer, shape in (
        (hs.nn.Conv1d(6, 40, 5, groups=2), (40, 3, 5)),
        (hs.nn.Conv2d(6, 40, (3, 5), groups=2), (40, 3, 3, 5)),
        (hs.nn.ConvTranspose1d(6, 40, 5, groups=2), (6, 20, 5)),
        (hs.nn.ConvTranspose2d(6, 40, (3, 5), groups=2), (6, 20, 3, 5)),
    ):
        state = {name: value.numpy() for name, value in layer.state_dict().items()}
        assert {name: value.shape for name, value in state.items()} == {"weight": shape, "bias": (40,)}
        bound = np.prod(shape[1:]) ** -0.5
        assert 0.95 * bound < np.abs(state["weight"]).max() <= bound
        assert 0.7 * bound < np.abs(state["bias"]).max() <= bound
        assert list(type(layer)(6, 40, 3, bias=False).state_dict()) == ["weight"]
    with hs.precision("fp64"):
        assert hs.nn.Conv2d(1, 1, 1).weight.format is hs.float64


def test_layers_call_their_operations(rng: np.random.Generator) -> None:
    x, line = hs.tensor(rng.standard_normal((2, 4, 7, 6))), hs.tensor(rng.standard_normal((2, 4, 9)))
    conv, row = hs.nn.Conv2d(4, 6, 3, 2, 1, 2, 2), hs.nn.Conv1d(4, 6, 3, 2, 1, 2, 2)
    back, line_back = hs.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), hs.nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2)
    pairs = [
        (conv(x), hs.ops.conv2d(x, conv.weight, conv.bias, 2, 1, 2, 2)),
        (row(line), hs.ops.conv1d(line, row.weight, row.bias, 2, 1, 2, 2)),
        (back(x), hs.ops.conv_transpose2d(x, back.weight, back.bias, 2, 1, 1, 2)),
        (line_back(line), hs.ops.conv_transpose1d(line, line_back.weight, line_back.bias, 2, 1, 1, 2)),
        (hs.nn.MaxPool2d(3, 2, 1)(x), hs.ops.max_pool2d(x, 3, 2, 1)),
        (hs.nn.MaxPool2d(2, return_indices=True)(x)[0], hs.ops.max_pool2d(x, 2)),
        (hs.nn.MaxPool1d(3, 2, 1, 1, ceil_mode=True)(line), hs.ops.max_pool1d(line, 3, 2, 1, 1, True)),
        (hs.nn.AvgPool2d(3, 2, 1, True, False, 5)(x), hs.ops.avg_pool2d(x, 3, 2, 1, True, False, 5)),
        (hs.nn.AvgPool1d(3, 2, 1, True, False)(line), hs.ops.avg_pool1d(line, 3, 2, 1, True, False)),
        (hs.nn.AdaptiveAvgPool2d((3, None))(x), hs.ops.adaptive_avg_pool2d(x, (3, 6))),
        (hs.nn.AdaptiveAvgPool1d(4)(line), hs.ops.adaptive_avg_pool1d(line, 4)),
    ]
    for got, expected in pairs:
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 5, 6))
    layer = hs.nn.Conv2d(3, 2, (3, 2), padding=(2, 1), padding_mode=mode)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (1, 1)), {"replicate": "edge", "circular": "wrap"}.get(mode, mode))  # type: ignore[call-overload]
    expected = hs.ops.conv2d(hs.tensor(padded), layer.weight, layer.bias)
    np.testing.assert_array_equal(layer(hs.tensor(x)).numpy(), expected.numpy())
    assert hs.nn.Conv2d(3, 2, (3, 2), padding="same", padding_mode=mode)(hs.tensor(x)).shape == (2, 2, 5, 6)


def test_a_transposed_layer_takes_the_size_wanted() -> None:
    layer, x = hs.nn.ConvTranspose2d(2, 3, 3, 2, 1), hs.tensor(np.zeros((1, 2, 4, 4)))
    assert layer(x).shape == (1, 3, 7, 7)
    assert layer(x, output_size=(8, 7)).shape == (1, 3, 8, 7)
    assert layer(x, output_size=[1, 3, 8, 8]).shape == (1, 3, 8, 8)
    assert layer(x[0], output_size=(8, 8)).shape == (3, 8, 8)
    for size in ((9, 8), (8,), 8, (6, 7)):
        with pytest.raises(ValueError, match=r"output_size: .* allowed: from \[7, 7\] to \[8, 8\]"):
            layer(x, output_size=size)


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.nn.Conv2d(4, 6, 3, groups=3), ValueError, "in_channels: 4 is not allowed; allowed: positive multiples"),
    (lambda: hs.nn.Conv2d(4, 6, 3, groups=4), ValueError, "out_channels: 6 is not allowed"),
    (lambda: hs.nn.Conv2d(4, 8, 3, groups=0), ValueError, "groups: 0 is not allowed; allowed: integers from 1"),
    (lambda: hs.nn.Conv2d(0, 8, 3), ValueError, "in_channels: 0 is not allowed"),
    (lambda: hs.nn.Conv2d(4.0, 8, 3), TypeError, "in_channels: 4.0 is not allowed; allowed: integers"),  # type: ignore[arg-type]
    (lambda: hs.nn.Conv2d(4, 8, (3, 3, 3)), ValueError, "kernel_size: (3, 3, 3) is not allowed"),
    (lambda: hs.nn.Conv2d(4, 8, 3, 0), ValueError, "stride: 0 is not allowed"),
    (lambda: hs.nn.Conv2d(4, 8, 3, padding="sam"), ValueError, "padding: 'sam' is not allowed (did you mean 'same'?)"),
    (lambda: hs.nn.Conv2d(4, 8, 3, 2, "same"), ValueError, "padding: 'same' does not go with stride (2, 2)"),
    (lambda: hs.nn.Conv2d(4, 8, 3, padding_mode="zero"), ValueError, "padding_mode: 'zero' is not allowed (did you"),
    (lambda: hs.nn.ConvTranspose2d(4, 8, 3, padding_mode="reflect"), ValueError, "padding_mode: 'reflect'"),
    (lambda: hs.nn.ConvTranspose2d(4, 8, 3, padding="same"), ValueError, "padding: 'same' is not allowed"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_arguments_get_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


class Flatten(hs.nn.Module):
    def forward(self, x: hs.Tensor) -> hs.Tensor:
        return x.reshape(x.shape[0], -1)


def network(side: int, kernel: int = 3) -> hs.nn.Module:
    parts = (hs.nn.Conv2d(1, 8, kernel, padding="same"), hs.nn.ReLU(), hs.nn.MaxPool2d(2))
    more = (hs.nn.Conv2d(8, 16, kernel, padding="same"), hs.nn.ReLU(), hs.nn.MaxPool2d(2))
    return hs.nn.Sequential(*parts, *more, Flatten(), hs.nn.Linear(16 * (side // 4) ** 2, 10))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("rule", ["fp32", "fp16", "amp"])
def test_a_step_needs_little_more_memory_than_its_activations(rule: str, kernel: int, rng: np.random.Generator) -> None:
    x, y = rng.random((32, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 32)
    model, live = network(28, kernel), x.nbytes
    h = hs.tensor(x)
    with hs.no_grad():
        for part in model.children():
            h = part(h)
            live += h.array.nbytes * (not isinstance(part, Flatten))
    optimizer = hs.optim.SGD(model.to("fp16" if rule == "fp16" else "fp32").parameters(), lr=0.1)
    images = hs.tensor(x, "fp16" if rule == "fp16" else "fp32")

    def step() -> None:
        with hs.precision(rule):
            optimizer.zero_grad()
            hs.nn.cross_entropy(model(images), y).backward()
            optimizer.step()

    step()
    gc.collect()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * live


@pytest.mark.parametrize("rule", ["fp32", "amp"])
def test_a_small_network_learns(rule: str, rng: np.random.Generator) -> None:
    """To tell a bright row from a bright column, wherever it is."""
    y = rng.integers(0, 2, 64)
    x = rng.random((64, 1, 8, 8)) * 0.3
    for image, label in zip(x, y, strict=True):
        np.moveaxis(image[0], label, 0)[rng.integers(0, 8)] += 1
    hs.manual_seed(1)
    model, images = network(8), hs.tensor(x, "fp32")
    optimizer = hs.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = hs.amp.GradScaler(enabled=rule == "amp")
    losses = []
    for _ in range(40):
        with hs.precision(rule):
            optimizer.zero_grad()
            loss = hs.nn.cross_entropy(model(images), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
