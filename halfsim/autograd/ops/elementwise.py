"""Arithmetic and elementary functions on elements. Each formula lists its elementary steps; each step rounds once.

PyTorch composes the gradients of elementary functions, on every device, and so stores each of their steps, the last one
being the product with (or division of) ``g``. That of tanh is a kernel of its own, in ``compute``; that of sigmoid too,
but its steps are stored, see `halfsim.autograd.ops._common.steps`. A result ``y`` is used as stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import log as _log
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, bound, signs, steps
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import bfloat16, float16
from halfsim.numerics.quantize import Array

__all__ = [
    "abs",
    "acos",
    "add",
    "addcdiv",
    "addcmul",
    "asin",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "div",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "lerp",
    "log",
    "log1p",
    "log2",
    "log10",
    "mul",
    "neg",
    "pow",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "trunc",
]


@op()
def add(fp: Arithmetic, a: Array, b: Array, /, alpha: float = 1) -> Any:
    """``a + alpha * b``; the product is a step of its own where alpha is not 1."""
    if alpha == 1:
        return fp.add(a, b), (lambda fp, g: g, lambda fp, g: g)
    k = fp.constant(alpha)
    return fp.add(a, fp.mul(b, k)), (lambda fp, g: g, lambda fp, g: fp.mul(g, k))


@op()
def sub(fp: Arithmetic, a: Array, b: Array, /, alpha: float = 1) -> Any:
    """``a - alpha * b``; the product is a step of its own where alpha is not 1."""
    if alpha == 1:
        return fp.sub(a, b), (lambda fp, g: g, lambda fp, g: -g)
    k = fp.constant(alpha)
    return fp.sub(a, fp.mul(b, k)), (lambda fp, g: g, lambda fp, g: -fp.mul(g, k))


@op()
def mul(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a * b``."""
    return fp.mul(a, b), (lambda fp, g: fp.mul(g, b), lambda fp, g: fp.mul(g, a))


@op()
def div(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a / b``; gradients ``g / b`` and ``-g * (y / b)``, the quotient stored."""
    y = fp.div(a, b)
    return y, (lambda fp, g: fp.div(g, b), lambda fp, g: fp.mul(-g, Stepwise(fp).div(y, b)))


@op("fp32")
def reciprocal(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / x``; gradient ``-g * (y * y)``, the square stored."""
    y = fp.div(fp.constant(1), x)
    return y, lambda fp, g: fp.mul(-g, Stepwise(fp).mul(y, y))


@op(exact=True)
def neg(fp: Arithmetic, x: Array, /) -> Any:
    """``-x``."""
    return -x, lambda fp, g: -g


@op()
def addcmul(fp: Arithmetic, x: Array, a: Array, b: Array, /, value: float = 1) -> Any:
    """``x + value * a * b``, in the steps value * a, times b, plus x.

    Gradients ``g * (b * value)`` and ``g * (a * value)``, the product stored.
    """
    k = fp.constant(value)
    return fp.add(x, fp.mul(fp.mul(a, k), b)), (
        lambda fp, g: g,
        lambda fp, g: fp.mul(g, Stepwise(fp).mul(b, k)),
        lambda fp, g: fp.mul(g, Stepwise(fp).mul(a, k)),
    )


@op()
def addcdiv(fp: Arithmetic, x: Array, a: Array, b: Array, /, value: float = 1) -> Any:
    """``x + value * a / b``, in the steps value * a, over b, plus x.

    Gradients ``g * (value / b)``, value as stored, and ``-g * (a * value / (b * b))``, each step stored.
    """
    k = fp.constant(value)

    def pull_a(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.div(bound(fp, k), b))

    def pull_b(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(-g, s.div(s.mul(a, k), s.mul(b, b)))

    return fp.add(x, fp.div(fp.mul(a, k), b)), (
        lambda fp, g: g,
        pull_a,
        pull_b,
    )


@op()
def lerp(fp: Arithmetic, a: Array, b: Array, /, weight: float) -> Any:
    """``a + weight * (b - a)``, or ``b - (1 - weight) * (b - a)`` from weight 0.5 on, as in PyTorch."""
    near, far = fp.constant(weight), fp.constant(1 - weight)
    d = fp.sub(b, a)
    y = fp.add(a, fp.mul(d, near)) if weight < 0.5 else fp.sub(b, fp.mul(d, far))
    return y, (lambda fp, g: fp.mul(g, far), lambda fp, g: fp.mul(g, near))


@op(exact=True)
def abs(fp: Arithmetic, x: Array, /) -> Any:
    """The magnitude; the gradient at both zeros, and at NaN, is 0."""
    return np.abs(x), lambda fp, g: fp.mul(g, signs(x))


@op(exact=True)
def sign(fp: Arithmetic, x: Array, /) -> Any:
    """-1, 0 or 1; 0 for NaN. Its gradient is 0."""
    return _steps(signs(x))


@op(exact=True)
def floor(fp: Arithmetic, x: Array, /) -> Any:
    """The integer at or below. Its gradient is 0."""
    return _steps(np.floor(x))


@op(exact=True)
def ceil(fp: Arithmetic, x: Array, /) -> Any:
    """The integer at or above. Its gradient is 0."""
    return _steps(np.ceil(x))


@op(exact=True)
def round(fp: Arithmetic, x: Array, /) -> Any:
    """The nearest integer, the even one of two. Its gradient is 0."""
    return _steps(np.rint(x))


@op(exact=True)
def trunc(fp: Arithmetic, x: Array, /) -> Any:
    """The integer towards zero. Its gradient is 0."""
    return _steps(np.trunc(x))


def _steps(y: Array) -> Any:
    """A result that does not move with its operand."""
    return y, lambda fp, g: np.zeros_like(g)


@op("fp32")
def pow(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a ** b`` for numbers or tensors: one rounding, as C's pow.

    With a number for exponent the special cases of PyTorch's kernel: 2 and 3 are products (3 rounds twice), -2 the
    reciprocal of a product, 0.5, -0.5 and -1 a root, a reciprocal root, a reciprocal. Gradients ``g * (b * a**(b-1))``
    (0 where b is 0) and ``g * (y * log(a))`` (0 where a is 0 and b is not negative), each function and product stored.
    """
    y = _power(fp, _as_stored(fp, a), b)
    zero, one = np.equal(b, 0), fp.constant(1.0)

    def pull_a(fp: Arithmetic, g: Array) -> Array:
        less = fp.sub(b, one)[()]
        less = fp.spill(less) if isinstance(b, np.ndarray) else less  # of a number: a number
        slope = fp.spill(fp.mul(fp.spill(_power(fp, a, less)), b))
        return fp.keep(fp.mul(g, slope), ~zero)

    def pull_b(fp: Arithmetic, g: Array) -> Array:
        known = np.equal(a, 0) & (b >= 0)
        logs = fp.log(np.asarray(a))
        logs = fp.spill(logs) if isinstance(a, np.ndarray) else logs  # of a number: a constant
        return fp.mul(g, fp.keep(fp.spill(fp.mul(y, logs)), ~known))

    return y, (pull_a, pull_b)


def _as_stored(fp: Arithmetic, x: Any) -> Any:
    return x if isinstance(x, np.ndarray) else bound(fp, x)


def _power(fp: Arithmetic, a: Array, b: Any) -> Array:
    """``a ** b``; a number b has the format of the result, and the steps of products are stored, see `steps`."""
    if isinstance(b, np.ndarray):
        return fp.pow(np.asarray(a), b)
    s, one = steps(fp, wide=float16), fp.constant(1.0)
    special: dict[float, Callable[[], Array]] = {
        1.0: lambda: a,
        2.0: lambda: fp.mul(a, a),
        3.0: lambda: fp.mul(s.mul(a, a), a),
        0.5: lambda: fp.sqrt(a),
        -0.5: lambda: fp.rsqrt(a),
        -1.0: lambda: fp.div(one, a),
        -2.0: lambda: fp.div(one, s.mul(a, a)),
    }
    return special.get(float(b), lambda: fp.pow(a, bound(fp, b)))()


def square(x: Any) -> Tensor:
    """``x * x``: `pow` with the exponent 2, as PyTorch composes it."""
    return pow(x, 2.0)


@op()
def sqrt(fp: Arithmetic, x: Array, /) -> Any:
    """The square root: -0 at -0, NaN below."""
    y = fp.sqrt(x)
    return y, lambda fp, g: fp.div(g, fp.add(y, y))


@op("fp32")
def rsqrt(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / sqrt(x)``, rounded once: infinite at zeros, NaN below.

    Gradient ``(-0.5 * g) * y**3``, both factors stored.
    """
    y = fp.rsqrt(x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(Stepwise(fp).mul(g, fp.constant(-0.5)), fp.spill(_power(fp, y, 3.0)))

    return y, pullback


# Elementary functions: each is rounded once, then stored; gradients by PyTorch's formulas.


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
    """The error function; gradient ``2 / math.sqrt(math.pi) * exp(-(x * x)) * g``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(s.exp(-s.mul(x, x)), fp.constant(2 / math.sqrt(math.pi))), g)

    return fp.function("erf", x), pullback


@op()
def sigmoid(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / (1 + e ** -x)``, rounded once; gradient ``g * (1 - y) * y`` from the left."""
    y = fp.sigmoid(x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = steps(fp, wide=bfloat16)
        return fp.mul(s.mul(g, s.sub(fp.constant(1.0), y)), y)

    return y, pullback
