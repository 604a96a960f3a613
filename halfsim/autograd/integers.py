"""Operations on tensors of integers and bools: NumPy's own, exact modulo ``2**bits``, off the tape and unobserved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import integers_in
from halfsim.autograd.scope import scope
from halfsim.autograd.tensor import Tensor, numbers, plain, whole
from halfsim.numerics.formats import INTEGERS, Integer, bool_, float64, int64, together
from halfsim.numerics.precision import Precision, native
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
    """Powers modulo ``2**bits``; a negative exponent leaves 1 of 1, 1 or -1 of -1, and 0 of anything else."""
    negative = np.less(b, 0)
    if not negative.any():
        return np.power(a, b)
    odd = np.bitwise_and(b, 1).astype(np.bool_)
    left = np.where(np.equal(a, 1) | (np.equal(a, -1) & ~odd), 1, np.where(np.equal(a, -1), -1, 0))
    return np.where(negative, left, np.power(a, np.where(negative, 0, b))).astype(np.result_type(a, b))


def _divisor(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, b: Any) -> Any:
        if np.any(np.asarray(b) == 0):
            raise ZeroDivisionError("division of integers by zero is not allowed; allowed: divisors other than 0")
        return function(a, b)

    return call


def _quotient(a: Any, b: Any, rounding_mode: str | None) -> Any:
    """The quotient where a ``rounding_mode`` makes it an integer; None without one, for true division gives floats."""
    if rounding_mode not in ("floor", "trunc"):
        return None
    down = _divisor(np.floor_divide)(a, b)
    return down if rounding_mode == "floor" else down + ((down < 0) & (down * b != a))


def _cross(a: Array, b: Array, axis: int) -> Array:
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"linalg_cross: shapes {a.shape} and {b.shape} are not allowed; allowed: vectors of 3")
    return np.cross(a, b, axis=axis)


def _dot(a: Array, b: Array) -> Any:
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape} do not fit; allowed: (N,) and (N,)")
    return np.dot(a, b)


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
    "nan_to_num": lambda x, nan=None, posinf=None, neginf=None: x,
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
    "linalg_cross": lambda a, b, axis=-1: _cross(a, b, axis),
    "heaviside": lambda x, values: np.asarray(np.where(x == 0, values, np.greater(x, 0)), np.asarray(x).dtype),
    "dot": _dot,
}


# Operations whose formula runs on integers as on floats, though it computes.
ALIKE = {
    *("linear", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "hardtanh", "relu6", "threshold"),
}


class _Unit:
    """What formulas ask of a unit, in integers; there are no fractions, so that quotients and constants are cut."""

    dtype = np.dtype(np.int64)
    precision, piecewise = native(float64), True
    keep, place_pieces = staticmethod(Arithmetic.keep), Arithmetic.place_pieces
    add, mul, matmul = staticmethod(np.add), staticmethod(np.multiply), staticmethod(np.matmul)

    @staticmethod
    def sum(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        """The sum over ``axis``."""
        return np.asarray(np.sum(x, axis, keepdims=keepdims, **_SUM))

    @staticmethod
    def div(a: Array, b: Any) -> Array:
        """The quotient towards zero."""
        return np.asarray(_quotient(a, b, "trunc"))

    @staticmethod
    def constant(value: Any) -> Any:
        """A number without its fraction."""
        if not isinstance(value, float):
            return value
        if not -(2.0**63) <= value < 2.0**63:
            raise ValueError(f"value: {value} is not allowed beside integers; allowed: numbers of 64 bits")
        return int(value)

    @staticmethod
    def read(x: Array, fmt: Any = float64, exact: bool = False) -> Array:
        """Values as they are."""
        return x


def found(operands: Sequence[Any]) -> Integer | None:
    """The dtype of the first operand if all are integers or bools; None where the operation takes floats.

    Under a single Precision integers become floats, as that says how they are stored; bools stay.
    """
    kinds = [integers_in(x) for x in operands if x is not None]
    kept = all(kind is bool_ for kind in kinds) or not isinstance(scope().rule, Precision)
    return kinds[0] if kinds and kept and None not in kinds else None


def _common(operands: Sequence[Any]) -> Any:
    """The integer dtype that operands are promoted to, by PyTorch's rules.

    Those with axes decide; those without, and then Python's numbers, widen no others of their kind.
    """
    groups: tuple[list[Any], ...] = ([], [], [])
    for x in operands:
        if isinstance(x, (bool, int, np.generic)):
            groups[2].append(bool_ if isinstance(x, (bool, np.bool_)) else int64)
        elif x is not None:
            groups[np.ndim(plain(x)) == 0].append(numbers(x).dtype)
    found = None
    for group in filter(None, groups[::-1]):
        own = together(group)
        found = found if found is not None and own is bool_ else own
    return None if found is None else found.name


def joined(name: str, operands: Sequence[Any]) -> list[Any]:
    """The operands in the integer dtype that they are promoted to, in which values wrap around."""
    dtype = _common(operands)
    return [_taken(name, x, dtype) for x in operands]


def run(spec: Any, operands: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Tensor | None:
    """An operation on integers and bools alone; None where it takes floats, as ``exp`` does and ``div``."""
    name = spec.name
    if name not in WHOLE and not spec.exact and name not in ALIKE:
        return None
    dtype = None if name == "masked_fill" or (spec.exact is True and name not in WHOLE) else _common(operands)
    if name == "pow" and isinstance(operands[1], int) and operands[1] < 0:
        raise ValueError("pow: negative exponents of integers are not allowed; allowed: from 0, floats, tensors")
    arrays = [None if x is None else _taken(name, x, dtype) for x in operands]
    if name == "sub" and any(numbers(x).dtype == np.bool_ for x in operands):
        raise TypeError("sub: bool is not allowed; allowed: integers, floats, the operators ~ and ^ on bools")
    if name in WHOLE:
        kept = [a for a in arrays if a is not None] if name != "clamp" else arrays
        y = WHOLE[name](*kept, *options, **keywords)
        if y is None:
            return None
    else:
        y = spec.formula(_Unit(), *arrays, *options, **keywords)[0]
    y = np.asarray(y)
    if y.dtype.name not in INTEGERS:
        raise TypeError(f"{spec.name}: floats are not allowed as options for integers; allowed: integers, x.float()")
    return Tensor(y, INTEGERS[y.dtype.name])


def _taken(name: str, x: Any, dtype: Any) -> Any:
    """An operand as an array of the common dtype, modulo ``2**bits``."""
    if isinstance(x, int):
        if not -(2**63) <= x < 2**64:
            raise ValueError(f"{name}: an integer of {x.bit_length()} bits is not allowed; allowed: 64 bits")
        return x if dtype is None else np.asarray(x).astype(dtype, copy=False)
    x = numbers(x)
    if x.dtype.kind == "f":
        raise TypeError(f"{name}: {x.dtype} is not allowed; allowed: integers, bools, floats in tensors of them")
    return x if dtype is None else x.astype(dtype, copy=False)


def cast(x: Tensor, dtype: Integer) -> Tensor:
    """Values cut to integers, or asked whether they are zero, off the tape, as PyTorch casts them."""
    with np.errstate(invalid="ignore"):
        return Tensor(numbers(whole(x)).astype(dtype.name), dtype)
