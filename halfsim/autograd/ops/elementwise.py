"""Elementwise operations. Each formula lists its elementary steps; each step rounds once."""

from __future__ import annotations

from typing import Any

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array


@op()
def add(fp: Arithmetic, a: Array, b: Array, /, alpha: float = 1) -> Any:
    """``a + alpha * b``; the product is a step of its own where alpha is not 1."""
    if alpha == 1:
        return fp.add(a, b), (lambda fp, g: g, lambda fp, g: g)
    k = fp.constant(alpha)
    return fp.add(a, fp.mul(b, k)), (lambda fp, g: g, lambda fp, g: fp.mul(g, k))


@op()
def sub(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a - b``."""
    return fp.sub(a, b), (lambda fp, g: g, lambda fp, g: -g)


@op()
def mul(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a * b``."""
    return fp.mul(a, b), (lambda fp, g: fp.mul(g, b), lambda fp, g: fp.mul(g, a))


@op()
def div(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a / b``."""
    y = fp.div(a, b)
    return y, (lambda fp, g: fp.div(g, b), lambda fp, g: -fp.mul(fp.div(g, b), y))


@op("fp32")
def reciprocal(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / x``."""
    y = fp.div(fp.constant(1), x)
    return y, lambda fp, g: -fp.mul(g, fp.mul(y, y))


@op(exact=True)
def neg(fp: Arithmetic, x: Array, /) -> Any:
    """``-x``."""
    return -x, lambda fp, g: -g


@op()
def addcmul(fp: Arithmetic, x: Array, a: Array, b: Array, /, value: float = 1) -> Any:
    """``x + value * a * b``, in the steps value * a, times b, plus x."""
    k = fp.constant(value)
    return fp.add(x, fp.mul(fp.mul(a, k), b)), (
        lambda fp, g: g,
        lambda fp, g: fp.mul(fp.mul(g, k), b),
        lambda fp, g: fp.mul(fp.mul(g, k), a),
    )


@op()
def addcdiv(fp: Arithmetic, x: Array, a: Array, b: Array, /, value: float = 1) -> Any:
    """``x + value * a / b``, in the steps value * a, over b, plus x."""
    k = fp.constant(value)
    q = fp.div(fp.mul(a, k), b)
    return fp.add(x, q), (
        lambda fp, g: g,
        lambda fp, g: fp.div(fp.mul(g, k), b),
        lambda fp, g: -fp.mul(fp.div(g, b), q),
    )


@op()
def lerp(fp: Arithmetic, a: Array, b: Array, /, weight: float) -> Any:
    """``a + weight * (b - a)``, or ``b - (1 - weight) * (b - a)`` from weight 0.5 on, as in PyTorch."""
    near, far = fp.constant(weight), fp.constant(1 - weight)
    d = fp.sub(b, a)
    y = fp.add(a, fp.mul(d, near)) if weight < 0.5 else fp.sub(b, fp.mul(d, far))
    return y, (lambda fp, g: fp.mul(g, far), lambda fp, g: fp.mul(g, near))


@op("fp32")
def exp(fp: Arithmetic, x: Array, /) -> Any:
    """``e ** x``."""
    y = fp.exp(x)
    return y, lambda fp, g: fp.mul(g, y)


@op("fp32")
def log(fp: Arithmetic, x: Array, /) -> Any:
    """The natural logarithm: -inf at both zeros, NaN below."""
    return fp.log(x), lambda fp, g: fp.div(g, x)


@op()
def sqrt(fp: Arithmetic, x: Array, /) -> Any:
    """The square root: -0 at -0, NaN below."""
    y = fp.sqrt(x)
    return y, lambda fp, g: fp.div(g, fp.add(y, y))


@op()
def tanh(fp: Arithmetic, x: Array, /) -> Any:
    """The hyperbolic tangent."""
    y = fp.tanh(x)
    return y, lambda fp, g: fp.mul(g, fp.sub(fp.constant(1), fp.mul(y, y)))


@op()
def sigmoid(fp: Arithmetic, x: Array, /) -> Any:
    """``1 / (1 + e ** -x)``, rounded once."""
    y = fp.sigmoid(x)
    return y, lambda fp, g: fp.mul(g, fp.mul(y, fp.sub(fp.constant(1), y)))


@op(exact=True)
def relu(fp: Arithmetic, x: Array, /) -> Any:
    """``max(x, 0)``, as in PyTorch: -0 stays, the gradient at 0 is 0, and NaN passes both ways."""
    passes = ~(x <= 0)
    return fp.keep(x, passes | (x == 0)), lambda fp, g: fp.keep(g, passes)
