"""Operations on tensors of integers and bools: NumPy's own, exact modulo ``2**bits``, off the tape and unobserved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tensor import Tensor, whole
from halfsim.numerics.formats import INTEGERS, Integer, float64
from halfsim.numerics.quantize import Array

_SUM: dict[str, Any] = {"dtype": np.int64}  # of integers, as in PyTorch


def _bounds(x: Array, min: Any = None, max: Any = None) -> Any:
    if min is None and max is None:
        raise ValueError("clamp: min and max are missing; allowed: at least one of them")
    return np.clip(x, min, max)


def _no_bools(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *rest: Any, **options: Any) -> Any:
        if x.dtype == np.bool_:
            raise TypeError(f"{name}: bool is not allowed; allowed: integers, floats, the operators ~ and ^ on bools")
        return function(x, *rest, **options)

    return call


def _over(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _power(a: Any, b: Any) -> Any:
    if a.dtype == np.bool_:
        return np.power(a.astype(np.int64), b).astype(np.bool_)
    odd = np.where(b % 2 == 0, 1, a)  # of 1 and -1; of others a negative power is cut to zero
    return np.where(b < 0, np.where(np.abs(a) == 1, odd, 0), np.power(a, np.maximum(b, 0))).astype(a.dtype)


def _divisor(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, b: Any) -> Any:
        if np.any(np.asarray(b) == 0):
            raise ZeroDivisionError("division of integers by zero is not allowed; allowed: divisors other than 0")
        return function(a, b)

    return call


def _quotient(a: Any, b: Any, rounding_mode: str | None) -> Any:
    """An integer, or None for what takes floats."""
    if rounding_mode not in ("floor", "trunc"):
        return None
    down = _divisor(np.floor_divide)(a, b)
    return down if rounding_mode == "floor" else down + ((down < 0) & (down * b != a))


def _sum(beta: float, x: Any, alpha: float, product: Any) -> Any:
    """What is added to a product of matrices; factors are cut to integers, as in PyTorch."""
    beta, alpha = int(beta), int(alpha)
    if product.dtype == np.bool_:
        return (x & bool(beta)) | (product & bool(alpha))
    return np.add(beta * x if beta else 0, alpha * product)


# What an operation on integers is; one that only moves values runs its formula on them, any other takes floats.
WHOLE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, alpha=1: np.add(a, b if alpha == 1 else np.multiply(alpha, b)),
    "sub": lambda a, b, alpha=1: np.subtract(a, b if alpha == 1 else np.multiply(alpha, b)),
    "mul": np.multiply,
    "neg": _no_bools("neg", np.negative),
    "abs": np.absolute,
    "square": np.square,
    "sign": lambda x: x if x.dtype == np.bool_ else np.sign(x),
    "pow": _power,
    "floor_divide": _divisor(np.floor_divide),
    "div": lambda a, b, rounding_mode=None: _quotient(a, b, rounding_mode),
    "remainder": _divisor(np.remainder),
    "fmod": _divisor(np.fmod),
    "addcmul": lambda x, a, b, value=1: np.add(x, np.multiply(np.multiply(value, a), b)),
    "floor": lambda x: x,
    "ceil": lambda x: x,
    "round": lambda x, decimals=0: x,
    "trunc": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.maximum,
    "fmin": np.minimum,
    "clamp": _bounds,
    "where": lambda a, b, mask: np.where(mask, a, b),
    "masked_fill": lambda x, value, mask: np.where(mask, np.asarray(value).astype(x.dtype), x),
    "sum": lambda x, axis=None, keepdims=False: np.sum(x, _over(axis), keepdims=keepdims, **_SUM),
    "nansum": lambda x, axis=None, keepdims=False: np.sum(x, _over(axis), keepdims=keepdims, **_SUM),
    "prod": lambda x, axis=None, keepdims=False: np.prod(x, _over(axis), keepdims=keepdims, **_SUM),
    "cumsum": lambda x, axis=0: np.cumsum(x, axis, **_SUM) if x.ndim else x.astype(np.int64),
    "cumprod": lambda x, axis=0: np.cumprod(x, axis, **_SUM) if x.ndim else x.astype(np.int64),
    "matmul": np.matmul,
    "trace": lambda x: np.trace(x, **_SUM),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), lambda x, a, b, beta=1, alpha=1: _sum(beta, x, alpha, a @ b)),
    "addr": lambda x, a, b, beta=1, alpha=1: _sum(beta, x, alpha, np.outer(a, b)),
    "linalg_cross": lambda a, b, axis=-1: np.cross(a, b, axis=axis),
    "heaviside": lambda x, values: np.asarray(np.where(x == 0, values, np.greater(x, 0)), np.asarray(x).dtype),
    "dot": np.dot,
}


# Operations whose operands take one dtype first.
_TOGETHER = {"add", "addcmul", "div", "floor_divide", "fmax", "fmin", "fmod", "maximum", "minimum", "mul", "pow",
             "remainder", "sub", "where"}  # fmt: skip


def together(name: str, operands: Sequence[Any]) -> list[Array]:
    """Integers and bools in the dtype that they make together, as PyTorch has it, where values wrap around.

    Tensors without axes, and after them numbers, adopt the dtype of others, unless these are bools.
    """
    arrays = [np.asarray(x.array if isinstance(x, Tensor) else x) for x in operands]
    ranks = [2 if not isinstance(x, (Tensor, np.ndarray)) else 0 if np.ndim(a) else 1 for x, a in zip(operands, arrays)]
    found: Any = np.bool_
    for rank in range(3):
        dtypes = [a.dtype for a, r in zip(arrays, ranks, strict=True) if r == rank]
        if any(dtype.kind not in "biu" or dtype == np.uint64 for dtype in dtypes) and rank == 2:
            raise ValueError(f"{name}: the number is not allowed; allowed: integers of 64 bits")
        if dtypes and found == np.bool_:
            found = np.result_type(*dtypes)
    return [a.astype(found, copy=False) for a in arrays]


class _Unit:
    """What formulas that only move values ask of a unit."""

    dtype = np.dtype(np.int64)
    keep = staticmethod(Arithmetic.keep)

    @staticmethod
    def constant(value: Any) -> Any:
        """A number as it is."""
        return value

    @staticmethod
    def read(x: Array, fmt: Any = float64, exact: bool = False) -> Array:
        """Values as they are."""
        return x


def run(spec: Any, operands: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Tensor | None:
    """An operation on integers and bools alone; None where it takes floats, as ``exp`` does and ``div``."""
    arrays = [x.array if isinstance(x, Tensor) else x for x in operands]
    if spec.name in _TOGETHER and not any(a is None for a in arrays):
        if spec.name == "pow" and isinstance(operands[1], int) and operands[1] < 0:
            raise ValueError("pow: negative exponents of integers are not allowed; allowed: from 0, floats")
        if spec.name == "sub" and any(np.asarray(a).dtype == np.bool_ for a in arrays):
            raise TypeError("sub: bool is not allowed; allowed: integers, floats, the operators ~ and ^ on bools")
        arrays = together(spec.name, operands)
    elif any(np.ndim(a) for a in arrays):  # a tensor without axes does not widen others of its kind, as in PyTorch
        wide = [a.dtype.kind for a in arrays if isinstance(a, np.ndarray) and a.ndim]
        arrays = [a.item() if np.ndim(a) == 0 and isinstance(a, np.ndarray) and wide else a for a in arrays]
    if spec.name in WHOLE:
        kept = [a for a in arrays if a is not None] if spec.name not in ("clamp",) else arrays
        y = WHOLE[spec.name](*kept, *options, **keywords)
        if y is None:
            return None
    elif spec.exact:
        y = spec.formula(_Unit, *arrays, *options, **keywords)[0]
    else:
        return None
    y = np.asarray(y)
    if y.dtype.name not in INTEGERS:
        raise TypeError(f"{spec.name}: floats are not allowed as options for integers; allowed: integers, x.float()")
    return Tensor(y, INTEGERS[y.dtype.name])


def cast(x: Tensor, dtype: Integer) -> Tensor:
    """Values cut to integers, or asked whether they are zero, off the tape, as PyTorch casts them."""
    with np.errstate(invalid="ignore"):
        return Tensor(np.asarray(whole(x)).astype(dtype.name), dtype)
