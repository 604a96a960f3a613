"""Fourier transforms, as products with matrices of cosines and sines."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.operators.table import room, row
from halfsim.onnx.values import axis_of, integers


def _matrix(length: int, kept: int, parts: int, inverse: int) -> Any:
    """Real and imaginary parts of a line (parts * length) to those of its transform (2 * kept)."""
    room(4 * length * kept)
    angle = 2 * np.pi * (np.outer(np.arange(length), np.arange(kept)) % length) / length
    c, s = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    whole = np.concatenate([np.stack([c, s], -1), np.stack([-s, c], -1)][:parts], 0)
    return whole.reshape(parts * length, 2 * kept) / (length if inverse else 1)


def _transform(x: Any, axis: int, length: int, inverse: int, onesided: int) -> Any:
    """The transform of ``x`` (..., parts) along an axis, cut or filled with zeros to ``length``."""
    parts = x.shape[-1]
    x = ops.moveaxis(x, axis, -2)
    if x.shape[-2] != length:
        x = ops.pad(x, [0, 0, 0, length - x.shape[-2]])
    whole = _inverse_of_half(x, length) if inverse and onesided else x
    kept = length if inverse or not onesided else length // 2 + 1
    lines = ops.transpose(whole, -1, -2).reshape((*whole.shape[:-2], whole.shape[-1] * whole.shape[-2]))
    y = ops.matmul(lines, ops.as_tensor(_matrix(length, kept, whole.shape[-1], inverse), x.format))
    y = y.reshape((*whole.shape[:-2], kept, 2))
    if inverse and onesided:
        y = ops.narrow(y, y.ndim - 1, 0, 1)
    return ops.moveaxis(y, -2, axis) if parts else y


def _inverse_of_half(x: Any, length: int) -> Any:
    """The whole of a transform of which half is given: the rest are conjugates."""
    half = length // 2 + 1
    first = ops.narrow(x, x.ndim - 2, 0, half)
    rest = ops.getitem(first, (..., np.arange(length - half, 0, -1), slice(None)))
    sign = ops.as_tensor(np.array([1.0, -1.0]), x.format)
    return ops.cat([first, ops.mul(rest, sign)], x.ndim - 2)


@row("DFT")
def dft(
    x: Any, dft_length: Any = None, axis_input: Any = None, /, *, axis: int | None = None, inverse: int = 0,
    onesided: int = 0, since: int,
) -> Any:  # fmt: skip
    """The discrete Fourier transform along an axis; the last axis holds real and imaginary parts."""
    first = -2 if since >= 20 else 1 if axis is None else axis
    along = axis_of(first if axis_input is None else integers(axis_input)[0], x.ndim)
    given = x.shape[along]
    length = integers(dft_length)[0] if dft_length is not None else 2 * (given - 1) if inverse and onesided else given
    return _transform(x, along, length, inverse, onesided)


@row("STFT")
def stft(signal: Any, frame_step: Any, window: Any = None, frame_length: Any = None, /, *, onesided: int = 1) -> Any:
    """Transforms of frames of a signal (batch, length, parts), each weighted by a window."""
    step = integers(frame_step)[0]
    length = integers(frame_length)[0] if frame_length is not None else window.shape[0]
    count = (signal.shape[1] - length) // step + 1
    if step < 1 or count < 1:
        raise ValueError(f"frame_length: {length} is not allowed; allowed: lengths up to that of the signal")
    frames = ops.getitem(signal, (slice(None), np.arange(count)[:, None] * step + np.arange(length)))
    if window is not None:
        frames = ops.mul(frames, window.reshape((length, 1)))
    return _transform(frames, 2, length, 0, onesided)
