"""Arithmetic on elements. Each formula lists its elementary steps; each step rounds once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import signs
from halfsim.autograd.ops.fused import Stepwise, bound, steps
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import float16
from halfsim.numerics.quantize import Array


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
