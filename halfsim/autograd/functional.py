"""Whole derivatives of functions of tensors: PyTorch's ``autograd.functional``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.function import grad
from halfsim.autograd.making import tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import scoped
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.options import guarded_names

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _as_given(results: Sequence[Any], given: Any) -> Any:
    return tuple(results) if isinstance(given, (tuple, list)) else results[0]


def _fresh(name: str, inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Tensors of the inputs' values to take gradients of; on their tape with ``create_graph``."""
    found = _tuple(inputs)
    for x in found:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name}: inputs of {kind} are not allowed; allowed: floating-point tensors")
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().clone().requires_grad_() for x in found
    )


def _run(name: str, func: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Any, tuple[Tensor, ...]]:
    made = func(*inputs)
    for y in _tuple(made):
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: func gave a {type(y).__name__}; allowed: a tensor, a tuple of tensors")
    return made, _tuple(made)


def _directions(name: str, v: Any, like: Sequence[Tensor]) -> list[Tensor]:
    """``v``, which 1 stands for where there is one value."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"{name}: v is missing; allowed without it: one value")
        return [OPS["ones_like"](like[0].detach())]
    found = [x if isinstance(x, Tensor) else tensor(x) for x in _tuple(v)]
    shapes = [tuple(x.shape) for x in found]
    if shapes != [tuple(x.shape) for x in like]:
        raise RuntimeError(f"{name}: v has shapes {shapes}; allowed: {[tuple(x.shape) for x in like]}")
    return found


def _grads(outs: Sequence[Tensor], xs: Sequence[Tensor], starts: Sequence[Tensor], keep: bool) -> list[Any]:
    """The gradients of the inputs, zeros where nothing depends on them."""
    pairs = [(y, g) for y, g in zip(outs, starts, strict=True) if y.requires_grad]
    if not pairs:
        return [OPS["zeros_like"](x.detach()) for x in xs]
    ys, gs = zip(*pairs, strict=True)
    return list(grad(ys, xs, gs, retain_graph=True, create_graph=keep, materialize_grads=True))


def _left(results: Any, create_graph: bool) -> Any:
    """Results off the tape, unless they were asked for on it."""
    if isinstance(results, (tuple, list)):
        return type(results)(_left(x, create_graph) for x in results)
    return results if create_graph else results.detach()


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every value of ``func(*inputs)`` by every input: of its shape and theirs.

    A tuple for each output, if there are several, of one for each input. Each value is a backward pass of its own;
    ``vectorize`` and ``strategy`` change nothing.

    >>> from halfsim import tensor
    >>> jacobian(lambda x: x**2, tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]], float32)
    """
    with scoped(gradients=True):
        xs = _fresh("jacobian", inputs, create_graph)
        made, outs = _run("jacobian", func, xs)
        rows = []
        for y in outs:
            units = np.eye(prod(y.shape)).reshape(prod(y.shape), *y.shape)
            found = [_grads([y], xs, [Tensor(unit.astype(y.array.dtype), y.format)], create_graph) for unit in units]
            joined = [
                OPS["reshape"](OPS["stack"]([row[i] for row in found]), (*y.shape, *x.shape))
                if found
                else OPS["zeros"]((*y.shape, *x.shape), dtype=x.format)
                for i, x in enumerate(xs)
            ]
            rows.append(_as_given(_left(joined, create_graph), inputs))
    return _as_given(rows, made)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of the one value of ``func(*inputs)``: for two inputs a tuple of two tuples.

    >>> from halfsim import tensor
    >>> hessian(lambda x: (x**3).sum(), tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]], float32)
    """

    def slope(*xs: Tensor) -> tuple[Any, ...]:
        y = _value("hessian", func, xs)
        return tuple(_grads([y], xs, [OPS["ones_like"](y.detach())], True))

    rows = jacobian(slope, _tuple(inputs), create_graph)
    return rows if isinstance(inputs, (tuple, list)) else rows[0][0]


def _value(name: str, func: Callable[..., Any], xs: Sequence[Tensor]) -> Tensor:
    """The one value of a function."""
    _, outs = _run(name, func, xs)
    if len(outs) != 1 or outs[0].numel() != 1:
        raise RuntimeError(f"{name}: func gave {[tuple(y.shape) for y in outs]}; allowed: one value")
    return OPS["reshape"](outs[0], ())


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``func(*inputs)``, and ``v`` times its Jacobian: the gradients that begin with ``v``."""
    with scoped(gradients=True):
        xs = _fresh("vjp", inputs, create_graph)
        made, outs = _run("vjp", func, xs)
        found = _grads(outs, xs, _directions("vjp", v, outs), create_graph)
    return _left(made, create_graph), _as_given(_left(found, create_graph), inputs)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``func(*inputs)``, and its Jacobian times ``v``: how it changes as the inputs move along ``v``.

    The gradient, which is linear in what it begins with, has that as its own gradient.
    """
    with scoped(gradients=True):
        xs = _fresh("jvp", inputs, create_graph)
        made, outs = _run("jvp", func, xs)
        starts = [OPS["zeros_like"](y.detach()).requires_grad_() for y in outs]
        slopes = _grads(outs, xs, starts, True)
        found = _grads(slopes, starts, _directions("jvp", v, xs), create_graph)
    return _left(made, create_graph), _as_given(_left(found, create_graph), made)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The one value of ``func(*inputs)``, and its Hessian times ``v``.

    >>> from halfsim import tensor
    >>> hvp(lambda x: (x**3).sum(), tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor(9., float32), tensor([ 6., 12.], float32))
    """
    with scoped(gradients=True):
        xs = _fresh("hvp", inputs, create_graph)
        y = _value("hvp", func, xs)
        slopes = _grads([y], xs, [OPS["ones_like"](y.detach())], True)
        found = _grads(slopes, xs, _directions("hvp", v, xs), create_graph)
    return _left(y, create_graph), _as_given(_left(found, create_graph), inputs)


vhp = hvp  # a Hessian is symmetric


guarded_names(globals(), __all__)
public(__name__)
