"""Windows sliding over the last two axes of an array: which element lies under which kernel position.

One-dimensional operations are two-dimensional ones with a height of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

Index: TypeAlias = Any  # a slice, or an array of integers
Taps: TypeAlias = list[tuple[int, Index, Index]]  # position in the kernel, outputs that it serves, their inputs

_BLOCK = 1 << 18  # elements unfolded at a time: 1 MiB of float32, which the second-level cache holds


class Axis(NamedTuple):
    """``outputs`` windows on an axis of ``size``: under position k window i has element i stride + k dilation - pad.

    Where there is no such element lies padding; how much of it follows the last element is in ``outputs``.
    """

    size: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    dilation: int = 1


class Phase(NamedTuple):
    """Elements of an axis that meet the same kernel ``positions``; ``taps`` number these, and go back to windows."""

    elements: slice
    length: int
    positions: list[int]
    taps: Taps


def taps(axis: Axis) -> Taps:
    """From elements to windows: for each kernel position the windows that have an element there, and these elements."""
    found: Taps = []
    size, outputs, kernel, stride, pad, dilation = axis
    for k in range(kernel):
        start = k * dilation - pad
        low, high = max(0, -(start // stride)), min(outputs, (size - 1 - start) // stride + 1)
        if low < high:
            inputs = slice(start + low * stride, start + (high - 1) * stride + 1, stride)
            found.append((k, slice(low, high), inputs))
    return found


def phases(axis: Axis) -> Iterator[Phase]:
    """From windows back to elements: elements r, r + stride, ... lie under the same positions, of windows in a row.

    Positions descend, so that the windows ascend.
    """
    size, outputs, kernel, stride, pad, dilation = axis
    for r in range(min(stride, size)):
        length = len(range(r, size, stride))
        positions = [k for k in reversed(range(kernel)) if (r + pad - k * dilation) % stride == 0]
        found: Taps = []
        for i, k in enumerate(positions):
            shift = (r + pad - k * dilation) // stride
            low, high = max(0, -shift), min(length, outputs - shift)
            if low < high:
                found.append((i, slice(low, high), slice(low + shift, high + shift)))
        yield Phase(slice(r, size, stride), length, positions, found)


def adaptive(size: int, count: int) -> tuple[int, Taps]:
    """The widest window, and taps, where window i of ``count`` covers floor(i size / count) up to
    ceil((i + 1) size / count); with ``size`` and ``count`` exchanged, the way back.
    """
    start = np.arange(count) * size // count
    length = -(-(np.arange(1, count + 1) * size) // count) - start
    widest = int(length.max(initial=0))
    found: Taps = []
    for k in range(widest):
        served = np.flatnonzero(length > k)
        found.append((k, served, start[served] + k))
    return widest, found


def unfold(x: Array, steps: tuple[Taps, Taps], kernel: tuple[int, int], counts: tuple[int, int], lead: int) -> Array:
    """Every window's elements: for x (A..., B..., H, W) with ``lead`` axes A the array (A..., kernel, B..., counts).

    Zeros where there is padding. First the columns of all rows, then the rows, whose copies are then long runs.
    """
    rows, columns = steps
    before, between = x.shape[:lead], x.shape[lead:-2]
    each: tuple[Any, ...] = (slice(None),) * lead
    strips = np.zeros((*before, kernel[1], *between, x.shape[-2], counts[1]), x.dtype)
    for k, windows, elements in columns:
        strips[(*each, k)][..., windows] = x[..., elements]
    if kernel[0] == 1 and _is_whole(rows, x.shape[-2], counts[0]):
        return np.expand_dims(strips, lead)
    out = np.zeros((*before, *kernel, *between, *counts), x.dtype)
    for k, windows, elements in rows:
        out[(*each, k)][..., windows, :] = strips[..., elements, :]
    return out


def _is_whole(rows: Taps, size: int, count: int) -> bool:
    """Whether every row is the only one of its own window."""
    return size == count and len(rows) == 1 and isinstance(rows[0][2], slice) and rows[0][2] == slice(0, size, 1)


def in_blocks(fp: Arithmetic, size: int, count: int, work: Callable[[slice], Array]) -> Array:
    """``work`` on ``count`` images, of ``size`` unfolded elements each, a few images at a time.

    A unit that counts takes them all at once, since it knows zeros flushed by an accumulation by the array that it
    returned; and so does one that rounds at random, since numbers are drawn in the order of the elements.
    """
    step = max(1, _BLOCK // max(1, size))
    if not fp.piecewise or fp.precision.mode is not None or step >= count:
        return work(slice(None))
    first = work(slice(0, step))
    out = np.empty((count, *first.shape[1:]), first.dtype)
    out[:step] = first
    for i in range(step, count, step):
        out[i : i + step] = work(slice(i, i + step))
    return out


def at_once(fp: Arithmetic, size: int) -> bool:
    """Whether one product takes all ``size`` unfolded elements: few ones, or a unit that may round at random."""
    return size <= _BLOCK or fp.precision.mode is not None


def sizes(op: str, name: str, value: object, dims: int, least: int, default: int = 1) -> tuple[int, int]:
    """``value``, an int or one for each of ``dims`` axes, as (row, column); the row of a one-dimensional
    operation is ``default``.
    """
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [whole(f"{op}: {name}", v) for v in given]
    numbers = numbers * dims if len(numbers) == 1 else numbers
    if len(numbers) != dims or min(numbers) < least:
        allowed = f"an integer from {least}" if dims == 1 else f"an integer from {least}, or {dims} of them"
        raise ValueError(f"{op}: {name} {value!r} is not allowed; allowed: {allowed}")
    row, column = [default, *numbers][-2:]
    return row, column


def pooled(name: str, x: Array) -> tuple[int, Array]:
    """The number of pooled axes, and ``x`` as (N, C, H, W)."""
    dims = int(name[-2])
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[-dims - 1 :]:
        allowed = "(N, C, L) or (C, L)" if dims == 1 else "(N, C, H, W) or (C, H, W)"
        raise ValueError(f"{name}: input {x.shape} is not allowed; allowed: {allowed} with elements")
    lead = x.shape[: -dims - 1] or (1,)
    return dims, x.reshape(*lead, x.shape[-dims - 1], *([1] if dims == 1 else []), *x.shape[-dims:])


def pool_axes(
    name: str, x: Array, dims: int, kernel: Any, stride: Any, pad: Any, dilation: Any, ceil: bool
) -> tuple[Axis, Axis]:
    """The windows on the last two axes of ``x``; with ``ceil`` also such as begin inside and end outside."""
    kernel = sizes(name, "kernel_size", kernel, dims, 1)
    stride = kernel if stride is None or stride == () else sizes(name, "stride", stride, dims, 1)
    pad, dilation = sizes(name, "padding", pad, dims, 0, 0), sizes(name, "dilation", dilation, dims, 1)
    axes = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True):
        reach = d * (k - 1) + 1
        if 2 * p > reach:
            raise ValueError(f"{name}: padding {p} is not allowed; allowed: up to half of the kernel's reach {reach}")
        count = (n + 2 * p - reach + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= n + p:  # the last window would begin in the padding
            count -= 1
        if count < 1:
            raise ValueError(
                f"{name}: padded input of {n + 2 * p} is smaller than the kernel's reach {reach}; allowed: larger"
            )
        axes.append(Axis(n, count, k, s, p, d))
    return axes[0], axes[1]
