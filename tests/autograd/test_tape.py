from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import kernel, private
from halfsim.numerics.quantize import Array


def leaf(*values: float, fmt: str = "fp64") -> hs.Tensor:
    return hs.tensor(list(values), fmt, requires_grad=True)


def test_a_node_used_twice_gets_both_gradients() -> None:
    x = leaf(3.0)
    y = x * x
    (y + y * x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 2 * 3 + 3 * 9


def test_gradients_accumulate_in_the_leafs_format() -> None:
    x = leaf(1.0, fmt="fp16")
    for _ in range(3):
        (x * 2048.0).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 6144
    (x * 1.0).sum().backward()
    assert x.grad.item() == 6144, "6144 + 1 is swamped in half precision"


def test_gradients_meet_the_format_of_their_tensor_last() -> None:
    """float32 master weights receive half-precision gradients: what underflowed is gone."""
    w = hs.tensor([[1.0]], "fp32", requires_grad=True)
    with hs.precision("amp"):
        out = hs.ops.linear(hs.tensor([[2.0**-13]]), w)
        out.backward(np.array([[2.0**-13]]))
    assert w.grad is not None
    assert w.grad.format is hs.float32
    assert w.grad.item() == 0


def test_backward_runs_in_the_precision_of_its_forward() -> None:
    x = leaf(1.0, fmt="fp32")
    with hs.precision("fp16"):
        y = x * (1 / 3)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == np.float16(1 / 3)


def test_misuse_gets_one_clear_line() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="needs gradient="):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="gradient has shape"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="requires no gradient"):
        hs.tensor([1.0]).backward()
    with pytest.raises(TypeError, match="inputs: 'x' is not allowed; allowed: tensors, None"):
        hs.tensor(1.0, requires_grad=True).backward(inputs="x")
    y = (x * 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="freed"):
        y.backward()
    z = (x * 2).sum()
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [6, 6]


def test_no_grad_leaves_no_tape() -> None:
    x = leaf(1.0)
    with hs.no_grad():
        y = x * 2
    assert not y.requires_grad
    assert y.is_leaf
    assert x.detach().requires_grad is False


def test_gradients_that_nobody_wants_are_not_computed() -> None:
    calls = []

    @hs.autograd.tape.op()
    def watched(fp, a, b, /):  # type: ignore[no-untyped-def]
        """A product that tells who asks."""
        return fp.mul(a, b), (
            lambda fp, g: calls.append("a") or fp.mul(g, b),
            lambda fp, g: calls.append("b") or fp.mul(g, a),
        )

    watched(leaf(2.0), hs.tensor([3.0], "fp64")).sum().backward()
    assert calls == ["a"]
    del hs.autograd.tape.SPECS["watched"], hs.autograd.tensor.OPS["watched"]


def test_operands_may_be_named() -> None:
    x, w, b = hs.tensor([[1.0, 2.0]]), hs.tensor([[3.0, 4.0]]), hs.tensor([5.0])
    assert hs.ops.linear(x, weight=w, bias=b).item() == 16
    assert hs.ops.linear(x, w).item() == 11
    with pytest.raises(TypeError, match="weight"):
        hs.ops.linear(x)


def test_what_only_kernels_run_is_stored_in_its_format() -> None:
    @private
    def third(fp: Arithmetic, x: Array, /) -> Any:
        return x / 3, ()

    y = kernel(third, hs.tensor([1.0], "fp16"))
    assert (y.format, y.item()) == (hs.float16, float(np.float16(1 / 3)))


def test_the_shown_signature_is_the_users() -> None:
    import inspect

    assert list(inspect.signature(hs.ops.linear).parameters) == ["x", "weight", "bias"]
    assert hs.ops.linear.__doc__


def test_every_leaf_owns_its_gradient() -> None:
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0, 4.0)
    ((a + b).sum() + c.sum()).backward()
    assert a.grad is not None
    assert b.grad is not None
    assert c.grad is not None
    a.grad.array *= 5
    c.grad.array *= 5
    assert b.grad.item() == 1


def test_a_missing_operand_is_named() -> None:
    with pytest.raises(TypeError, match="linear: weight is missing"):
        hs.ops.linear(hs.tensor([[1.0]]), bias=hs.tensor([1.0]))
    with pytest.raises(TypeError, match="linear: x is missing"):
        hs.nn.Linear(2, 2)(None)


def test_hooks_see_and_change_complete_gradients() -> None:
    x = hs.tensor([1.0, 2.0], "fp32", requires_grad=True)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.numpy().tolist()))
    handle = y.register_hook(lambda g: g * 2)
    (y * y + y).sum().backward()
    assert seen == [[7, 13]]  # both uses of y, once
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [42, 78]
    handle.remove()
    handle.remove()
    x.grad = None
    x.register_hook(lambda g: np.array([1.0, 1e-9]))
    (x * 1).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1, np.float32(1e-9)]


def test_a_hook_is_called_on_what_one_pass_adds_to_a_leaf() -> None:
    x, seen = hs.tensor([1.0], "fp16", requires_grad=True), []
    x.register_hook(lambda g: seen.append(g.item()))
    for _ in range(2):
        (x * 2 + x).sum().backward()
    assert seen == [3, 3]
    assert x.grad is not None
    assert x.grad.item() == 6


def test_careless_hooks() -> None:
    x = hs.tensor([1.0])
    for method in (x.retain_grad, lambda: x.register_hook(print)):
        with pytest.raises(RuntimeError, match="the tensor requires no gradient"):
            method()
    y = hs.tensor([1.0], requires_grad=True)
    y.register_hook(lambda g: np.ones(3))
    with pytest.raises(RuntimeError, match=r"hook: returned shape \(3,\) for a gradient of \(1,\)"):
        (y * 1).backward()
    with pytest.raises(RuntimeError, match="requires_grad_: the result of an operation"):
        (y * 1).requires_grad_(False)


def test_results_keep_their_gradient_when_asked() -> None:
    x = hs.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad is not None
    assert y.grad.numpy().tolist() == [4, 8]


def test_ten_thousand_operations_deep() -> None:
    x = hs.tensor([1.0], "fp32", requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + 1
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1
    y = x
    for _ in range(50_000):
        y = y + 1
    del y  # freeing a graph that no backward pass has visited must not recurse either


def test_a_clone_is_on_the_tape() -> None:
    x = hs.tensor([1.0], "fp16", requires_grad=True)
    y = x.clone()
    assert y.format == hs.float16
    (y * 3).backward()
    assert x.grad is not None
    assert x.grad.item() == 3
    assert not x.detach().requires_grad
    with hs.no_grad():
        assert not (x * 2).requires_grad
        with hs.enable_grad():
            assert (x * 2).requires_grad


@pytest.mark.parametrize("through", [lambda x: x * 1.0, lambda x: x], ids=["inner", "leaf"])
def test_three_gradients_are_added_in_the_order_of_pytorchs_engine(through: Callable[[hs.Tensor], hs.Tensor]) -> None:
    """That of the operation that ran last comes first: 1 + 1 is not lost beside 2048, but 2048 + 1 is."""
    for factors, expected in (((2048.0, 1.0, 1.0), 2050), ((1.0, 1.0, 2048.0), 2048), ((1.0, 2048.0, 1.0), 2048)):
        leaf16 = leaf(1.0, fmt="fp16")
        x = through(leaf16)
        terms = [x * factor for factor in factors]
        ((terms[0] + terms[1]) + terms[2]).sum().backward()
        assert leaf16.grad is not None
        assert leaf16.grad.item() == expected


def test_a_leaf_gets_its_gradient_as_soon_as_it_is_complete() -> None:
    order: list[str] = []
    early, late = leaf(1.0), leaf(1.0)
    early.register_hook(lambda g: order.append("early"))
    late.register_hook(lambda g: order.append("late"))
    y = early * 2.0
    y.register_hook(lambda g: order.append("y"))
    (y * late).sum().backward()
    assert order == ["late", "y", "early"]


def test_a_root_may_be_on_the_way_from_another() -> None:
    x = leaf(3.0)
    y = x * 2.0
    z = y * y
    (grad,) = hs.autograd.grad([y.sum(), z.sum(), y], [x], grad_outputs=[None, None, hs.tensor([1.0], "fp64")])
    assert grad.item() == 2 + 24 + 2
