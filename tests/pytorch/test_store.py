"""Depth "store": the bits of PyTorch's own half kernels and casts, shared memory, and what is told where."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs  # noqa: E402
from halfsim.pytorch import simulate  # noqa: E402
from halfsim.pytorch.held import round_in_place  # noqa: E402
from halfsim.pytorch.simulation import simulate as context  # noqa: E402

nn, F = torch.nn, torch.nn.functional
HALVES = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(torch.float16)
FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def same(a: Any, b: Any) -> bool:
    """The same numbers with the same signs of zero, and NaN in the same places."""
    a, b = a.detach().float(), b.detach().float()
    return torch.equal(torch.nan_to_num(a, nan=7e30), torch.nan_to_num(b, nan=7e30)) and torch.equal(
        torch.signbit(a) | a.isnan(), torch.signbit(b) | b.isnan()
    )


def on_grid(x: Any, dtype: Any = torch.float16) -> bool:
    return same(x, x.detach().to(dtype))


def alike(run: Callable[[], Any], precision: str = "fp16") -> Any:
    """What ``run`` gives in a simulation, which is the same with and without a trace."""
    torch.manual_seed(0)
    with simulate(precision):
        alone = run()
    torch.manual_seed(0)
    with simulate(precision), hs.trace() as t:
        traced = run()
    for a, b in zip(*(x if isinstance(x, (tuple, list)) else (x,) for x in (alone, traced)), strict=True):
        assert same(a, b)
    return traced, t


@pytest.mark.parametrize("name", FORMATS)
def test_rounding_in_place_is_pytorchs_own_cast(name: str) -> None:
    dtype = FORMATS[name]
    rng = np.random.default_rng(0)
    bits = torch.from_numpy(rng.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.int32)).view(torch.float32)
    edges = torch.tensor([65504.0, 65519.99, 65520.0, -65520.0, 2.0**-24, 2.0**-25, -(2.0**-25) * 1.0001, 0.0, -0.0])
    x = torch.cat([bits, edges, HALVES.float() * (1 + 2.0**-12)])
    y = x.clone()
    round_in_place(y, {"fp16": hs.float16, "bf16": hs.bfloat16}[name])
    assert same(y, x.to(dtype))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("f", [torch.exp, torch.sqrt, torch.neg, torch.tanh, torch.sigmoid, torch.log, torch.rsqrt,
                               F.relu, F.gelu, F.silu, torch.abs], ids=lambda f: f.__name__)  # fmt: skip
def test_functions_of_every_half_are_those_of_pytorch(f: Any, name: str) -> None:
    x = HALVES if name == "fp16" else HALVES.view(torch.int16).view(torch.bfloat16)
    expected = f(x.float()).to(x.dtype)
    with simulate(name):
        y = f(x.float())
    assert same(y, expected)
    if f in (torch.sqrt, torch.neg, torch.abs, F.relu, torch.rsqrt):  # of others the half kernel is another in float32
        assert same(y, f(x))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("f", [operator.add, operator.sub, operator.mul, operator.truediv], ids=lambda f: f.__name__)
def test_arithmetic_is_that_of_pytorchs_half_kernels(f: Any, name: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (torch.from_numpy(rng.integers(0, 2**16, 100_000, dtype=np.uint16).view(np.int16)) for _ in range(2))
    a, b = a.view(FORMATS[name]), b.view(FORMATS[name])
    with simulate(name):
        y = f(a.float(), b.float())
        scaled = f(a.float(), 3.7)
    assert same(y, f(a, b))
    if f in (operator.mul, operator.truediv):  # the CPU's sums round the number first, those of a GPU do not
        assert same(scaled, f(a, 3.7))


def test_tensors_made_before_of_real_halves_keep_their_dtype() -> None:
    layer, x = nn.Linear(4, 3).half(), torch.randn(5, 4).half()
    expected = F.linear(x.float(), layer.weight.float(), layer.bias.float()).half()
    y, _ = alike(lambda: layer(x))
    assert torch.equal(y, expected)
    assert y.dtype is torch.float16


def test_views_and_aliases_stay_views() -> None:
    def run() -> Any:
        x = torch.randn(4, 6)
        x[1:3].mul_(1 / 3)
        x.t().add_(0.1)
        x[0] = 7 / 3
        x.view(-1)[3:5] *= 1.7
        assert x.data_ptr() == x.view(24).data_ptr()
        return x

    x, _ = alike(run)
    assert on_grid(x)


def test_an_infinity_is_followed_through_views() -> None:
    def run() -> Any:
        q, k = torch.full((1, 2, 4), 200.0), torch.full((1, 2, 4), 300.0)
        scores = q @ k.transpose(-2, -1)
        return torch.softmax(scores.view(2, 2).t() / 2.0, -1)

    _, t = alike(run)
    found = t.verdict()
    assert (found.klass, found.op, found.where) == ("overflow", "matmul", found.where)
    assert found.where.startswith("test_store.py:")


def test_memory_formats_are_rounded_as_they_lie() -> None:
    def run() -> Any:
        x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
        conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        y = F.relu(conv(x))
        y.sum().backward()
        return y, conv.weight.grad

    (y, g), _ = alike(run)
    assert on_grid(y)
    assert on_grid(g)


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.GELU())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def trained(make: Callable[..., Any], steps: int = 2) -> Any:
    model = Mlp()
    optimizer = make(model.parameters())
    for _ in range(steps):
        loss = F.cross_entropy(model(torch.randn(16, 4)), torch.randint(2, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize("kind", [
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1), lambda p: torch.optim.Adam(p, eps=1e-4),
    lambda p: torch.optim.AdamW(p, eps=1e-4), lambda p: torch.optim.RMSprop(p, eps=1e-3),
    lambda p: torch.optim.Adagrad(p, eps=1e-4), lambda p: torch.optim.NAdam(p, eps=1e-3),
], ids=["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])  # fmt: skip
def test_optimizers_keep_weights_on_the_grid_and_are_told_by_parameter(kind: Any) -> None:
    weights, t = alike(lambda: trained(kind))
    assert all(on_grid(p) for p in weights)
    named = {path for phase, path, op, _ in t.places if phase == "optimizer" and op == "update"}
    assert named == {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
    assert t.step == 3


def test_foreach_and_fused_optimizers_are_the_same_kernels() -> None:
    def make(**how: Any) -> Any:
        return alike(lambda: trained(lambda p: torch.optim.AdamW(p, eps=1e-4, **how)))[0]

    plain, listed, fused = make(foreach=False), make(foreach=True), make(fused=True)
    assert all(same(a, b) for a, b in zip(plain, listed, strict=True))
    assert all(on_grid(p) for p in fused)


def test_events_have_path_phase_parameter_and_line() -> None:
    _, t = alike(lambda: trained(lambda p: torch.optim.SGD(p, lr=0.1)))
    places = set(t.places)
    assert ("forward", "body.0", "linear", "") in places
    assert ("forward", "body.1", "gelu", "") in places
    assert ("backward", "head", "linear", "") in places
    assert ("backward", "body.0", "accumulate", "weight") in places
    assert ("optimizer", "head.bias", "add", "param") in places
    lines = {total.line[0].rpartition("/")[2] for total in t.places.values() if total.line is not None}
    assert lines == {"test_store.py"}


def test_amp_follows_cudas_lists_and_leaves_parameters_in_float32() -> None:
    seen: dict[str, Any] = {}

    def run() -> Any:
        torch.manual_seed(0)
        model, x = Mlp(), torch.randn(16, 4)
        y = model(x)
        seen.update(linear=y.dtype, softmax=torch.softmax(y, -1).dtype, exp=torch.exp(y).dtype, add=(y + y).dtype,
                    sum=y.sum().dtype, weight=model.head.weight.dtype, mixed=(y + x[:, :2]).dtype)  # fmt: skip
        F.cross_entropy(y, torch.zeros(16, dtype=torch.int64)).backward()
        return y, model.head.weight.grad, model.head.weight

    (y, grad, weight), _ = alike(run, "amp")
    assert on_grid(y)
    assert on_grid(grad)
    assert not on_grid(weight)
    halves = {"linear", "add"}
    assert seen == {name: torch.float16 if name in halves else torch.float32 for name in seen}


def test_policies_rule_by_module_path_and_operation() -> None:
    model, x = Mlp(), torch.randn(16, 4)
    with simulate({"default": "fp32", "body": "fp16", "body.*@gelu": "fp32"}), hs.trace() as t:
        model(x)
    formats = {(path, op): total.format.name for (_, path, op, _), total in t.places.items()}
    assert formats[("body.0", "linear")] == "float16"
    assert formats[("body.1", "gelu")] == "float32"
    assert formats[("head", "linear")] == "float32"


def test_float32_that_the_program_asks_for_is_float32() -> None:
    with simulate("fp16"):
        x = torch.tensor([300.0, 1.0]) * 1.0
        wide = x.float() * x.float()
        assert wide.dtype is torch.float32
        assert wide.tolist() == [90000.0, 1.0]
        assert (x * x).tolist() == [float("inf"), 1.0]
        assert x.sum(dtype=torch.float32).dtype is torch.float32
        back = (wide / 300).to(x.dtype)
        assert back.dtype is torch.float16
        assert torch.zeros(3, dtype=x.dtype).dtype is torch.float16
        assert torch.finfo(x.dtype).max == 65504


def test_parameters_are_not_altered_by_a_forward_pass() -> None:
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    with simulate("fp16"), torch.no_grad():
        layer(torch.randn(2, 4))
    assert torch.equal(layer.weight, before)


def test_without_a_precision_the_one_in_force_rules() -> None:
    x = torch.tensor([300.0])
    with simulate():
        assert (x * x).item() == 90000.0
    with hs.precision("fp16"), simulate():
        assert (x * x).item() == float("inf")
    with hs.precision("fp32", override=True), simulate("fp16"):
        assert (x * x).item() == 90000.0


def test_a_reference_measures_every_result() -> None:
    torch.manual_seed(0)
    with simulate("fp16"), hs.trace("fp64") as t:
        trained(lambda p: torch.optim.SGD(p, lr=0.1))
    made = {(m.phase, m.path, m.op): m.local.relative for m in t.errors()}
    assert 1e-5 < made[("forward", "body.0", "linear")] < 4e-4
    assert 1e-5 < made[("optimizer", "head.weight", "add")] < 4e-4


def test_bad_words_and_simulations_inside_one_another_are_refused() -> None:
    with pytest.raises(ValueError, match="depth: 'deep' is not allowed; allowed: 'store', 'faithful'"):
        simulate("fp16", depth="deep")
    with pytest.raises(ValueError, match="precision"):
        simulate("fp61")
    with simulate("fp16"), pytest.raises(RuntimeError, match="simulate: it is on already"), simulate("fp16"):
        pass
    assert not context._inside
