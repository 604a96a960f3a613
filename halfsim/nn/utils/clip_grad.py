"""Clipping of gradients, with PyTorch's formula, on the simulated unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.overrides import overridable
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import kernel, private
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import float64
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names


@private
def _vector_norm(fp: Arithmetic, x: Array, /, ord: float = 2.0) -> Any:
    """PyTorch's vector norm of all elements: the powers of magnitudes, their sum as ``accumulate`` says, the root."""
    flat = np.abs(x).reshape(-1)
    if ord == 2:
        return fp.sqrt(fp.sum(fp.mul(flat, flat))), ()
    if ord == 1:
        return fp.sum(flat), ()
    if ord == 0:
        return fp.sum((flat != 0).astype(flat.dtype)), ()
    if math.isinf(ord):
        return np.asarray(flat.max() if ord > 0 else flat.min()), ()
    exponent, root = fp.constant(ord), fp.constant(1 / ord)
    return fp.pow(fp.sum(fp.pow(flat, exponent)), root), ()


@private
def _clamp(fp: Arithmetic, x: Array, /, low: float = -math.inf, high: float = math.inf) -> Any:
    """``min(max(x, low), high)``, NaN stays; the limits are constants of the kernel, the result is stored once."""
    return np.minimum(np.maximum(x, fp.constant(low)), fp.constant(high)), ()


@overridable("get_total_norm")
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    *,
    safe: bool = False,
) -> Tensor:
    """The norm of the norms of ``tensors``, a 0-d Tensor; 0 in float32 where there are none.

    ``norm_type`` is a number or "inf". The norm of each tensor is stored in its format, so a float16 one is
    infinite past 65504 though its squares are summed in float32, and squares below 2**-24 are lost only where
    ``compute`` is float16; the norms are stacked in the widest format. With ``safe`` everything is done in
    float64 after division by the power of two next to the largest magnitude, so that nothing overflows or
    vanishes, and the result is a float64. ``RuntimeError`` with ``error_if_nonfinite`` for an infinite or NaN
    norm, and for the largest (or smallest) of no elements.

    >>> from halfsim import tensor
    >>> get_total_norm([tensor([3.0]), tensor([4.0])])
    tensor(5., float32)
    """
    given = _listed("tensors", tensors)
    order = _order(norm_type)
    with scoped(phase="optimizer", path="", gradients=False):
        total = _scaled(given, order)[0] if safe else _norm_of_norms(given, order)
    return _finite(total, order, error_if_nonfinite)


def _finite(total: Tensor, order: float, wanted: bool) -> Tensor:
    if wanted and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be clipped; "
            "allowed: error_if_nonfinite=False"
        )
    return total


@overridable("clip_grad_norm_")
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    *,
    safe: bool = False,
) -> Tensor:
    """Multiply all gradients by ``min(1, max_norm / (norm + 1e-6))``; returns the norm before, see `get_total_norm`.

    The steps are PyTorch's, each stored: norm + 1e-6, its reciprocal, times max_norm, the minimum with 1, and
    always the product with every gradient, so that a norm equal to the limit still shrinks a little. An infinite norm
    makes the gradients 0 and infinite ones NaN; NaN makes all NaN. In float16 gradients of norm above 65504 are
    therefore all lost: ``safe`` takes norm and coefficient in float64 and rounds each gradient once, and clips
    these rightly too. ``RuntimeError`` as for `get_total_norm`; ``ValueError`` for anything but a number.

    >>> import halfsim as hs
    >>> w = hs.tensor([0.0, 0.0], "fp16", requires_grad=True)
    >>> w.grad = hs.tensor([60000.0, 60000.0], "fp16")
    >>> clip_grad_norm_([w], 1.0).item(), w.grad
    (inf, tensor([0., 0.], float16))
    >>> w.grad = hs.tensor([60000.0, 60000.0], "fp16")
    >>> round(clip_grad_norm_([w], 1.0, safe=True).item()), w.grad
    (84853, tensor([0.707, 0.707], float16))
    """
    leaves, limit, order = _with_gradients(parameters), _number("max_norm", max_norm), _order(norm_type)
    grads = [p.grad for p in leaves if p.grad is not None]
    if not safe:
        total = get_total_norm(grads, order, error_if_nonfinite)
        if (observer := active()) is not None:
            observer.clipped(leaves, total)
        clip_grads_with_norm_(leaves, limit, total)
        return total
    with scoped(phase="optimizer", path="", gradients=False), np.errstate(all="ignore"):
        total, rest, unit = _scaled(grads, order)
        norm = _finite(total, order, error_if_nonfinite).item()
        if (observer := active()) is not None:
            observer.clipped(leaves, total)
        coefficient = float(np.minimum(limit / (norm + 1e-6), 1.0))
        if coefficient < 2.0**-900:  # beside a subnormal coefficient, a gradient next to the largest float64
            coefficient = limit / (rest + 1e-6 / unit)
        else:
            unit = 1.0
        for p, g in zip(leaves, grads, strict=True):
            with scoped(path=p.name):
                wide = kernel("mul", Tensor(g.array.astype(np.float64) / unit, float64), coefficient, label="grad")
                p.grad = wide if g.format == float64 else kernel("cast", wide, label="grad", precision=native(g.format))
    return total


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """Multiply all gradients by ``min(1, max_norm / (total_norm + 1e-6))``, in the steps of `clip_grad_norm_`."""
    limit = _number("max_norm", max_norm)
    with scoped(phase="optimizer", path="", gradients=False):
        inverse = kernel("reciprocal", kernel("add", total_norm, 1e-6))
        coefficient = kernel(_clamp, kernel("mul", inverse, limit), high=1.0)
        for p in _with_gradients(parameters):
            assert p.grad is not None
            with scoped(path=p.name):
                p.grad = kernel("mul", p.grad, coefficient, label="grad")


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp every gradient element to ``-clip_value`` to ``clip_value``, each rounded to the gradient's format.

    NaN stays, infinities become the limit. ``ValueError`` for anything but a number.

    >>> import halfsim as hs
    >>> w = hs.tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = hs.tensor([3.0, -0.25])
    >>> clip_grad_value_([w], 0.5)
    >>> w.grad
    tensor([ 0.5 , -0.25], float32)
    """
    limit = _number("clip_value", clip_value)
    if (observer := active()) is not None:
        observer.clipped(_with_gradients(parameters), None)
    for p in _with_gradients(parameters):
        assert p.grad is not None
        with scoped(phase="optimizer", path=p.name, gradients=False):
            p.grad = kernel(_clamp, p.grad, low=-limit, high=limit, label="grad")


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p for p in _listed("parameters", parameters) if p.grad is not None]


def _listed(name: str, tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One tensor, or several, as a list."""
    if isinstance(tensors, Tensor):
        return [tensors]
    model = callable(tensors)  # which may be iterable too
    if model or isinstance(tensors, Mapping) or not isinstance(tensors, Iterable):
        raise TypeError(f"{name}: {type(tensors).__name__} is not allowed; allowed: model.parameters(), a Tensor")
    given = list(tensors)
    for x in given:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: {type(x).__name__} is not allowed; allowed: Tensor")
    return given


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: numbers") from None


def _order(norm_type: Any) -> float:
    order = _number("norm_type", norm_type)
    if math.isnan(order):
        raise ValueError("norm_type: nan is not allowed; allowed: numbers, inf")
    return order


def _norm_of_norms(tensors: list[Tensor], order: float) -> Tensor:
    if not tensors:
        return tensor(0.0, "float32")
    if math.isinf(order) and not all(t.size for t in tensors):
        raise RuntimeError(f"norm_type: {order} is not defined for no elements; allowed: 0 < norm_type < inf")
    norms = [kernel(_vector_norm, t, ord=order, label="grad") for t in tensors]
    widest = norms[0].format
    for norm in norms[1:]:
        widest = norm.format if norm.format.contains(widest) else widest
    stacked = Tensor(np.array([norm.array for norm in norms], tensor(0.0, widest).array.dtype), widest)
    return kernel(_vector_norm, stacked, ord=order, label="norms")


def _scaled(tensors: list[Tensor], order: float) -> tuple[Tensor, float, float]:
    """The norm in float64; and the same as ``rest * unit`` with a power of two, which cannot overflow."""
    finite = [np.abs(t.array[np.isfinite(t.array)]).max(initial=0) for t in tensors]
    largest = float(max(finite, default=0))
    unit = 2.0 ** max(math.frexp(largest)[1] - 1, -900) if largest else 1.0
    parts = [Tensor(t.array.astype(np.float64) / unit, float64) for t in tensors]
    rest = _norm_of_norms(parts, order).item()
    with np.errstate(over="ignore"):
        total = np.float64(rest) * (1.0 if order == 0 else unit)
    return tensor(float(total), "float64"), rest, 1.0 if order == 0 else unit


guarded_names(globals(), ["get_total_norm", "clip_grad_norm_", "clip_grads_with_norm_", "clip_grad_value_"])
