"""Dropout: values, or whole channels, set to zero at random."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.random import generator
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain, tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "dropout",
    "dropout1d",
    "dropout2d",
]


def _dropout(fp: Arithmetic, x: Array, /, mask: Array, p: float) -> Any:
    scale = fp.constant(1 / (1 - p) if p < 1 else 0.0)

    def masked(fp: Arithmetic, x: Array) -> Array:
        return fp.mul(x, np.multiply(mask, scale, dtype=x.dtype))

    return masked(fp, x), masked


_masked = op()(_dropout)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``input * mask / (1 - p)`` in training, where mask is 0 with probability ``p`` and 1 otherwise; else ``input``.

    One operation and one rounding: the product with 1 / (1 - p), a constant of the kernel, or with 0, so that
    an infinity that is dropped is NaN, as in PyTorch. The same mask and factor make the gradient. Masks come from
    the generator that `halfsim.manual_seed` seeds; ``inplace`` changes nothing here. ``ValueError`` for
    ``p`` outside 0 to 1.

    >>> from halfsim import tensor
    >>> dropout(tensor([1.0, 2.0]), p=1.0), dropout(tensor([1.0, 2.0]), training=False)
    (tensor([0., 0.], float32), tensor([1., 2.], float32))
    """
    return _drop(input, p, training, np.shape(plain(input)))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L)."""
    return _drop(input, p, training, _channels("dropout1d", input, (2, 3), 1))


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W), or of (N, C, L) as PyTorch reads three dimensions."""
    return _drop(
        input, p, training, _channels("dropout2d", input, (3, 4), 1 if len(np.shape(plain(input))) == 3 else 2)
    )


def _channels(name: str, input: Any, allowed: tuple[int, int], spatial: int) -> tuple[int, ...]:
    shape = np.shape(plain(input))
    if len(shape) not in allowed:
        raise ValueError(f"{name}: input {shape} is not allowed; allowed: {allowed[0]} or {allowed[1]} dimensions")
    return (*shape[:-spatial], *[1] * spatial)


def _drop(input: Any, p: float, training: bool, shape: tuple[int, ...]) -> Tensor:
    p = probability(p)
    if not training or p == 0:
        return input if isinstance(input, Tensor) else tensor(input)
    return _masked(input, mask=generator().random(shape, np.float32) >= p, p=p)


def probability(p: Any) -> float:
    """``p`` if it is a number from 0 to 1."""
    if not (isinstance(p, Real) and 0 <= float(p) <= 1):
        raise ValueError(f"p: {p!r} is not allowed; allowed: numbers from 0 to 1")
    return float(p)
