"""The largest element, or the mean, of every window."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.ops._windows import Axis, adaptive, phases, pool_axes, pooled, sizes, taps, unfold
from halfsim.autograd.tape import op
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]

Axes = tuple[Axis, Axis]


def _replace(old: Array, new: Array, mask: Array) -> None:
    """``old[mask] = new[mask]`` by bits, of every element alike: six times faster than a choice for each."""
    word = np.dtype(f"i{old.itemsize}")
    bits, chosen = old.view(word), new.view(word) ^ old.view(word)
    chosen &= -mask.astype(word)
    bits ^= chosen


def _largest(x: Array, axes: Axes) -> tuple[Array, Array]:
    """The largest element of each window and its kernel position: the first of equal ones, the last NaN."""
    rows, columns = (taps(axis) for axis in axes)
    shape, positions = (*x.shape[:2], axes[0].outputs, axes[1].outputs), axes[0].kernel * axes[1].kernel
    largest = np.full(shape, -np.inf, x.dtype)
    first = _first(axes[0])[:, None] * axes[1].kernel + _first(axes[1])
    place = np.empty(shape, np.uint8 if positions <= 256 else np.int64)
    place[...] = first
    nan = bool(np.isnan(x.max(initial=0)))
    for i, windows_r, elements_r in rows:
        for j, windows_c, elements_c in columns:
            k = place.dtype.type(i * axes[1].kernel + j)
            new, old = x[..., elements_r, elements_c], largest[..., windows_r, windows_c]
            if k == 0 and old.shape == shape:
                old[...] = new
                continue
            better = new > old
            if nan:
                better |= np.isnan(new)
            _replace(old, new, better)
            here = place[..., windows_r, windows_c]
            np.maximum(here, better * k, out=here)  # positions ascend, so the larger one is the later
    return largest, place


def _first(axis: Axis) -> Array:
    """The first kernel position of each window with an element under it."""
    start = np.arange(axis.outputs) * axis.stride - axis.pad
    return np.clip(-(start // axis.dilation), 0, axis.kernel - 1)


def _max_pool(fp: Arithmetic, name: str, x: Array, options: tuple[Any, ...], found: list[Array] | None) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    shape, axes = x.shape, pool_axes(name, x, dims, *options)
    y, place = _largest(x, axes)
    flat, final = y.shape, given[:-dims] + y.shape[-dims:]
    if found is not None:
        found.append(_flat_indices(place, axes).reshape(final))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        g, out = g.reshape(flat), np.empty(shape, g.dtype)
        for row in phases(axes[0]):
            for column in phases(axes[1]):
                out[..., row.elements, column.elements] = _returned(fp, g, place, row, column, axes[1].kernel)
        return out.reshape(given)

    return y.reshape(final), pullback


def _returned(fp: Arithmetic, g: Array, place: Array, row: Any, column: Any, width: int) -> Array:
    """The gradients of elements: the sum over those windows, by row and column, whose largest element they are."""
    layers = np.zeros((len(row.taps) * len(column.taps), *g.shape[:2], row.length, column.length), g.dtype)
    pairs = [(r, c) for r in row.taps for c in column.taps]
    for layer, ((i, to_r, from_r), (j, to_c, from_c)) in zip(layers, pairs, strict=True):
        position = row.positions[i] * width + column.positions[j]
        layer[..., to_r, to_c] = fp.keep(g[..., from_r, from_c], place[..., from_r, from_c] == position)
    return layers[0] if len(layers) == 1 else fp.sum(layers, 0)


def _flat_indices(place: Array, axes: Axes) -> Array:
    rows, columns = np.divmod(place.astype(np.int64), axes[1].kernel)
    for axis, index, along in ((axes[0], rows, (-1, 1)), (axes[1], columns, (-1,))):
        index *= axis.dilation
        index += (np.arange(axis.outputs) * axis.stride - axis.pad).reshape(along)
    return rows * axes[1].size + columns


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    """``pool`` with PyTorch's ``return_indices``, for an operation returns one tensor."""

    @wraps(pool)
    def call(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        found: list[Array] = []
        y = pool(input, kernel_size, stride, padding, dilation, ceil_mode, found if return_indices else None)
        return (y, integer_tensor(found[0])) if return_indices else y

    del call.__wrapped__, call.__signature__  # type: ignore[attr-defined]  # which have `found`
    return call


@_with_indices
@op(exact="forward")
def max_pool1d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    found: list[Array] | None = None,
) -> Any:
    """The largest element of every window of x (N, C, L) or (C, L); see `max_pool2d`."""
    return _max_pool(fp, "max_pool1d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)


@_with_indices
@op(exact="forward")
def max_pool2d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    found: list[Array] | None = None,
) -> Any:
    """The largest element of every window of x (N, C, H, W) or (C, H, W); ``stride`` is the kernel's size if None.

    Nothing is rounded. As in PyTorch the first of equal elements wins, and the last NaN; padding never does. With
    ``return_indices`` the result is a pair, with an integer array of indices into the flattened (H, W). The gradient of
    an element is the sum of those of the windows it won, by rows and columns of windows. ``ValueError`` for sizes that
    do not fit.

    >>> from halfsim import tensor
    >>> max_pool2d(tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 5.0]]]), (2, 1), return_indices=True)
    (tensor([[[4., 3., 5.]]], float32), array([[[3, 4, 2]]]))
    """
    return _max_pool(fp, "max_pool2d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)


# The mean of every window.


def _avg_pool(fp: Arithmetic, name: str, x: Array, options: tuple[Any, ...], padded: bool, override: Any) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    rows, columns = pool_axes(name, x, dims, *options)
    lead, kernel, counts = x.shape[:2], (rows.kernel, columns.kernel), (rows.outputs, columns.outputs)
    if override is not None and whole(f"{name}: divisor_override", override) == 0:
        raise ValueError(f"{name}: divisor_override 0 is not allowed; allowed: other integers")
    sizes_ = np.multiply.outer(_covered(rows, padded), _covered(columns, padded))
    number = np.asarray(sizes_ if override is None else np.full(counts, override))
    divisor = fp.constant(int(number.flat[0])) if (number == number.flat[0]).all() else _constants(fp, number)
    windows = unfold(x, (taps(rows), taps(columns)), kernel, counts, lead=2)
    y = fp.div(fp.sum(windows, (2, 3)), divisor)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        share, out = fp.div(g.reshape(*lead, *counts), divisor), np.empty((*lead, rows.size, columns.size), g.dtype)
        for row in phases(rows):
            for column in phases(columns):
                kernel = len(row.positions), len(column.positions)
                windows = unfold(share, (row.taps, column.taps), kernel, (row.length, column.length), lead=2)
                out[..., row.elements, column.elements] = fp.sum(windows, (2, 3))
        return out.reshape(given)

    return y.reshape(given[:-dims] + counts[-dims:]), pullback


def _constants(fp: Arithmetic, numbers: Array) -> Array:
    """The array of `Arithmetic.constant` of each number, of which few are distinct."""
    distinct, where = np.unique(numbers, return_inverse=True)
    return np.array([fp.constant(int(n)) for n in distinct], fp.dtype)[where].reshape(numbers.shape)


def _covered(axis: Axis, padded: bool) -> Array:
    """How many elements each window has, with the padding (but not what lies beyond it) or without."""
    start = np.arange(axis.outputs) * axis.stride - axis.pad
    end = np.minimum(start + axis.kernel, axis.size + axis.pad)
    return end - start if padded else np.minimum(end, axis.size) - np.maximum(start, 0)


@op()
def avg_pool1d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of every window of x (N, C, L) or (C, L); see `avg_pool2d`."""
    return _avg_pool(fp, "avg_pool1d", x, (kernel_size, stride, padding, 1, ceil_mode), count_include_pad, None)


@op()
def avg_pool2d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of every window of x (N, C, H, W) or (C, H, W); ``stride`` is the kernel's size if None.

    A sum by rows and columns of the window, then one division: by ``divisor_override``, or by the number of elements,
    padding included unless ``count_include_pad`` is false. The gradient of an element is the sum, by rows and columns
    of windows, of the quotients of their gradients. ``ValueError`` for sizes that do not fit.

    >>> from halfsim import tensor
    >>> avg_pool2d(tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2)
    tensor([[[3.]]], float32)
    """
    options = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(fp, "avg_pool2d", x, options, count_include_pad, divisor_override)


def _adaptive_avg(fp: Arithmetic, name: str, x: Array, output_size: Any) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    outputs = _outputs(name, output_size, dims, x.shape[2:])
    lead, size = x.shape[:2], (x.shape[2], x.shape[3])
    (height, rows), (width, columns) = (adaptive(n, m) for n, m in zip(size, outputs, strict=True))
    divisors = [_constants(fp, _lengths(n, m)) for n, m in zip(size, outputs, strict=True)]
    whole_image = outputs == (1, 1)
    total = fp.constant(size[0] * size[1])

    def shared(fp: Arithmetic, y: Array, first: int) -> Array:
        """Divided by the numbers of rows and of columns; the mean of a whole image, by their product."""
        if whole_image:
            return fp.div(y, total)
        steps = (divisors[0][:, None], divisors[1])
        return fp.div(fp.div(y, steps[first]), steps[1 - first])

    y = shared(fp, fp.sum(unfold(x, (rows, columns), (height, width), outputs, lead=2), (2, 3)), 0)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        share = shared(fp, g.reshape(*lead, *outputs), 1)
        (height, rows), (width, columns) = (adaptive(m, n) for n, m in zip(size, outputs, strict=True))
        return fp.sum(unfold(share, (rows, columns), (height, width), size, lead=2), (2, 3)).reshape(given)

    return y.reshape(given[:-dims] + outputs[-dims:]), pullback


def _lengths(size: int, count: int) -> Array:
    lengths = np.zeros(count, np.int64)
    for _, windows, _ in adaptive(size, count)[1]:
        lengths[windows] += 1
    return lengths


def _outputs(name: str, wanted: Any, dims: int, size: tuple[int, ...]) -> tuple[int, int]:
    """The output size; None stands for the input's."""
    each = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted] * dims
    if len(each) != dims:
        raise ValueError(
            f"{name}: output_size {wanted!r} is not allowed; allowed: an integer or {dims} of them, or None"
        )
    return sizes(name, "output_size", [n if m is None else m for m, n in zip(each, size[-dims:], strict=True)], dims, 0)


@op()
def adaptive_avg_pool1d(fp: Arithmetic, x: Array, /, output_size: Any) -> Any:
    """The means of ``output_size`` windows of x (N, C, L) or (C, L); see `adaptive_avg_pool2d`."""
    return _adaptive_avg(fp, "adaptive_avg_pool1d", x, output_size)


@op()
def adaptive_avg_pool2d(fp: Arithmetic, x: Array, /, output_size: Any) -> Any:
    """The means of windows that divide x (N, C, H, W) or (C, H, W) into ``output_size``: an int, or two, None as x.

    Window i of m on an axis of n covers floor(i n / m) up to ceil((i + 1) n / m). A sum by rows and columns of the
    window is divided by the number of rows, then by that of columns; one of a whole image, once by their product.
    The gradient is divided by the number of columns, then of rows, and summed over the windows that cover the element.

    >>> from halfsim import tensor
    >>> adaptive_avg_pool2d(tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[1.5, 2.5]]], float32)
    """
    return _adaptive_avg(fp, "adaptive_avg_pool2d", x, output_size)
