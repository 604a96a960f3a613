"""Questions whose answer is a tensor of bools, or one bool: comparisons, tests, logic. Nothing rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Axis
from halfsim.autograd.integers import joined
from halfsim.autograd.observer import active
from halfsim.autograd.ops._common import axes_of, integer_tensor
from halfsim.autograd.tensor import Tensor, numbers, whole
from halfsim.numerics.formats import Integer
from halfsim.numerics.quantize import Array, round_to

__all__ = [
    "all",
    "allclose",
    "any",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "count_nonzero",
    "eq",
    "equal",
    "gcd",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "lcm",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
    "signbit",
]


def _pair(name: str, a: Any, b: Any) -> tuple[Array, Array]:
    """Two operands as arrays; a number beside a tensor is first rounded to its format, so that ``0.1 == 0.1``."""
    observer = active()
    if observer is not None:
        observer.compared(a, b)
    arrays = []
    for x, other in ((a, b), (b, a)):
        if x is None or isinstance(x, (str, bytes)):
            raise TypeError(f"{name}: {type(x).__name__} is not allowed; allowed: a tensor, an array, a number")
        x = x[()] if isinstance(x, np.ndarray) else x  # an array without axes is a number
        number = np.isscalar(x) and not isinstance(x, (complex, np.complexfloating))
        if number and isinstance(other, Tensor) and not isinstance(other.format, Integer):
            x = round_to(x, other.format)
        arrays.append(numbers(whole(x)))
    try:
        np.broadcast_shapes(arrays[0].shape, arrays[1].shape)
    except ValueError:
        shapes = f"{arrays[0].shape} and {arrays[1].shape}"
        raise ValueError(f"{name}: shapes {shapes} do not fit; allowed: shapes that broadcast") from None
    return arrays[0], arrays[1]


def _relation(name: str, relation: Callable[..., Any], text: str) -> Callable[..., Tensor]:
    def compare(input: Any, other: Any) -> Tensor:
        return integer_tensor(relation(*_pair(name, input, other)))

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Where ``input {text} other``, as a tensor of bools; a number is rounded to the tensor's format."
    return compare


eq = _relation("eq", np.equal, "==")
ne = not_equal = _relation("ne", np.not_equal, "!=")
lt = less = _relation("lt", np.less, "<")
le = less_equal = _relation("le", np.less_equal, "<=")
gt = greater = _relation("gt", np.greater, ">")
ge = greater_equal = _relation("ge", np.greater_equal, ">=")


def _truth(relation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: relation(a != 0, b != 0)


logical_and = _relation("logical_and", _truth(np.logical_and), "and")
logical_or = _relation("logical_or", _truth(np.logical_or), "or")
logical_xor = _relation("logical_xor", _truth(np.logical_xor), "xor")


def logical_not(input: Any) -> Tensor:
    """Where ``input`` is zero."""
    return integer_tensor(numbers(input) == 0)


def _test(name: str, test: Callable[[Array], Any], text: str) -> Callable[..., Tensor]:
    def ask(input: Any) -> Tensor:
        if isinstance(input, Tensor):
            observer = active()
            if observer is not None:
                observer.compared(input)
        return integer_tensor(test(numbers(input)))

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"Where the values are {text}, as a tensor of bools."
    return ask


isnan = _test("isnan", np.isnan, "NaN")
isinf = _test("isinf", np.isinf, "infinite")
isfinite = _test("isfinite", np.isfinite, "neither infinite nor NaN")
isposinf = _test("isposinf", lambda x: x == np.inf, "infinity")
isneginf = _test("isneginf", lambda x: x == -np.inf, "minus infinity")
isreal = _test("isreal", np.isreal, "real, which all are")
signbit = _test("signbit", lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, "negative, -0 among them")


def _bitwise(name: str, operation: Callable[..., Any], text: str, allowed: str = "biu") -> Callable[..., Tensor]:
    words = "integers, bools" if "b" in allowed else "integers"

    def compute(input: Any, other: Any) -> Tensor:
        for given in (input, other):
            if numbers(given).dtype.kind not in allowed:
                raise TypeError(
                    f"{name}: {getattr(given, 'dtype', type(given).__name__)} is not allowed; allowed: {words}"
                )
        return integer_tensor(operation(*joined(name, (input, other))))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"{text} of two tensors of {words}."
    return compute


bitwise_and = _bitwise("bitwise_and", np.bitwise_and, "The bits that are set in both")
bitwise_or = _bitwise("bitwise_or", np.bitwise_or, "The bits that are set in either")
bitwise_xor = _bitwise("bitwise_xor", np.bitwise_xor, "The bits that are set in one alone")
bitwise_left_shift = _bitwise("bitwise_left_shift", np.left_shift, "The bits of one, moved up by the other,", "iu")
bitwise_right_shift = _bitwise("bitwise_right_shift", np.right_shift, "The bits of one, moved down by the other,", "iu")
gcd = _bitwise("gcd", np.gcd, "The greatest common divisors", "iu")
lcm = _bitwise("lcm", np.lcm, "The least common multiples", "iu")


def bitwise_not(input: Any) -> Tensor:
    """The other bits of integers; of bools the contrary."""
    x = numbers(input)
    if x.dtype.kind not in "biu":
        raise TypeError(f"bitwise_not: {getattr(input, 'dtype', x.dtype)} is not allowed; allowed: integers, bools")
    return integer_tensor(np.bitwise_not(x))


def any(input: Any, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one value is not zero (NaN is not), of all or along ``dim``.

    >>> from halfsim import tensor
    >>> any(tensor([0.0, 1.0])), any(tensor([[0.0], [1.0]]), 1)
    (tensor(True, bool), tensor([False,  True], bool))
    """
    return _reduced(np.any, input, dim if axis is None else axis, keepdim or keepdims)


def all(input: Any, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether no value is zero, of all or along ``dim``."""
    return _reduced(np.all, input, dim if axis is None else axis, keepdim or keepdims)


def _reduced(how: Callable[..., Any], input: Any, dim: Any, keepdim: bool) -> Tensor:
    x = numbers(input)
    axes = axes_of(dim, x.ndim) if dim != () else ()
    return integer_tensor(how(x != 0, axis=axes if x.ndim else None, keepdims=keepdim))


def count_nonzero(input: Any, dim: Axis = None, *, axis: Axis = None) -> Tensor:
    """How many values are not zero, of all or along ``dim``."""
    x, dim = numbers(input), dim if axis is None else axis
    axes = axes_of(dim, x.ndim)
    return integer_tensor(np.asarray(np.count_nonzero(x, axes if x.ndim else None), np.int64))


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Where ``abs(input - other) <= atol + rtol * abs(other)``, in float64 whatever the formats are."""
    if not (rtol >= 0 and atol >= 0):
        raise ValueError(f"isclose: rtol={rtol}, atol={atol} are not allowed; allowed: numbers from 0")
    a, b = (numbers(x, np.float64) for x in (input, other))
    with np.errstate(invalid="ignore", over="ignore"):
        return integer_tensor(np.isclose(a, b, rtol, atol, equal_nan))


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere, as one bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape and the same values, as one bool; NaN equals nothing."""
    a, b = numbers(input), numbers(other)
    return a.shape == b.shape and bool((a == b).all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where the values are among ``test_elements``."""
    return integer_tensor(
        np.isin(numbers(elements), numbers(test_elements), assume_unique=assume_unique, invert=invert)
    )
