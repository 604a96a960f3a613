"""What a forward pass leaves in memory for the backward pass, counted from what the tape really holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array


def held_bytes(loss: Tensor, parameters: Iterable[Tensor] = ()) -> int:
    """Bytes that the graph behind ``loss`` keeps until its backward pass.

    Every array that a gradient formula has closed over counts once, floats at the width of the operation's
    storage format, masks and indices at their own; the memory of ``parameters`` does not count. A
    half-precision copy of a float32 weight, as autocast makes it, does.
    """
    seen = {_address(p.array) for p in parameters}
    total = 0
    for node in _nodes(loss):
        for pullback in node.pullbacks:
            for array in _closed_over(pullback):
                if _address(array) not in seen:
                    seen.add(_address(array))
                    bits = node.precision.storage.bits if array.dtype.kind == "f" else 8 * array.itemsize
                    total += -(-array.size * bits // 8)
    return total


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _nodes(root: Tensor) -> Iterator[Any]:
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop().node
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(x for x in node.inputs or () if isinstance(x, Tensor))


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
