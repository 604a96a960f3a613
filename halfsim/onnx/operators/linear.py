"""Products of matrices and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.operators.table import row
from halfsim.onnx.operators.windows import Ints, cut_out, filled, inside, padded, seen, symmetric, widened
from halfsim.onnx.values import fitting, numbers


@row("MatMul")
def matmul(a: Any, b: Any, /) -> Any:
    """Products of matrices, as NumPy's."""
    return ops.matmul(a, b)


@row("Gemm")
def gemm(a: Any, b: Any, c: Any = None, /, *, alpha: float, beta: float, transA: int, transB: int) -> Any:  # noqa: N803
    """``alpha * a @ b + beta * c``."""
    a = a.T if transA else a
    b = b.T if transB else b
    if c is None:
        return ops.matmul(a, b) if alpha == 1 else ops.mul(ops.matmul(a, b), alpha)
    return ops.addmm(c, a, b, beta=beta, alpha=alpha)


@row("Einsum")
def einsum(*tensors: Any, equation: str) -> Any:
    """Sums of products by an equation."""
    return ops.einsum(equation.replace(" ", ""), *tensors)


@row("Det")
def det(x: Any, /) -> Any:
    """Determinants."""
    return ops.det(x)


_CONV = (ops.conv1d, ops.conv2d, ops.conv3d)
_BACK = (ops.conv_transpose1d, ops.conv_transpose2d, ops.conv_transpose3d)


def _kind(functions: Sequence[Any], x: Any) -> Any:
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"X: shape {tuple(x.shape)} is not allowed; allowed: (N, C, 1 to 3 axes)")
    return functions[x.ndim - 3]


@row("Conv")
def conv(
    x: Any, w: Any, b: Any = None, /, *, auto_pad: str = "NOTSET", dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """A convolution."""
    function, count = _kind(_CONV, x), x.ndim - 2
    strides, dilations = filled(strides, 1, count), filled(dilations, 1, count)
    ends = padded(auto_pad, pads, x.shape[2:], w.shape[2:], strides, dilations)
    if symmetric(ends):
        return function(x, w, b, strides, [before for before, _ in ends], dilations, group)
    return function(widened(x, ends), w, b, strides, 0, dilations, group)


@row("ConvTranspose")
def conv_transpose(
    x: Any, w: Any, b: Any = None, /, *, auto_pad: str = "NOTSET", dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, output_padding: Ints = None, output_shape: Ints = None, pads: Ints = None,
    strides: Ints = None,
) -> Any:  # fmt: skip
    """The transpose of a convolution."""
    function, count = _kind(_BACK, x), x.ndim - 2
    s, d, k = filled(strides, 1, count), filled(dilations, 1, count), list(w.shape[2:])
    more = filled(output_padding, 0, count)
    full = [(n - 1) * si + (ki - 1) * di + 1 for n, si, ki, di in zip(x.shape[2:], s, k, d, strict=True)]
    if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        target = list(output_shape)[-count:] if output_shape else [n * si for n, si in zip(x.shape[2:], s, strict=True)]
        ends = []
        for whole, extra, wanted in zip(full, more, target, strict=True):
            total = max(0, whole + extra - wanted)
            less = total // 2
            ends.append((total - less, less) if auto_pad != "SAME_UPPER" else (less, total - less))
        more = [max(0, t - (f - sum(e))) for t, f, e in zip(target, full, ends, strict=True)]
    else:
        ends = padded(auto_pad, pads, x.shape[2:], k, s, d)
    fitting([n + extra for n, extra in zip(full, more, strict=True)])
    if symmetric(ends) and all(extra < max(si, di) for extra, si, di in zip(more, s, d, strict=True)):
        return function(x, w, b, s, [before for before, _ in ends], more, group, d)
    y = function(x, w, None, s, 0, 0, group, d)
    y = widened(y, [(-before, extra - after) for (before, after), extra in zip(ends, more, strict=True)])
    return y if b is None else ops.add(y, b.reshape((-1,) + (1,) * count))


@row("Col2Im")
def col2im(
    x: Any, image_shape: Any, block_shape: Any, /, *, dilations: Ints = None, pads: Ints = None, strides: Ints = None
) -> Any:
    """Windows added where they overlap."""
    image, block = [int(n) for n in image_shape], [int(n) for n in block_shape]
    count = len(image)
    s, d = filled(strides, 1, count), filled(dilations, 1, count)
    both = filled(pads, 0, 2 * count)
    ends = list(zip(both[:count], both[count:], strict=True))
    if count == 2 and symmetric(ends):
        return ops.fold(x, image, block, d, [before for before, _ in ends], s)
    whole = fitting([n + sum(e) for n, e in zip(image, ends, strict=True)])
    places = seen(whole, [(0, 0)] * count, block, s, d, 0)
    n, c = x.shape[0], x.shape[1] // int(np.prod(block))
    at = np.zeros((), np.int64)
    for i, p in enumerate(places):
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = p.T.shape
        at = at * whole[i] + p.T.reshape(shape)
    flat = np.broadcast_to(at.reshape(-1), (n, c, at.size))
    y = ops.scatter_add(ops.zeros((n, c, int(np.prod(whole))), dtype=x.format), 2, flat, x.reshape((n, c, at.size)))
    return widened(y.reshape((n, c, *whole)), [(-before, -after) for before, after in ends])


@row("DeformConv")
def deform_conv(
    x: Any, w: Any, offset: Any, b: Any = None, mask: Any = None, /, *, dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, offset_group: int = 1, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """A convolution of two axes whose places are moved, each read between its four neighbours."""
    s, d = filled(strides, 1, 2), filled(dilations, 1, 2)
    n, c, h, width = x.shape
    kernel = list(w.shape[2:])
    rows, columns = seen([h, width], padded("NOTSET", pads, [h, width], kernel, s, d), kernel, s, d, 0)
    oh, ow, kh, kw = len(rows), len(columns), *kernel
    moved = numbers(offset).reshape(n, offset_group, kh, kw, 2, oh, ow)
    y = rows.T[:, None, :, None] + moved[:, :, :, :, 0]  # (n, offset groups, kh, kw, oh, ow)
    z = columns.T[None, :, None, :] + moved[:, :, :, :, 1]
    batch = np.arange(n).reshape(n, 1, 1, 1, 1, 1, 1)
    channel = np.arange(c).reshape(1, offset_group, c // offset_group, 1, 1, 1, 1)
    parts, weights = [], []
    for dy in (0, 1):
        for dz in (0, 1):
            at_y, at_z = np.floor(y).astype(np.int64) + dy, np.floor(z).astype(np.int64) + dz
            weight = (1 - np.abs(y - at_y)) * (1 - np.abs(z - at_z))
            weight = weight * ((at_y >= 0) & (at_y < h) & (at_z >= 0) & (at_z < width))
            at = (at_y.clip(0, h - 1)[:, :, None], at_z.clip(0, width - 1)[:, :, None])
            parts.append(ops.getitem(x, (batch, channel, *at)))
            weights.append(np.broadcast_to(weight[:, :, None], parts[-1].shape))
    read = ops.sum(ops.mul(ops.stack(parts), ops.as_tensor(np.stack(weights).astype(numbers(x).dtype), x.format)), 0)
    if mask is not None:
        read = ops.mul(read, mask.reshape((n, offset_group, 1, kh, kw, oh, ow)))
    read = read.reshape((n, group, c // group * kh * kw, oh * ow))
    out = ops.matmul(w.reshape((group, w.shape[0] // group, -1)), read).reshape((n, w.shape[0], oh, ow))
    return out if b is None else ops.add(out, b.reshape((1, -1, 1, 1)))


# Pooling.

_AVERAGE = (ops.avg_pool1d, ops.avg_pool2d, ops.avg_pool3d)
_MAXIMUM = (ops.max_pool1d, ops.max_pool2d, ops.max_pool3d)


@row("AveragePool")
def average_pool(
    x: Any, /, *, kernel_shape: Ints, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
    dilations: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Means of windows."""
    count = x.ndim - 2
    k, s, d = filled(kernel_shape, 1, count), filled(strides, 1, count), filled(dilations, 1, count)
    ends = padded(auto_pad, pads, x.shape[2:], k, s, d)
    narrow = symmetric(ends) and all(2 * e[0] <= n for e, n in zip(ends, k, strict=True))
    if narrow and d == [1] * count and not ceil_mode:
        return _kind(_AVERAGE, x)(x, k, s, [e[0] for e in ends], False, bool(count_include_pad))
    places = seen(x.shape[2:], ends, k, s, d, ceil_mode)
    windows, over = cut_out(x, places, 0.0), tuple(range(-count, 0))
    wide = [n + before + after for n, (before, after) in zip(x.shape[2:], ends, strict=True)]
    if count_include_pad:
        counted = inside([at + before for at, (before, _) in zip(places, ends, strict=True)], wide)
    else:
        counted = inside(places, x.shape[2:])
    size, found = int(np.prod(k)), np.sum(counted, over)
    mean = ops.mean(windows, over)
    return mean if (found == size).all() else ops.mul(mean, ops.as_tensor((size / found).astype(np.float32), x.format))


@row("MaxPool")
def max_pool(
    x: Any, /, *, kernel_shape: Ints, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Ints = None,
    pads: Ints = None, storage_order: int = 0, strides: Ints = None, wanted: int,
) -> Any:  # fmt: skip
    """The largest of windows, and their places in the whole tensor."""
    count = x.ndim - 2
    k, s, d = filled(kernel_shape, 1, count), filled(strides, 1, count), filled(dilations, 1, count)
    ends = padded(auto_pad, pads, x.shape[2:], k, s, d)
    if wanted < 2 and symmetric(ends) and not ceil_mode and all(2 * e[0] <= n for e, n in zip(ends, k, strict=True)):
        return _kind(_MAXIMUM, x)(x, k, s, [e[0] for e in ends], d)
    places = seen(x.shape[2:], ends, k, s, d, ceil_mode)
    windows = cut_out(x, places, -np.inf)
    flat = windows.reshape((*windows.shape[: 2 + count], -1))
    if wanted < 2:
        return ops.amax(flat, -1)
    best = np.argmax(numbers(flat), -1)
    y = ops.squeeze(ops.take_along_dim(flat, best[..., None], -1), -1)
    within, at = np.unravel_index(best, k), np.zeros((), np.int64)
    lengths = list(x.shape[2:])
    axes = range(count) if not storage_order else [*range(count - 2), *range(count)[: -3 if count > 2 else None : -1]]
    for i in axes:
        shape = [1] * (2 + count)
        shape[2 + i] = len(places[i])
        own = places[i][np.arange(len(places[i])).reshape(shape), within[i]]
        at = at * lengths[i] + own
    plane = np.arange(x.shape[0] * x.shape[1]).reshape((*x.shape[:2], *([1] * count)))
    return y, (plane * int(np.prod(lengths)) + at).astype(np.int64)


@row("LpPool")
def lp_pool(
    x: Any, /, *, kernel_shape: Ints, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Ints = None,
    p: float = 2, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Norms of windows."""
    count = x.ndim - 2
    k, s, d = filled(kernel_shape, 1, count), filled(strides, 1, count), filled(dilations, 1, count)
    places = seen(x.shape[2:], padded(auto_pad, pads, x.shape[2:], k, s, d), k, s, d, ceil_mode)
    return ops.vector_norm(cut_out(x, places, 0.0), p, tuple(range(-count, 0)))


def _space(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


@row("GlobalAveragePool")
def global_average_pool(x: Any, /) -> Any:
    """The mean of each channel."""
    return ops.mean(x, _space(x), True)


@row("GlobalMaxPool")
def global_max_pool(x: Any, /) -> Any:
    """The largest of each channel."""
    return ops.amax(x, _space(x), True)


@row("GlobalLpPool")
def global_lp_pool(x: Any, /, *, p: float = 2) -> Any:
    """The norm of each channel."""
    return ops.vector_norm(x, p, _space(x), True)


@row("MaxUnpool")
def max_unpool(
    x: Any, places: Any, output_shape: Any = None, /, *, kernel_shape: Ints, pads: Ints = None, strides: Ints = None
) -> Any:
    """Values put back where MaxPool found them, zeros elsewhere."""
    count = x.ndim - 2
    k, s, both = filled(kernel_shape, 1, count), filled(strides, 1, count), filled(pads, 0, 2 * count)
    own = [(n - 1) * si + ki - a - b
           for n, si, ki, a, b in zip(x.shape[2:], s, k, both[:count], both[count:], strict=True)]  # fmt: skip
    inner = (*x.shape[:2], *own)
    shape = inner if output_shape is None else tuple(int(n) for n in output_shape)
    at = np.unravel_index(np.asarray(places).reshape(-1), inner)
    flat = np.ravel_multi_index(at, fitting(shape))
    return ops.scatter(ops.zeros((int(np.prod(shape)),), dtype=x.format), 0, flat, x.reshape((-1,))).reshape(shape)
