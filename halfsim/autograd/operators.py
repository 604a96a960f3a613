"""What a tensor can do: Python's operators, the methods of NumPy and PyTorch, and NumPy's protocols.

All of it only names operations, which `halfsim.autograd.tape.op` has put into `OPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

OPS: dict[str, Callable[..., Any]] = {}  # every operation by name
numpy_functions: dict[str, Callable[..., Any]] = {}  # those of NumPy whose arguments are not an operation's


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return OPS[name](self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"See `halfsim.ops.{name}`."
    return method


def _reflected(name: str) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return OPS[name](other, self)

    method.__name__, method.__doc__ = f"r{name}", f"See `halfsim.ops.{name}`."
    return method


def _augmented(name: str) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return self.replaced_by(OPS[name](self, other))

    method.__name__, method.__doc__ = f"i{name}", f"See `halfsim.ops.{name}`."
    return method


class Operators:
    """The operators and methods of a `Tensor`, each an operation on the simulated unit."""

    __slots__ = ()

    __add__, __radd__ = _method("add"), _reflected("add")
    __sub__, __rsub__ = _method("sub"), _reflected("sub")
    __mul__, __rmul__ = _method("mul"), _reflected("mul")
    __truediv__ = _method("div")
    __matmul__, __rmatmul__ = _method("matmul"), _reflected("matmul")
    __pow__, __rpow__ = _method("pow"), _reflected("pow")
    __iadd__, __isub__, __imul__ = _augmented("add"), _augmented("sub"), _augmented("mul")
    __itruediv__ = _augmented("div")
    __neg__, __abs__ = _method("neg"), _method("abs")
    __getitem__ = _method("getitem")

    abs, sign, square, sqrt, rsqrt = (_method(n) for n in ("abs", "sign", "square", "sqrt", "rsqrt"))
    exp, exp2, expm1, log, log1p, log2, log10 = (
        _method(n) for n in ("exp", "exp2", "expm1", "log", "log1p", "log2", "log10")
    )
    sin, cos, tan, tanh, sigmoid, erf = (_method(n) for n in ("sin", "cos", "tan", "tanh", "sigmoid", "erf"))
    sinh, cosh, asin, acos, atan = (_method(n) for n in ("sinh", "cosh", "asin", "acos", "atan"))
    floor, ceil, round, trunc = (_method(n) for n in ("floor", "ceil", "round", "trunc"))
    reciprocal, neg, relu, softmax, log_softmax = (
        _method(n) for n in ("reciprocal", "neg", "relu", "softmax", "log_softmax")
    )
    add, sub, mul, div, pow, matmul, dot = (_method(n) for n in ("add", "sub", "mul", "div", "pow", "matmul", "dot"))
    mm, mv, bmm, baddbmm, outer = (_method(n) for n in ("mm", "mv", "bmm", "baddbmm", "outer"))
    lerp, addcmul, addcdiv, diagonal = (_method(n) for n in ("lerp", "addcmul", "addcdiv", "diagonal"))
    maximum, minimum, clamp, clip, masked_fill = (
        _method(n) for n in ("maximum", "minimum", "clamp", "clamp", "masked_fill")
    )
    sum, mean, var, std, norm, prod = (_method(n) for n in ("sum", "mean", "var", "std", "norm", "prod"))
    max, min, amax, amin, argmax, argmin = (_method(n) for n in ("max", "min", "amax", "amin", "argmax", "argmin"))
    cumsum, logsumexp = _method("cumsum"), _method("logsumexp")
    flatten, squeeze, unsqueeze, swapaxes, moveaxis = (
        _method(n) for n in ("flatten", "squeeze", "unsqueeze", "swapaxes", "moveaxis")
    )
    split, chunk, flip, roll, gather, index_select = (
        _method(n) for n in ("split", "chunk", "flip", "roll", "gather", "index_select")
    )
    tril, triu, take, repeat, tile = (_method(n) for n in ("tril", "triu", "take", "repeat", "tile"))
    expand, unflatten, repeat_interleave = (_method(n) for n in ("expand", "unflatten", "repeat_interleave"))
    ravel, movedim = _method("flatten"), _method("moveaxis")

    def __rtruediv__(self, other: Any) -> Any:
        return OPS["mul"](OPS["reciprocal"](self), other)  # as in PyTorch, where autocast runs it in float32

    def __pos__(self) -> Any:
        return self

    def reshape(self, *shape: Any) -> Any:
        """The values in C order in another shape, given as a tuple or as integers; -1 stands for what is left."""
        return OPS["reshape"](self, _axes(shape))

    view = reshape

    def permute(self, *axes: Any) -> Any:
        """The axes in another order, given as a tuple or as integers."""
        return OPS["permute"](self, _axes(axes))

    def transpose(self, *axes: Any) -> Any:
        """All axes reversed, or permuted as NumPy does; two integers swap these axes, as in PyTorch."""
        return OPS["transpose"](self, *axes)

    def t(self) -> Any:
        """The transpose of a matrix; a vector or a number as it is."""
        if len(self.shape) > 2:  # type: ignore[attr-defined]
            raise ValueError(f"t: shape {self.shape} is not allowed; allowed: two dimensions at most")  # type: ignore[attr-defined]
        return OPS["transpose"](self)

    def view_as(self, other: Any) -> Any:
        """The values in C order in the shape of ``other``."""
        return OPS["reshape"](self, other.shape)

    reshape_as = view_as

    def expand_as(self, other: Any) -> Any:
        """The values broadcast to the shape of ``other``."""
        return OPS["expand"](self, other.shape)

    def type_as(self, other: Any) -> Any:
        """The values in the format of ``other``, on the tape."""
        return self.to(other.format)  # type: ignore[attr-defined]

    def where(self, condition: Any, other: Any) -> Any:
        """These values where ``condition`` is true, ``other`` elsewhere."""
        return OPS["where"](condition, self, other)

    def contiguous(self) -> Any:
        """The tensor itself: there is no memory layout here."""
        return self

    def dim(self) -> int:
        """The number of axes."""
        return len(self.shape)  # type: ignore[attr-defined]

    def numel(self) -> int:
        """The number of values."""
        return int(self.size)  # type: ignore[attr-defined]

    def isnan(self) -> Any:
        """A bool array: where the values are NaN."""
        return np.isnan(self.array)  # type: ignore[attr-defined]

    def isinf(self) -> Any:
        """A bool array: where the values are infinite."""
        return np.isinf(self.array)  # type: ignore[attr-defined]

    def isfinite(self) -> Any:
        """A bool array: where the values are neither infinite nor NaN."""
        return np.isfinite(self.array)  # type: ignore[attr-defined]

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return OPS["transpose"](self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return OPS["swapaxes"](self, -1, -2)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("a tensor takes no assignment of elements; allowed: hs.ops.where, hs.ops.cat, a new hs.tensor")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # type: ignore[arg-type]

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


def _axes(given: tuple[Any, ...]) -> Any:
    """A tuple that was given as one or as its parts."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


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
    "amax": "max",
    "amin": "min",
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
