from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn


def kinds(modules: object) -> list[str]:
    return [type(m).__name__ for m in modules]  # type: ignore[attr-defined]


def test_a_sequential_is_a_list() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Linear(2, 3))
    assert kinds(net[:2]) == ["ReLU", "Tanh"]
    assert isinstance(net[:2], nn.Sequential)
    assert net[-1] is net[2]
    assert net.append(nn.ReLU()) is net
    assert net.extend([nn.Linear(3, 1)]).insert(0, nn.Tanh()) is net
    assert kinds(net) == ["Tanh", "ReLU", "Tanh", "Linear", "ReLU", "Linear"]
    assert list(net.state_dict()) == ["3.weight", "3.bias", "5.weight", "5.bias"]
    assert net[3].weight.name == "3.weight"
    assert isinstance(net.pop(0), nn.Tanh)
    assert net[2].weight.name == "2.weight"
    del net[1:3]
    assert kinds(net) == ["ReLU", "ReLU", "Linear"]
    net[1] = nn.Tanh()
    net += [nn.ReLU()]
    assert kinds(net + nn.Sequential(nn.Linear(1, 1))) == ["ReLU", "Tanh", "Linear", "ReLU", "Linear"]
    assert len(net) == 4


def test_a_sequential_may_have_names() -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(2, 2), act=nn.ReLU(), out=nn.Linear(2, 1)))
    assert list(net.state_dict()) == ["fc.weight", "fc.bias", "out.weight", "out.bias"]
    assert list(net[1:]._modules) == ["act", "out"]
    del net[1]
    assert list(net._modules) == ["fc", "out"]
    assert net(hs.tensor([[1.0, 2.0]])).shape == (1, 1)


def test_a_shared_module_is_called_as_often_as_it_is_held() -> None:
    class Count(nn.Module):
        calls = 0

        def forward(self, x: object) -> object:
            Count.calls += 1
            return x

    one = Count()
    nn.Sequential(one, nn.ReLU(), one)(hs.tensor([1.0]))
    assert Count.calls == 2


def test_lists_dicts_and_parameters_belong_to_their_holder() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.heads = nn.ModuleDict({"b": nn.Linear(2, 1), "a": nn.Linear(2, 1)})
            self.scales = nn.ParameterList([hs.tensor([1.0]), nn.Parameter([2.0])])

    net = Net()
    assert [name for name, _ in net.named_parameters() if name.endswith(("weight", "0", "1"))] == [
        "layers.0.weight",
        "layers.1.weight",
        "heads.b.weight",
        "heads.a.weight",
        "scales.0",
        "scales.1",
    ]
    net.layers.insert(0, nn.ReLU())
    assert kinds(net.layers[1:]) == ["Linear", "Linear"]
    assert net.layers[1].weight.name == "layers.1.weight"
    assert isinstance(net.layers[:1], nn.ModuleList)
    assert list(net.layers[1:]._modules) == ["0", "1"]
    heads = net.heads
    assert list(heads) == list(heads.keys()) == ["b", "a"]
    assert "a" in heads
    assert heads.pop("a") not in list(heads.values())
    heads.update({"c": nn.ReLU()})
    heads.update([("d", nn.ReLU())])
    heads["c"] = nn.Tanh()
    assert kinds(dict(heads.items()).values()) == ["Linear", "Tanh", "ReLU"]
    del heads["d"]
    assert len(heads) == 2
    heads.clear()
    assert not list(heads)
    assert [p.item() for p in net.scales] == [1, 2]
    assert len(net.scales) == 2
    assert net.scales[-1].name == "scales.1"


def test_shapes() -> None:
    x = hs.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0)(x).shape == (24,)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Flatten(0)(hs.tensor(1.0)).shape == (1,)
    assert nn.Flatten()(hs.tensor(np.zeros((0, 3, 4)))).shape == (0, 12)
    assert nn.Unflatten(1, (3, -1))(nn.Flatten()(x)).shape == x.shape
    assert nn.Unflatten(-1, [2, 2])(x).shape == (2, 3, 2, 2)
    assert nn.Identity(54, unused=True)(x) is x
    assert hs.gradcheck(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 3))), x)
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Unflatten(1, (2, 3))) == "Unflatten(dim=1, unflattened_size=(2, 3))"


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: nn.Sequential([nn.ReLU()]), TypeError, "modules: list is not allowed; allowed: Module"),
    (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "index: 1 is not allowed; allowed: -1 to 0"),
    (lambda: nn.Sequential(nn.ReLU()).insert(2, nn.ReLU()), IndexError, "index: 2 is not allowed"),
    (lambda: nn.ModuleDict()["a"], KeyError, "key: 'a' is not there; allowed: []"),
    (lambda: nn.ModuleDict().pop(3), TypeError, "key: 3 is not allowed; allowed: a string"),  # type: ignore[arg-type]
    (lambda: nn.ModuleList()["a"], TypeError, "index: 'a' is not allowed; allowed: integers"),
    (lambda: nn.ParameterDict().popitem(), KeyError, "popitem: the dict is empty"),
    (lambda: nn.MaxPool2d("ab"), TypeError, "kernel_size: 'ab' is not allowed"),  # type: ignore[arg-type]
    (lambda: nn.Flatten(0).forward("ab"), TypeError, "x: 'ab' is not allowed"),
    (
        lambda: nn.RNN(2, 2, 2**31),
        ValueError,
        "num_layers: 2147483648 is not allowed; allowed: integers from 1",
    ),
    (lambda: nn.utils.rnn.invert_permutation([1, 2, 3]), ValueError, "permutation: [1, 2, 3] is not allowed"),
    (lambda: nn.utils.clip_grad_value_({}, 1.0), TypeError, "parameters: dict is not allowed"),
    (lambda: nn.Sequential().append(3), TypeError, "module: 3 is not allowed; allowed: a Module"),  # type: ignore[arg-type]
    (lambda: nn.ModuleList([nn.ReLU()])(1), NotImplementedError, "ModuleList: forward is not defined"),
    (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ValueError, "name: 'a.b' is not allowed"),
    (lambda: nn.ModuleDict({"training": nn.ReLU()}), ValueError, "name: 'training' is an attribute already"),
    (lambda: nn.ModuleDict()["x"], KeyError, "x"),
    (lambda: nn.ParameterList([1.0]), TypeError, "values: float is not allowed"),  # type: ignore[list-item]
    (lambda: nn.Flatten()(hs.tensor([1.0])), ValueError, "axis: 1 is not allowed; allowed: -1 to 0"),
    (lambda: nn.Flatten(2, 1)(hs.tensor(np.ones((2, 2, 2)))), ValueError, "start_dim: 2 comes after end_dim 1"),
    (
        lambda: nn.Unflatten(1, (2, 2))(hs.tensor(np.ones((2, 6)))),
        ValueError,
        "sizes: (2, 2) do not fit an axis of length 6",
    ),
    (lambda: nn.Unflatten(1, 6), TypeError, "unflattened_size: 6 is not allowed"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
