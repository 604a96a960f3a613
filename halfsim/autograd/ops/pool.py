"""The mean, or a norm, of every window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import inf, prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import spilled
from halfsim.autograd.ops._windows import (
    Axis,
    Phase,
    Sizes,
    adaptive,
    adaptive_outputs,
    phases,
    pool_axes,
    pooled,
    sizes,
    spans,
    taps,
    unfold,
)
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
]


def _avg_pool(fp: Arithmetic, name: str, x: Array, options: tuple[Any, ...], padded: bool, override: Any) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    axes = pool_axes(name, x, dims, *options)
    shape, kernel, counts = x.shape, [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    over = tuple(range(2, 2 + dims))
    if override is not None and whole(f"{name}: divisor_override", override) == 0:
        raise ValueError(f"{name}: divisor_override 0 is not allowed; allowed: other integers")
    elements = reduce(np.multiply.outer, [_covered(axis, padded) for axis in axes])
    number = np.asarray(elements if override is None else np.full(counts, override))
    divisor = fp.constant(int(number.flat[0])) if (number == number.flat[0]).all() else _constants(fp, number)
    y = fp.div(fp.sum(unfold(x, [taps(axis) for axis in axes], kernel, counts, lead=2), over), divisor)

    def part(fp: Arithmetic, share: Array, phase: tuple[Phase, ...]) -> Array:
        kernel, lengths = [len(each.positions) for each in phase], [each.length for each in phase]
        return fp.sum(unfold(share, [each.taps for each in phase], kernel, lengths, lead=2), over)

    def added(fp: Arithmetic, share: Array) -> Array:
        parts = product(*(list(phases(axis)) for axis in axes))
        pieces = (((..., *(each.elements for each in phase)), part(fp, share, phase)) for phase in parts)
        return fp.place_pieces(np.empty(shape, share.dtype), pieces)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        g = g.reshape(*shape[:2], *counts)
        if dims == 3 and all(axis.stride == 1 and not axis.pad for axis in axes):
            return fp.mul(added(fp, g), fp.div(fp.constant(1), divisor)).reshape(given)
        share = fp.div(g, divisor)
        return added(fp, spilled(fp, share) if dims == 3 else share).reshape(given)

    return y.reshape(*given[:-dims], *counts), pullback


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
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
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
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
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


@op()
def avg_pool3d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of every window of x (N, C, D, H, W) or (C, D, H, W); see `avg_pool2d`.

    In PyTorch's CUDA kernel for three axes, and here, the quotients of gradients are stored before they are added; with
    stride 1 and no padding their sum comes first, times 1 over the number of elements.
    """
    options = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(fp, "avg_pool3d", x, options, count_include_pad, divisor_override)


def _adaptive_avg(fp: Arithmetic, name: str, x: Array, output_size: Any) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    lead, size = x.shape[:2], x.shape[2:]
    outputs, over = adaptive_outputs(name, output_size, dims, size), tuple(range(2, 2 + dims))
    pairs = list(zip(size, outputs, strict=True))
    lengths = [spans(n, m)[1] for n, m in pairs]
    if dims == 3:
        divisors = [_constants(fp, reduce(np.multiply.outer, lengths))]
    else:
        divisors = [_constants(fp, n).reshape(-1, *[1] * (dims - 1 - i)) for i, n in enumerate(lengths)]
    total, whole_image = fp.constant(prod(size)), {*outputs} == {1}

    def shared(fp: Arithmetic, y: Array, steps: list[Array]) -> Array:
        """Divided by the numbers of rows and of columns; the mean of a whole image, by their product."""
        return fp.div(y, total) if whole_image else reduce(fp.div, steps, y)

    def windows(x: Array, pairs: list[tuple[int, int]]) -> Array:
        widest, steps = zip(*(adaptive(n, m) for n, m in pairs), strict=True)
        return unfold(x, steps, widest, [m for _, m in pairs], lead=2)

    y = shared(fp, fp.sum(windows(x, pairs), over), divisors)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        share = shared(fp, g.reshape(*lead, *outputs), divisors[::-1])
        return fp.sum(windows(share, [(m, n) for n, m in pairs]), over).reshape(given)

    return y.reshape(given[:-dims] + outputs), pullback


@op()
def adaptive_avg_pool1d(fp: Arithmetic, x: Array, /, output_size: Sizes) -> Any:
    """The means of ``output_size`` windows of x (N, C, L) or (C, L); see `adaptive_avg_pool2d`."""
    return _adaptive_avg(fp, "adaptive_avg_pool1d", x, output_size)


@op()
def adaptive_avg_pool2d(fp: Arithmetic, x: Array, /, output_size: int | Sequence[int | None] | None) -> Any:
    """The means of windows that divide x (N, C, H, W) or (C, H, W) into ``output_size``: an int, or two, None as x.

    Window i of m on an axis of n covers floor(i n / m) up to ceil((i + 1) n / m). A sum by rows and columns of the
    window is divided by the number of rows, then by that of columns; one of a whole image, once by their product.
    The gradient is divided by the number of columns, then of rows, and summed over the windows that cover the element.

    >>> from halfsim import tensor
    >>> adaptive_avg_pool2d(tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[1.5, 2.5]]], float32)
    """
    return _adaptive_avg(fp, "adaptive_avg_pool2d", x, output_size)


@op()
def adaptive_avg_pool3d(fp: Arithmetic, x: Array, /, output_size: int | Sequence[int | None] | None) -> Any:
    """The means of windows that divide x (N, C, D, H, W) or (C, D, H, W); see `adaptive_avg_pool2d`.

    The sum, and the gradient, is divided by the number of elements, once.
    """
    return _adaptive_avg(fp, "adaptive_avg_pool3d", x, output_size)


# The norm of every window, in PyTorch's composition of other operations.


def _lp_pool(
    input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool, means: Any, largest: Any, name: str
) -> Tensor:
    dims = int(name[-2])
    kernel = sizes(name, "kernel_size", kernel_size, dims, 1)
    if norm_type == inf:
        return largest(OPS["abs"](input), kernel, stride, 0, 1, ceil_mode)
    if norm_type == -inf:
        return -largest(-OPS["abs"](input), kernel, stride, 0, 1, ceil_mode)
    if not norm_type:
        raise ValueError(f"{name}: norm_type {norm_type} is not allowed; allowed: other numbers")
    y = means(OPS["pow"](input, norm_type), kernel, stride, 0, ceil_mode)
    return ((y.sign() * y.abs().relu()) * prod(kernel)) ** (1.0 / norm_type)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """The norm of every window of x (N, C, L) or (C, L); see `lp_pool2d`."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, avg_pool1d, OPS["max_pool1d"], "lp_pool1d")


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """``(sum of x**p)**(1/p)`` of every window of x (N, C, H, W) or (C, H, W), p being ``norm_type``.

    As in PyTorch that is a power, `avg_pool2d`, the positive part times the number of elements, and a root, each step
    stored: powers overflow in half where sums would not. The gradient is theirs, 0 (not infinite) in windows whose sum
    is zero. For p infinite it is `max_pool2d` of magnitudes.

    >>> from halfsim import tensor
    >>> lp_pool2d(tensor([[[3.0, 4.0]]]), 2.0, (1, 2))
    tensor([[[5.]]], float32)
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, avg_pool2d, OPS["max_pool2d"], "lp_pool2d")


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """The norm of every window of x (N, C, D, H, W) or (C, D, H, W); see `lp_pool2d`."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, avg_pool3d, OPS["max_pool3d"], "lp_pool3d")
