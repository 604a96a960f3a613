"""What one pass through a model takes: arithmetic and bytes moved of every operation, from the operands it had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.policy import scope
from halfsim.autograd.tape import SPECS, Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]


@dataclass(frozen=True, slots=True)
class Work:
    """One operation, or the gradient of one of its operands, or the conversion of one.

    It reads and writes all its numbers in memory: nothing stays in a cache.
    """

    phase: str  # "forward", "backward" or "optimizer"
    path: str
    op: str
    format: Format  # of its operands
    product: bool  # whether matrix units can do it
    flops: float  # a multiplication and an addition count as two
    bytes: float  # read and written
    live: float = 0.0  # of these bytes, those that are not parameters


def _product(op: str, shapes: Shapes, out: Shape) -> tuple[float, dict[int, float]] | None:
    """FLOPs of a matrix product, and of the gradient of each operand by its position; None if ``op`` is no product."""
    s = [shape or () for shape in shapes]
    if op in ("matmul", "linear"):
        flops = 2.0 * prod(out) * s[0][-1]
    elif op == "dot":
        flops = 2.0 * prod(s[0])
    elif op in ("conv1d", "conv2d", "conv3d"):
        flops = 2.0 * prod(out) * prod(s[1][1:])
    elif op in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        flops = 2.0 * prod(s[0]) * prod(s[1][1:])
    elif op == "baddbmm":
        flops = 2.0 * prod(out) * s[1][-1]
        return flops, {1: flops, 2: flops}
    elif op == "bilinear":
        flops = 2.0 * prod(out[:-1]) * prod(s[2]) + 2.0 * prod(out) * s[2][-1]
        return flops, {0: flops, 1: flops, 2: flops}
    elif op == "scaled_dot_product_attention":
        return _attention(shapes)
    elif op in ("rnn_tanh", "rnn_relu", "lstm", "gru"):
        steps = 2.0 * prod(s[0][:-1])
        inner, recurrent = steps * prod(s[1]), steps * prod(s[2])
        return inner + recurrent, {0: inner, 1: inner, 2: 2 * recurrent}  # through time, and that of the weight
    else:
        return None
    return flops, {0: flops, 1: flops}


def _attention(shapes: Shapes) -> tuple[float, dict[int, float]]:
    packed = len(shapes) < 3 or shapes[1] is None
    q = (shapes[0] or ())[1:] if packed else shapes[0] or ()
    k, v = (q, q) if packed else (shapes[1] or (), shapes[2] or ())
    scores = 2.0 * prod(q[:-1]) * k[-2]
    flops = scores * (q[-1] + v[-1])
    if packed:
        return flops, {0: 2 * flops}
    return flops, {0: scores * (q[-1] + v[-1]), 1: scores * q[-1], 2: scores * v[-1]}  # the scores' with the query's


class Ledger(Observer):
    """Notes the work of each forward operation; what is in ``parameters`` is not counted as live memory."""

    def __init__(self, parameters: Sequence[Array]) -> None:
        self.works: list[Work] = []
        self._parameters = {_address(p) for p in parameters}

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> None:  # fmt: skip
        """Add one operation."""
        here = scope()
        if spec.name not in SPECS or here.phase != "forward":
            return
        held = [x if isinstance(x, np.ndarray) else None for x in arrays]
        found = [x for x in held if x is not None]
        y, width, exact = out.array, out.format.bits / 8, bool(spec.exact)
        if exact and any(np.may_share_memory(y, x) for x in found):
            return  # a view moves nothing
        product = _product(spec.name, [None if x is None else x.shape for x in held], y.shape)
        read = [min(x.size, y.size) if exact or spec.name == "embedding" else x.size for x in found]
        live = sum(n for n, x in zip(read, found, strict=True) if _address(x) not in self._parameters)
        flops = product[0] if product else 0.0 if exact else float(max([y.size, *read]))
        self.works.append(
            Work("forward", here.path, spec.name, out.format, product is not None, flops,
                 (sum(read) + y.size) * width, (live + y.size) * width)
        )  # fmt: skip


def conversions(root: Tensor) -> Iterator[Work]:
    """The work of converting operands that are not in their operation's format, and their gradients.

    Autocast converts a weight once, however often it is used.
    """
    seen: set[tuple[int, str]] = set()
    for _, node in _nodes(root):
        target = node.precision.storage
        for x in node.inputs or ():
            if isinstance(x, Tensor) and x.format != target and (id(x), target.name) not in seen:
                seen.add((id(x), target.name))
                moved = x.size * (x.format.bits + target.bits) / 8
                yield Work("forward", node.path, "cast", target, False, 0.0, moved, x.size * target.bits / 8)
                if x.requires_grad:
                    yield Work("backward", node.path, "cast", target, False, 0.0, moved)


def gradients(root: Tensor) -> Iterator[Work]:
    """The work of the backward pass from ``root``: for each operation the gradient of each operand that takes one."""
    reached: set[int] = set()
    for out, node in _nodes(root):
        inputs = list(node.inputs or ())
        shapes = [x.shape if hasattr(x, "shape") else None for x in inputs]
        product, exact = _product(node.op, shapes, out.shape), SPECS[node.op].exact is True
        width = node.precision.storage.bits / 8
        for i, x in enumerate(inputs):
            if not (isinstance(x, Tensor) and x.requires_grad):
                continue
            if id(x) in reached:  # a second gradient of one tensor is added to the first
                bits = x.format.bits / 8
                yield Work("backward", node.path, "accumulate", x.format, False, x.size, 3 * x.size * bits)
            reached.add(id(x))
            if exact and np.may_share_memory(out.array, x.array):
                continue
            flops = product[1].get(i) if product else None
            others = sum(prod(shape) for j, shape in enumerate(shapes) if shape is not None and j != i)
            read = others if flops is not None else 0 if exact or node.op == "embedding" else x.size
            if flops is None and product and i not in product[1]:
                read = 0  # a bias: the sum of what arrives
            moved = (out.size + read + x.size) * width
            work = 0.0 if exact else float(max(out.size, x.size))
            yield Work("backward", node.path, node.op, node.precision.storage, flops is not None,
                       work if flops is None else flops, moved)  # fmt: skip


def _nodes(root: Tensor) -> Iterator[tuple[Tensor, Node]]:
    seen: set[int] = set()
    stack = [root]
    while stack:
        out = stack.pop()
        if out.node is not None and id(out.node) not in seen:
            seen.add(id(out.node))
            yield out, out.node
            stack.extend(x for x in reversed(out.node.inputs or ()) if isinstance(x, Tensor))


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
