"""What a forward pass leaves in memory and a backward pass adds to it, counted from what the tape really holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.costs.kernels import kernel, width
from halfsim.numerics.quantize import Array


def held_bytes(loss: Tensor, parameters: Iterable[Tensor] = ()) -> int:
    """Bytes that the graph behind ``loss`` keeps until its backward pass.

    Every array that a gradient formula has closed over counts once, floats at the width in which the kernels read them
    (see `halfsim.costs.kernels`), masks and indices at their own; the memory of ``parameters`` does not count. A
    half-precision copy of a float32 weight, as autocast makes it, does, and so does a float32 copy of halves.
    """
    seen: dict[Key, int] = {}
    own = {_address(p.array) for p in parameters}
    for node in _nodes(loss):
        seen |= _held(node, own)
    return sum(seen.values())


def backward_bytes(loss: Tensor, parameters: Iterable[Tensor] = ()) -> list[int]:
    """For each operation on the way back from ``loss``, the bytes in use while its gradients are formed.

    These are what is still held for the operations to come, gradients on their way, and its own; those of
    ``parameters`` count only while they are in another format, for gradients have a place of their own in a bill.
    """
    own = {_address(p.array) for p in parameters}
    nodes = sorted(((node, out) for out, node in outs(loss)), key=lambda pair: -pair[0].number)
    held = [_held(node, own) for node, _ in nodes]
    uses = Counter(key for keys in held for key in keys)
    living = sum({key: size for keys in held for key, size in keys.items()}.values())
    flying: dict[int, int] = {id(loss): _bytes(loss)}
    found = []
    for (node, out), keys in zip(nodes, held, strict=True):
        passing = 0  # gradients of parameters before they are in their format
        before = sum(flying.values())
        arrived = flying.pop(id(out), _bytes(out))
        aliased = kernel(node.spec).alike or node.spec.view is True
        for x in node.inputs or ():
            if not (isinstance(x, Tensor) and x.requires_grad):
                continue
            if x.is_leaf:
                passing += 0 if x.format == node.precision.storage else x.size * node.precision.storage.bits // 8
            elif aliased and x.size == out.size and arrived:
                flying[id(x)], arrived = flying.get(id(x), 0) or arrived, 0
            else:
                flying.setdefault(id(x), _bytes(x))
        found.append(living + max(before, sum(flying.values()) + arrived) + passing)
        for key, size in keys.items():
            uses[key] -= 1
            living -= 0 if uses[key] else size
    return found


Key = tuple[int, int]  # the address of an array, and the bits of its numbers


def _held(node: Any, parameters: set[int]) -> dict[Key, int]:
    """The arrays that an operation holds for its gradients, and their bytes."""
    found: dict[Key, int] = {}
    storage = node.precision.storage
    widths = {
        _address(x.array): round(8 * width(node.spec, x, storage)) for x in node.inputs or () if isinstance(x, Tensor)
    }
    for pullback in node.pullbacks:
        for array in _closed_over(pullback):
            address = _address(array)
            if address not in parameters:
                bits = widths.get(address, storage.bits) if array.dtype.kind == "f" else 8 * array.itemsize
                found[address, bits] = max(found.get((address, bits), 0), -(-array.size * bits // 8))
    return found


def _bytes(x: Tensor) -> int:
    return -(-x.size * x.format.bits // 8)


def outs(root: Tensor) -> Iterator[tuple[Tensor, Any]]:
    """The results that ``root`` was computed from, itself first, each with its node on the tape."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        out = stack.pop()
        if out.node is not None and id(out.node) not in seen:
            seen.add(id(out.node))
            yield out, out.node
            stack.extend(x for x in reversed(out.node.inputs or ()) if isinstance(x, Tensor))


def _nodes(root: Tensor) -> Iterator[Any]:
    return (node for _, node in outs(root))


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _closed_over(held: Any) -> Iterator[Array]:
    """The arrays that a formula holds: in its closure, in functions and lists there."""
    seen: set[int] = set()
    stack = [held]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            if item.size:
                yield item
        elif isinstance(item, (tuple, list)):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
        else:
            stack.extend(_contents(getattr(item, "__closure__", None) or ()))


def _contents(cells: Any) -> Iterator[Any]:
    for cell in cells:
        try:
            yield cell.cell_contents
        except ValueError:  # a name that the formula has deleted
            continue
