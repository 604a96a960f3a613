"""Windows for signals, by the names of ``torch.signal.windows``: closed forms in float64, each value rounded once.

``M`` is the length. With ``sym`` a window is symmetric, as for the design of a filter; without it is one period of a
window of M + 1, as for a spectrum. One of length 1 is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import made_in, tensor
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.numerics.bessel import i0
from halfsim.numerics.formats import Integer, as_dtype
from halfsim.numerics.quantize import Array
from halfsim.options import checked

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _window(M: int, sym: bool, dtype: object, requires_grad: bool, shape: Callable[[Array, int], Array]) -> Tensor:  # noqa: N803
    """``shape`` of the places 0 ... M - 1 and of the distance between the ends."""
    fmt = made_in(None) if dtype is None else as_dtype(dtype)
    if isinstance(fmt, Integer):
        raise TypeError(f"dtype: {fmt} is not allowed; allowed: floating-point formats")
    if M < 0:
        raise ValueError(f"M: {M} is not allowed; allowed: integers from 0")
    places = np.arange(M, dtype=np.float64)
    values = shape(places, M - 1 if sym else M) if M > 1 else np.ones(M)
    return tensor(np.asarray(values, np.float64), fmt, requires_grad)


def general_cosine(
    M: int,  # noqa: N803  # PyTorch's name
    *,
    a: Sequence[float],
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """The sum of ``(-1)**i * a[i] * cos(2 pi i n / (M - 1))``.

    >>> general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.], float32)
    """
    if not a:
        raise ValueError("a: no coefficients are not allowed; allowed: at least one")

    def shape(n: Array, length: int) -> Array:
        waves = [(-1) ** i * k * np.cos(2 * math.pi * i * n / length) for i, k in enumerate(a)]
        return np.sum(waves, 0)

    return _window(M, sym, dtype, requires_grad, shape)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:  # noqa: N803
    """``alpha - (1 - alpha) * cos(2 pi n / (M - 1))``: `general_cosine` of alpha and 1 - alpha."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:  # noqa: N803
    """Hamming's window, `general_hamming` of 0.54."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:  # noqa: N803
    """Hann's window, `general_hamming` of 0.5.

    >>> hann(5), hann(4, sym=False)
    (tensor([0. , 0.5, 1. , 0.5, 0. ], float32), tensor([0. , 0.5, 1. , 0.5], float32))
    """
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:  # noqa: N803
    """Blackman's window, `general_cosine` of 0.42, 0.5 and 0.08."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:  # noqa: N803
    """Nuttall's window, `general_cosine` of 0.3635819, 0.4891775, 0.1365995 and 0.0106411."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(
    M: int,  # noqa: N803
    *,
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``1 - abs(2 n / (M - 1) - 1)``: a triangle with zeros at the ends."""
    return _window(M, sym, dtype, requires_grad, lambda n, length: 1 - np.abs(2 * n / length - 1))


def cosine(
    M: int,  # noqa: N803
    *,
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``sin(pi (n + 0.5) / M)``: half a wave."""
    return _window(M, sym, dtype, requires_grad, lambda n, length: np.sin(math.pi * (n + 0.5) / (length + 1)))


def exponential(
    M: int,  # noqa: N803
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``exp(-abs(n - center) / tau)``; the centre is the middle, and with ``sym`` can be no other."""
    if not tau >= np.finfo(np.float64).tiny:
        raise ValueError(f"tau: {tau} is not allowed; allowed: normal numbers above 0")
    if sym and center is not None:
        raise ValueError(f"center: {center} is not allowed with sym=True; allowed: None")

    def shape(n: Array, length: int) -> Array:
        return np.exp(-np.abs(n - (length / 2 if center is None else center)) / tau)

    return _window(M, sym, dtype, requires_grad, shape)


def gaussian(
    M: int,  # noqa: N803
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``exp(-(n - middle)**2 / (2 std**2))``."""
    if not std >= np.finfo(np.float64).tiny:
        raise ValueError(f"std: {std} is not allowed; allowed: normal numbers above 0")
    return _window(M, sym, dtype, requires_grad, lambda n, length: np.exp(-(((n - length / 2) / std) ** 2) / 2))


def kaiser(
    M: int,  # noqa: N803
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``i0(beta * sqrt(1 - (2 n / (M - 1) - 1)**2)) / i0(beta)``, of the Bessel function `halfsim.ops.i0`."""
    if not 0 <= beta <= 700:
        raise ValueError(f"beta: {beta} is not allowed; allowed: numbers from 0 to 700, of which i0 is finite")

    def shape(n: Array, length: int) -> Array:
        inside = np.sqrt(np.maximum(1 - (2 * n / length - 1) ** 2, 0))
        return np.asarray(i0(beta * inside) / i0(np.asarray(float(beta))))

    return _window(M, sym, dtype, requires_grad, shape)


for _name in __all__:
    globals()[_name] = checked(globals()[_name])

public(__name__)
