"""Resize, sampling on grids, and regions of interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import axis_of, fitting, integers, numbers


def _positions(mode: str, out: int, length: int, factor: float, span: float, roi: tuple[float, float]) -> Any:
    """Where each of ``out`` elements lies along an axis of ``length``, in float32 as in kernels: ties depend on it.

    ``span`` is the length scaled, which need not be whole.
    """
    i, half, scale = np.arange(out, dtype=np.float32), np.float32(0.5), np.float32(factor)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and out > 1):
        return (i + half) / scale - half
    if mode == "pytorch_half_pixel":
        return np.zeros(out, np.float32)
    if mode == "half_pixel_symmetric":
        return np.float32(length / 2 * (1 - out / span)) + (i + half) / scale - half
    if mode == "align_corners":
        return i * np.float32((length - 1) / (span - 1)) if span != 1 else np.zeros(out, np.float32)
    if mode == "asymmetric":
        return i / scale
    if mode == "tf_half_pixel_for_nn":
        return (i + half) / scale
    if mode == "tf_crop_and_resize":
        if out > 1:
            return np.float32(roi[0] * (length - 1)) + i * np.float32((roi[1] - roi[0]) * (length - 1) / (out - 1))
        return np.full(out, 0.5 * (roi[0] + roi[1]) * (length - 1), np.float32)
    raise ValueError(f"coordinate_transformation_mode: {mode!r} is not allowed; allowed: those of Resize")


def _nearest(x: Any, mode: str) -> Any:
    if mode == "round_prefer_floor":
        return np.ceil(x - 0.5)
    if mode == "round_prefer_ceil":
        return np.floor(x + 0.5)
    return np.floor(x) if mode == "floor" else np.ceil(x)


def _linear(distance: Any, a: float) -> Any:
    return np.maximum(0, 1 - np.abs(distance))


def _cubic(distance: Any, a: float) -> Any:
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _weights(mode: str, x: Any, length: int, scale: float, a: float, antialias: int, outside: int) -> Any:
    """What each element (rows) takes of each one along an axis: a matrix (out, length)."""
    kernel, reach = (_linear, 1) if mode == "linear" else (_cubic, 2)
    shrink = min(scale, 1.0) if antialias else 1.0
    first = np.floor(x - reach / shrink).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(2 * reach / shrink)) + 2)
    w = kernel((taps - x[:, None]) * shrink, a)
    if outside:
        w = np.where((taps >= 0) & (taps < length), w, 0)
    if outside or antialias:
        w = w / np.sum(w, 1, keepdims=True)
    matrix = np.zeros((len(x), length))
    np.add.at(matrix, (np.arange(len(x))[:, None], taps.clip(0, length - 1)), w)
    return matrix


def _along(x: Any, axis: int, matrix: Any) -> Any:
    y = ops.matmul(ops.moveaxis(x, axis, -1), ops.as_tensor(matrix.T, x.format))
    return ops.moveaxis(y, -1, axis)


def _fixed(
    shape: Sequence[int], over: Sequence[int], sizes: list[int] | None, scales: Any, policy: str
) -> tuple[list[int], list[float]]:
    """The lengths and scales of the axes that change."""
    lengths = [shape[a] for a in over]
    if sizes is None:
        factors = [float(s) for s in scales]
        return [int(np.floor(np.float64(n * np.float32(s)))) for n, s in zip(lengths, scales, strict=True)], factors
    if policy != "stretch":
        pick = min if policy == "not_larger" else max
        factor = pick(size / n for size, n in zip(sizes, lengths, strict=True))
        return [int(np.floor(factor * n + 0.5)) for n in lengths], [factor] * len(over)
    return sizes, [size / n if n else 1.0 for size, n in zip(sizes, lengths, strict=True)]


@row("Resize")
def resize(
    x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, /, *, antialias: int = 0, axes: Any = None,
    coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75, exclude_outside: int = 0,
    extrapolation_value: float = 0.0, keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor", since: int,
) -> Any:  # fmt: skip
    """Other lengths of axes, by the nearest elements or by weights of several, one axis after another."""
    if since < 11:  # whose second input are the scales
        roi, scales, coordinate_transformation_mode, nearest_mode = None, roi, "asymmetric", "floor"
    over = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in axes]
    given = None if scales is None or not np.size(numbers(scales)) else np.asarray(numbers(scales)).reshape(-1)
    wanted = None if sizes is None or not np.size(numbers(sizes)) else integers(sizes)
    lengths, factors = _fixed(x.shape, over, wanted, given, keep_aspect_ratio_policy)
    after = list(x.shape)
    for a, n in zip(over, lengths, strict=True):
        after[a] = n
    fitting(after)
    region = None if roi is None or not np.size(numbers(roi)) else np.asarray(numbers(roi)).reshape(2, -1)
    dtype, beyond = np.bool_, np.zeros((), np.bool_)
    before = x.shape
    for k, a in enumerate(over):
        n, out, scale = before[a], lengths[k], factors[k]
        if scale == 1 and out == n and coordinate_transformation_mode != "tf_crop_and_resize":
            continue
        part = (0.0, 1.0) if region is None else (float(region[0][k]), float(region[1][k]))
        span = n * scale if wanted is None else out
        at = _positions(coordinate_transformation_mode, out, n, scale, span, part)
        if coordinate_transformation_mode == "tf_crop_and_resize":
            line = (at < 0) | (at > n - 1)
            beyond = beyond | line.reshape([-1 if i == a else 1 for i in range(x.ndim)]).astype(dtype)
        if mode == "nearest":
            x = ops.index_select(x, a, _nearest(at, nearest_mode).astype(np.int64).clip(0, n - 1))
        else:
            x = _along(x, a, _weights(mode, at, n, scale, cubic_coeff_a, antialias, exclude_outside))
    if beyond.any():
        x = ops.where(np.broadcast_to(beyond, x.shape), ops.full((), extrapolation_value, dtype=x.format), x)
    return x


@row("Upsample")
def upsample(x: Any, scales: Any, /, *, mode: str = "nearest") -> Any:
    """Resize as it was before version 10."""
    return resize(x, scales, mode=mode, since=10)


@row("AffineGrid")
def affine_grid(theta: Any, size: Any, /, *, align_corners: int = 0) -> Any:
    """The grid of an affine map; ONNX's own body of it fails for one sample, whose axis it squeezes away."""
    return ops.affine_grid(theta, tuple(fitting(integers(size))), bool(align_corners))


@row("GridSample")
def grid_sample(
    x: Any, grid: Any, /, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Any:
    """Values at the places that a grid says, from -1 to 1."""
    word = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    if word == "bicubic" and x.ndim != 4:
        raise ValueError("mode: 'cubic' is not allowed for 5 axes; allowed: 'linear', 'nearest'")
    return ops.grid_sample(x, grid, word, padding_mode, bool(align_corners))


@row("RoiAlign")
def roi_align(
    x: Any, rois: Any, batch: Any, /, *, coordinate_transformation_mode: str = "half_pixel", mode: str = "avg",
    output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0, since: int,
) -> Any:  # fmt: skip
    """Means, or the largest, of points in the cells of regions, each read between its four neighbours."""
    half = 0.5 if since >= 16 and coordinate_transformation_mode == "half_pixel" else 0.0
    boxes, found = np.asarray(numbers(rois), np.float64) * spatial_scale - half, []
    for (left, top, right, bottom), index in zip(boxes, np.asarray(batch), strict=True):
        least = 0.0 if half else 1.0
        height, width = max(bottom - top, least), max(right - left, least)
        rows = sampling_ratio or int(np.ceil(height / output_height))
        columns = sampling_ratio or int(np.ceil(width / output_width))
        y = top + (np.arange(output_height * rows) + 0.5) * height / (output_height * rows)
        z = left + (np.arange(output_width * columns) + 0.5) * width / (output_width * columns)
        wy, wz = _between(y, x.shape[2]), _between(z, x.shape[3])
        # four products of each point: the reference takes their largest where the mode is "max"
        corners = [
            ops.mul(x[int(index)][:, iy[:, None], iz[None]], ops.as_tensor(np.outer(ay, az), x.format))
            for iy, ay in wy for iz, az in wz
        ]  # fmt: skip
        shape = (4, x.shape[1], output_height, rows, output_width, columns)
        points = ops.stack(corners).reshape(shape)
        if mode == "avg":
            found.append(ops.mean(ops.sum(points, 0), (2, 4)))
        else:
            found.append(ops.amax(points, (0, 3, 5)))
    return ops.stack(found) if found else ops.zeros((0, x.shape[1], output_height, output_width), dtype=x.format)


def _between(at: Any, length: int) -> list[tuple[Any, Any]]:
    """The two places that each point lies between, and how much each counts."""
    there = (at >= -1) & (at <= length)
    at = at.clip(0, None)
    low = np.floor(at).astype(np.int64).clip(0, length - 1)
    high = (low + 1).clip(0, length - 1)
    part = np.where(low >= length - 1, 0.0, at - low)
    return [(low, (1 - part) * there), (high, part * there)]


@row("MaxRoiPool")
def max_roi_pool(x: Any, rois: Any, /, *, pooled_shape: Any, spatial_scale: float = 1.0) -> Any:
    """The largest of each cell of regions, whose corners are rounded to elements; 0 of a cell without any."""
    rows, columns = (int(n) for n in pooled_shape)
    found = []
    for region in np.asarray(numbers(rois), np.float32).reshape(-1, 5):
        left, top, right, bottom = (int(np.floor(v * np.float32(spatial_scale) + 0.5)) for v in region[1:])
        tall = _cells(top, max(bottom - top + 1, 1), rows, x.shape[2])
        wide = _cells(left, max(right - left + 1, 1), columns, x.shape[3])
        image = x[int(region[0])]
        for first, last in tall:
            for begin, end in wide:
                inside = last > first and end > begin
                cell = image[:, first:last, begin:end]
                found.append(ops.amax(cell, (1, 2)) if inside else ops.zeros_like(image[:, 0, 0]))
    whole = ops.stack(found).reshape((-1, rows, columns, x.shape[1])) if found else None
    if whole is None:
        return ops.zeros((0, x.shape[1], rows, columns), dtype=x.format)
    return ops.permute(whole, (0, 3, 1, 2))


def _cells(start: int, length: int, count: int, limit: int) -> list[tuple[int, int]]:
    """Where each of ``count`` cells of a region begins and ends, within the image."""
    each = np.float32(length) / np.float32(count)
    ends = [(int(np.floor(i * each)) + start, int(np.ceil((i + 1) * each)) + start) for i in range(count)]
    return [(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in ends]
