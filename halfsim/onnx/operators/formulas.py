"""Formulas of operators that hs.ops lacks: one kernel each, that stores once, with the gradient beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import apply, private
from halfsim.numerics.quantize import Array


def _hard_sigmoid(fp: Arithmetic, x: Array, /, alpha: float, beta: float) -> Any:
    slope = fp.constant(alpha)
    line = fp.add(fp.mul(x, slope), fp.constant(beta))
    inside = (line > 0) & (line < 1)
    y = np.clip(line, fp.constant(0.0), fp.constant(1.0))
    return y, lambda fp, g: fp.mul(fp.keep(g, inside), slope)


def _swish(fp: Arithmetic, x: Array, /, alpha: float) -> Any:
    slope, one = fp.constant(alpha), fp.constant(1.0)

    def sigmoid(fp: Arithmetic) -> Array:
        return fp.div(one, fp.add(fp.exp(-fp.mul(x, slope)), one))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = sigmoid(fp)
        return fp.mul(fp.mul(g, s), fp.add(fp.mul(fp.mul(x, slope), fp.sub(one, s)), one))

    return fp.mul(x, sigmoid(fp)), pullback


def _shrink(fp: Arithmetic, x: Array, /, bias: float, lambd: float) -> Any:
    limit, moved = fp.constant(lambd), fp.constant(bias)
    above, below = x > limit, x < -limit
    y = np.where(above, fp.sub(x, moved), np.where(below, fp.add(x, moved), np.zeros_like(x)))
    return y, lambda fp, g: fp.keep(g, above | below)


_HARD_SIGMOID, _SWISH, _SHRINK = private(_hard_sigmoid), private(_swish), private(_shrink)


def hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    """``alpha * x + beta`` kept between 0 and 1; gradient ``alpha * g`` between them, else 0. NaN stays NaN.

    >>> from halfsim import tensor
    >>> hard_sigmoid(tensor([-9.0, 0.0, 1.0]), 0.25, 0.5)
    tensor([0.  , 0.5 , 0.75], float32)
    """
    return apply(_HARD_SIGMOID, (x,), (alpha, beta))


def swish(x: Any, alpha: float) -> Any:
    """``x`` times the sigmoid of ``alpha * x``; NaN at -inf, of a product of it with 0.

    >>> from halfsim import tensor
    >>> swish(tensor([0.0, 100.0]), 2.0)
    tensor([  0., 100.], float32)
    """
    return apply(_SWISH, (x,), (alpha,))


def shrink(x: Any, bias: float, lambd: float) -> Any:
    """0 from -lambd to lambd, else ``x`` moved towards 0 by ``bias``; gradient g outside, 0 between. NaN gives 0.

    >>> from halfsim import tensor
    >>> shrink(tensor([-3.0, 0.5, 2.0]), 0.5, 1.0)
    tensor([-2.5,  0. ,  1.5], float32)
    """
    return apply(_SHRINK, (x,), (bias, lambd))
