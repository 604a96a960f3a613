"""Dropout: values, or whole channels, set to zero or to one number at random."""

from __future__ import annotations

from numbers import Real
from typing import Any, cast

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import Stepwise, named, spilled
from halfsim.autograd.random import bernoulli
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

_ALPHA = 1.7580993408473766  # of SELU: minus what it tends to below


def _dropout(fp: Arithmetic, x: Array, /, mask: Array, p: float) -> Any:
    scale = fp.constant(1 / (1 - p) if p < 1 else 0.0)

    def masked(fp: Arithmetic, x: Array) -> Array:
        return fp.mul(x, np.multiply(mask, scale, dtype=x.dtype))

    return masked(fp, x), masked


_masked = op()(_dropout)


@op()
@named("feature_dropout")
def _of_channels(fp: Arithmetic, x: Array, /, mask: Array, p: float) -> Any:
    """One factor for a channel, which PyTorch keeps in a tensor of its own: 1 / (1 - p) is rounded to ``storage``."""
    noise = spilled(fp, np.multiply(mask, fp.constant(1 / (1 - p) if p < 1 else 0.0), dtype=x.dtype))
    return fp.mul(x, noise), lambda fp, g: fp.mul(g, noise)


@op()
@named("alpha_dropout")
def _to_alpha(fp: Arithmetic, x: Array, /, mask: Array, p: float) -> Any:
    """PyTorch's composition: ``x (mask a) + ((mask - 1) alpha a + alpha a p)``, every step stored."""
    u = Stepwise(fp)
    if p == 1:
        return fp.mul(x, fp.constant(0.0)), lambda fp, g: fp.mul(g, fp.constant(0.0))
    a = ((_ALPHA * _ALPHA * p + 1) * (1 - p)) ** -0.5
    mask = mask.astype(x.dtype)
    noise, shift = u.mul(mask, u.constant(a)), u.mul(u.sub(mask, u.constant(1.0)), u.constant(_ALPHA * a))
    y = u.add(u.mul(x, noise), u.add(shift, u.constant(_ALPHA * a * p)))
    return y, lambda fp, g: fp.mul(g, noise)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``input * mask / (1 - p)`` in training, where mask is 0 with probability ``p`` and 1 otherwise; else ``input``.

    One operation and one rounding: the product with 1 / (1 - p), a constant of the kernel, or with 0, so that
    an infinity that is dropped is NaN, as in PyTorch. The same mask and factor make the gradient. Masks come from
    the generator that `halfsim.manual_seed` seeds, and are those of PyTorch on the CPU; ``inplace`` changes nothing
    here. ``ValueError`` for ``p`` outside 0 to 1.

    >>> from halfsim import tensor
    >>> dropout(tensor([1.0, 2.0]), p=1.0), dropout(tensor([1.0, 2.0]), training=False)
    (tensor([0., 0.], float32), tensor([1., 2.], float32))
    """
    return _drop(input, p, training, np.shape(plain(input)))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L), with 1 / (1 - p) rounded to the format of the result.

    That is PyTorch's, and in float16 it can differ from `dropout` by a unit in the last place.
    """
    return _drop(input, p, training, _channels("dropout1d", input, (2, 3), 1), _of_channels)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout1d` of channels of (N, C, H, W), or of (N, C, L) as PyTorch reads three dimensions."""
    shape = _channels("dropout2d", input, (3, 4), 1 if len(np.shape(plain(input))) == 3 else 2)
    return _drop(input, p, training, shape, _of_channels)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout1d` of channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _drop(input, p, training, _channels("dropout3d", input, (4, 5), 3), _of_channels)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """In training ``a x + b`` with probability 1 - ``p``, else ``b - alpha a``, which keeps mean 0 and variance 1.

    ``alpha`` is what `halfsim.ops.selu` tends to (1.758), ``a`` is ``((1 + alpha**2 p) (1 - p))**(-1/2)`` and ``b`` is
    ``a alpha p``. As in PyTorch each of six steps is stored. The gradient is that of the kept values times ``a``.
    Zeros for ``p`` = 1; masks and errors are as for `dropout`. Unlike `dropout` it does nothing unless in ``training``.

    >>> from halfsim import tensor
    >>> alpha_dropout(tensor([1.0, 2.0]), p=1.0, training=True)
    tensor([0., 0.], float32)
    """
    return _drop(input, p, training, np.shape(plain(input)), _to_alpha)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    shape = np.shape(plain(input))
    if len(shape) < 2 and training and probability(p):
        raise ValueError(f"feature_alpha_dropout: input {shape} is not allowed; allowed: (N, C, ...)")
    return _drop(input, p, training, (*shape[:2], *[1] * (len(shape) - 2)), _to_alpha)


def _channels(name: str, input: Any, allowed: tuple[int, int], spatial: int) -> tuple[int, ...]:
    shape = np.shape(plain(input))
    if len(shape) not in allowed:
        raise ValueError(f"{name}: input {shape} is not allowed; allowed: {allowed[0]} or {allowed[1]} dimensions")
    return (*shape[:-spatial], *[1] * spatial)


def dropout_across(input: Any, p: float, training: bool) -> Tensor:
    """`dropout` of (N, L, E) that PyTorch holds in memory as (L, N, E): the mask is drawn in that order."""
    first, second, *rest = np.shape(plain(input))
    return _drop(input, p, training, (second, first, *rest), turned=True)


def _drop(
    input: Any, p: float, training: bool, shape: tuple[int, ...], masked: Any = _masked, turned: bool = False
) -> Tensor:
    p = probability(p)
    if not training or p == 0:
        return input if isinstance(input, Tensor) else tensor(input)
    mask = bernoulli(shape, 1 - p)
    return cast(Tensor, masked(input, mask=mask.swapaxes(0, 1) if turned else mask, p=p))


def probability(p: Any) -> float:
    """``p`` if it is a number from 0 to 1."""
    if not (isinstance(p, Real) and 0 <= float(p) <= 1):
        raise ValueError(f"p: {p!r} is not allowed; allowed: numbers from 0 to 1")
    return float(p)
