"""The backward pass over what operations left on the tape, in the order of PyTorch's engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.observer import Observer, active
from halfsim.autograd.operators import OPS
from halfsim.autograd.overrides import loss_scale
from halfsim.autograd.scope import carried, scoped
from halfsim.autograd.second_order import on_tape
from halfsim.autograd.tape import SPECS, Node, Pullback, apply, unit
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import holder, rounded
from halfsim.options import shown


def backward(
    root: Tensor,
    gradient: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """See `Tensor.backward`."""
    given = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if given == []:
        raise ValueError("inputs: none are given; allowed: tensors, None for all leaves")
    for x in given or ():
        if not isinstance(x, Tensor):
            raise TypeError(f"inputs: {shown(x)} is not allowed; allowed: tensors, None for all leaves")
    wanted = None if given is None else {id(x) for x in given}
    with np.errstate(all="ignore"):
        for out, g, observer in gradients([root], [gradient], retain_graph, create_graph):
            if (out.node is None or out.retains_grad) if wanted is None else id(out) in wanted:
                out.grad = g if out.grad is None else _accumulated(out.grad, g, out, "", observer, create_graph)


OPS["backward"] = backward  # which `Tensor.backward` finds there


def gradients(
    roots: Sequence[Tensor], starts: Sequence[Any], retain_graph: bool, create_graph: bool = False
) -> Iterator[tuple[Tensor, Tensor, Observer | None]]:
    """Each tensor that ``roots`` depend on with its gradient, complete, and who watches; the roots first.

    ``starts`` are gradients of the roots, None for 1. ``RuntimeError`` for a root that requires no gradient, for
    several elements without a start, and for a graph that was freed.
    """
    pending: dict[int, Tensor] = {}
    scale, observer = loss_scale(), active()
    for root, gradient in zip(roots, starts, strict=True):
        start = _start(root, gradient, observer)
        start = start if scale == 1 else _times(start, scale)
        before = pending.get(id(root))
        pending[id(root)] = start if before is None else _accumulated(before, start, root, "", observer)
        if observer is not None:
            observer.begins(root)
    waiting, ready = _consumers(roots), _Ready()
    for root in roots:
        if not waiting[id(root)]:
            ready.put(root)
            waiting[id(root)] = -1  # a tensor given twice is one root
    while ready:  # nothing here holds a tensor of the graph longer than it is needed
        out = ready.take()
        g, node = pending.pop(id(out)), out.node
        for hook in list((out.hooks or {}).values()):
            g = _hooked(out, g, hook, create_graph)
        if node is None and scale != 1:
            g = _times(g, 1 / scale)
        yield out, g, observer
        if node is None:
            continue
        if not node.pullbacks:
            raise RuntimeError("backward: the graph was freed by an earlier call; allowed: retain_graph=True there")
        found = on_tape(node, g) if create_graph else _pull(node, g, observer)
        for x, grad in found:
            before = pending.get(id(x))
            pending[id(x)] = (
                grad if before is None else _accumulated(before, grad, x, node.path, observer, create_graph)
            )
            waiting[id(x)] -= 1
            if not waiting[id(x)]:
                ready.put(x)
        if not retain_graph:
            node.free()


def _start(root: Tensor, gradient: Any, observer: Observer | None) -> Tensor:
    """The gradient that a backward pass begins with."""
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient; allowed: results of requires_grad=True tensors")
    if gradient is None and root.array.size != 1:
        raise RuntimeError(f"backward: shape {root.shape} needs gradient=; allowed without it: one element")
    if gradient is None and observer is None and carried(root.format) is root.format:
        return Tensor(rounded(np.ones(root.shape, holder(root.format)), root.format), root.format)
    if isinstance(gradient, Tensor) and gradient.requires_grad and gradient.format == root.format:
        start = gradient  # which a gradient of the gradient may ask for
    else:
        start = tensor(np.ones(root.shape) if gradient is None else plain(gradient), root.format)
    if start.shape != root.shape:
        raise RuntimeError(f"backward: gradient has shape {start.shape}; allowed: {root.shape}")
    return start


def _times(g: Tensor, factor: float) -> Tensor:
    """A gradient times a loss scale, or times its inverse, in the format that it has."""
    with scoped(phase="backward", gradients=False):
        return apply(SPECS["mul"], (g, factor), precision=native(g.format), label="grad")


def _hooked(out: Tensor, g: Tensor, hook: Callable[[Tensor], Any], create_graph: bool) -> Tensor:
    """The gradient that ``hook`` leaves of ``g``; what it computes belongs to the backward pass."""
    with scoped(phase="backward", gradients=create_graph):
        changed = hook(g)
    if changed is None:
        return g
    data = changed.to(out.format) if isinstance(changed, Tensor) and create_graph else tensor(changed, out.format)
    if data.shape != g.shape:
        raise RuntimeError(f"hook: returned shape {data.shape} for a gradient of {g.shape}; allowed: the same shape")
    return data


def _pull(node: Node, g: Tensor, observer: Observer | None) -> list[tuple[Tensor, Tensor]]:
    """The operands of a node that take a gradient, each with its gradient."""
    found = [
        (i, x, *gradient_of(node, pullback, g, x, observer))
        for i, (x, pullback) in enumerate(zip(node.inputs or (), node.pullbacks, strict=False))
        if isinstance(x, Tensor) and x.requires_grad
    ]
    if observer is not None:
        observer.gradients(node, g, found)
    return [(x, grad) for _, x, grad, _ in found]


def gradient_of(
    node: Node, pullback: Pullback, g: Tensor, x: Tensor, observer: Observer | None
) -> tuple[Tensor, Arithmetic]:
    """The gradient of one operand: by the formula, summed to its shape, stored, and rounded to its format."""
    exact = node.spec.exact is True
    fp = unit(observer, node.precision, "gradient")
    given = fp.read(g.array, g.format, exact)
    grad = np.asarray(pullback(fp, given))
    if grad.shape != x.shape:  # PyTorch stores the gradient before another kernel sums what was broadcast
        grad = fp.sum_to(grad if exact else fp.spill(grad), x.shape)
    grad = fp.store(grad, (given,), exact and given.shape == x.shape)
    grad = fp.delivered(grad, x.format)
    # A tensor with ``grad`` owns it, though formulas may hand on one array to several operands, or a broadcast view.
    shared = (x.node is None or x.retains_grad) and not (grad.flags.owndata and not np.may_share_memory(grad, g.array))
    return Tensor(grad.copy() if shared else grad, x.format), fp


def _accumulated(
    a: Tensor, b: Tensor, x: Tensor, path: str, observer: Observer | None, create_graph: bool = False
) -> Tensor:
    """The sum of two gradients of ``x``, in the format of ``x``; on the tape with ``create_graph``."""
    if create_graph:
        return apply(SPECS["add"], (a, b), precision=native(x.format))
    fp = unit(observer, native(x.format), "")
    arrays = fp.read(a.array, a.format), fp.read(b.array, b.format)
    total = Tensor(fp.store(fp.add(*arrays)), x.format)
    if observer is not None:
        observer.total(path, x, fp, total, a, b)
    return total


def _sources(node: Node) -> list[Tensor]:
    """The operands that take a gradient, as often as they are operands."""
    return [x for x in node.inputs or () if isinstance(x, Tensor) and x.requires_grad]


def _consumers(roots: Sequence[Tensor]) -> dict[int, int]:
    """Of every tensor that ``roots`` depend on, how many gradients operations on the way to them send it."""
    counts = {id(root): 0 for root in roots}
    left = list({id(root): root for root in roots}.values())
    while left:
        node = left.pop().node
        for x in () if node is None else _sources(node):
            if id(x) not in counts:
                counts[id(x)] = 0
                left.append(x)
            counts[id(x)] += 1
    return counts


class _Ready:
    """Tensors whose gradients are complete: leaves first, then what was made last, as PyTorch's engine takes them.

    So three gradients of one tensor are added up in PyTorch's order.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Tensor]] = []
        self.turns = count()

    def __bool__(self) -> bool:
        return bool(self.heap)

    def put(self, x: Tensor) -> None:
        heappush(self.heap, (-math.inf if x.node is None else -x.node.number, next(self.turns), x))

    def take(self) -> Tensor:
        return heappop(self.heap)[2]
