from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

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


def test_state_dict_shares_the_values_and_loads_back() -> None:
    net, other = Net(), Net()
    state = net.state_dict()
    other.load_state_dict({key: value.numpy() for key, value in state.items()})
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.bits(), b.bits())
    kept = {key: value.clone() for key, value in state.items()}
    net.load_state_dict({key: np.zeros(value.shape) for key, value in state.items()})
    assert not state["fc1.bias"].any(), "as in PyTorch, it is no copy"
    assert kept["fc1.bias"].any()
    state["fc1.bias"].add_(1.0)
    assert net.fc1.bias.tolist() == [1, 1, 1, 1]


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
    misspelt = r"policy: 'body.7' is not allowed \(did you mean 'body.1'\?\)"
    with hs.precision({"body.7": "fp32"}), pytest.raises(ValueError, match=misspelt):
        net(x)
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
        hs.manual_seed(2**64)
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
    with pytest.raises(TypeError, match="in_features"):
        hs.nn.Linear(size, 2)  # type: ignore[arg-type]


class Tracked(hs.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", np.arange(3.0, dtype=np.float32))
        self.register_buffer("steps", np.array(0, np.int64))
        self.register_buffer("cache", hs.tensor([1.0]), persistent=False)
        self.register_buffer("absent", None)
        self.inner = hs.nn.BatchNorm1d(2)
        self.scale = hs.nn.Parameter([1.0, 2.0])

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        self.steps = self.steps + 1
        return self.inner(x) * self.scale


def test_buffers_are_state_but_not_parameters() -> None:
    net = Tracked()
    keys = ["scale", "table", "steps", "inner.weight", "inner.bias"]
    keys += ["inner.running_mean", "inner.running_var", "inner.num_batches_tracked"]
    assert list(net.state_dict()) == keys, "PyTorch's order: parameters, buffers, then those of the children"
    assert next(iter(net.state_dict(prefix="a."))) == "a.scale"
    assert [name for name, _ in net.named_buffers()] == ["table", "steps", "cache", *keys[-3:]]
    assert [name for name, _ in net.named_buffers(recurse=False)] == ["table", "steps", "cache"]
    assert [name for name, _ in net.named_parameters()] == ["scale", "inner.weight", "inner.bias"]
    assert [name for name, _ in net.named_parameters(prefix="m", recurse=False)] == ["m.scale"]
    assert net.inner.running_mean.name == "inner.running_mean"
    assert len(list(net.buffers())) == 6
    assert isinstance(net.table, hs.Tensor)


def test_buffers_load_convert_and_copy() -> None:
    net = Tracked()
    net(hs.tensor([[1.0, 2.0], [3.0, 5.0]]))
    state = net.state_dict()
    net(hs.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert (int(state["steps"]), int(net.steps), int(net.inner.num_batches_tracked)) == (1, 2, 2)
    assert net.steps.dtype == np.int64
    assert isinstance(net.steps, np.ndarray)
    for other in (Tracked(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.load_state_dict(state) == ([], [])
        for key, value in other.state_dict().items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(state[key]))
    net.half()
    assert net.table.format is net.cache.format is net.inner.running_var.format is hs.float16
    assert net.steps.dtype == np.int64
    net.load_state_dict({**state, "steps": hs.tensor(7.0), "inner.num_batches_tracked": 8})
    assert (net.steps.tolist(), net.inner.num_batches_tracked.tolist()) == (7, 8)


def test_wrong_buffers_are_listed_too() -> None:
    net = Tracked()
    state = {**net.state_dict(), "steps": 0.5, "table": [1.0], "cache": [2.0]}
    del state["inner.num_batches_tracked"]
    before = net.state_dict()
    with pytest.raises(ValueError, match="^state: ") as caught:
        net.load_state_dict(state)
    for part in (
        "missing inner.num_batches_tracked",
        "unexpected cache",
        "table has shape (1,), not (3,)",
        "steps: dtype float64 is not allowed; allowed: integers, for a buffer of int64",
    ):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match="table has shape"):
        net.load_state_dict({"table": [1.0]}, strict=False)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(before[key]))


def test_a_state_in_part_tells_what_is_missing() -> None:
    net = hs.nn.Linear(2, 1)
    keys = net.load_state_dict({"weight": [[3.0, 4.0]], "more": 1}, strict=False)
    assert keys.missing_keys == ["bias"]
    assert keys.unexpected_keys == ["more"]
    assert repr(keys) == "IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['more'])"
    known = net.load_state_dict({"weight": [[3.0, 4.0]]}, strict=False)
    assert repr(known) == "IncompatibleKeys(missing_keys=['bias'], unexpected_keys=[])"
    assert repr(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    assert net.weight.numpy().tolist() == [[3, 4]]


def test_weights_loaded_under_a_wider_precision_are_wider() -> None:
    values = {"weight": np.array([[0.1]]), "bias": np.array([1 / 3])}
    net = hs.nn.Linear(1, 1)
    net(hs.tensor([[1.0]])).sum().backward()
    with hs.precision("fp64"):
        net.load_state_dict(values)
    assert net.weight.format is hs.float64
    assert net.weight.item() == 0.1
    assert net.weight.grad is not None
    assert net.weight.grad.format is hs.float64
    for rule in ("fp16", "pure_fp16", "amp"):
        with hs.precision(rule):
            net.load_state_dict(values)
        assert net.bias.item() == 1 / 3


def test_what_may_be_registered() -> None:
    net = Tracked()
    bad: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: net.register_buffer("a.b", None), ValueError, "name: 'a.b' is not allowed"),
        (lambda: net.register_buffer("", None), ValueError, "name: '' is not allowed"),
        (lambda: net.register_buffer("forward", None), ValueError, "name: 'forward' is an attribute already"),
        (lambda: net.register_buffer("z", 3), TypeError, "z: int is not allowed there; allowed: Tensor, ndarray, None"),
        (lambda: net.register_parameter("q", hs.tensor([1.0])), TypeError, "q: Tensor is not allowed there"),
        (lambda: net.add_module("q", 3), TypeError, "module: 3 is not allowed; allowed: a Module, None"),
        (lambda: setattr(net, "table", 3), TypeError, "table: int is not allowed there; allowed: Tensor"),
        (lambda: net.get_parameter("inner.wait"), AttributeError, "did you mean 'inner.weight'?"),
        (lambda: net.get_submodule("iner"), AttributeError, "module: 'iner' is not allowed (did you mean 'inner'?)"),
        (lambda: net.get_buffer("tabel"), AttributeError, "did you mean 'table'?"),
        (lambda: hs.nn.ReLU().get_parameter("w"), AttributeError, "parameter: 'w' is not allowed"),
    ]
    for call, error, text in bad:
        with pytest.raises(error) as caught:
            call()
        assert text in str(caught.value)
        assert "\n" not in str(caught.value)
    net.register_parameter("q", None)
    net.q = hs.nn.Parameter([1.0])
    net.register_module("last", hs.nn.ReLU())
    assert net.get_parameter("q").name == "q"
    assert net.get_submodule("") is net
    assert net.get_submodule("last") is net.last
    assert net.get_buffer("inner.running_mean") is net.inner.running_mean
    del net.table
    net.cache = None
    assert [name for name, _ in net.named_buffers(recurse=False)] == ["steps"]


def test_a_part_may_change_its_kind() -> None:
    net = Tracked()
    net.table = hs.nn.Parameter([1.0])
    assert "table" in dict(net.named_parameters())
    assert "table" not in dict(net.named_buffers())


def test_every_module_is_visited_innermost_first() -> None:
    net = Net()
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]
    assert [type(m).__name__ for m in net.modules()] == ["Net", "Linear", "Sequential", "ReLU", "Linear"]
    assert [name for name, _ in net.named_children()] == ["fc1", "body"]
    assert net.fc1.requires_grad_(False) is net.fc1
    assert [p.requires_grad for p in net.parameters()] == [False, False, True]
    net(hs.tensor(np.ones((1, 3)))).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.fc1.weight.grad is None
    assert (net.body[1].weight.grad.numpy() == 0).all()


class Double(hs.nn.Module):
    def forward(self, x: hs.Tensor, shift: float = 0.0) -> hs.Tensor:
        return x * 2 + shift


def test_hooks_come_before_and_after() -> None:
    net, x = Double(), hs.tensor([1.0])
    after = net.register_forward_hook(lambda module, args, output: output + 1)
    before = net.register_forward_pre_hook(lambda module, args: args[0] * 10)
    assert net(x).item() == 21
    with net.register_forward_pre_hook(lambda module, args: (args[0] + 1,), prepend=True):
        assert net(x).item() == 41
    after.remove()
    after.remove()
    assert net(x).item() == 20
    before.remove()
    net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"shift": kwargs["shift"] + 1}), with_kwargs=True)
    seen: list[object] = []
    net.register_forward_hook(lambda m, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    assert net(x, shift=3.0).item() == 6
    assert seen == [{"shift": 4.0}]
    with pytest.raises(TypeError, match="hook: 3 is not allowed; allowed: a function"):
        net.register_forward_hook(3)  # type: ignore[arg-type]
    bad = Double()
    bad.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match="hook: with_kwargs=True returns None or a pair"):
        bad(x)


def test_hooks_run_in_the_precision_of_their_module() -> None:
    net = Double()
    net.precision = "fp16"
    net.register_forward_hook(lambda module, args, output: hs.ops.add(output, 1.0))
    with hs.trace() as t:
        assert net(hs.tensor([1.0])).format is hs.float16
    assert ("forward", "", "add", "") in t.totals


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((), {}, "Linear: input is missing; allowed: what its forward takes"),
        ((1, 2), {}, "Linear: 2 arguments are too many; allowed: what its forward takes"),
        ((1,), {"inputs": 2}, "Linear: inputs= is not an option here; allowed: what its forward takes"),
    ],
)
def test_a_layer_says_what_its_forward_does_not_take(
    arguments: tuple[int, ...], options: dict[str, int], text: str
) -> None:
    with pytest.raises(TypeError) as error:
        hs.nn.Linear(3, 4)(*arguments, **options)
    assert str(error.value) == text
