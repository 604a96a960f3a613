"""Activations made of straight pieces, with the steps of PyTorch's CUDA kernels, forward and backward.

In half they equal the CPU's too, bit for bit, but for the gradient at NaN of `hardtanh`, `relu6`, `hardswish`,
`hardshrink` and `softshrink`, which is g here and on CUDA, and 0 or NaN in PyTorch's vectorised CPU kernels.

Arguments named ``inplace`` are taken for PyTorch's sake: no operation writes into its operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import choose
from halfsim.autograd.ops.fused import bound
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array


@op(exact=True)
def relu(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``max(x, 0)``, as in PyTorch: -0 stays, the gradient at 0 is 0, and NaN passes both ways."""
    passes = ~(x <= 0)
    return fp.keep(x, passes | (x == 0)), lambda fp, g: fp.keep(g, passes)


@op()
def leaky_relu(fp: Arithmetic, x: Array, /, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` above 0, ``x * negative_slope`` elsewhere (NaN and 0 too); gradients by the same factors."""
    one, slope = fp.constant(1.0), fp.constant(float(negative_slope))
    return fp.mul(x, choose(x > 0, one, slope)), lambda fp, g: fp.mul(g, choose(x > 0, one, slope))


@op("fp16")
def prelu(fp: Arithmetic, x: Array, weight: Array, /) -> Any:
    """``x`` above 0, ``weight * x`` elsewhere, with one weight or one for each channel (axis 1)."""
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ValueError(f"prelu: weight {weight.shape} does not fit input {x.shape}; allowed: 1 or {channels} numbers")
    shape, above, w = (
        weight.shape,
        x > 0,
        weight.reshape(-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else weight.reshape(()),
    )
    others = tuple(i for i in range(x.ndim) if i != 1) if weight.size > 1 else None
    return fp.mul(x, choose(above, fp.constant(1.0), w)), (
        lambda fp, g: fp.mul(g, choose(above, fp.constant(1.0), w)),
        lambda fp, g: fp.sum(fp.mul(fp.keep(x, ~above), g), others).reshape(shape),
    )


@op()
def hardtanh(fp: Arithmetic, x: Array, /, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` between two bounds; the gradient is 0 at and beyond them, and NaN passes both ways."""
    if min_val > max_val:
        raise ValueError(f"min_val: {min_val} is above max_val {max_val}; allowed: min_val <= max_val")
    low, high = fp.constant(min_val), fp.constant(max_val)
    return np.clip(x, low, high), lambda fp, g: fp.keep(g, ~((x <= low) | (x >= high)))


@op()
def relu6(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``min(max(x, 0), 6)``, a `hardtanh`."""
    zero, six = fp.constant(0.0), fp.constant(6.0)
    return np.clip(x, zero, six), lambda fp, g: fp.keep(g, ~((x <= zero) | (x >= six)))


@op()
def hardswish(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``x * min(max(x + 3, 0), 6) * (1/6)`` from the left; gradient ``g * (x / 3 + 0.5)`` inside, else 0 or g."""
    three, half = fp.constant(3.0), fp.constant(0.5)
    gate = np.clip(fp.add(x, three), fp.constant(0.0), fp.constant(6.0))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        inside = np.abs(x) < three
        slope = fp.mul(fp.keep(g, inside), fp.add(fp.div(x, three), half))
        return choose(inside, slope, fp.keep(g, ~(x <= -three)))

    return fp.mul(fp.mul(x, gate), fp.constant(1 / 6)), pullback


@op()
def hardsigmoid(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``min(max(x + 3, 0), 6) * (1/6)``; gradient ``g * (1/6)``, the float32 of PyTorch, between -3 and 3, else 0."""
    three, sixth, slope = fp.constant(3.0), fp.constant(1 / 6), fp.constant(float(np.float32(1 / 6)))
    y = fp.mul(np.clip(fp.add(x, three), fp.constant(0.0), fp.constant(6.0)), sixth)
    return y, lambda fp, g: fp.mul(fp.keep(g, np.abs(x) < three), slope)


@op()
def threshold(fp: Arithmetic, x: Array, /, threshold: float, value: float, inplace: bool = False) -> Any:
    """``value`` where ``x <= threshold``, else ``x`` (NaN too); gradient 0 or g."""
    below = x <= fp.constant(threshold)
    return choose(below, fp.constant(value), x), lambda fp, g: fp.keep(g, ~below)


@op(exact=True)
def hardshrink(fp: Arithmetic, x: Array, /, lambd: float = 0.5) -> Any:
    """0 from -lambd to lambd, else ``x``; gradient alike. ``lambd`` has the format of ``x``, as in PyTorch."""
    outside = ~(np.abs(x) <= bound(fp, lambd))
    return fp.keep(x, outside), lambda fp, g: fp.keep(g, outside)


@op()
def softshrink(fp: Arithmetic, x: Array, /, lambd: float = 0.5) -> Any:
    """``x - lambd`` above lambd, ``x + lambd`` below -lambd, 0 between; gradient g or 0, by ``lambd`` as stored."""
    k, stored = fp.constant(lambd), bound(fp, lambd)
    outside = ~(np.abs(x) <= k)
    moves = ~(np.abs(x) <= stored)
    return fp.keep(fp.sub(x, np.copysign(k, x)), outside), lambda fp, g: fp.keep(g, moves)
