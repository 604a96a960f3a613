"""Reductions of the array API. Sums and means go by the accumulator in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfsim.array_api._dtypes import adopted, dtype_of, int64, uint64
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axes_of
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Integer
from halfsim.options import guarded_names, refused

__all__ = [
    "all",
    "any",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _wide(x: Tensor, dtype: Any) -> tuple[Tensor, Any]:
    """What a sum of ``x`` takes, and the dtype of its result: of integers 64 bits, unless ``dtype`` says another."""
    if dtype is None:
        wanted = (
            x.dtype if not isinstance(x.dtype, Integer) else int64 if x.dtype.signed or x.dtype.bits == 1 else uint64
        )
    else:
        wanted = dtype_of(dtype)
    return x.to(wanted), wanted


def _sum(op: str) -> Callable[..., Tensor]:
    def reduce(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Tensor:
        (given,) = adopted(x)
        terms, wanted = _wide(given, dtype)
        return OPS[op](terms, axis, keepdims).to(wanted)

    reduce.__name__ = reduce.__qualname__ = op
    reduce.__doc__ = f"`halfsim.ops.{op}` over axes, or all; of integers in 64 bits, or in ``dtype``."
    return reduce


sum, prod = _sum("sum"), _sum("prod")


def _running(name: str, op: str, neutral: int) -> Callable[..., Tensor]:
    def cumulative(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: Any = False) -> Tensor:
        if axis is None and x.ndim != 1:
            raise ValueError(f"axis: None is not allowed for {x.ndim} axes; allowed: an axis")
        along = axes_of(0 if axis is None else axis, x.ndim)[0]
        terms, wanted = _wide(x, dtype)
        y = OPS[op](terms, along).to(wanted)
        if not include_initial:
            return y
        first = OPS["full"]([1 if a == along else n for a, n in enumerate(y.shape)], neutral, dtype=wanted)
        return OPS["cat"]([first, y], along)

    cumulative.__name__ = cumulative.__qualname__ = name
    cumulative.__doc__ = f"`halfsim.ops.{op}`, with ``include_initial`` beginning at {neutral}."
    return cumulative


cumulative_sum = _running("cumulative_sum", "cumsum", 0)
cumulative_prod = _running("cumulative_prod", "cumprod", 1)


def max(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """The largest value over axes, or of all; NaN if there is one."""
    return OPS["max_values"](x, axis, keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """The smallest value over axes, or of all; NaN if there is one."""
    return OPS["min_values"](x, axis, keepdims)


def _floating(x: Tensor) -> Tensor:
    if isinstance(x.dtype, Integer):
        raise refused("x", str(x.dtype), "floating-point dtypes")
    return x


def mean(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """The mean over axes, or of all."""
    return OPS["mean"](_floating(x), axis, keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: Any = False) -> Tensor:
    """The variance over axes, or of all: the sum of squares over the count less ``correction``."""
    return OPS["var"](_floating(x), axis, keepdims=keepdims, correction=correction)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: Any = False) -> Tensor:
    """The square root of the variance."""
    return OPS["std"](_floating(x), axis, keepdims=keepdims, correction=correction)


def all(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Whether all values are true, over axes or altogether."""
    return OPS["all"](x, axis, keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Whether a value is true, over axes or altogether."""
    return OPS["any"](x, axis, keepdims)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The ``n``-th differences of neighbours along an axis."""
    return OPS["diff"](x, n, axis, prepend, append)


guarded_names(globals(), __all__)
