from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import halfsim as hs


class Net(hs.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = hs.nn.Linear(3, 4)
        self.body = hs.nn.Sequential(hs.nn.ReLU(), hs.nn.Linear(4, 2, bias=False))

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        return self.body(self.fc1(x))


def test_names_are_pytorchs() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["fc1.weight", "fc1.bias", "body.1.weight"]
    assert [name for name, _ in net.named_modules()] == ["", "fc1", "body", "body.0", "body.1"]
    assert [p.name for p in net.parameters()] == ["fc1.weight", "fc1.bias", "body.1.weight"]
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        "fc1.weight": (4, 3),
        "fc1.bias": (4,),
        "body.1.weight": (2, 4),
    }
    outer = hs.nn.Sequential(net)
    assert next(outer.parameters()).name == "0.fc1.weight"
    assert "(fc1): Linear(in_features=3, out_features=4, bias=True)" in repr(net)


def test_state_dict_is_a_snapshot_and_loads_back() -> None:
    net, other = Net(), Net()
    state = net.state_dict()
    other.load_state_dict({key: value.numpy() for key, value in state.items()})
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.bits(), b.bits())
    before = state["fc1.bias"].numpy()
    net.load_state_dict({key: np.zeros(value.shape) for key, value in state.items()})
    np.testing.assert_array_equal(state["fc1.bias"].numpy(), before)


def test_loading_lists_every_wrong_key_and_changes_nothing() -> None:
    net = Net()
    before = net.state_dict()
    state = {**before, "extra": np.zeros(1), "fc1.bias": np.zeros(5)}
    del state["body.1.weight"]
    with pytest.raises(ValueError, match="^state: ") as caught:
        net.load_state_dict(state)
    for part in ("fc1.bias has shape (5,), not (4,)", "missing body.1.weight", "unexpected extra"):
        assert part in str(caught.value)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.bits(), before[name].bits())


def test_to_rounds_weights_and_loading_keeps_the_format() -> None:
    net = Net()
    exact = net.state_dict()
    assert net.to("fp16") is net
    for name, parameter in net.named_parameters():
        assert parameter.format is hs.float16
        np.testing.assert_array_equal(parameter.numpy(), exact[name].numpy().astype(np.float16))
    net.load_state_dict(exact)
    assert next(net.parameters()).format is hs.float16
    assert next(net.double().parameters()).format is hs.float64
    assert next(net.float().parameters()).format is hs.float32
    assert next(net.half().parameters()).format is hs.float16


def test_a_module_may_have_a_precision_of_its_own() -> None:
    net = Net()
    x = hs.tensor(np.ones((1, 3)), "fp32")
    net.fc1.precision = "fp16"
    with hs.precision("fp64"):
        assert net.fc1(x).format is hs.float16
        assert net(x).format is hs.float64
    with hs.precision("fp64", override=True):
        assert net.fc1(x).format is hs.float64
    net.assign({"body.1": "fp16", "fc1": None})
    assert net.fc1(x).format is hs.float32
    assert net(x).format is hs.float16
    with pytest.raises(ValueError, match=r"path: 'fc2' is not allowed \(did you mean 'fc1'\?\)"):
        net.assign({"fc2": "fp16"})
    with pytest.raises(ValueError, match="precision: 'fp61'"):
        net.fc1.precision = "fp61"


def test_train_eval_and_zero_grad_reach_every_part() -> None:
    net = Net()
    assert not net.eval().body[1].training
    assert net.train().body[1].training
    net(hs.tensor(np.ones((1, 3)))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_attributes_can_be_replaced() -> None:
    net = Net()
    net.fc1 = hs.nn.Linear(3, 4, bias=False)
    assert len(list(net.parameters())) == 2
    net.fc1 = hs.nn.ReLU()
    assert len(list(net.parameters())) == 1
    with pytest.raises(AttributeError, match="no attribute 'fc9'"):
        net.fc9  # noqa: B018


def test_shared_modules_count_once() -> None:
    shared = hs.nn.Linear(2, 2)
    net = hs.nn.Sequential(shared, hs.nn.ReLU(), shared)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    net(hs.tensor([[1.0, 2.0]])).sum().backward()


def test_copies_and_pickles_keep_weights() -> None:
    net = Net().to("fp16")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert a is not b
            np.testing.assert_array_equal(a.bits(), b.bits())
        assert other(hs.tensor(np.ones((1, 3)), "fp16")).shape == (1, 2)


def test_forgetting_super_init_is_told() -> None:
    class Bad(hs.nn.Module):
        def __init__(self) -> None:
            self.fc = hs.nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Bad()
    with pytest.raises(NotImplementedError, match="Module: forward"):
        hs.nn.Module()(1)


def test_weights_are_drawn_as_in_pytorch_and_by_seed() -> None:
    hs.manual_seed(3)
    a = hs.nn.Linear(100, 50)
    hs.manual_seed(3)
    b = hs.nn.Linear(100, 50)
    np.testing.assert_array_equal(a.weight.bits(), b.weight.bits())
    assert a.weight.format is hs.float32
    assert 0.09 < np.abs(a.weight.numpy()).max() <= 0.1
    assert abs(a.weight.numpy().std() - 0.1 / np.sqrt(3)) < 0.002
    with pytest.raises(ValueError, match="in_features: 0"):
        hs.nn.Linear(0, 1)
    with pytest.raises(ValueError, match="seed"):
        hs.manual_seed(-1)
    with pytest.raises(TypeError, match="modules"):
        hs.nn.Sequential(hs.nn.ReLU)  # type: ignore[arg-type]


def test_layers_call_their_operations() -> None:
    x = hs.tensor([[-1.0, 1.0]])
    assert hs.nn.ReLU()(x).numpy().tolist() == [[0, 1]]
    assert hs.nn.Tanh()(x).numpy()[0, 1] == np.float32(np.tanh(1.0))
    assert hs.nn.CrossEntropyLoss(reduction="sum")(x, [0]).item() == hs.nn.cross_entropy(x, [0]).item()
    assert len(hs.nn.Sequential(hs.nn.ReLU())) == 1


def test_replacing_a_part_keeps_its_place() -> None:
    net = hs.nn.Sequential(hs.nn.Linear(4, 3), hs.nn.ReLU(), hs.nn.Linear(3, 2))
    setattr(net, "0", hs.nn.Linear(4, 3))
    assert net(hs.tensor(np.ones((1, 4)))).shape == (1, 2)
    layer = hs.nn.Linear(2, 2)
    layer.weight = hs.nn.Parameter(np.eye(2))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_only_parts_of_the_same_kind_or_none_may_replace_a_part() -> None:
    net = Net()
    with pytest.raises(TypeError, match="weight: Tensor is not allowed there; allowed: Parameter, None"):
        net.fc1.weight = hs.tensor([1.0])
    with pytest.raises(TypeError, match="fc1: function is not allowed there; allowed: Module, None"):
        net.fc1 = hs.ops.relu
    net.fc1.bias = None
    assert [name for name, _ in net.fc1.named_parameters()] == ["weight"]
    assert net.fc1(hs.tensor(np.ones((1, 3)))).shape == (1, 4)
    net.fc1 = None
    assert list(net.state_dict()) == ["body.1.weight"]
    del net.body
    assert net.state_dict() == {}
    with pytest.raises(AttributeError):
        del net.nothing


def test_tied_weights_have_every_name_in_the_state() -> None:
    a, b = hs.nn.Linear(2, 2), hs.nn.Linear(2, 2)
    b.weight = a.weight
    net = hs.nn.Sequential(a, b)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(list(net.parameters())) == 3
    net.load_state_dict(net.state_dict())
    shared = hs.nn.Sequential(a, hs.nn.ReLU(), a)
    assert [name for name, _ in shared.named_modules()] == ["", "0", "1"]


def test_modules_with_a_policy_can_be_copied() -> None:
    net = Net()
    net.precision = "amp"
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.precision == hs.AMP
    assert hash(hs.AMP) == hash(copy.deepcopy(hs.AMP))


@pytest.mark.parametrize("state", [None, [1], "abc"])
def test_a_state_is_a_mapping(state: object) -> None:
    with pytest.raises(TypeError, match="state: .* allowed: a mapping"):
        Net().load_state_dict(state)  # type: ignore[arg-type]


def test_a_value_that_is_no_number_is_named() -> None:
    net = hs.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="weight: x: dtype complex128"):
        net.load_state_dict({"weight": [[1j]], "bias": [1.0]})


@pytest.mark.parametrize("size", [2.5, "3"])
def test_sizes_are_integers(size: object) -> None:
    with pytest.raises(ValueError, match="in_features"):
        hs.nn.Linear(size, 2)  # type: ignore[arg-type]
