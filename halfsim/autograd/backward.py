"""The backward pass over what operations left on the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import follow
from halfsim.autograd.counting import Counting, unit
from halfsim.autograd.overrides import loss_scale
from halfsim.autograd.policy import scoped
from halfsim.autograd.tape import SPECS, Node, apply, tally
from halfsim.autograd.tensor import Tensor, plain, tensor
from halfsim.autograd.trace import active
from halfsim.numerics.flags import report, watching
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import container


def backward(root: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """See `Tensor.backward`."""
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient; allowed: results of requires_grad=True tensors")
    if gradient is None and root.size != 1:
        raise RuntimeError(f"backward: shape {root.shape} needs gradient=; allowed without it: one element")
    start = tensor(np.ones(root.shape) if gradient is None else plain(gradient), root.format)
    if start.shape != root.shape:
        raise RuntimeError(f"backward: gradient has shape {start.shape}; allowed: {root.shape}")
    scale = loss_scale()
    pending = {id(root): start if scale == 1 else _times(start, scale)}
    with np.errstate(all="ignore"):
        order = _topological(root)[::-1]
        while order:  # nothing here holds a tensor of the graph longer than it is needed
            out = order.pop()
            g, node = pending.pop(id(out)), out.node
            for hook in list((out.hooks or {}).values()):
                g = _hooked(out, g, hook)
            if node is None and scale != 1:
                g = _times(g, 1 / scale)
            if node is None or out.retains_grad:
                out.grad = g if out.grad is None else _accumulate(out.grad, g, out, "")
            if node is None:
                continue
            if node.inputs is None:
                raise RuntimeError("backward: the graph was freed by an earlier call; allowed: retain_graph=True there")
            for x, grad in _pull(node, g):
                before = pending.get(id(x))
                pending[id(x)] = grad if before is None else _accumulate(before, grad, x, node.path)
            if not retain_graph:
                node.inputs, node.pullbacks, node.twins = None, (), None


def _times(g: Tensor, factor: float) -> Tensor:
    """A gradient times a loss scale, or times its inverse, in the format that it has."""
    with scoped(phase="backward", gradients=False):
        return apply(SPECS["mul"], (g, factor), precision=native(g.format), label="grad")


def _hooked(out: Tensor, g: Tensor, hook: Callable[[Tensor], Any]) -> Tensor:
    """The gradient that ``hook`` leaves of ``g``."""
    changed = hook(g)
    if changed is None:
        return g
    data = tensor(changed, out.format)
    if data.shape != g.shape:
        raise RuntimeError(f"hook: returned shape {data.shape} for a gradient of {g.shape}; allowed: the same shape")
    return data


def _pull(node: Node, g: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The operands of a node that take a gradient, each with its gradient."""
    assert node.inputs is not None
    wanted = [
        (i, x, pullback)
        for i, (x, pullback) in enumerate(zip(node.inputs, node.pullbacks, strict=False))
        if isinstance(x, Tensor) and x.requires_grad
    ]
    counted = [_one(node, pullback, g, x) for _, x, pullback in wanted]
    trace = active()
    if trace is not None:
        twins = follow.gradients(trace, node, g, [(i, x) for i, x, _ in wanted])
        for (_, x, _), (grad, fp), (twin, local) in zip(wanted, counted, twins, strict=True):
            if isinstance(fp, Counting):
                follow.gradient(trace, node, x, grad, fp, twin, local, g)
    return [(x, grad) for (_, x, _), (grad, _) in zip(wanted, counted, strict=True)]


def _one(node: Node, pullback: Any, g: Tensor, x: Tensor) -> tuple[Tensor, Any]:
    """The gradient of one operand: by the formula, summed to its shape, stored, and rounded to its format."""
    counts, exact = tally(), SPECS[node.op].exact is True
    fp = unit(node.precision, counts)
    given = fp.read(g.data, g.format, exact)
    grad = fp.store(fp.sum_to(np.asarray(pullback(fp, given)), x.shape), (given,), exact and given.shape == x.shape)
    grad = unit(native(x.format), counts).read(grad, node.precision.storage)
    if counts is not None and watching():
        report(counts, node.op)
    grad = grad.astype(container(x.format), copy=False)
    # A tensor with ``grad`` owns it, though formulas may hand on one array to several operands, or a broadcast view.
    shared = (x.node is None or x.retains_grad) and not (grad.flags.owndata and not np.may_share_memory(grad, g.data))
    return Tensor(grad.copy() if shared else grad, x.format), fp


def _accumulate(a: Tensor, b: Tensor, x: Tensor, path: str) -> Tensor:
    """The sum of two gradients of ``x``, in the format of ``x``."""
    counts, trace = tally(), active()
    fp = unit(native(x.format), counts)
    if isinstance(fp, Counting):
        fp.inputs = a.data, b.data
    total = Tensor(fp.store(fp.add(a.data, b.data)), x.format)
    if trace is not None and isinstance(fp, Counting):
        follow.sum_of_two(trace, path, x, fp, total, a, b)
    if counts is not None and watching():
        report(counts, "accumulate")
    return total


def _topological(root: Tensor) -> list[Tensor]:
    """Every tensor that ``root`` depends on and that takes a gradient, each before its operands."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(root, False)]
    while stack:
        out, done = stack.pop()
        if done:
            order.append(out)
        elif id(out) not in seen:
            seen.add(id(out))
            stack.append((out, True))
            if out.node is not None and out.node.inputs is not None:
                stack.extend((x, False) for x in out.node.inputs if isinstance(x, Tensor) and x.requires_grad)
    return order[::-1]
