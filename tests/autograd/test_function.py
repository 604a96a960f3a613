"""Operations of one's own, gradients by name, and whole derivatives: `Function`, `grad`, ``autograd.functional``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd import functional
from halfsim.autograd.function import once_differentiable


def leaf(values: Any) -> hs.Tensor:
    return hs.tensor(values, "fp64", requires_grad=True)


class Scaled(hs.autograd.Function):
    """``x * y * k`` and ``x + y``."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, k: float) -> Any:
        ctx.save_for_backward(x, y)
        ctx.k = k
        return x * y * k, x + y

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y * ctx.k + h, g * x * ctx.k + h, None


def test_functions_of_several_outputs_and_their_second_gradients() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    a, b = Scaled.apply(x, y, 2.0)
    (2.0 * a.sum() + b.sum()).backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([13.0, 17.0], [5.0, 9.0])
    a, _ = Scaled.apply(x, y, 2.0)
    (g,) = hs.autograd.grad((a**2).sum(), x, create_graph=True)  # 8 x y**2
    assert hs.autograd.grad(g.sum(), [x, y])[1].tolist() == [48.0, 128.0]


def test_once_differentiable_gradients_are_constants() -> None:
    class Cube(hs.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x**3

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3.0 * x**2

    x = leaf([2.0])
    (g,) = hs.autograd.grad(Cube.apply(x) + x**2, x, create_graph=True)
    assert (g.item(), hs.autograd.grad(g, x)[0].item()) == (16.0, 2.0)


@pytest.mark.parametrize(
    ("made", "text"), [((1.0, 1.0), "gave 2 gradients"), (hs.ones(3), r"shape \(3,\); allowed: \(2,\)")]
)
def test_gradients_that_do_not_fit_are_refused(made: Any, text: str) -> None:
    class Wrong(hs.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return made

    with pytest.raises(RuntimeError, match=text):
        Wrong.apply(leaf([1.0, 2.0])).sum().backward()


def test_several_passes_at_once() -> None:
    x = leaf([1.0, 2.0])
    (rows,) = hs.autograd.grad(x**2, x, hs.eye(2, dtype="fp64"), is_grads_batched=True)
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_hooks_are_on_the_tape_of_create_graph() -> None:
    x = leaf([1.0, 2.0])
    h = x * 2.0
    h.register_hook(lambda g: g * 3.0)
    (g,) = hs.autograd.grad((h**2).sum(), x, create_graph=True, only_inputs=True)
    assert (g.tolist(), hs.autograd.grad(g.sum(), x)[0].tolist()) == ([24.0, 48.0], [72.0, 72.0])  # 3 * 3 * 8


def test_the_gradient_penalty_of_a_critic() -> None:
    w, x = leaf([[1.0, 2.0]]), leaf([[0.5, -1.0]])
    out = hs.tanh(x @ w.T)
    (g,) = hs.autograd.grad(out, x, hs.ones_like(out), create_graph=True)
    ((g.norm(2, dim=1) - 1) ** 2).mean().backward()

    def penalty(weights: Any) -> Any:
        return (np.linalg.norm(weights * (1 - np.tanh(weights @ [0.5, -1.0]) ** 2)) - 1) ** 2

    steps = [(penalty(np.array([1.0, 2.0]) + d) - penalty(np.array([1.0, 2.0]) - d)) / 2e-6 for d in 1e-6 * np.eye(2)]
    np.testing.assert_allclose(w.grad.numpy()[0], steps, rtol=1e-6)


A, B, V = [1.0, 2.0], [3.0, 5.0], [3.0, 4.0]
DERIVATIVES: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "jacobian": (lambda f, m: f.jacobian(lambda a: a**2, m(A)), [[2, 0], [0, 4]]),
    "jacobian of two": (
        lambda f, m: f.jacobian(lambda a, b: a * b.sum(), (m(A), m(B))),
        ([[8, 0], [0, 8]], [[1, 1], [2, 2]]),
    ),
    "jacobian, two outputs": (lambda f, m: f.jacobian(lambda a: (a * 2, a.sum()), m(A)), ([[2, 0], [0, 2]], [1, 1])),
    "hessian": (lambda f, m: f.hessian(lambda a: (a**3).sum(), m(A)), [[6, 0], [0, 12]]),
    "hessian of two": (
        lambda f, m: f.hessian(lambda a, b: (a * b).sum() ** 2, (m(A), m(B))),
        (([[18, 30], [30, 50]], [[32, 12], [10, 46]]), ([[32, 10], [12, 46]], [[2, 4], [4, 8]])),
    ),
    "vjp": (lambda f, m: f.vjp(lambda a: a**2, m(A), m(V)), ([1, 4], [6, 16])),
    "vjp of one value": (lambda f, m: f.vjp(lambda a: (a**2).sum(), m(A)), (5, [2, 4])),
    "jvp": (lambda f, m: f.jvp(lambda a: a**2, m(A), m(V)), ([1, 4], [6, 16])),
    "jvp of two": (lambda f, m: f.jvp(lambda a, b: a * b.sum(), (m(A), m(B)), (m(V), m(A))), ([8, 16], [27, 38])),
    "hvp": (lambda f, m: f.hvp(lambda a: (a**3).sum(), m(A), m(V)), (9, [18, 48])),
    "vhp": (lambda f, m: f.vhp(lambda a: (a**3).sum(), m(A), m(V)), (9, [18, 48])),
}


def _lists(x: Any) -> Any:
    return tuple(map(_lists, x)) if isinstance(x, tuple) else x.tolist()


@pytest.mark.parametrize(("call", "expected"), DERIVATIVES.values(), ids=DERIVATIVES)
def test_whole_derivatives(call: Callable[[Any, Any], Any], expected: Any) -> None:
    assert _lists(call(functional, leaf)) == expected
    torch = pytest.importorskip("torch")
    theirs = call(torch.autograd.functional, lambda v: torch.tensor(v, dtype=torch.float64))
    assert _lists(theirs) == expected


def test_whole_derivatives_go_on_the_tape() -> None:
    x = leaf(A)
    h = functional.hessian(lambda a: (a**4).sum(), x, create_graph=True)
    assert hs.autograd.grad(h.sum(), x)[0].tolist() == [24.0, 48.0]
    with pytest.raises(RuntimeError, match="hessian: func gave"):
        functional.hessian(lambda a: a, x)
    with pytest.raises(TypeError, match="jacobian: inputs of int64 are not allowed"):
        functional.jacobian(lambda a: a, hs.tensor([1]))


def test_halves_of_a_function_under_autocast() -> None:
    met = []

    class Product(hs.autograd.Function):
        @staticmethod
        @hs.amp.custom_fwd(device_type="cuda", cast_inputs=hs.float32)
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            met.append((x @ x).format)
            return x @ x

        @staticmethod
        @hs.amp.custom_bwd(device_type="cuda")
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            met.append((g @ x.T).format)
            return g @ x.T + x.T @ g

    x = hs.eye(2, requires_grad=True)
    with hs.autocast("cuda"):
        assert (hs.is_autocast_enabled(), hs.get_autocast_dtype("cuda")) == (True, hs.float16)
        Product.apply(x).sum().backward()
    assert met == [hs.float32, hs.float32]
    assert not hs.is_autocast_enabled()
    assert x.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]
