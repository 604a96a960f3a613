"""Devices, which change nothing, and the formats that are asked for beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn


class Device:
    def __str__(self) -> str:
        return "a device"

    type, index = "cuda", 0


DEVICES = ["cpu", "cuda", "cuda:1", "mps", "meta", Device(), 0]


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_devices_change_nothing(device: Any) -> None:
    layer = nn.Linear(2, 1)
    weight = layer.weight.bits()
    assert layer.to(device) is layer.to(device=device) is layer.cuda(device) is layer.cpu() is layer
    assert layer.to(device, non_blocking=True).conversion is None
    np.testing.assert_array_equal(layer.weight.bits(), weight)
    assert layer.to(device, "fp16").weight.format is hs.float16
    assert layer.to(device, hs.bfloat16, True).weight.format is hs.bfloat16
    assert layer.to(device=device, dtype="fp32").weight.format is hs.float32


@pytest.mark.parametrize(
    "asked", [hs.float16, "fp16", "half", np.float16, np.dtype("float16"), hs.tensor([1.0], "fp16")]
)
def test_formats_are_asked_for_in_many_ways(asked: Any) -> None:
    assert nn.Linear(2, 1).to(asked).weight.format is hs.float16
    if not isinstance(asked, hs.Tensor):
        assert nn.Linear(2, 1).type(asked).weight.format is hs.float16


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        (nn.Linear, (2, 3)),
        (nn.Conv2d, (1, 2, 3)),
        (nn.LSTM, (2, 3)),
        (nn.Embedding, (3, 2)),
        (nn.MultiheadAttention, (4, 2)),
        (nn.PReLU, ()),
        (nn.TransformerEncoderLayer, (4, 2)),
        (nn.BatchNorm1d, (2,)),
    ],
)
def test_layers_take_device_and_dtype(build: Any, sizes: Any) -> None:
    layer = build(*sizes, device="cuda", dtype="fp16")
    assert {p.format for p in layer.parameters()} == {hs.float16}
    assert layer.conversion is None
    assert next(build(*sizes, device=None, dtype=None).parameters()).format is hs.float32


def test_other_layers_do_not() -> None:
    for build in (nn.ReLU, nn.MSELoss, nn.Dropout):
        with pytest.raises(TypeError, match=f"{build.__name__}: device is not allowed"):
            build(device="cpu")

    class Own(nn.Module):
        pass

    with pytest.raises(TypeError):
        Own(device="cpu")  # type: ignore[call-arg]


def test_what_is_no_place_is_refused() -> None:
    layer = nn.Linear(2, 1)
    for wrong in ("gpu", "cud:0", "fp17"):
        with pytest.raises(ValueError, match=f"format: '{wrong}'"):
            layer.to(wrong)
        with pytest.raises(ValueError, match=f"device: '{wrong}'"):
            layer.cuda(wrong)
    with pytest.raises(TypeError, match="to: two formats"):
        layer.to("fp16", dtype="fp32")
    with pytest.raises(ValueError, match="device: 1.5"):
        nn.Linear(2, 1, device=1.5)  # type: ignore[call-arg]


def test_the_rest_of_a_modules_methods_are_there() -> None:
    layer = nn.Linear(2, 1)
    assert layer.share_memory() is layer.to_empty(device="meta") is layer.xpu() is layer
    assert layer.compile() is None


def test_tied_weights_stay_one() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight"]
    assert len(list(model.named_parameters(remove_duplicate=False))) == 2
    assert list(model.state_dict()) == ["0.weight", "1.weight"]
    ones = {name: np.ones((5, 4)) for name in model.state_dict()}
    for change in (model.half, lambda: model.to("cuda", "bf16"), lambda: model.load_state_dict(ones)):
        change()
        assert model[0].weight is model[1].weight
    assert model[1].weight.tolist() == np.ones((5, 4)).tolist()
    (model(np.array([[1, 2]])) ** 2.0).sum().backward()
    assert model[0].weight.grad is model[1].weight.grad is not None


def test_assigned_values_keep_their_format() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.load_state_dict({"weight": hs.tensor([[0.1, 0.2]], "fp16")})
    assert layer.weight.format is hs.float32
    layer.load_state_dict({"weight": hs.tensor([[0.1, 0.2]], "fp16")}, assign=True)
    assert layer.weight.format is hs.float16
    keys = layer.load_state_dict({"other": np.ones(1)}, strict=False)
    assert (keys.missing_keys, keys.unexpected_keys) == (["weight"], ["other"])


def test_modules_are_walked_as_pytorchs() -> None:
    inner = nn.Linear(1, 1)
    model = nn.Sequential(inner, nn.Sequential(inner, nn.ReLU()))
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "1.1"]
    assert [name for name, _ in model.named_modules({inner}, "m")] == ["m", "m.1", "m.1.1"]
    assert [name for name, _ in model.named_modules(remove_duplicate=False)] == ["", "0", "1", "1.0", "1.1"]
    model.set_submodule("1.0", nn.Tanh())
    assert repr(model[1][0]) == "Tanh()"
    with pytest.raises(AttributeError, match="module: '1.7'"):
        model.set_submodule("1.7", nn.Tanh(), strict=True)


def test_buffers_may_be_assigned() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = nn.Buffer(hs.tensor([1.0]))
            self.passing = nn.Buffer(hs.tensor([2.0]), persistent=False)

    net = Net()
    assert [name for name, _ in net.named_buffers()] == ["kept", "passing"]
    assert list(net.state_dict()) == ["kept"]
    assert list(net.parameters()) == []
    assert net.half().kept.format is hs.float16


def test_modules_print_as_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def build(nn: Any) -> Any:
        class Own(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)] + [nn.ReLU()])
                self.heads = nn.ModuleDict({"a": nn.Sequential(nn.Linear(1, 1)), "b": nn.Identity()})
                self.core = nn.TransformerEncoderLayer(4, 2)
                self.rest = nn.Sequential()

            def extra_repr(self) -> str:
                return "first line\nsecond line"

        return Own()

    assert repr(build(hs.nn)) == repr(build(torch.nn))
