"""Steps: signs, integers at or near a number, neighbours, quotients without a fraction and what remains of them."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import Stepwise, as_tensor, bound, choose, integer_tensor, named
from halfsim.autograd.ops._common import signs as _signs
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Integer
from halfsim.numerics.neighbours import next_down, next_up
from halfsim.numerics.quantize import Array

__all__ = [
    "ceil",
    "copysign",
    "fix",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "frexp",
    "heaviside",
    "nextafter",
    "remainder",
    "round",
    "sgn",
    "sign",
    "trunc",
]


@op(exact=True)
def sign(fp: Arithmetic, x: Array, /) -> Any:
    """-1, 0 or 1; 0 for NaN. Its gradient is 0."""
    return _steps(_signs(x))


@op(exact=True)
def floor(fp: Arithmetic, x: Array, /) -> Any:
    """The integer at or below. Its gradient is 0."""
    return _steps(np.floor(x))


@op(exact=True)
def ceil(fp: Arithmetic, x: Array, /) -> Any:
    """The integer at or above. Its gradient is 0."""
    return _steps(np.ceil(x))


@op(exact=True)
def trunc(fp: Arithmetic, x: Array, /) -> Any:
    """The integer towards zero. Its gradient is 0."""
    return _steps(np.trunc(x))


@op(exact=True)
@named("round")
def _round(fp: Arithmetic, x: Array, /) -> Any:
    return _steps(np.rint(x))


@op()
def _round_decimals(fp: Arithmetic, x: Array, /, decimals: int) -> Any:
    power = fp.constant(10.0 ** builtins.abs(decimals))
    back, there = (fp.div, fp.mul) if decimals > 0 else (fp.mul, fp.div)
    return _steps(back(np.rint(there(x, power)), power))


def round(input: Any, *, decimals: int = 0) -> Tensor:
    """The nearest integer, the even one of two; with ``decimals`` the nearest multiple of a power of ten.

    That is ``rint(x * 10**decimals) / 10**decimals``, each step rounded, as in PyTorch. Its gradient is 0.

    >>> from halfsim import tensor
    >>> round(tensor([2.5, -1.26])), round(tensor([2.5, -1.26]), decimals=1)
    (tensor([ 2., -1.], float32), tensor([ 2.5, -1.3], float32))
    """
    return _round_decimals(input, decimals) if decimals else _round(input)


@op(exact="forward")
def frac(fp: Arithmetic, x: Array, /) -> Any:
    """``x - trunc(x)``, exact, with the sign of x; NaN at infinities."""
    return np.asarray(x - np.trunc(x)), lambda fp, g: g


def _steps(y: Array) -> Any:
    """A result that does not move with its operand."""
    return y, lambda fp, g: np.zeros_like(g)


@op()
def copysign(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """The magnitude of ``x`` with the sign of ``other``, which zeros and NaN have too.

    Gradient ``g * (y / x)``, 0 where x is 0; none to ``other``.
    """
    y = np.copysign(x, other)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        zero = np.equal(x, 0)
        return fp.mul(g, fp.keep(fp.div(y, choose(zero, fp.constant(1.0), x)), np.broadcast_to(~zero, y.shape)))

    return y, (pullback, lambda fp, g: np.zeros_like(g))


@op()
def heaviside(fp: Arithmetic, x: Array, values: Array, /) -> Any:
    """0 below zero and at NaN, 1 above it, ``values`` at both zeros; it takes no gradient, as in PyTorch."""
    return choose(np.equal(x, 0), values, np.asarray(x > 0, fp.dtype)), ()


@op()
def floor_divide(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The integer at or below ``a / b``. Its gradient is 0."""
    return floored(fp, a, b), (_flat, _flat)


def floored(fp: Arithmetic, a: Array, b: Array) -> Array:
    """The integer at or below ``a / b``: a less its remainder, divided, and rounded to the nearest integer."""
    s, one, rest = stepwise_quotients(fp, b), fp.constant(1.0), _remains(a, b)
    q = s.div(s.sub(a, rest), b)
    q = choose(~np.equal(rest, 0) & ((b < 0) != (rest < 0)), s.sub(q, one), q)
    near = np.floor(q)
    near = choose(s.sub(q, near) > 0.5, s.add(near, one), near)
    quotient = s.div(a, b)
    return choose(np.equal(b, 0), quotient, choose(np.equal(q, 0), np.copysign(np.zeros_like(q), quotient), near))


def stepwise_quotients(fp: Arithmetic, b: Any) -> Any:
    """A unit whose every step is stored, but for divisors that are numbers, as in PyTorch's kernels."""
    return Stepwise(fp) if isinstance(b, np.ndarray) else fp


@op()
def fmod(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """What remains of ``a`` after whole multiples of ``b`` towards zero, exact, with the sign of a; NaN where b is 0.

    Gradients ``g`` and ``-g * trunc(a / b)``.
    """
    a, b = stored(fp, a), stored(fp, b)
    return _remains(a, b), (lambda fp, g: g, lambda fp, g: fp.mul(-g, np.trunc(Stepwise(fp).div(a, b))))


@op()
def remainder(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """What remains of ``a`` after whole multiples of ``b`` downwards, with the sign of b; NaN where b is 0.

    That of `fmod`, plus b where their signs differ. Gradients ``g`` and ``-g * floor(a / b)``.

    >>> from halfsim import tensor
    >>> remainder(tensor([7.0, -7.0]), 3.0), fmod(tensor([7.0, -7.0]), 3.0)
    (tensor([1., 2.], float32), tensor([ 1., -1.], float32))
    """
    a, b = stored(fp, a), stored(fp, b)
    rest = _remains(a, b)
    y = choose(~np.equal(rest, 0) & ((b < 0) != (rest < 0)), fp.add(rest, b), rest)
    return y, (lambda fp, g: g, lambda fp, g: fp.mul(-g, floored(fp, a, b)))


def _remains(a: Array, b: Array) -> Array:
    """C's fmod, which is exact."""
    return np.asarray(np.fmod(a, b))


def stored(fp: Arithmetic, x: Any) -> Any:
    """An operand as memory has it: a number has the format of the result."""
    return x if isinstance(x, np.ndarray) else bound(fp, x)


def _flat(fp: Arithmetic, g: Array) -> Array:
    """The gradient of what does not move with its operand."""
    return np.zeros_like(g)


@op()
def nextafter(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """The number of the format next to ``x`` on the side of ``other``.

    Its gradient is ``g``, 0 where the two are equal.

    >>> from halfsim import tensor
    >>> nextafter(tensor([1.0, 1.0], "fp16"), tensor([2.0, 1.0], "fp16")).tolist()
    [1.0009765625, 1.0]
    """
    fmt = fp.precision.storage
    x, other = np.broadcast_arrays(x, other)
    up, down = (np.asarray(step(x, fmt), x.dtype) for step in (next_up, next_down))
    y = choose(other > x, up, choose(other < x, down, other))
    return choose(np.isnan(x), x, y), (lambda fp, g: fp.keep(g, x != other), _flat)


class Parts(NamedTuple):
    """Numbers from 0.5 below 1, and the powers of two that they are multiplied with (int32)."""

    mantissa: Any
    exponent: Any


def frexp(input: Any) -> Parts:
    """``input`` as ``mantissa * 2**exponent``, exactly, the mantissa's magnitude from 0.5 below 1 (or 0, inf, NaN).

    The gradient of the mantissa is ``g / 2**exponent``. ``TypeError`` for integers, as in PyTorch.

    >>> from halfsim import tensor
    >>> frexp(tensor([6.0]))
    Parts(mantissa=tensor([0.75], float32), exponent=tensor([3], int32))
    """
    x = as_tensor(input)
    if isinstance(x.format, Integer):
        raise TypeError(f"frexp: {x.format} is not allowed; allowed: floating-point formats")
    exponent = np.frexp(x.array)[1].astype(np.int32)
    return Parts(_mantissa(x, exponent=exponent), integer_tensor(exponent))


@op(exact="forward")
@named("frexp")
def _mantissa(fp: Arithmetic, x: Array, /, exponent: Any) -> Any:
    return np.frexp(x)[0], lambda fp, g: fp.div(g, np.exp2(exponent.astype(np.float64)).astype(g.dtype))


sgn = sign
fix = trunc
