"""What the modules of operations share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple, TypeVar

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.making import get_default_dtype, integers_in, tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import resolve, resolve_for, scoped
from halfsim.autograd.tape import SPECS, widest
from halfsim.autograd.tensor import Tensor, plain, whole
from halfsim.numerics.formats import INTEGERS, Format, Integer, as_dtype
from halfsim.numerics.inputs import array_of
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, rounded


def named(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Under an operation's decorator: the name it has in traces, where a function around it goes by that name."""

    def rename(formula: Callable[..., Any]) -> Callable[..., Any]:
        formula.__name__ = name
        return formula

    return rename


def axes_of(axis: Axis | Sequence[int], ndim: int) -> tuple[int, ...]:
    """``axis`` (an int, a tuple or list, None for all) as axes from 0; a number without axes has axis 0 and -1."""
    several = isinstance(axis, Sequence) and not isinstance(axis, (str, bytes, bytearray))
    axes = tuple(range(ndim)) if axis is None else tuple(axis) if several else (index(axis),)  # type: ignore[arg-type]
    limit = ndim or (len(axes) and 1)
    for a in axes:
        if not -limit <= a < limit:
            raise ValueError(f"axis: {a} is not allowed; allowed: {-limit} to {limit - 1} for {ndim} dimensions")
    return tuple(a % ndim for a in axes) if ndim else ()


def axis_of(axis: int, ndim: int) -> int:
    """One axis, from 0."""
    return axes_of(index(axis), max(ndim, 1))[0]


def distinct(axis: Axis, ndim: int) -> tuple[int, ...]:
    """``axis`` as axes from 0, each once."""
    found = axes_of(axis, ndim)
    if len(set(found)) < len(found):
        raise ValueError(f"axis: {axis} names an axis twice; allowed: each once")
    return found


def spread(g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """A reduction's gradient on every element it was made from."""
    return np.broadcast_to(g.reshape([1 if i in axes else n for i, n in enumerate(shape)]), shape)


def off_tape(x: Any) -> Any:
    """An operand that takes no gradient."""
    return x.detach() if isinstance(x, Tensor) else x


def indices(name: str, values: Any) -> Array:
    """Integers, given as an array, a list or a Tensor of them; floats are refused, as in PyTorch.

    ``TypeError`` for other values: a half label 2049 would train class 2048.
    """
    found = array_of(whole(values), name)
    if found.dtype.kind not in "iu" and (found.size or isinstance(values, Tensor)):
        dtype = values.dtype if isinstance(values, Tensor) else found.dtype
        raise TypeError(f"{name}: dtype {dtype} is not allowed; allowed: integers")
    return found.astype(np.int64)


def mask_of(name: str, values: Any) -> Array:
    """Truth values, given as an array, a list or a Tensor of bools."""
    found = np.array(array_of(plain(values), name))  # a copy: the caller's array may change
    if found.dtype != np.bool_:
        dtype = values.dtype if isinstance(values, Tensor) else found.dtype
        raise TypeError(f"{name}: dtype {dtype} is not allowed; allowed: bool")
    return found


def integer_tensor(array: Any) -> Tensor:
    """A tensor of integers or bools, of an array of them."""
    array = np.asarray(array)
    return Tensor(array, INTEGERS[array.dtype.name])


class Picked(NamedTuple):
    """Values along an axis, and their places (int64) on it."""

    values: Any
    indices: Any


def choose(mask: Any, a: Any, b: Any) -> Any:
    """``a`` where ``mask`` is true, else ``b``, as ``np.where`` of floats; by their bits, which needs no branches."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):  # of a gradient that is on the tape
        return OPS["where"](mask, a, b)
    a, b = np.asarray(a), np.asarray(b)
    kind = np.result_type(a, b)
    if a.dtype != b.dtype:  # their bits mean different numbers
        a, b = a.astype(kind), b.astype(kind)
    word = np.dtype(f"i{a.itemsize}")
    a, b, chosen = a.view(word), b.view(word), -np.asarray(mask).astype(word)
    return np.asarray(b ^ ((a ^ b) & chosen)).view(kind)


def largest(x: Any, axes: tuple[int, ...]) -> Any:
    """The largest values over axes, which stay, -inf where there are none: a shift that takes no gradient."""
    return plain(x).max(axes, keepdims=True, initial=-np.inf)


def signs(x: Any) -> Any:
    """-1, 0 or 1 for each element, 0 for NaN."""
    if isinstance(x, Tensor):
        return OPS["sign"](x)
    return np.subtract(x > 0, x < 0, dtype=x.dtype)


def typed(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation with PyTorch's ``dtype``: the format in which it takes its operand, computes and stores."""
    spec = SPECS[call.__name__.strip("_")]
    signature = inspect.signature(call)
    option = inspect.Parameter("dtype", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any")

    @functools.wraps(call)
    def with_dtype(*args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        if dtype is None:
            return call(*args, **kwargs)
        fmt = as_dtype(dtype)
        if args and (isinstance(fmt, Integer) or isinstance(widest(args[:1]), Integer)):
            args = (as_tensor(args[0]).to(fmt), *args[1:])
        if isinstance(fmt, Integer):
            return call(*args, **kwargs).to(fmt)
        with scoped(rule=resolve_for(fmt), base=""):
            return call(*args, **kwargs)

    with_dtype.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), option]
    )
    with_dtype.checked = with_dtype  # type: ignore[attr-defined]
    OPS[spec.name] = with_dtype
    return with_dtype


def like(x: Any, other: Tensor) -> Tensor:
    """A Tensor as it is; an array or a number in the format of another tensor."""
    return as_tensor(x, other)


def as_tensor(x: Any, other: Any = None) -> Tensor:
    """A Tensor as it is; an array or a number as one, in the format of the Tensor ``other`` if that holds such."""
    if isinstance(x, Tensor):
        return x
    unknown = not isinstance(other, Tensor) or (isinstance(other.format, Integer) and integers_in(x) is None)
    return tensor(x, None if unknown else other.format)


def as_category(category: str, *operands: Any) -> tuple[Any, ...]:
    """The tensors as autocast hands them to a function of ``category`` that is made of other operations."""
    fmt = widest(operands)
    storage = resolve("", category, get_default_dtype() if isinstance(fmt, Integer) else fmt).storage
    return tuple(x.to(storage) if isinstance(x, Tensor) else x for x in operands)


# Operations that are several kernels, or one: steps kept in memory, and a backward pass taken once.


_Result = TypeVar("_Result")


def spilled(fp: Arithmetic, x: Array) -> Array:
    """``x`` as memory keeps it between two kernels: rounded to ``storage``.

    What is flushed here is on the way to the result and is no zero of it, so it is not counted.
    """
    return fp.spill(x)


class Stepwise:
    """A unit whose every step is a kernel of its own, or rounds like one: its result goes through memory.

    So PyTorch computes what it composes of other functions (most losses, and nearly all gradients of elementary
    functions), on every device. Under ``compute=fp16`` or ``storage=fp32`` that is what ``fp`` does anyway.
    """

    __slots__ = ("fp",)

    def __init__(self, fp: Arithmetic) -> None:
        self.fp = fp

    def __getattr__(self, name: str) -> Callable[..., Array]:
        step, spill = getattr(self.fp, name), self.fp.spill
        return lambda *operands: spill(step(*operands))

    def constant(self, value: float) -> Any:
        """A Python number, which stays in ``compute``."""
        return self.fp.constant(value)


def steps(fp: Arithmetic, wide: Format) -> Any:
    """A unit whose every step is stored, but for the format ``wide``, for which PyTorch's CPU kernel stores none.

    Its CUDA kernels store each step in either format. Results differ by units in the last place.
    """
    return fp if fp.precision.storage == wide else Stepwise(fp)


def bound(fp: Arithmetic, x: Any) -> Any:
    """A number as a kernel takes it whose parameters have the format of its operands: in ``storage``; arrays as read.

    This rounding is no result's, so it is not counted.
    """
    storage = fp.precision.storage
    x = x if isinstance(x, (np.generic, np.ndarray)) else fp.constant(x)
    if isinstance(x, np.ndarray) or storage.contains(fp.precision.compute):
        return x
    return rounded(np.asarray(x), storage, None, fp.precision.mode).astype(fp.dtype)[()]


def shared_backward(backward: Callable[[Arithmetic, Array], _Result]) -> Callable[[Arithmetic, Array], _Result]:
    """One gradient computation shared by several operands: it runs for the first that asks, and is kept for the others.

    A layer norm gives its operand, weight and bias gradients in one kernel. The tape asks for them one by one, each
    time with the very same array ``g`` (so it is compared by identity); another ``g`` is another backward pass.
    """
    last: list[tuple[Array, Precision, _Result]] = []

    def shared(fp: Arithmetic, g: Array) -> _Result:
        if not last or last[0][0] is not g or last[0][1] != fp.precision:
            last[:] = [(g, fp.precision, backward(fp, g))]
        return last[0][2]

    return shared
