"""Quantization: floats to integers or narrow floats by a scale, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.numerics.formats import INTEGERS
from halfsim.onnx.operators.shape import cast_to
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import FORMATS, as_array, axis_of, dtype_of, is_float, numbers


def _spread(x: Any, shape: tuple[int, ...], axis: int, block: int) -> Any:
    """A scale or zero point for each element: one for all, one an index of an axis, or one a block along it."""
    if x is None or np.ndim(numbers(x)) == 0 or (np.size(numbers(x)) == 1 and not block):
        return x if x is None or np.ndim(numbers(x)) == 0 else x.reshape(())
    axis = axis_of(axis, len(shape))
    if not block:
        return x.reshape(tuple(-1 if a == axis else 1 for a in range(len(shape))))
    places = np.arange(shape[axis]) // block
    return ops.index_select(x, axis, places) if is_float(x) else np.take(x, places, axis)


def _bounds(element: int) -> tuple[int, int]:
    name = np.dtype(dtype_of(element)).name
    if name in INTEGERS:
        return INTEGERS[name].min, INTEGERS[name].max
    bits = int(name[-1])
    return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def quantized(x: Any, scale: Any, zero: Any, element: int, saturate: int = 1) -> Any:
    """``x / scale`` rounded to the nearest, moved by the zero point and kept within the type."""
    y = ops.div(x, scale)
    if element in FORMATS:
        return cast_to(y if zero is None else ops.add(y, zero), element, saturate)
    low, high = _bounds(element)
    moved = np.rint(numbers(y)).astype(np.float64) + (0 if zero is None else np.asarray(zero).astype(np.float64))
    with np.errstate(invalid="ignore"):
        return np.clip(np.nan_to_num(moved, nan=0.0), low, high).astype(np.int64).astype(dtype_of(element))


@row("QuantizeLinear")
def quantize_linear(
    x: Any, scale: Any, zero: Any = None, /, *, axis: int = 1, saturate: int = 1, block_size: int = 0, elements: Any
) -> Any:
    """Floats as integers or narrow floats."""
    shape = tuple(x.shape)
    spread = _spread(scale, shape, axis, block_size), _spread(zero, shape, axis, block_size)
    return quantized(x, *spread, elements[0], saturate)


@row("DequantizeLinear", given="any")
def dequantize_linear(
    x: Any, scale: Any, zero: Any = None, /, *, axis: int = 1, block_size: int = 0, elements: Any
) -> Any:
    """Integers or narrow floats times a scale."""
    shape = tuple(x.shape)
    scale, zero = _spread(scale, shape, axis, block_size), _spread(zero, shape, axis, block_size)
    exact = numbers(x).astype(np.float64) - (0 if zero is None else numbers(zero).astype(np.float64))
    return cast_to(ops.mul(ops.as_tensor(exact, scale.format), scale), elements[0])


def _product(a: Any, az: Any, b: Any, bz: Any) -> Any:
    """A product of matrices of integers about their zero points, exact."""

    def moved(x: Any, zero: Any, axis: int) -> Any:
        whole = np.asarray(as_array(x)).astype(np.int64)
        zero = np.asarray(as_array(zero)).astype(np.int64)
        return whole - (np.expand_dims(zero, axis) if zero.ndim and zero.size > 1 and zero.ndim < whole.ndim else zero)

    return np.matmul(moved(a, az, -1), moved(b, bz, -2))


@row("QLinearMatMul", given="any")
def qlinear_matmul(
    a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any, y_zero: Any, /, *, elements: Any
) -> Any:
    """A product of quantized matrices, quantized again."""
    if is_float(a):
        left = ops.mul(ops.sub(a, a_zero), a_scale)
        return quantized(ops.matmul(left, ops.mul(ops.sub(b, b_zero), b_scale)), y_scale, y_zero, elements[0])
    return _requantized(_product(a, a_zero, b, b_zero), a_scale, b_scale, y_scale, y_zero, elements[0])


def _requantized(total: Any, a_scale: Any, b_scale: Any, y_scale: Any, y_zero: Any, element: int) -> Any:
    scale = ops.div(ops.mul(a_scale, b_scale), y_scale)
    y = ops.mul(ops.as_tensor(total.astype(np.float64), scale.format), scale)
    return quantized(y, np.float32(1), y_zero, element)


@row("QLinearConv", given="any")
def qlinear_conv(
    x: Any, x_scale: Any, x_zero: Any, w: Any, w_scale: Any, w_zero: Any, y_scale: Any, y_zero: Any, b: Any = None, /,
    *, auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None, elements: Any,
) -> Any:  # fmt: skip
    """A convolution of quantized tensors, quantized again; its sums are exact."""
    from halfsim.onnx.operators.linear import conv

    lead = (-1,) + (1,) * (x.ndim - 1)
    zero = np.asarray(w_zero).astype(np.int64)
    weights = w.astype(np.int64) - (zero.reshape(lead) if zero.ndim else zero)
    given = x.astype(np.int64) - np.asarray(x_zero).astype(np.int64)
    total = numbers(conv(ops.as_tensor(given.astype(np.float64), "float64"),
                         ops.as_tensor(weights.astype(np.float64), "float64"), None, auto_pad=auto_pad,
                         dilations=dilations, group=group, pads=pads, strides=strides))  # fmt: skip
    channels = (1, -1) + (1,) * (x.ndim - 2)
    total = total if b is None else total + np.asarray(b).reshape(channels)
    return _requantized(total, x_scale, w_scale.reshape(channels) if w_scale.size > 1 else w_scale, y_scale, y_zero,
                        elements[0])  # fmt: skip
