"""Arithmetic on elements. Each formula lists its elementary steps; each step rounds once.

PyTorch composes gradients, on every device, and so stores each of their steps, the last one being the product with (or
division of) ``g``. A result ``y`` is used as stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_tensor, bound, choose, named, signs, steps
from halfsim.autograd.ops.rounding import floored, stepwise_quotients, stored
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import float16, float64, unknown
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array

__all__ = [
    "abs",
    "absolute",
    "add",
    "addcdiv",
    "addcmul",
    "div",
    "divide",
    "float_power",
    "lerp",
    "mul",
    "multiply",
    "nan_to_num",
    "neg",
    "negative",
    "positive",
    "pow",
    "reciprocal",
    "rsqrt",
    "rsub",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "true_divide",
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
def div(fp: Arithmetic, a: Array, b: Array, /, rounding_mode: str | None = None) -> Any:
    """``a / b``; gradients ``g / b`` and ``-g * (y / b)``, the quotient stored.

    With ``rounding_mode`` "floor" or "trunc" the integer below the quotient, or towards zero, with gradients of 0.

    >>> from halfsim import tensor
    >>> div(tensor([7.0, -7.0]), 2.0), div(tensor([7.0, -7.0]), 2.0, rounding_mode="floor")
    (tensor([ 3.5, -3.5], float32), tensor([ 3., -4.], float32))
    """
    if rounding_mode is not None:
        if rounding_mode not in ("floor", "trunc"):
            raise unknown("rounding_mode", rounding_mode, ("floor", "trunc"))
        y = floored(fp, a, b) if rounding_mode == "floor" else np.trunc(stepwise_quotients(fp, b).div(a, b))
        return y, (lambda fp, g: np.zeros_like(g), lambda fp, g: np.zeros_like(g))
    y = fp.div(a, b)
    return y, (lambda fp, g: fp.div(g, b), lambda fp, g: fp.mul(-g, Stepwise(fp).div(y, b)))


true_divide = divide = div
subtract = sub
multiply = mul


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """``other - alpha * input``: `sub` the other way round."""
    return sub(other, input, alpha=alpha)


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
@named("lerp")
def _lerp(fp: Arithmetic, a: Array, b: Array, weights: Array | None = None, /, weight: float | None = None) -> Any:
    near: Any = weights if weight is None else fp.constant(weight)
    far = None if weight is None else fp.constant(1 - weight)  # which the gradient takes
    d, rest = fp.sub(b, a), fp.sub(fp.constant(1.0), near)
    y = choose(np.abs(near) < 0.5, fp.add(a, fp.mul(d, near)), fp.sub(b, fp.mul(d, rest)))
    return y, (
        lambda fp, g: fp.mul(g, fp.spill(rest) if far is None else far),
        lambda fp, g: fp.mul(g, near),
        lambda fp, g: fp.mul(g, Stepwise(fp).sub(b, a)),
    )


def lerp(input: Any, end: Any, weight: Any) -> Tensor:
    """``input + weight * (end - input)``; from a ``weight`` of 0.5 on ``end - (1 - weight) * (end - input)``.

    ``weight`` is a number or a tensor. Gradients ``g * (1 - weight)``, ``g * weight`` and ``g * (end - input)``.

    >>> from halfsim import tensor
    >>> lerp(tensor([0.0, 2.0]), tensor([4.0, 4.0]), 0.25)
    tensor([1. , 2.5], float32)
    """
    return _lerp(input, end, weight=weight) if isinstance(weight, (int, float)) else _lerp(input, end, weight)


@op(exact=True)
def abs(fp: Arithmetic, x: Array, /) -> Any:
    """The magnitude; the gradient at both zeros, and at NaN, is 0."""
    return np.abs(x), lambda fp, g: fp.mul(g, signs(x))


@op()
def nan_to_num(
    fp: Arithmetic, x: Array, /, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """``nan`` (0) in the place of NaN, ``posinf`` and ``neginf`` (the format's largest) in that of infinities.

    The gradient is ``g`` where x is finite, else 0.

    >>> import numpy as np
    >>> from halfsim import tensor
    >>> nan_to_num(tensor([np.nan, np.inf, 1.0]), posinf=9.0)
    tensor([0., 9., 1.], float32)
    """
    largest = fp.precision.storage.max
    y = choose(np.isnan(x), bound(fp, 0.0 if nan is None else nan), x)
    y = choose(np.equal(x, np.inf), bound(fp, largest if posinf is None else posinf), y)
    y = choose(np.equal(x, -np.inf), bound(fp, -largest if neginf is None else neginf), y)
    return y, lambda fp, g: fp.mul(g, np.isfinite(x).astype(g.dtype))


def positive(input: Any) -> Tensor:
    """The tensor itself."""
    return as_tensor(input)


absolute = abs
negative = neg


@op("fp32")
def pow(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a ** b`` for numbers or tensors: one rounding, as C's pow.

    With a number for exponent the special cases of PyTorch's kernel: 2 and 3 are products (3 rounds twice), -2 the
    reciprocal of a product, 0.5, -0.5 and -1 a root, a reciprocal root, a reciprocal. Gradients ``g * (b * a**(b-1))``
    (0 where b is 0) and ``g * (y * log(a))`` (0 where a is 0 and b is not negative), each function and product stored.
    """
    y = power(fp, stored(fp, a), b)
    zero, one = np.equal(b, 0), fp.constant(1.0)

    def pull_a(fp: Arithmetic, g: Array) -> Array:
        less = _scalar(fp.sub(b, one))
        less = less if _is_number(b) else fp.spill(less)  # of a number: a number
        slope = fp.spill(fp.mul(fp.spill(power(fp, a, less)), b))
        return fp.keep(fp.mul(g, slope), ~zero)

    def pull_b(fp: Arithmetic, g: Array) -> Array:
        known = np.equal(a, 0) & (b >= 0)
        logs = fp.log(_tensor_or_array(a))
        logs = fp.spill(logs) if isinstance(a, np.ndarray) else logs  # of a number: a constant
        return fp.mul(g, fp.keep(fp.spill(fp.mul(y, logs)), ~known))

    return y, (pull_a, pull_b)


def _is_number(b: Any) -> bool:
    return isinstance(b, (int, float, np.generic))


def _scalar(x: Any) -> Any:
    return x if isinstance(x, Tensor) else x[()]


def _tensor_or_array(a: Any) -> Any:
    return a if isinstance(a, Tensor) else np.asarray(a)


def power(fp: Arithmetic, a: Array, b: Any) -> Array:
    """``a ** b``; a number b has the format of the result, and the steps of products are stored, see `steps`."""
    if not _is_number(b):
        return fp.pow(_tensor_or_array(a), b)
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


def float_power(input: Any, exponent: Any) -> Tensor:
    """`pow` in float64, whatever the formats of its operands and the precision in force."""
    return apply(SPECS["pow"], (input, exponent), precision=native(float64))


def square(x: Any) -> Tensor:
    """``x * x``: `pow` with the exponent 2, as PyTorch composes it."""
    return pow(x, 2)


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
        return fp.mul(Stepwise(fp).mul(g, fp.constant(-0.5)), fp.spill(power(fp, y, 3.0)))

    return y, pullback
