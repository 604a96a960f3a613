"""Elementary functions: each is rounded once, then stored; gradients by PyTorch's formulas.

PyTorch composes the gradients of elementary functions, on every device, and so stores each of their steps, the last one
being the product with (or division of) ``g``. That of tanh is a kernel of its own, in ``compute``; that of sigmoid too,
but its steps are stored, see `halfsim.autograd.ops._common.steps`. A result ``y`` is used as stored.
"""

from __future__ import annotations

import math
from math import log as _log
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.lookup import looked_up, named
from halfsim.autograd.ops._common import Stepwise, choose, steps
from halfsim.autograd.ops.elementwise import mul
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import bfloat16
from halfsim.numerics.quantize import Array

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "hypot",
    "ldexp",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "rad2deg",
    "sigmoid",
    "sin",
    "sinh",
    "tan",
    "tanh",
]


@op("fp32")
def exp(fp: Arithmetic, x: Array, /) -> Any:
    """``e ** x``."""
    y = looked_up(fp, Arithmetic.exp, x)
    return y, lambda fp, g: fp.mul(g, y)


@op()
def exp2(fp: Arithmetic, x: Array, /) -> Any:
    """``2 ** x``; gradient ``g * y * log(2)``."""
    y = fp.pow(fp.constant(2.0), x)
    return y, lambda fp, g: fp.mul(Stepwise(fp).mul(g, y), fp.constant(_log(2)))


@op("fp32")
def expm1(fp: Arithmetic, x: Array, /) -> Any:
    """``e ** x - 1``, without the loss of digits near zero; gradient ``g * (y + 1)``."""
    y = looked_up(fp, named, x, "expm1")
    return y, lambda fp, g: fp.mul(g, Stepwise(fp).add(y, fp.constant(1.0)))


@op("fp32")
def log(fp: Arithmetic, x: Array, /) -> Any:
    """The natural logarithm: -inf at both zeros, NaN below."""
    return looked_up(fp, Arithmetic.log, x), lambda fp, g: fp.div(g, x)


@op("fp32")
def log2(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm to base 2; gradient ``g / (x * log(2))``."""
    return looked_up(fp, Arithmetic.log, x, "log2"), lambda fp, g: fp.div(g, Stepwise(fp).mul(x, fp.constant(_log(2))))


@op("fp32")
def log10(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm to base 10; gradient ``g / (x * log(10))``."""
    y = looked_up(fp, Arithmetic.log, x, "log10")
    return y, lambda fp, g: fp.div(g, Stepwise(fp).mul(x, fp.constant(_log(10))))


@op("fp32")
def log1p(fp: Arithmetic, x: Array, /) -> Any:
    """``log(1 + x)``, without the loss of digits near zero; gradient ``g / (x + 1)``."""
    return looked_up(fp, named, x, "log1p"), lambda fp, g: fp.div(g, Stepwise(fp).add(x, fp.constant(1.0)))


@op()
def sin(fp: Arithmetic, x: Array, /) -> Any:
    """The sine of radians; NaN at infinities."""
    return looked_up(fp, named, x, "sin"), lambda fp, g: fp.mul(g, Stepwise(fp).function("cos", x))


@op()
def cos(fp: Arithmetic, x: Array, /) -> Any:
    """The cosine of radians; NaN at infinities."""
    return looked_up(fp, named, x, "cos"), lambda fp, g: -fp.mul(g, Stepwise(fp).function("sin", x))


@op("fp32")
def tan(fp: Arithmetic, x: Array, /) -> Any:
    """The tangent of radians; gradient ``g * (1 + y * y)``."""
    y = looked_up(fp, named, x, "tan")

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.add(fp.constant(1.0), s.mul(y, y)))

    return y, pullback


@op("fp32")
def sinh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic sine."""
    return looked_up(fp, named, x, "sinh"), lambda fp, g: fp.mul(g, Stepwise(fp).function("cosh", x))


@op("fp32")
def cosh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic cosine."""
    return looked_up(fp, named, x, "cosh"), lambda fp, g: fp.mul(g, Stepwise(fp).function("sinh", x))


@op()
def tanh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic tangent; gradient ``g * (1 - y * y)``."""
    y = looked_up(fp, Arithmetic.tanh, x)
    return y, lambda fp, g: fp.mul(g, fp.sub(fp.constant(1.0), fp.mul(y, y)))


@op("fp32")
def asin(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse sine, NaN beyond -1 and 1; gradient ``g * rsqrt(1 - x * x)``."""
    return looked_up(fp, named, x, "asin"), lambda fp, g: fp.mul(g, _slant(fp, x))


@op("fp32")
def acos(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse cosine, NaN beyond -1 and 1; gradient ``-g * rsqrt(1 - x * x)``."""
    return looked_up(fp, named, x, "acos"), lambda fp, g: -fp.mul(g, _slant(fp, x))


def _slant(fp: Arithmetic, x: Array) -> Array:
    s = Stepwise(fp)
    return s.rsqrt(s.sub(fp.constant(1.0), s.mul(x, x)))


@op()
def atan(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse tangent; gradient ``g / (x * x + 1)``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.add(s.mul(x, x), fp.constant(1.0)))

    return looked_up(fp, named, x, "atan"), pullback


@op()
def sigmoid(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / (1 + e ** -x)``, rounded once; gradient ``g * (1 - y) * y`` from the left."""
    y = looked_up(fp, Arithmetic.sigmoid, x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = steps(fp, wide=bfloat16)
        return fp.mul(s.mul(g, s.sub(fp.constant(1.0), y)), y)

    return y, pullback


@op()
def asinh(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse hyperbolic sine; gradient ``g * rsqrt(x * x + 1)``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.rsqrt(s.add(s.mul(x, x), fp.constant(1.0))))

    return looked_up(fp, named, x, "asinh"), pullback


@op()
def acosh(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse hyperbolic cosine, NaN below 1; gradient ``g * rsqrt(x * x - 1)``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.rsqrt(s.sub(s.mul(x, x), fp.constant(1.0))))

    return looked_up(fp, named, x, "acosh"), pullback


@op()
def atanh(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse hyperbolic tangent, infinite at -1 and 1, NaN beyond; gradient ``g / (1 - x * x)``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.sub(fp.constant(1.0), s.mul(x, x)))

    return looked_up(fp, named, x, "atanh"), pullback


@op()
def atan2(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """The angle of the point (other, x), from -pi to pi.

    Gradients ``g * other * r`` and ``g * -x * r`` from the left with ``r = 1 / (x * x + other * other)``, 0 at zeros.

    >>> from halfsim import tensor
    >>> atan2(tensor([1.0, 0.0]), tensor([1.0, -1.0]))
    tensor([0.7853982, 3.1415927], float32)
    """

    def slope(fp: Arithmetic, g: Array, factor: Array) -> Array:
        s = Stepwise(fp)
        total = s.add(s.mul(x, x), s.mul(other, other))
        return fp.mul(s.mul(g, factor), fp.keep(s.div(fp.constant(1.0), total), total != 0))

    return fp.function("atan2", x, other), (lambda fp, g: slope(fp, g, other), lambda fp, g: slope(fp, g, -x))


@op()
def hypot(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``sqrt(x * x + other * other)``, rounded once; gradients ``g * x / y`` and ``g * other / y``, NaN at zeros."""
    y = fp.function("hypot", x, other)
    return y, (
        lambda fp, g: fp.div(Stepwise(fp).mul(g, x), y),
        lambda fp, g: fp.div(Stepwise(fp).mul(g, other), y),
    )


@op()
def logaddexp(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``log(e**x + e**other)`` in the steps ``m + log1p(exp(-abs(x - other)))``, m the larger.

    Gradients ``g / (1 + exp(other - x))`` and ``g / (1 + exp(x - other))``.
    """

    def share(fp: Arithmetic, g: Array, a: Array, b: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.add(fp.constant(1.0), s.exp(s.sub(b, a))))

    more = fp.function("log1p", fp.exp(-np.abs(fp.sub(x, other))))
    y = choose(np.isinf(x) & np.equal(x, other), x, fp.add(np.maximum(x, other), more))
    return y, (lambda fp, g: share(fp, g, x, other), lambda fp, g: share(fp, g, other, x))


@op()
def logaddexp2(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``log2(2**x + 2**other)`` in the steps ``m + log1p(2**-abs(x - other)) * (1 / log(2))``, m the larger.

    Gradients ``g / (1 + 2**(other - x))`` and ``g / (1 + 2**(x - other))``.
    """

    def share(fp: Arithmetic, g: Array, a: Array, b: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.add(fp.constant(1.0), s.pow(fp.constant(2.0), s.sub(b, a))))

    power = fp.pow(fp.constant(2.0), -np.abs(fp.sub(x, other)))
    more = fp.mul(fp.function("log1p", power), fp.constant(1 / _log(2)))
    y = choose(np.isinf(x) & np.equal(x, other), x, fp.add(np.maximum(x, other), more))
    return y, (lambda fp, g: share(fp, g, x, other), lambda fp, g: share(fp, g, other, x))


def deg2rad(input: Any) -> Tensor:
    """Degrees as radians: one `mul`."""
    return mul(input, math.pi / 180)


def rad2deg(input: Any) -> Tensor:
    """Radians as degrees: one `mul`."""
    return mul(input, 180 / math.pi)


@op()
def ldexp(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``x * 2**other``; the power is stored, as in PyTorch, and infinite from 16 on in float16.

    Gradients ``g * 2**other`` and ``g * y * log(2)``.
    """
    power = Stepwise(fp).pow(fp.constant(2.0), other)
    y = fp.mul(x, power)
    return y, (
        lambda fp, g: fp.mul(g, power),
        lambda fp, g: fp.mul(Stepwise(fp).mul(g, y), fp.constant(_log(2))),
    )


# Other names of the same functions.

arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
