"""NumPy's protocols: its functions on tensors run on the simulated unit, read the values, or are refused by name."""

from __future__ import annotations

import functools
import inspect
import operator
import warnings
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from halfsim.autograd.operators import OPS, Operators
from halfsim.numerics.formats import Format, Integer
from halfsim.options import MISFITS, checked, explained, refused

# Rooms that stand above this one and are reached from a tensor, by name; `halfsim` fills it.
ROOMS: dict[str, Callable[[], Any]] = {}

# NumPy's functions that run on the unit, by their names after "numpy.", such as "linalg.norm"; `ops` fills it.
numpy_functions: dict[str, Callable[..., Any]] = {}


def simulates(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Under this decorator: what NumPy's function of the same name, or of ``names``, does with tensors.

    It has NumPy's arguments, in their order; ``out``, and options that it does not have, are refused unless they are
    left as they are.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (function.__name__,):
            numpy_functions[name] = _refusing(name, function)
        return function

    return register


def _refusing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    inner = checked(function, f"numpy.{name}")

    @functools.cache  # at the first call, for it takes time
    def taken() -> tuple[inspect.Signature, list[str]]:
        signature = inspect.signature(function)
        named = [p.name for p in signature.parameters.values() if p.name != "out" and p.kind is not p.VAR_KEYWORD]
        return signature, named

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        signature, known = taken()
        given = {key: x for key, x in kwargs.items() if x is not np._NoValue and (x is not None or key in known)}
        try:
            bound = signature.bind(*args, **given)
        except TypeError:
            refused = sorted(given.keys() - set(known))
            what = f" with {', '.join(refused)}=" if refused else f" of {len(args)} arguments"
            raise TypeError(f"numpy.{name}{what} is not simulated; allowed: {', '.join(known)}") from None
        if bound.arguments.pop("out", None) is not None:
            raise TypeError(f"numpy.{name} with out= is not simulated; allowed: {', '.join(known)}")
        for key, x in bound.arguments.items():
            if signature.parameters[key].kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                _fits(key, x)
        if signature.return_annotation == "None":  # in place: before anything has changed
            _tried(name, args, given, known)
            with np.errstate(all="ignore"):
                return inner(*bound.args, **bound.kwargs)
        result = inner(*bound.args, **bound.kwargs)
        if name not in _OWN:
            _tried(name, args, given, known)
        return result

    return call


# What calls a function of the caller's, which would run twice, and what takes more than NumPy's on purpose.
_OWN = frozenset("apply_along_axis einsum piecewise polyadd polyder polyint polymul polysub polyval".split())  # noqa: SIM905


# What NumPy's functions are given; arrays of numbers, at that.
_GIVEN = (Operators, np.ndarray, np.generic, bool, int, float, str, list, tuple, range, slice, Number, type(None))
_KINDS = (np.dtype, type, Format, Integer)


def _fits(name: str, x: Any) -> None:
    numeric = not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind in "biuf"
    allowed = isinstance(x, _KINDS) or callable(x) or (isinstance(x, _GIVEN) and not isinstance(x, complex))
    if not numeric or not allowed or isinstance(x, np.ma.MaskedArray):
        raise refused(name, x, f"numbers, arrays, tensors, as documented for {name}")


def _tried(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], known: list[str]) -> None:
    """Refuse what NumPy refuses of the same values in float64, so that axes, shapes and options are as it has them."""
    wide = {key: np.float64 for key, x in (*zip(known, args, strict=False), *kwargs.items()) if key == "dtype" and x}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            given = [wide.get(key, _copied(x)) for key, x in zip([*known, *[""] * len(args)], args, strict=False)]
            options = {key: wide.get(key, _copied(x)) for key, x in kwargs.items()}
            operator.attrgetter(name)(np)(*given, **options)
        except np.linalg.LinAlgError:  # of the values, which round otherwise here
            return
        except MISFITS as error:
            raise explained(f"numpy.{name}", error, args, kwargs, known) from error


def _copied(x: Any) -> Any:
    """``x`` for a function that may change it, its tensors as arrays: of float64, or of integers."""
    if isinstance(x, (tuple, list)):
        return type(x)(map(_copied, x))
    if isinstance(x, Operators):
        array = np.asarray(getattr(x, "array", x))  # of a tensor on the tape too
        return array.astype(np.float64) if array.dtype.kind == "f" else array.copy()
    return x.copy() if isinstance(x, np.ndarray) else x


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
        if ufunc.__name__ in numpy_functions:
            return numpy_functions[ufunc.__name__](*inputs)
        operation = OPS.get(_UFUNCS.get(ufunc.__name__, ufunc.__name__))
        if operation is None:
            raise _refused(name)
        return operation(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's other functions run on the simulated unit, read the values, or are refused by name."""
        called = f"{function.__module__}.{function.__name__}"
        name = called.removeprefix("numpy.")
        if name in READERS:
            return _read(called, function, args, kwargs)
        if name not in numpy_functions:
            raise _refused(called)
        return numpy_functions[name](*args, **kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The array API standard's functions on tensors, `halfsim.array_api`; ``ValueError`` for an unknown version."""
        if api_version not in (None, *_VERSIONS):
            raise ValueError(f"api_version: {api_version!r} is not allowed; allowed: {', '.join(_VERSIONS)}")
        return ROOMS["array_api"]()


def _read(called: str, function: Any, args: Any, kwargs: Any) -> Any:
    """What NumPy says of the values; its refusals in one line."""
    try:
        return function(*as_numpy(args), **{key: as_numpy(value) for key, value in kwargs.items()})
    except MISFITS as error:
        names = list(inspect.signature(function).parameters)
        told = explained(called, error, args, kwargs, names)
        if told is error:
            raise
        raise told from error


_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def _refused(called: str) -> TypeError:
    return TypeError(f"{called} is not simulated; allowed: functions of hs.ops, or np.asarray(tensor) first")


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
    "invert": "bitwise_not",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}

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

# What asks for truths, places, counts, dtypes or words, or writes a file: the answers are NumPy's.
READERS = frozenset(
    """
    all allclose any argpartition argsort argwhere array2string array_equal array_equiv array_repr array_str can_cast
    common_type count_nonzero diag_indices_from digitize flatnonzero histogram2d histogramdd isclose iscomplex
    iscomplexobj isin isneginf isposinf isreal isrealobj ix_ lexsort min_scalar_type nanargmax nanargmin ndim nonzero
    result_type save savetxt savez savez_compressed searchsorted shape size testing tril_indices_from triu_indices_from
    """.split()  # noqa: SIM905
)
