"""The mean of every window."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._windows import Axis, adaptive, phases, pool_axes, pooled, sizes, taps, unfold
from halfsim.autograd.tape import op
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array


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
