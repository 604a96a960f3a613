"""What one pass through a model takes: arithmetic and bytes moved of every operation, from the operands it had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.scope import scope
from halfsim.autograd.tape import SPECS, Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.costs.kernels import CELLS, FUSED, WRITTEN, copied, kernel, passes, result_format, width
from halfsim.costs.memory import outs
from halfsim.costs.products import ATTENTION, Shape, product
from halfsim.costs.shapes import Shapes
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array


@dataclass(frozen=True, slots=True)
class Work:
    """One kernel of a forward or backward pass, or of the optimizer.

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
    steps: int = 1  # how many kernels it is, of which each waits for the one before


class Ledger(Observer):
    """An observer that writes down what each forward operation computes, and which bytes it reads and writes.

    ``parameters`` are arrays that stay in memory all the time, and so are not counted with what an operation needs. In
    ``training`` kernels also write what the backward pass will need. Without ``computes`` results are zeros of the
    right shape: quick, and enough for counting.
    """

    def __init__(self, parameters: Sequence[Array], training: bool, computes: bool = True) -> None:
        self.training, self.computes = training, computes
        self.works: list[Work] = []
        self._parameters = {_address(p) for p in parameters}
        self._kept: dict[int, Array] = {}  # results whose kernels wrote the format to which the engine casts them next
        self._cached: set[tuple[int, str]] = set()

    def unit(self, precision: Precision, label: str) -> Arithmetic | None:
        """A plain unit, or one that computes nothing."""
        return None if self.computes else Shapes(precision)

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> None:  # fmt: skip
        """Add the kernels of one operation, and the copies of its operands that they need."""
        here = scope()
        if spec.name not in SPECS or here.phase != "forward" or spec.name in FUSED:
            return
        storage, y = out.format, out.array
        found = [(x, operand) for x, operand in zip(arrays, operands, strict=False) if isinstance(x, np.ndarray)]
        exact = bool(spec.exact)
        if spec.name == "cast":
            if _is_kept(operands[0], self._kept):
                return
        elif exact and any(np.may_share_memory(y, x) for x, _ in found):
            return  # a view moves nothing
        for _, operand in found:
            self._copy(spec, operand, storage, here.path)
        if spec.name in CELLS:
            shapes = [None if x is None else x.shape for x in arrays]
            self.works += recurrent(spec.name, here.path, shapes, storage, self.training)
            return
        row, numbers = kernel(spec), product(spec.name, [getattr(x, "shape", None) for x in arrays], y.shape)
        read = [min(x.size, y.size) if exact or spec.name == "embedding" else x.size for x, _ in found]
        wide = [width(spec, operand, storage) for _, operand in found]
        written = result_format(spec, operands, storage)
        if written != storage:
            self._kept[_address(y)] = y
        ends = y.size * (written.bits / 8 + WRITTEN.get(row.saved, 0))
        times = [passes(spec, operands)[0], *[1] * len(read)]
        moved = sum(n * w * k for n, w, k in zip(read, wide, times, strict=False))
        live = sum(n * w for n, w, (x, _) in zip(read, wide, found, strict=True) if _address(x) not in self._parameters)
        flops = numbers[0] if numbers else 0.0 if exact else float(max([y.size, *read]))
        self.works.append(
            Work("forward", here.path, spec.name, storage, numbers is not None, flops, moved + ends, live + ends)
        )

    def _copy(self, spec: Op, x: Any, storage: Format, path: str) -> None:
        """Autocast's copy of an operand; that of a parameter is kept for all that use it."""
        if not copied(spec, x, storage) or (is_cached(x) and (id(x), storage.name) in self._cached):
            return
        self._cached.add((id(x), storage.name))
        moved = x.size * (x.format.bits + storage.bits) / 8
        self.works.append(Work("forward", path, "cast", storage, False, 0.0, moved, x.size * storage.bits / 8))


def is_cached(x: Tensor) -> bool:
    """Whether autocast keeps the copy of a tensor until its context ends: those of parameters."""
    return x.is_leaf and x.requires_grad


def _is_kept(x: Any, kept: dict[int, Array]) -> bool:
    return isinstance(x, Tensor) and kept.get(_address(x.array)) is x.array


def recurrent(op: str, path: str, shapes: Sequence[Any], storage: Format, training: bool) -> Iterator[Work]:
    """Forward of one direction of a recurrent layer: a product for all time steps, then two kernels a step in turn.

    Each step reads the recurrent weights again.
    """
    cell, (steps, batch), hidden = CELLS[op], shapes[0][:2], shapes[2][1]
    each, rows, byte = batch * hidden, steps * batch, storage.bits / 8
    inner, own = prod(shapes[1]), prod(shapes[2])
    made = rows * cell.gates * hidden
    live = (prod(shapes[0]) + made + 2 * rows * hidden) * byte
    yield Work("forward", path, op, storage, True, 2.0 * rows * inner, (prod(shapes[0]) + inner + made) * byte, live)
    moved = steps * (own + each * (1 + cell.gates)) * byte
    yield Work("forward", path, op, storage, True, 2.0 * rows * own, moved, 0.0, steps)
    gates, kept = float(steps * each), cell.moved + cell.saved * training
    yield Work("forward", path, op, storage, False, gates * cell.forward, gates * kept * byte, 0.0, steps)


def gradients(root: Tensor) -> Iterator[Work]:
    """The work of the backward pass from ``root``: for each operation the gradients of the operands that take one."""
    reached: set[int] = set()
    cast: set[tuple[int, str]] = set()
    for out, node in outs(root):
        spec, storage = node.spec, node.precision.storage
        inputs = list(node.inputs or ())
        wanted = {i: x for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad}
        if node.op != "cast" or not _after_kept(inputs[0], storage):
            yield from _backward(node, out, inputs, wanted)
        for x in wanted.values():
            copy = copied(spec, x, storage)
            byte = (storage if copy and is_cached(x) else x.format).bits / 8
            if id(x) in reached:  # a second gradient of one tensor is added to the first
                yield Work("backward", node.path, "accumulate", x.format, False, float(x.size), 3 * x.size * byte)
            reached.add(id(x))
            if copy and not (is_cached(x) and (id(x), storage.name) in cast):
                cast.add((id(x), storage.name))
                moved = x.size * (x.format.bits + storage.bits) / 8
                yield Work("backward", node.path, "cast", storage, False, 0.0, moved)


def _after_kept(x: Any, target: Format) -> bool:
    """Whether a cast of ``x`` to ``target`` is the work of the kernel that made ``x``."""
    node = x.node if isinstance(x, Tensor) else None
    return (
        node is not None
        and kernel(node.spec).keeps
        and target == result_format(node.spec, node.inputs or (), target) != x.format
    )


def _backward(node: Node, out: Tensor, inputs: Sequence[Any], wanted: dict[int, Tensor]) -> Iterator[Work]:
    spec, storage, op, path = node.spec, node.precision.storage, node.op, node.path
    row, byte = kernel(spec), storage.bits / 8
    shapes: list[Shape | None] = [x.shape if hasattr(x, "shape") else None for x in inputs]
    numbers, exact = product(op, shapes, out.shape), spec.exact is True
    above = out.size * result_format(spec, inputs, storage).bits / 8  # bytes of the gradient that arrives
    sizes = [0 if shape is None else prod(shape) for shape in shapes]

    def made(flops: float, moved: float, products: bool = False, steps: int = 1) -> Work:
        return Work("backward", path, op, storage, products, flops, moved, 0.0, steps)

    if op in CELLS:
        yield from _through_time(op, made, shapes, storage, wanted)
    elif op in ATTENTION and numbers is not None:  # one kernel, which forms the scores again
        flops = sum(numbers[1].get(i, 0.0) for i in wanted)
        yield made(flops, 2 * above + (sum(sizes) + sum(x.size for x in wanted.values())) * byte, True)
    elif numbers is not None:
        for i, x in wanted.items():
            if i in numbers[1]:
                yield made(numbers[1][i], above + (sum(sizes) - sizes[i] + x.size) * byte, True)
            else:  # a bias: the sum of what arrives
                yield made(float(out.size), above + x.size * byte)
    elif row.saved == "others" or row.alike:
        for i, x in wanted.items():
            if not (row.alike and x.shape == out.shape):
                others = 0 if row.alike else sum(sizes) - sizes[i]
                yield made(float(max(out.size, x.size)), above + others * byte + x.size * width(spec, x, storage))
    elif wanted and not (exact and any(np.may_share_memory(out.array, x.array) for x in wanted.values())):
        saved = {
            "input": sizes[0] * width(spec, inputs[0], storage), "result": above,
            **{kind: out.size * each for kind, each in WRITTEN.items()},
        }.get(row.saved, 0.0)  # fmt: skip
        ends = sum(x.size * width(spec, x, storage) for x in wanted.values())
        flops = 0.0 if exact else float(max(out.size, *(x.size for x in wanted.values())))
        yield made(
            flops, passes(spec, node.call[0] if isinstance(node.call, tuple) else inputs)[1] * (above + saved) + ends
        )


def _through_time(
    op: str, made: Any, shapes: Sequence[Any], storage: Format, wanted: dict[int, Tensor]
) -> Iterator[Work]:
    """Backward of a recurrent layer: two kernels a step in turn, then products and sums over all steps."""
    cell, (steps, batch), hidden = CELLS[op], shapes[0][:2], shapes[2][1]
    each, rows, byte = batch * hidden, steps * batch, storage.bits / 8
    inner, own, gates = prod(shapes[1]), prod(shapes[2]), rows * cell.gates * hidden
    if not wanted:
        return
    yield made(float(steps * each * cell.backward), steps * each * cell.returned * byte, False, steps)
    yield made(2.0 * rows * own, steps * (own + each * (1 + cell.gates)) * byte, True, steps)
    for i, x in wanted.items():
        if i < 2:
            yield made(2.0 * rows * inner, (gates + prod(shapes[0]) + inner) * byte, True)
        elif i == 2:
            yield made(2.0 * rows * own, (gates + rows * hidden + own) * byte, True)
        elif i < 5:
            yield made(float(gates), (gates + x.size) * byte)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
