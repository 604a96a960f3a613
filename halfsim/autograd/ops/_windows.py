"""Windows sliding over the last axes of an array, one to three: which element lies under which kernel position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

Index: TypeAlias = Any  # a slice, or an array of integers
Sizes: TypeAlias = int | Sequence[int]  # one for all axes, or one for each
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


def spans(size: int, count: int) -> tuple[Array, Array]:
    """Start and length of windows, i of ``count`` covering floor(i size / count) up to ceil((i + 1) size / count)."""
    start = np.arange(count) * size // count
    return start, -(-(np.arange(1, count + 1) * size) // count) - start


def adaptive(size: int, count: int) -> tuple[int, Taps]:
    """The widest of the windows of `spans`, and taps; with ``size`` and ``count`` exchanged, the way back."""
    return rows(*spans(size, count))


def rows(start: Array, length: Array) -> tuple[int, Taps]:
    """The widest, and taps, of windows that cover ``length`` elements in a row from ``start``."""
    widest = int(length.max(initial=0))
    found: Taps = []
    for k in range(widest):
        served = np.flatnonzero(length > k)
        found.append((k, served, start[served] + k))
    return widest, found


def unfold(x: Array, steps: Sequence[Taps], kernel: Sequence[int], counts: Sequence[int], lead: int) -> Array:
    """Every window's elements: for x (A..., B..., sizes) with ``lead`` axes A the array (A..., kernel, B..., counts).

    Zeros where there is padding. One axis at a time from the last, so that the copies along the others are long runs.
    """
    dims, between = len(steps), x.ndim - lead - len(steps)
    each: tuple[Any, ...] = (slice(None),) * lead
    for i in reversed(range(dims)):
        past = dims - 1 - i  # axes unfolded before this one, and as many of the kernel's in front of B
        if past and kernel[i] == 1 and _is_whole(steps[i], x.shape[-1 - past], counts[i]):
            x = np.expand_dims(x, lead)
            continue
        after, axis = (slice(None),) * past, lead + past + between + i
        out = np.zeros((*x.shape[:lead], kernel[i], *x.shape[lead:axis], counts[i], *x.shape[axis + 1 :]), x.dtype)
        for k, windows, elements in steps[i]:
            out[(*each, k)][(..., windows, *after)] = x[(..., elements, *after)]
        x = out
    return x


def _is_whole(steps: Taps, size: int, count: int) -> bool:
    """Whether every element is the only one of its own window."""
    return size == count and len(steps) == 1 and isinstance(steps[0][2], slice) and steps[0][2] == slice(0, size, 1)


def returned(fp: Arithmetic, shape: tuple[int, ...], axes: Sequence[Axis], part: Callable[..., Array]) -> Array:
    """An array of ``shape``: for each element the sum over the windows that cover it, in their order.

    ``part(position, windows)`` is what these windows hold for the element under that place in the kernel.
    """

    def of_phase(phase: tuple[Phase, ...]) -> Array | None:
        ways, layers = list(product(*(each.taps for each in phase))), None
        for n, way in enumerate(ways):
            position = tuple(each.positions[i] for each, (i, _, _) in zip(phase, way, strict=True))
            given = part(position, (..., *(windows for _, _, windows in way)))
            if layers is None:
                lengths = [each.length for each in phase]
                layers = np.zeros((len(ways), *given.shape[: -len(axes)], *lengths), given.dtype)
            layers[(n, ..., *(elements for _, elements, _ in way))] = given
        return layers if layers is None else layers[0] if len(ways) == 1 else fp.sum(layers, 0)

    parts = list(product(*(list(phases(axis)) for axis in axes)))
    pieces = (((..., *(each.elements for each in phase)), of_phase(phase)) for phase in parts)
    return fp.place_pieces(np.zeros(shape, fp.dtype), ((place, piece) for place, piece in pieces if piece is not None))


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


LAYOUT = ("L", "H, W", "D, H, W")  # the names of one to three axes


def layouts(dims: int) -> str:
    """The shapes that an operation on ``dims`` axes takes, in words."""
    return "(N, C, {0}) or (C, {0})".format(LAYOUT[dims - 1])


def sizes(op: str, name: str, value: object, dims: int, least: int) -> tuple[int, ...]:
    """``value``, an int or one for each of ``dims`` axes, as one for each."""
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [whole(f"{op}: {name}", v) for v in given]
    numbers = numbers * dims if len(numbers) == 1 else numbers
    if len(numbers) != dims or min(numbers) < least:
        allowed = f"an integer from {least}" if dims == 1 else f"an integer from {least}, or {dims} of them"
        raise ValueError(f"{op}: {name} {value!r} is not allowed; allowed: {allowed}")
    return tuple(numbers)


def pooled(name: str, x: Array) -> tuple[int, Array]:
    """The number of pooled axes, and ``x`` as (N, C, ...)."""
    dims = int(name[-2])
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[-dims - 1 :]:
        raise ValueError(f"{name}: input {x.shape} is not allowed; allowed: {layouts(dims)} with elements")
    return dims, x if x.ndim == dims + 2 else x[None]


def pool_axes(
    name: str, x: Array, dims: int, kernel: Any, stride: Any, pad: Any, dilation: Any, ceil: bool
) -> tuple[Axis, ...]:
    """The windows on the last axes of ``x``; with ``ceil`` also such as begin inside and end outside."""
    kernel = sizes(name, "kernel_size", kernel, dims, 1)
    stride = kernel if stride is None or stride == () else sizes(name, "stride", stride, dims, 1)
    pad, dilation = sizes(name, "padding", pad, dims, 0), sizes(name, "dilation", dilation, dims, 1)
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
    return tuple(axes)


def adaptive_outputs(name: str, wanted: Any, dims: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """The output size; None stands for the input's."""
    each = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted] * dims
    if len(each) != dims:
        raise ValueError(
            f"{name}: output_size {wanted!r} is not allowed; allowed: an integer or {dims} of them, or None"
        )
    return sizes(name, "output_size", [n if m is None else m for m, n in zip(each, size[-dims:], strict=True)], dims, 0)
