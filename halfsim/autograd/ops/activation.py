"""Activations: each is one kernel, whose steps are those of PyTorch's for CUDA, forward and backward.

In half they equal the CPU's too, bit for bit, but for what `tests/recorded/halves.py` names: the gradient at NaN of
`elu`, `selu` and `celu` (g here and on CUDA, NaN in vectorised CPU kernels), of `hardtanh`, `relu6`, `hardswish`,
`hardshrink` and `softshrink` (g here and on CUDA, 0 or NaN there), the sums of `log_softmax` (which the CPU keeps in
half), and functions that these approximate (with the CPU's scalar kernels `gelu`, `silu` and `softplus` are equal
everywhere). `gelu` is one kernel and stores nothing on the way: written out with ``pow(x, 3)``, which is infinite in
half from 41 on, its gradient becomes NaN, here as there.
"""

from __future__ import annotations

from math import log, pi, sqrt
from operator import index
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.lookup import looked_up
from halfsim.autograd.ops._common import axes_of, axis_of, bound, choose, largest, typed
from halfsim.autograd.ops.elementwise import abs as magnitude
from halfsim.autograd.ops.elementwise import add, div, neg, sub
from halfsim.autograd.ops.functions import tanh
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


@op()
def elu(fp: Arithmetic, x: Array, /, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` above 0, ``expm1(x) * alpha`` elsewhere; gradient there ``g * alpha * exp(x)``."""
    return _elu(fp, x, alpha, 1.0, 1.0)


@op()
def selu(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``x * scale`` above 0, ``expm1(x) * (alpha * scale)`` elsewhere, scale 1.0507... and alpha 1.6732... ."""
    return _elu(fp, x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


@op()
def celu(fp: Arithmetic, x: Array, /, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` above 0, ``expm1(x * (1 / alpha)) * alpha`` elsewhere."""
    if alpha == 0:
        raise ValueError("alpha: 0 is not allowed; allowed: other numbers")
    return _elu(fp, x, alpha, 1.0, 1 / alpha)


def _elu(fp: Arithmetic, x: Array, alpha: float, scale: float, inner: float) -> Any:
    k, s, d = fp.constant(float(alpha)), fp.constant(scale), fp.constant(inner)
    k, one = fp.mul(k, s)[()], fp.constant(1.0)
    above = x > 0
    y = fp.mul(fp.function("expm1", fp.mul(fp.keep(x, ~above), d)), k)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        below = x <= 0  # NaN counts as above here, as in PyTorch
        g = fp.mul(fp.mul(g, choose(below, d, one)), choose(below, k, s))
        return fp.mul(g, fp.exp(fp.mul(fp.keep(x, below), d)))

    return choose(above, fp.mul(fp.keep(x, above), s), y), pullback


@op()
def gelu(fp: Arithmetic, x: Array, /, approximate: str = "none") -> Any:
    """``x * 0.5 * (1 + erf(x * sqrt(1/2)))`` from the left, or by tanh.

    "none": gradient ``g * (0.5 * (1 + erf(x * sqrt(1/2))) + x * (exp(-0.5 * x * x) * k))``, k = 1/sqrt(2 pi). "tanh":
    ``0.5 * x * (1 + tanh(k * (x + 0.044715 * (x * x * x))))`` with k = sqrt(2/pi). NaN at -inf, as in PyTorch.

    >>> from halfsim import tensor
    >>> gelu(tensor([1.0, -1.0]))
    tensor([ 0.8413447 , -0.15865526], float32)
    """
    if approximate not in ("none", "tanh"):
        raise unknown("approximate", approximate, ("none", "tanh"))
    slope = _gelu_tanh_slope if approximate == "tanh" else _gelu_slope
    return looked_up(fp, _gelu, x, approximate), lambda fp, g: fp.mul(g, looked_up(fp, slope, x))


def _gelu(fp: Arithmetic, x: Array, approximate: str) -> Array:
    inner = _gelu_tanh if approximate == "tanh" else _gelu_erf
    return fp.mul(fp.mul(x, fp.constant(0.5)), fp.add(inner(fp, x), fp.constant(1.0)))


def _gelu_erf(fp: Arithmetic, x: Array) -> Array:
    return fp.function("erf", fp.mul(x, fp.constant(sqrt(0.5))))


def _gelu_slope(fp: Arithmetic, x: Array) -> Array:
    half = fp.constant(0.5)
    cdf = fp.mul(fp.add(_gelu_erf(fp, x), fp.constant(1.0)), half)
    pdf = fp.mul(fp.exp(fp.mul(fp.mul(x, -half), x)), fp.constant(1 / sqrt(2 * pi)))
    return fp.add(cdf, fp.mul(x, pdf))


def _gelu_tanh(fp: Arithmetic, x: Array) -> Array:
    cube = fp.mul(fp.mul(x, x), x)
    inner = fp.add(x, fp.mul(cube, fp.constant(0.044715)))
    return fp.tanh(fp.mul(inner, fp.constant(sqrt(2 / pi))))


def _gelu_tanh_slope(fp: Arithmetic, x: Array) -> Array:
    """``0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (k * (1 + 3 * 0.044715 * (x * x)))``."""
    one, half, t = fp.constant(1.0), fp.constant(0.5), _gelu_tanh(fp, x)
    slope = fp.add(fp.mul(fp.mul(x, x), fp.mul(fp.constant(3.0), fp.constant(0.044715))), one)
    slope = fp.mul(slope, fp.constant(sqrt(2 / pi)))
    right = fp.mul(fp.mul(fp.mul(x, half), fp.sub(one, fp.mul(t, t))), slope)
    return fp.add(fp.mul(fp.add(t, one), half), right)


@op()
def silu(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``x / (1 + exp(-x))``; gradient ``g * s * (1 + x * (1 - s))`` with ``s = 1 / (1 + exp(-x))``. NaN at -inf."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        one, s = fp.constant(1.0), looked_up(fp, _logistic, x)
        return fp.mul(fp.mul(g, s), fp.add(fp.mul(x, fp.sub(one, s)), one))

    return looked_up(fp, _silu, x), pullback


def _silu(fp: Arithmetic, x: Array) -> Array:
    return fp.div(x, fp.add(fp.exp(-x), fp.constant(1.0)))


def _logistic(fp: Arithmetic, x: Array) -> Array:
    """The sigmoid as kernels form it on the way to something else: exp, sum, quotient."""
    one = fp.constant(1.0)
    return fp.div(one, fp.add(fp.exp(-x), one))


@op()
def mish(fp: Arithmetic, x: Array, /, inplace: bool = False) -> Any:
    """``x * t`` with ``t = tanh(log1p(exp(x)))``; gradient ``g * (t + x * s * (1 - t * t))``, s as for `silu`."""
    return looked_up(fp, _mish, x), lambda fp, g: fp.mul(g, looked_up(fp, _mish_slope, x))


def _mish(fp: Arithmetic, x: Array) -> Array:
    return fp.mul(x, _squashed(fp, x))


def _squashed(fp: Arithmetic, x: Array) -> Array:
    end = min(20.0, float(int(log(fp.precision.compute.max))))  # from where tanh is 1 and exp only overflows
    return fp.tanh(fp.function("log1p", fp.exp(np.minimum(x, fp.constant(end)))))


def _mish_slope(fp: Arithmetic, x: Array) -> Array:
    t = _squashed(fp, x)
    slope = fp.mul(fp.mul(x, _logistic(fp, x)), fp.sub(fp.constant(1.0), fp.mul(t, t)))
    return fp.add(slope, t)


@op("fp32")
def softplus(fp: Arithmetic, x: Array, /, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """``log1p(exp(x * beta)) / beta``, and ``x`` where ``x * beta`` exceeds ``threshold``.

    Gradient ``g * z / (z + 1)`` with ``z = exp(x * beta)``, and ``g`` there. Overflow is infinite: exp(12) in float16.
    """

    def pullback(fp: Arithmetic, g: Array) -> Array:
        z, linear = _softplus_power(fp, x, float(beta), float(threshold))
        return choose(linear, g, fp.div(fp.mul(g, z), fp.add(z, fp.constant(1.0))))

    return looked_up(fp, _softplus, x, float(beta), float(threshold)), pullback


def _softplus(fp: Arithmetic, x: Array, beta: float, threshold: float) -> Any:
    power, linear = _softplus_power(fp, x, beta, threshold)
    return choose(linear, x, fp.div(fp.function("log1p", power), fp.constant(beta)))


def _softplus_power(fp: Arithmetic, x: Array, beta: float, threshold: float) -> tuple[Array, Any]:
    """``exp(x * beta)``, 1 where that is past the threshold, and where it is."""
    scaled = fp.mul(x, fp.constant(beta))
    linear = scaled > fp.constant(threshold)
    return fp.exp(fp.keep(scaled, ~linear)), linear


@op()
def logsigmoid(fp: Arithmetic, x: Array, /) -> Any:
    """``min(x, 0) - log1p(z)`` with ``z = exp(-abs(x))``.

    Gradient ``g * (1 - q)`` below 0 and ``g * q`` elsewhere, with ``q = z / (1 + z)``. As in PyTorch's CUDA kernel z is
    formed anew for it; the CPU's keeps z in half, where it is zero from 17.4 on.
    """
    one = fp.constant(1.0)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        z = fp.exp(-np.abs(x))
        q = fp.div(z, fp.add(z, one))
        return fp.mul(g, choose(x < 0, fp.sub(one, q), q))

    return fp.sub(np.minimum(x, fp.constant(0.0)), fp.function("log1p", fp.exp(-np.abs(x)))), pullback


def softsign(input: Any) -> Tensor:
    """``x / (abs(x) + 1)``, composed of `abs`, `add`, `div`; NaN at infinities."""
    return div(input, add(magnitude(input), 1.0))


def tanhshrink(input: Any) -> Tensor:
    """``x - tanh(x)``, composed of `tanh` and `sub`."""
    return sub(input, tanh(input))


@op()
def glu(fp: Arithmetic, x: Array, /, dim: int = -1) -> Any:
    """``a * s`` for the halves a, b of ``x`` along ``dim`` and ``s = 1 / (1 + exp(-b))``; `_logistic` is three steps.

    Gradients ``s * g`` and ``(1 - s) * s * g * a`` from the left, in ``compute`` as in PyTorch's CUDA kernel; the CPU's
    stores s, which in half is 1 from b = 8.32 on.
    """
    along = axis_of(dim, x.ndim)
    if not x.ndim or x.shape[along] % 2:
        raise ValueError(f"glu: axis {dim} of {x.shape} has no halves; allowed: axes of even length")
    a, b = np.split(x, 2, along)
    one = fp.constant(1.0)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = _logistic(fp, b)
        gate = fp.mul(fp.mul(fp.mul(fp.sub(one, s), s), g), a)
        return np.concatenate([fp.mul(s, g), gate], along)

    return fp.mul(a, _logistic(fp, b)), pullback


@typed
@op("fp32")
def softmax(fp: Arithmetic, x: Array, /, axis: int = -1) -> Any:
    """``e / sum(e)`` with ``e = exp(x - max(x))``; gradient ``y * (g - sum(g * y))``."""
    along = axes_of(index(axis), x.ndim)  # none for a number
    e = fp.exp(fp.sub(x, largest(x, along)))
    y = fp.div(e, fp.sum(e, along, keepdims=True))
    return y, lambda fp, g: fp.mul(y, fp.sub(g, fp.sum(fp.mul(g, y), along, keepdims=True)))


@typed
@op("fp32")
def log_softmax(fp: Arithmetic, x: Array, /, axis: int = -1) -> Any:
    """``d - log(sum(exp(d)))`` with ``d = x - max(x)``; gradient ``g - exp(y) * sum(g)``."""
    along = axes_of(index(axis), x.ndim)
    d = fp.sub(x, largest(x, along))
    y = fp.sub(d, fp.log(fp.sum(fp.exp(d), along, keepdims=True)))
    return y, lambda fp, g: fp.sub(g, fp.mul(fp.exp(y), fp.sum(g, along, keepdims=True)))


def softmin(input: Any, dim: int = -1, *, dtype: Any = None) -> Tensor:
    """``softmax(-x)``, composed of `neg` and `softmax`."""
    return softmax(neg(input), dim, dtype=dtype)


# Activations made of straight pieces.


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
    """``x`` above 0, ``weight * x`` elsewhere, with one weight or one for each channel (axis 1).

    The gradient of a weight, ``x * g`` at and below 0, is stored for every element, and then summed, as in PyTorch.
    """
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
        lambda fp, g: fp.sum(fp.spill(fp.mul(fp.keep(x, ~above), g)), others).reshape(shape),
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
    if not lambd >= 0:
        raise ValueError(f"lambd: {lambd} is not allowed; allowed: numbers from 0")
    k, stored = fp.constant(lambd), bound(fp, lambd)
    outside = ~(np.abs(x) <= k)
    moves = ~(np.abs(x) <= stored)
    return fp.keep(fp.sub(x, np.copysign(k, x)), outside), lambda fp, g: fp.keep(g, moves)
