"""Special functions (error, gamma, Bessel, normal distribution), and the table of the names of `torch.special`.

Each function is rounded once, but where its docstring lists steps; gradients are composed and stored, by PyTorch's
formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.lookup import looked_up, named
from halfsim.autograd.ops._common import Stepwise, choose, signs
from halfsim.autograd.ops.elementwise import add, mul
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log_ndtr",
    "logit",
    "mvlgamma",
    "ndtr",
    "ndtri",
    "polygamma",
    "sinc",
    "xlog1py",
    "xlogy",
    "zeta",
]

# The names of torch.special, and those that the same functions have here.
SPECIAL = {name: name for name in __all__ if name not in ("lgamma", "mvlgamma")}
SPECIAL |= {name: name for name in ("exp2", "expm1", "log1p", "log_softmax", "logsumexp", "round", "softmax")}
SPECIAL |= {"expit": "sigmoid", "gammaln": "lgamma", "multigammaln": "mvlgamma", "psi": "digamma"}


@op()
def erf(fp: Arithmetic, x: Array, /) -> Any:
    """The error function; gradient ``2 / math.sqrt(math.pi) * exp(-(x * x)) * g``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(s.exp(-s.mul(x, x)), fp.constant(2 / math.sqrt(math.pi))), g)

    return looked_up(fp, named, x, "erf"), pullback


@op()
def erfc(fp: Arithmetic, x: Array, /) -> Any:
    """The complementary error function ``1 - erf(x)``; gradient ``-2 / sqrt(pi) * exp(-(x * x)) * g``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(s.exp(-s.mul(x, x)), fp.constant(-2 / math.sqrt(math.pi))), g)

    return looked_up(fp, named, x, "erfc"), pullback


@op("fp32")
def erfinv(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse of `erf`: infinite at -1 and 1, NaN beyond; gradient ``sqrt(pi) / 2 * exp(y * y) * g``."""
    y = fp.function("erfinv", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(s.exp(s.mul(y, y)), fp.constant(0.5 * math.sqrt(math.pi))), g)

    return y, pullback


@op()
def lgamma(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm of the magnitude of the gamma function: infinite at 0, -1, -2 ...; gradient ``g * digamma(x)``."""
    return fp.function("lgamma", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("digamma", x))


@op()
def digamma(fp: Arithmetic, x: Array, /) -> Any:
    """The derivative of `lgamma`: infinite at zeros, NaN at -1, -2 ...; gradient ``g * polygamma(1, x)``."""
    one = fp.constant(1.0)
    return fp.function("digamma", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("polygamma", one, x))


@op()
def _polygamma(fp: Arithmetic, x: Array, /, n: int) -> Any:
    order, after = (np.asarray(k, np.float64) for k in (n, n + 1))
    return fp.function("polygamma", order, x), lambda fp, g: fp.mul(g, Stepwise(fp).function("polygamma", after, x))


def polygamma(n: int, input: Any) -> Tensor:
    """Derivatives of `digamma`, of the order ``n`` (from 0); in its gradient stands that of order n + 1."""
    if n < 0:
        raise ValueError(f"n: {n} is not allowed; allowed: integers from 0")
    return _polygamma(input, n)


@op()
def i0(fp: Arithmetic, x: Array, /) -> Any:
    """The modified Bessel function of the first kind, of order 0; gradient ``g * i1(x)``."""
    return fp.function("i0", x), lambda fp, g: fp.mul(g, Stepwise(fp).function("i1", x))


@op()
def sinc(fp: Arithmetic, x: Array, /) -> Any:
    """``sin(t) / t`` with ``t = pi * x``, 1 at zeros.

    Gradient ``g * ((t * cos(t) - sin(t)) / (x * x * pi))``, 0 where the divisor is 0.
    """

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s, pi = Stepwise(fp), fp.constant(math.pi)
        t, divisor = s.mul(x, pi), s.mul(s.mul(x, x), pi)
        slope = s.sub(s.mul(t, s.function("cos", t)), s.function("sin", t))
        zero = np.equal(divisor, 0)
        return fp.keep(fp.mul(g, s.div(slope, choose(zero, fp.constant(1.0), divisor))), ~zero)

    one, zero = fp.constant(1.0), np.equal(x, 0)
    t = choose(zero, one, fp.mul(x, fp.constant(math.pi)))
    return choose(zero, one, fp.div(fp.function("sin", t), t)), pullback


@op()
def logit(fp: Arithmetic, x: Array, /, eps: float | None = None) -> Any:
    """``log(x / (1 - x))``, with ``eps`` of x between eps and 1 - eps; NaN beyond 0 and 1.

    Gradient ``g / (x * (1 - x))``, all in ``compute``: NaN beyond 0 and 1, with ``eps`` 0 beyond its bounds.
    """
    if eps is not None and np.isnan(eps):
        raise ValueError("eps: nan is not allowed; allowed: numbers")
    one = fp.constant(1.0)
    low: Any = None if eps is None else fp.constant(eps)
    high: Any = None if eps is None else fp.sub(one, low)
    z = x if low is None else choose(np.isnan(x), x, choose(x < low, low, np.minimum(x, high)))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        slope = fp.div(g, fp.mul(x, fp.sub(one, x)))
        if low is not None:
            return fp.keep(slope, ~((x < low) | (x > high)))
        return choose((x < 0) | (x > 1), np.full_like(slope, np.nan), slope)

    return fp.log(fp.div(z, fp.sub(one, z))), pullback


@op()
def xlogy(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``x * log(other)``, 0 where x is 0 and other is no NaN.

    Gradients ``xlogy(g, other)``, 0 where x is 0 and other not positive, and ``g * x / other``.
    """

    def pull(fp: Arithmetic, g: Array) -> Array:
        return fp.keep(_times_log(fp, g, other, "log"), ~(np.equal(x, 0) & (other <= 0)))

    return _times_log(fp, x, other, "log"), (pull, lambda fp, g: fp.div(Stepwise(fp).mul(g, x), other))


@op()
def xlog1py(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """``x * log1p(other)``, 0 where x is 0 and other is no NaN; gradients as those of `xlogy`."""

    def pull(fp: Arithmetic, g: Array) -> Array:
        return fp.keep(_times_log(fp, g, other, "log1p"), ~(np.equal(x, 0) & (other <= -1)))

    def pull_other(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(s.mul(g, x), s.add(other, fp.constant(1.0)))

    return _times_log(fp, x, other, "log1p"), (pull, pull_other)


def _times_log(fp: Arithmetic, x: Array, y: Array, log: str) -> Array:
    """``x * log(y)``, the logarithm by its name and stored; 0 where x is 0 and y is no NaN."""
    return fp.keep(fp.mul(x, Stepwise(fp).function(log, np.asarray(y))), ~np.equal(x, 0) | np.isnan(y))


@op()
def entr(fp: Arithmetic, x: Array, /) -> Any:
    """``-x * log(x)``, two steps: 0 at zeros and -inf below; gradient ``g * -(1 + log(x))``."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, -s.add(s.log(x), fp.constant(1.0)))

    y = fp.keep(fp.mul(-x, Stepwise(fp).log(x)), ~np.equal(x, 0))
    return choose(x < 0, np.full_like(x, -np.inf), y), pullback


@op()
def erfcx(fp: Arithmetic, x: Array, /) -> Any:
    """``exp(x * x) * erfc(x)``, which does not underflow; gradient ``(2 * x * y - 2 / sqrt(pi)) * g``."""
    y = fp.function("erfcx", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        slope = s.sub(s.mul(s.mul(x, fp.constant(2.0)), y), fp.constant(2 / math.sqrt(math.pi)))
        return fp.mul(slope, g)

    return y, pullback


def ndtr(input: Any) -> Tensor:
    """The normal distribution function ``(1 + erf(x * sqrt(0.5))) * 0.5``, composed of these steps as in PyTorch."""
    return mul(add(erf(mul(input, math.sqrt(0.5))), 1.0), 0.5)


@op()
def log_ndtr(fp: Arithmetic, x: Array, /) -> Any:
    """The logarithm of `ndtr`: ``log(erfcx(-t) / 2) - t * t`` below -1, else ``log1p(-erfc(t) / 2)``, t = x / sqrt(2).

    Gradient ``g / sqrt(2 * pi) * exp(-(y + x * x / 2))``.
    """
    t, half = fp.mul(x, fp.constant(math.sqrt(0.5))), fp.constant(0.5)
    low = fp.sub(fp.log(fp.mul(fp.function("erfcx", -np.minimum(t, half)), half)), fp.mul(t, t))
    high = fp.function("log1p", -fp.mul(fp.function("erfc", np.maximum(t, -half - half)), half))
    y = choose(x < -1, low, high)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        density = s.exp(-s.add(y, s.div(s.mul(x, x), fp.constant(2.0))))
        return fp.mul(s.div(g, fp.constant(math.sqrt(2 * math.pi))), density)

    return y, pullback


@op()
def ndtri(fp: Arithmetic, x: Array, /) -> Any:
    """The inverse of `ndtr`: infinite at 0 and 1, NaN beyond; gradient ``g * sqrt(2 * pi) * exp(y * y / 2)``."""
    y = fp.function("ndtri", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        inverse = s.exp(s.div(s.mul(y, y), fp.constant(2.0)))
        return fp.mul(s.mul(g, fp.constant(math.sqrt(2 * math.pi))), inverse)

    return y, pullback


@op()
def i0e(fp: Arithmetic, x: Array, /) -> Any:
    """``exp(-abs(x)) * i0(x)``; gradient ``g * (i1e(x) - sign(x) * y)``."""
    y = fp.function("i0e", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(g, s.sub(s.function("i1e", x), s.mul(signs(x), y)))

    return y, pullback


@op()
def i1(fp: Arithmetic, x: Array, /) -> Any:
    """The modified Bessel function of the first kind, of order 1; gradient ``g * (i0(x) - y / x)``, 0.5 near 0."""
    y = fp.function("i1", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s, (far, z) = Stepwise(fp), _off_zero(fp, x)
        slope = s.sub(s.function("i0", z), s.div(y, z))
        return fp.mul(choose(far, slope, fp.constant(0.5)), g)

    return y, pullback


@op()
def i1e(fp: Arithmetic, x: Array, /) -> Any:
    """``exp(-abs(x)) * i1(x)``; gradient ``g * (i0e(x) - y * (sign(x) + 1 / x))``, 0.5 near 0."""
    y = fp.function("i1e", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s, (far, z) = Stepwise(fp), _off_zero(fp, x)
        slope = s.sub(s.function("i0e", z), s.mul(y, s.add(signs(z), s.div(fp.constant(1.0), z))))
        return fp.mul(choose(far, slope, fp.constant(0.5)), g)

    return y, pullback


def _off_zero(fp: Arithmetic, x: Array) -> tuple[Array, Array]:
    """Where x is farther from 0 than the format's eps, and x there, eps elsewhere."""
    eps = fp.constant(fp.precision.storage.eps)
    far = np.abs(x) > eps
    return far, choose(far, x, eps)


@op()
def zeta(fp: Arithmetic, x: Array, other: Array, /) -> Any:
    """Hurwitz's zeta function, the sum of ``(other + k)**-x`` over k from 0: infinite at x = 1, NaN below.

    Gradient ``g * -x * zeta(x + 1, other)`` for ``other``; that for x is refused, as in PyTorch.
    """

    def refused(fp: Arithmetic, g: Array) -> Array:
        raise NotImplementedError("zeta: a gradient for x is not allowed; allowed: one for other")

    def pull_other(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.mul(s.mul(g, -x), s.function("zeta", s.add(x, fp.constant(1.0)), other))

    return fp.function("zeta", x, other), (refused, pull_other)


@op()
def mvlgamma(fp: Arithmetic, x: Array, /, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``p``.

    That is the sum of ``lgamma(x - k / 2)`` for k from 0 to p - 1, and ``p * (p - 1) / 4 * log(pi)``; gradient ``g``
    times the sum of ``digamma(x - k / 2)``; each step stored.
    """
    if p < 1:
        raise ValueError(f"p: {p} is not allowed; allowed: integers from 1")

    def total(fp: Arithmetic, name: str) -> Array:
        s = Stepwise(fp)
        return s.sum(s.function(name, s.add(x[..., None], np.arange(-p + 1, 1) / 2)), -1)

    y = fp.add(total(fp, "lgamma"), fp.constant(p * (p - 1) / 4 * math.log(math.pi)))
    return y, lambda fp, g: fp.mul(g, total(fp, "digamma"))
