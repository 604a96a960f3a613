"""Elementwise functions of the array API: an operation each, after promotion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfsim.array_api._dtypes import adopted, known
from halfsim.autograd.numpy_protocol import numpy_functions
from halfsim.autograd.operators import OPS
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Integer
from halfsim.options import guarded_names

# The standard's names, and those of `halfsim.ops` where they differ.
_ONE = {
    **{name: name for name in
       ("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "exp", "expm1", "floor",
        "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "logical_not", "positive", "reciprocal", "round",
        "sign", "signbit", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc")},
    "bitwise_invert": "bitwise_not",
    "negative": "neg",
}  # fmt: skip
_TWO = {
    **{name: name for name in
       ("add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
        "copysign", "floor_divide", "hypot", "logaddexp", "logical_and", "logical_or", "logical_xor", "maximum",
        "minimum", "nextafter", "pow", "remainder")},
    "divide": "div",
    "equal": "eq",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "not_equal": "ne",
    "subtract": "sub",
}  # fmt: skip
_OF_ARRAYS = ("atan2", "copysign", "hypot", "logaddexp", "maximum", "minimum", "nextafter")  # which take no numbers

__all__ = sorted((*_ONE, *_TWO, "clip", "conj", "imag", "real"))


def _one(name: str, op: str) -> Callable[..., Tensor]:
    def call(x: Any, /) -> Tensor:
        (given,) = adopted(x)
        return OPS[op](given)

    return _named(call, name, op)


def _two(name: str, op: str) -> Callable[..., Tensor]:
    def call(x1: Any, x2: Any, /) -> Tensor:
        a, b = adopted(x1, x2)
        if name in _OF_ARRAYS:  # an operation takes a number only beside a tensor of its shape
            a, b = (x if isinstance(x, Tensor) else _like(x, other) for x, other in ((a, b), (b, a)))
        return OPS[op](a, b)

    return _named(call, name, op)


def _like(number: Any, other: Tensor) -> Tensor:
    return OPS["full"]((), number, dtype=other.dtype)


def _named(call: Callable[..., Tensor], name: str, op: str) -> Callable[..., Tensor]:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`halfsim.ops.{op}`, after the standard's promotion."
    return call


globals().update({name: _one(name, op) for name, op in _ONE.items()})
globals().update({name: _two(name, op) for name, op in _TWO.items()})


def sign(x: Any, /) -> Tensor:
    """-1, 0 or 1; NaN of NaN."""
    (given,) = adopted(x)
    return OPS["sign"](given) if isinstance(given.dtype, Integer) else numpy_functions["sign"](given)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """The values, those below ``min`` and above ``max`` replaced by these; in the dtype of ``x``."""
    (given,) = adopted(x)
    if min is None and max is None:
        return OPS["mul"](given, 1) if not isinstance(given.dtype, Integer) else given
    bounds = (b if b is None else b.to(given.dtype) if isinstance(b, Tensor) else _like(known(b), given)
              for b in (min, max))  # fmt: skip
    return OPS["clamp"](given, *bounds).to(given.dtype)


def conj(x: Any, /) -> Tensor:
    """The array itself: there are no complex numbers."""
    return adopted(x)[0]


def real(x: Any, /) -> Tensor:
    """The array itself: there are no complex numbers."""
    return adopted(x)[0]


def imag(x: Any, /) -> Tensor:
    """Zeros: there are no complex numbers."""
    return OPS["zeros_like"](adopted(x)[0])


guarded_names(globals(), __all__)
