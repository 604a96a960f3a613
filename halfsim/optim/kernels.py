"""Kernels that only optimizers run, and what they tell who watches."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import active
from halfsim.autograd.ops._common import bound
from halfsim.autograd.tape import private
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, holder, round_to
from halfsim.numerics.rounding import Stochastic


@private
def maximum(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The larger of two values; NaN where either is."""
    return np.maximum(a, b), ()


@private
def sign(fp: Arithmetic, x: Array, /) -> Any:
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return np.where(np.isnan(x), x.dtype.type(0), np.sign(x)), ()


@private
def factor_of_agreement(fp: Arithmetic, product: Array, /, minus: float, plus: float) -> Any:
    """``plus`` where ``product`` is positive, ``minus`` where it is negative, 1 at zeros and NaN."""
    plus, minus, one = (bound(fp, x) for x in (plus, minus, 1.0))
    return np.where(product > 0, plus, np.where(product < 0, minus, one)).astype(product.dtype), ()


@private
def forgotten(fp: Arithmetic, grad: Array, factor: Array, /, minus: float) -> Any:
    """``grad``, but 0 where ``factor`` is ``minus`` as the format has it."""
    return fp.keep(grad, factor != bound(fp, minus)), ()


def narrowed(x: Tensor, fmt: Format, source: Stochastic, label: str) -> Tensor:
    """``x`` rounded to ``fmt`` stochastically, once, in the sight of who watches."""
    y, flags = round_to(x.array, fmt, source, return_flags=True)
    observer = active()
    if observer is not None:
        observer.rounded(x.array, y, flags, fmt, label)
    return Tensor(y.astype(holder(fmt), copy=False), fmt)


def watch_constant(op: str, name: str, value: float, fmt: Format) -> None:
    """Tell who watches which hyper-parameter is used in ``fmt``."""
    observer = active()
    if observer is not None:
        observer.hyperparameter(op, name, value, fmt)
