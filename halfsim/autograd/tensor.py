"""Tensor: an array on the grid of a format, with a gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from halfsim.autograd.observer import active
from halfsim.autograd.operators import OPS, Operators
from halfsim.autograd.policy import PROMOTE, carried, scope
from halfsim.frames import Line, caller
from halfsim.numerics.codec import encode
from halfsim.numerics.formats import Format, as_format, bfloat16, float16, float32, float64
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, container, round_to

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node

Hook = Callable[..., Any]


class Flushed(NamedTuple):
    """What is known of an array made while nobody watched: ``lost`` of its ``nonzero`` numbers became zero."""

    of: Array
    lost: int
    nonzero: int
    line: Line | None


_DTYPES: dict[Format, np.dtype[Any]] = {
    float16: np.dtype(np.float16),
    float32: np.dtype(np.float32),
    float64: np.dtype(np.float64),
}


class Tensor(Operators):
    """An array on the grid of a `Format`, with a gradient.

    ``array`` holds the values in the format's container dtype (float32 for float16); every value is a number
    of ``format``, and no operation ever writes into it. Operations follow the precision in force, see
    `halfsim.precision`. Make one with `halfsim.tensor`.
    """

    __slots__ = (
        "__weakref__",
        "array",
        "format",
        "grad",
        "hooks",
        "name",
        "node",
        "requires_grad",
        "retains_grad",
        "shadow",
    )

    def __init__(self, data: Array, fmt: Format, requires_grad: bool = False, name: str = "") -> None:
        self.array = data
        self.format = fmt
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.name = name
        self.node: Node | None = None
        self.hooks: dict[int, Hook] | None = None
        self.retains_grad = False
        self.shadow: Any = None  # what an observer knows of the values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def nbytes(self) -> int:
        """Bytes the values take in ``format`` (not in the container that carries them here)."""
        return -(-self.array.size * self.format.bits // 8)

    @property
    def dtype(self) -> Format:
        """PyTorch's name for ``format``."""
        return self.format

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def numpy(self) -> Array:
        """A copy of the values: float16, float32 or float64 for these formats, the container dtype for others."""
        return self.array.astype(_DTYPES.get(self.format, self.array.dtype))

    def bits(self) -> Array:
        """The bit patterns, as unsigned integers of the format's width (uint16 for float16)."""
        return encode(self.array, self.format)

    def item(self) -> float:
        """The only value; ``ValueError`` if there are more."""
        if self.size != 1:
            raise ValueError(f"item: a tensor of {self.size} values has no single value; allowed: size 1")
        return float(self.array.reshape(-1)[0])

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

    def detach(self) -> Tensor:
        """The same values off the tape."""
        out = Tensor(self.array, self.format)
        out.shadow = self.shadow
        return out

    def clone(self) -> Tensor:
        """The same values in another tensor, on the tape."""
        return OPS["cast"](self, self.format)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether this leaf takes a gradient; ``RuntimeError`` for the result of an operation, which does."""
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad_: the result of an operation takes a gradient; allowed: detach()")
        self.requires_grad = requires_grad
        return self

    def replaced_by(self, result: Tensor) -> Tensor:
        """What ``tensor += x`` leaves in ``tensor``: ``result``, but a leaf that takes a gradient keeps its identity.

        So ``p -= lr * p.grad`` under `halfsim.no_grad` moves a parameter, rounded to its format. The array that it
        had is not written to. ``RuntimeError`` for such a leaf where gradients are recorded, as in PyTorch.
        """
        if not (self.requires_grad and self.node is None):
            return result
        if result.node is not None:
            raise RuntimeError(
                "in place: a leaf that takes a gradient is not changed on the tape; allowed: hs.no_grad()"
            )
        if result.shape != self.shape:
            raise RuntimeError(f"in place: shape {result.shape} does not fit {self.shape}; allowed: the same shape")
        result, observer = result.to(self.format), active()
        if observer is not None:
            observer.replaced(self, result)
        return self.take(result)

    def take(self, result: Tensor) -> Tensor:
        """Let this tensor hold the array of ``result``, of its own shape and format, and what is known of it."""
        self.array, self.shadow = result.array, result.shadow
        return self

    def retain_grad(self) -> None:
        """Let the backward pass set ``grad`` of this result of an operation, as it does that of leaves."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: the tensor requires no gradient; allowed: requires_grad=True")
        self.retains_grad = self.node is not None

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook`` with the gradient (a Tensor) of this tensor in every backward pass, once it is complete.

        If ``hook`` returns a tensor or an array, that, rounded to ``format``, takes the gradient's place. A leaf's hook
        sees what this pass adds to ``grad``. Returns a handle whose ``remove()`` ends it. ``RuntimeError`` if the
        tensor requires no gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor requires no gradient; allowed: requires_grad=True")
        self.hooks = self.hooks or {}
        return RemovableHandle(self.hooks, hook)

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add to ``grad`` of every leaf the gradient of this tensor with respect to it.

        ``gradient`` (of this tensor's shape) defaults to 1 for a tensor of one element. Each gradient is
        computed in the precision of its forward operation, leaves it rounded to its ``storage``, and is then
        rounded to the format of the tensor it belongs to. ``RuntimeError`` for a tensor off the tape, for
        several elements without ``gradient``, and for a second call without ``retain_graph``.
        """
        from halfsim.autograd.tape import backward  # which knows tensors

        backward(self, gradient, retain_graph)

    def to(self, format: object) -> Tensor:
        """The tensor rounded to ``format``, on the tape; itself if it has that format."""
        fmt = carried(as_format(format))
        return self if fmt == self.format else OPS["cast"](self, fmt)

    def half(self) -> Tensor:
        return self.to(float16)

    def float(self) -> Tensor:
        return self.to(float32)

    def double(self) -> Tensor:
        return self.to(float64)

    def bfloat16(self) -> Tensor:
        return self.to(bfloat16)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy: False is not allowed, for a tensor's array is its own; allowed: True, None")
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule of a copy of the values, for float16, float32 and float64."""
        if self.format not in _DTYPES:
            raise BufferError(f"__dlpack__: {self.format} has no NumPy dtype; allowed: float16, float32, float64")
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    def __float__(self) -> Any:  # `float` names a method here
        return self.item()

    def __int__(self) -> Any:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        """A single value as Python formats a float, as in ``f"{loss:.4f}"``; with no ``spec``, as ``str``."""
        return format(self.item(), spec) if spec else str(self)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        return f"tensor({values}, {self.format}{', requires_grad=True' if self.requires_grad else ''})"

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Any:
        return self._compare(np.equal, other)

    def __ne__(self, other: object) -> Any:
        return self._compare(np.not_equal, other)

    def __lt__(self, other: object) -> Any:
        return self._compare(np.less, other)

    def __le__(self, other: object) -> Any:
        return self._compare(np.less_equal, other)

    def __gt__(self, other: object) -> Any:
        return self._compare(np.greater, other)

    def __ge__(self, other: object) -> Any:
        return self._compare(np.greater_equal, other)

    def _compare(self, relation: Any, other: object) -> Any:
        """A bool array; a number is rounded to ``format`` first, so that ``tensor(0.1, "fp16") == 0.1``."""
        observer = active()
        if observer is not None:
            observer.compared(self, other)
        other = other[()] if isinstance(other, np.ndarray) else other  # an array without axes is a number
        if np.isscalar(other) and not isinstance(other, (str, bytes, complex, np.complexfloating)):
            return relation(self.array, round_to(other, self.format))
        known = isinstance(other, (Tensor, np.ndarray, np.generic, list, tuple))
        return relation(self.array, plain(other)) if known else NotImplemented

    def __reduce__(self) -> Any:
        """Copies and pickles hold values and gradient, off the tape."""
        state = (self.array, self.format, self.requires_grad, self.grad, self.name)
        return _rebuilt, (type(self), *state)


class RemovableHandle:
    """A hook's registration in a table; ``remove()`` ends it."""

    _next = itertools.count()

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        self._hooks, self._key = hooks, next(RemovableHandle._next)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _rebuilt(
    kind: type[Tensor], data: Array, fmt: Format, requires_grad: bool, grad: Tensor | None, name: str
) -> Tensor:
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, data, fmt, requires_grad, name)
    tensor.grad = grad
    return tensor


def plain(x: Any) -> Any:
    """The array inside a tensor; anything else as it is."""
    return x.array if isinstance(x, Tensor) else x


def format_of(x: Any) -> Format:
    """The Format of a NumPy array or scalar by its dtype; float32 where there is none."""
    dtype = getattr(x, "dtype", None)
    native = dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else dtype
    return next((fmt for fmt, dtype in _DTYPES.items() if native == dtype), float32)


def tensor(data: object, format: object = None, requires_grad: bool = False, *, dtype: object = None) -> Tensor:
    """A new Tensor of the values of ``data``, rounded once to ``format``.

    ``data`` is an array-like of numbers (also str, Decimal, Fraction) of any shape, or a Tensor; ``dtype`` is PyTorch's
    name for ``format``. Without either it is the storage of the precision in force, float32 under "amp" and other
    policies of several formats; where none is in force the dtype of a float array, or float32. NaN, infinities, both
    zeros and subnormals are kept; overflow gives infinity.
    ``ValueError`` for an unknown format, ``TypeError`` for what is not a number.

    >>> tensor([1, 0.1, 65520], "fp16")
    tensor([1. , 0.1, inf], float16)
    """
    rule = scope().rule
    format = dtype if format is None else format
    if format is not None:
        fmt = as_format(format)
    elif isinstance(data, Tensor):
        fmt = data.format
    elif isinstance(rule, Precision):
        fmt = rule.storage
    elif rule != PROMOTE:
        fmt = rule.default.storage if isinstance(rule.default, Precision) else float32
    else:
        fmt = format_of(data) if isinstance(data, (np.ndarray, np.floating)) else float32
    fmt = carried(fmt)
    given = as_floats(plain(data), fmt)
    wide = given.astype(np.promote_types(given.dtype, container(fmt)), copy=False)
    with np.errstate(all="ignore"):
        made = Tensor(np.array(round_to(wide, fmt), container(fmt), order="C"), fmt, requires_grad)
    observer = active()
    if observer is not None and wide.size:
        observer.given(wide, made, isinstance(data, Tensor))
        if given.dtype == np.float16 and fmt != float16:
            observer.narrowed(made)
    elif fmt.precision < float32.precision:
        flushed = int(np.count_nonzero(wide)) - int(np.count_nonzero(made.array))
        if flushed > 0:  # a later trace may ask where zeros come from
            made.shadow = Flushed(made.array, flushed, flushed + int(np.count_nonzero(made.array)), caller())
    return made
