"""Hooks: around forward, around a module's part of the backward pass, around the state; as PyTorch runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn


class Two(nn.Module):
    def forward(self, x: Any, k: float, y: Any) -> tuple[Any, Any]:
        return x * y + x, y * 2.0 * k


def lists(gradients: Any) -> list[Any]:
    return [None if g is None else g.numpy().tolist() for g in gradients]


def test_backward_hooks_see_and_change_gradients() -> None:
    """Numbers from PyTorch: grad_output times 3, grad_input times 2."""
    module, seen = Two(), []

    def before(module: Any, grad_output: Any) -> Any:
        seen.append(("before", lists(grad_output)))
        return tuple(None if g is None else g * 3.0 for g in grad_output)

    def after(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen.append(("after", lists(grad_input), lists(grad_output)))
        return tuple(None if g is None else g * 2.0 for g in grad_input)

    handles = module.register_full_backward_hook(after), module.register_full_backward_pre_hook(before)
    x, y = (hs.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
    a, b = module(x * 1.0, 5.0, y * 1.0)
    (a.sum() + b.sum()).backward()
    assert seen == [
        ("before", [[1, 1], [1, 1]]),
        ("after", [[12, 15], None, [33, 36]], [[3, 3], [3, 3]]),
    ]
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.tolist(), y.grad.tolist()) == ([24, 30], [66, 72])
    a, _ = module(x * 1.0, 5.0, y * 1.0)
    a.sum().backward()
    assert seen[2:] == [("before", [[1, 1], None]), ("after", [[12, 15], None, [3, 6]], [[3, 3], None])]
    for handle in handles:
        handle.remove()
    module(x, 5.0, y)[0].sum().backward()
    assert len(seen) == 4


def test_backward_hooks_run_without_gradients_of_arguments() -> None:
    layer, seen = nn.Linear(2, 1, bias=False), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((lists(gi), lists(go))))
    layer(hs.tensor([[1.0, 2.0]])).sum().backward()
    assert seen == [([None], [[[1]]])]
    with hs.no_grad():
        layer(hs.tensor([[1.0, 2.0]]))


@pytest.mark.parametrize("rule", ["fp16", "pure_fp16", "amp", "fp64"])
def test_gates_change_no_bits(rule: str) -> None:
    def gradients(hooked: bool) -> list[Any]:
        hs.manual_seed(0)
        model = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 2))
        if hooked:
            for module in model.modules():
                module.register_full_backward_hook(lambda m, gi, go: None)
        x = hs.tensor(np.arange(96.0).reshape(3, 32) / 97, requires_grad=True)
        with hs.precision(rule), hs.trace(reference="fp64"):
            (model(x) ** 2.0).sum().backward()
        return [p.grad.bits() for p in (*model.parameters(), x) if p.grad is not None]

    for a, b in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pass_may_be_repeated() -> None:
    module, seen = Two(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(lists(gi)))
    x, y = (hs.tensor([v], requires_grad=True) for v in (2.0, 3.0))
    out = module(x, 1.0, y)[0].sum()
    out.backward(retain_graph=True)
    out.backward()
    assert seen == [[[4], None, [2]]] * 2
    assert x.grad is not None
    assert x.grad.item() == 8


def test_wrong_results_of_backward_hooks_are_refused() -> None:
    for result, message in (((None,), "returned 1 gradients, not 3"), ((np.ones(3), None, None), r"returned shape")):
        module = Two()
        module.register_full_backward_hook(lambda m, gi, go, result=result: result)
        x = hs.tensor([1.0], requires_grad=True)
        with pytest.raises(RuntimeError, match=message):
            module(x, 1.0, x * 2.0)[0].sum().backward()


def test_always_call_runs_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Any, k: int = 0) -> Any:
            raise KeyError("inside")

    module, calls = Broken(), []
    module.register_forward_hook(lambda m, args, out: calls.append("not called"))
    module.register_forward_hook(
        lambda m, args, kwargs, out: calls.append((args, kwargs, out)), with_kwargs=True, always_call=True
    )
    with pytest.raises(KeyError, match="inside"):
        module(1, k=2)
    assert calls == [((1,), {"k": 2}, None)]
    module.register_forward_hook(lambda m, args, out: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="raised ZeroDivisionError after an error"), pytest.raises(KeyError):
        module(1)


def test_hooks_of_the_state() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    log: list[Any] = []
    model[0].register_state_dict_pre_hook(lambda m, prefix, keep: log.append((prefix, keep)))
    model[0].register_state_dict_post_hook(lambda m, state, prefix, meta: state.update({f"{prefix}note": 1}))
    state = model.state_dict(prefix="a.", keep_vars=True)
    assert list(state) == ["a.0.weight", "a.0.note"]
    assert state["a.0.weight"] is model[0].weight
    assert log == [("a.0.", True)]

    def rename(m: Any, state: Any, prefix: str, meta: Any, strict: bool, *lists: Any) -> None:
        state[f"{prefix}weight"] = state.pop(f"{prefix}kernel")

    handle = model[0].register_load_state_dict_pre_hook(rename)
    given = {"0.kernel": np.ones((1, 2)), "0.note": 1}
    model.register_load_state_dict_post_hook(lambda m, keys: keys.unexpected_keys.remove("0.note"))
    assert model.load_state_dict(given) == ([], [])
    assert model[0].weight.tolist() == [[1, 1]]
    assert list(given) == ["0.kernel", "0.note"]
    handle.remove()
    with pytest.raises(ValueError, match=r"missing 0.weight; unexpected 0.kernel"):
        model.load_state_dict(given)


def test_extra_state() -> None:
    class Counting(nn.Module):
        count = 3

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    model = nn.Sequential(Counting())
    state = model.state_dict()
    assert state == {"0._extra_state": {"count": 3}}
    model[0].count = 0
    model.load_state_dict(state)
    assert model[0].count == 3
    with pytest.raises(ValueError, match="missing 0._extra_state"):
        model.load_state_dict({})
