"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
from halfsim.numerics.formats import float64, unknown, whole
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.quantize import Array

_MODES = ("constant", "reflect", "replicate", "circular")


@op(exact="forward")
def pad(fp: Arithmetic, x: Array, /, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """``x`` with more elements at the ends of its last axes: ``pad`` is (left, right, top, bottom, ...), from the last.

    New elements are ``value`` (0 by default), or, by ``mode``, those mirrored without the edge ("reflect"), the
    edge ("replicate"), or those of the other end ("circular"); negative numbers cut off. Other modes than
    "constant" take at most 3 axes and leave the first axis alone. The gradient of an element is the sum of those of its
    copies, axis by axis from the last. ``ValueError`` for other modes and for paddings that do not fit.

    >>> from halfsim import tensor
    >>> pad(tensor([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect")
    tensor([[3., 2., 1., 2., 3., 2.]], float32)
    """
    numbers = _numbers(x, pad, mode, value)
    y, back = x, []
    for axis, (left, right) in enumerate(zip(numbers[::2], numbers[1::2], strict=True), start=1):
        if left or right:
            source = _source(x.shape[-axis], left, right, mode)
            back.append((y.shape, -axis, source))
            y = (
                np.take(y, np.maximum(source, 0), -axis)
                if x.shape[-axis]
                else np.zeros(_long(y, -axis, source), y.dtype)
            )
            if source.size and source.min() < 0:
                np.moveaxis(y, -axis, 0)[source < 0] = fp.read(
                    as_floats(value or 0, float64).astype(np.float64), float64
                )

    def pullback(fp: Arithmetic, g: Array) -> Array:
        for shape, axis, source in back[::-1]:
            g = _folded(fp, g, shape, axis, source)
        return g

    return y, pullback


def _long(y: Array, axis: int, source: Array) -> list[int]:
    shape = list(y.shape)
    shape[axis] = source.size
    return shape


def _numbers(x: Array, given: Any, mode: str, value: float | None) -> list[int]:
    numbers = [whole("pad", n) for n in given] if isinstance(given, Sequence) and not isinstance(given, str) else []
    if mode not in _MODES:
        raise unknown("mode", mode, _MODES)
    if mode != "constant" and value is not None:
        raise ValueError(f"value: {value!r} does not go with mode {mode!r}; allowed: None")
    if len(numbers) % 2 or len(numbers) > 2 * x.ndim or (not numbers and given != () and given != []):
        raise ValueError(f"pad: {given!r} does not fit input {x.shape}; allowed: (left, right) of up to {x.ndim} axes")
    if mode != "constant" and len(numbers) > 2 * min(3, x.ndim - 1):
        raise ValueError(f"pad: {given!r} with mode {mode!r} and input {x.shape}; allowed: 3 axes, and not the first")
    return numbers


def _source(size: int, left: int, right: int, mode: str) -> Array:
    """For each element of the padded axis the one it copies, or -1."""
    limit = {"reflect": size - 1, "circular": size}.get(mode, left + right + size)
    if max(left, right) > limit or left + right + size < 0 or (mode == "replicate" and not size):
        raise ValueError(
            f"pad: ({left}, {right}) does not fit {size} elements by mode {mode!r}; allowed: up to {limit}"
        )
    index = np.arange(-left, size + right)
    if mode == "reflect":
        return size - 1 - np.abs(size - 1 - np.abs(index))
    if mode == "constant":
        return np.where((index >= 0) & (index < size), index, -1)
    if mode == "replicate":
        return index.clip(0, size - 1)
    start, end = max(0, -left), size - max(0, -right)  # what is cut off does not come back at the other end
    return (index - start) % max(1, end - start) + start


def _folded(fp: Arithmetic, g: Array, shape: tuple[int, ...], axis: int, source: Array) -> Array:
    """The sum over all copies of each element: layer n holds the gradients of the (n + 1)-th copies."""
    rank = np.zeros(source.size, np.intp)
    for i in range(1, source.size):
        rank[i] = np.count_nonzero(source[:i] == source[i])
    rank[source < 0] = -1
    layers = np.zeros((rank.max(initial=0) + 1, *shape), g.dtype)
    for n, layer in enumerate(layers):
        chosen = rank == n
        np.moveaxis(layer, axis, 0)[source[chosen]] = np.moveaxis(g, axis, 0)[chosen]
    return layers[0] if len(layers) == 1 else fp.sum(layers, 0)
