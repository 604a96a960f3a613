"""NumPy's protocols: its functions on tensors run on the simulated unit, read the values, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.operators import OPS, Operators

numpy_functions: dict[str, Callable[..., Any]] = {}  # those of NumPy whose arguments are not an operation's


class NumPyProtocol:
    """How NumPy's functions treat a `Tensor`."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's universal functions run on the simulated unit, or are refused by name."""
        name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if method != "__call__" or options:
            given = "" if not options else f" with {', '.join(sorted(options))}="
            raise TypeError(f"{name}{given} is not simulated; allowed: plain calls, functions of hs.ops")
        inputs = tuple(x[()] if isinstance(x, np.ndarray) else x for x in inputs)  # scalars arrive as arrays of no axes
        if ufunc.__name__ in _COMPARISONS and len(inputs) == 2:
            forward, mirrored = _COMPARISONS[ufunc.__name__]
            a, b = inputs
            return getattr(a, forward)(b) if isinstance(a, Operators) else getattr(b, mirrored)(a)
        if ufunc.__name__ in _TESTS:
            return ufunc(*(getattr(x, "array", x) if isinstance(x, Operators) else x for x in inputs))
        return _operation(_UFUNCS.get(ufunc.__name__, ufunc.__name__), name)(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's other functions run on the simulated unit, or are refused by name."""
        name = function.__name__
        if name in _READERS:
            return function(*as_numpy(args), **{key: as_numpy(value) for key, value in kwargs.items()})
        if name in numpy_functions:
            return numpy_functions[name](*args, **kwargs)
        renamed = {_OPTIONS.get(key, key): value for key, value in kwargs.items()}
        return _operation(_FUNCTIONS.get(name, name), f"numpy.{name}")(*args, **renamed)


def _operation(name: str, called: str) -> Callable[..., Any]:
    if name not in OPS:
        raise TypeError(f"{called} is not simulated; allowed: functions of hs.ops, or np.asarray(tensor) first")
    return OPS[name]


def as_numpy(x: Any) -> Any:
    """``x`` with arrays in place of the tensors in it."""
    if isinstance(x, Operators):
        return np.asarray(x)
    return type(x)(as_numpy(item) for item in x) if isinstance(x, (tuple, list)) else x


# NumPy's names for our operations, where they differ.
_UFUNCS = {
    "radians": "deg2rad",
    "degrees": "rad2deg",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "absolute": "abs",
    "fabs": "abs",
    "power": "pow",
    "float_power": "pow",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "rint": "round",
}
_FUNCTIONS = {
    "concatenate": "cat",
    "clip": "clamp",
    "expand_dims": "unsqueeze",
    "broadcast_to": "expand",
    "permute_dims": "transpose",
    "concat": "cat",
    "ravel": "flatten",
    "around": "round",
}
_OPTIONS = {"a_min": "min", "a_max": "max"}

# What only asks, and answers with arrays and numbers of NumPy.
_TESTS = {
    "isnan",
    "isinf",
    "isfinite",
    "signbit",
}
_COMPARISONS = {  # a tensor's method with the tensor on the left, and on the right
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
}
_READERS = {
    "all",
    "allclose",
    "any",
    "argsort",
    "array2string",
    "array_equal",
    "array_repr",
    "array_str",
    "count_nonzero",
    "isclose",
    "ndim",
    "nonzero",
    "save",
    "savez",
    "shape",
    "size",
    "testing",
}
