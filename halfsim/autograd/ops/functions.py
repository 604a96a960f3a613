"""Elementary functions: each is rounded once, then stored; gradients by PyTorch's formulas.

PyTorch composes these gradients of functions, on every device, and so stores each of their steps, the last one being
the product with (or division of) ``g``. That of tanh is a kernel of its own, in ``compute``; that of sigmoid too, but
its steps are stored, see `halfsim.autograd.ops.fused.steps`. A result ``y`` is used as stored.
"""

from __future__ import annotations

from math import log as _log
from math import pi, sqrt
from typing import Any

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops.fused import Stepwise, steps
from halfsim.autograd.tape import op
from halfsim.numerics.formats import bfloat16
from halfsim.numerics.quantize import Array


@op("fp32")
def exp(fp: Arithmetic, x: Array, /) -> Any:
    """``e ** x``."""
    y = fp.exp(x)
    return y, lambda fp, g: fp.mul(g, y)


@op()
def exp2(fp: Arithmetic, x: Array, /) -> Any:
    """``2 ** x``; gradient ``g * y * log(2)``."""
    y = fp.pow(fp.constant(2.0), x)
    return y, lambda fp, g: fp.mul(Stepwise(fp).mul(g, y), fp.constant(_log(2)))


@op("fp32")
def expm1(fp: Arithmetic, x: Array, /) -> Any:
    """``e ** x - 1``, without the loss of digits near zero; gradient ``g * (y + 1)``."""
    y = fp.function("expm1", x)
    return y, lambda fp, g: fp.mul(g, Stepwise(fp).add(y, fp.constant(1.0)))


@op("fp32")
def log(fp: Arithmetic, x: Array, /) -> Any:
    """The natural logarithm: -inf at both zeros, NaN below."""
    return fp.log(x), lambda fp, g: fp.div(g, x)


@op("fp32")
def log2(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm to base 2; gradient ``g / (x * log(2))``."""
    return fp.log(x, "log2"), lambda fp, g: fp.div(g, Stepwise(fp).mul(x, fp.constant(_log(2))))


@op("fp32")
def log10(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm to base 10; gradient ``g / (x * log(10))``."""
    return fp.log(x, "log10"), lambda fp, g: fp.div(g, Stepwise(fp).mul(x, fp.constant(_log(10))))


@op("fp32")
def log1p(fp: Arithmetic, x: Array, /) -> Any:
    """``log(1 + x)``, without the loss of digits near zero; gradient ``g / (x + 1)``."""
    return fp.function("log1p", x), lambda fp, g: fp.div(g, Stepwise(fp).add(x, fp.constant(1.0)))


@op()
def sin(fp: Arithmetic, x: Array, /) -> Any:
    """The sine of radians; NaN at infinities."""
    return fp.function("sin", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("cos", x))


@op()
def cos(fp: Arithmetic, x: Array, /) -> Any:
    """The cosine of radians; NaN at infinities."""
    return fp.function("cos", x), lambda fp, g: -fp.mul(g, Stepwise(fp).function("sin", x))


@op("fp32")
def tan(fp: Arithmetic, x: Array, /) -> Any:
    """The tangent of radians; gradient ``g * (1 + y * y)``."""
    y = fp.function("tan", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.add(fp.constant(1.0), s.mul(y, y)))

    return y, pullback


@op("fp32")
def sinh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic sine."""
    return fp.function("sinh", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("cosh", x))


@op("fp32")
def cosh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic cosine."""
    return fp.function("cosh", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("sinh", x))


@op()
def tanh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic tangent; gradient ``g * (1 - y * y)``."""
    y = fp.tanh(x)
    return y, lambda fp, g: fp.mul(g, fp.sub(fp.constant(1.0), fp.mul(y, y)))


@op("fp32")
def asin(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse sine, NaN beyond -1 and 1; gradient ``g * rsqrt(1 - x * x)``."""
    return fp.function("asin", x), lambda fp, g: fp.mul(g, _slant(fp, x))


@op("fp32")
def acos(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse cosine, NaN beyond -1 and 1; gradient ``-g * rsqrt(1 - x * x)``."""
    return fp.function("acos", x), lambda fp, g: -fp.mul(g, _slant(fp, x))


def _slant(fp: Arithmetic, x: Array) -> Array:
    s = Stepwise(fp)
    return s.rsqrt(s.sub(fp.constant(1.0), s.mul(x, x)))


@op()
def atan(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse tangent; gradient ``g / (x * x + 1)``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.add(s.mul(x, x), fp.constant(1.0)))

    return fp.function("atan", x), pullback


@op()
def erf(fp: Arithmetic, x: Array, /) -> Any:
    """The error function; gradient ``2 / sqrt(pi) * exp(-(x * x)) * g``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(s.exp(-s.mul(x, x)), fp.constant(2 / sqrt(pi))), g)

    return fp.function("erf", x), pullback


@op()
def sigmoid(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / (1 + e ** -x)``, rounded once; gradient ``g * (1 - y) * y`` from the left."""
    y = fp.sigmoid(x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = steps(fp, wide=bfloat16)
        return fp.mul(s.mul(g, s.sub(fp.constant(1.0), y)), y)

    return y, pullback
