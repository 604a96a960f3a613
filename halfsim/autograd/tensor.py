"""Tensor: an array on the grid of a format, with a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.policy import scope
from halfsim.numerics.codec import encode
from halfsim.numerics.formats import Format, as_format, float16, float32, float64
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, container, round_to

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node

OPS: dict[str, Callable[..., Tensor]] = {}  # every operation by name; `halfsim.autograd.tape.op` fills it

_DTYPES: dict[Format, np.dtype[Any]] = {
    float16: np.dtype(np.float16),
    float32: np.dtype(np.float32),
    float64: np.dtype(np.float64),
}


class Tensor:
    """An array on the grid of a `Format`, with a gradient.

    ``data`` holds the values in the format's container dtype (float32 for float16); every value is a number
    of ``format``, and no operation ever writes into it. Operations follow the precision in force, see
    `halfsim.precision`. Make one with `halfsim.tensor`.
    """

    __slots__ = ("__weakref__", "data", "format", "grad", "name", "node", "requires_grad")
    __array_ufunc__ = None  # NumPy leaves `array + tensor` to the tensor

    def __init__(self, data: Array, fmt: Format, requires_grad: bool = False, name: str = "") -> None:
        self.data = data
        self.format = fmt
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.name = name
        self.node: Node | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def nbytes(self) -> int:
        """Bytes the values take in ``format`` (not in the container that carries them here)."""
        return -(-self.data.size * self.format.bits // 8)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def numpy(self) -> Array:
        """A copy of the values: float16, float32 or float64 for these formats, the container dtype for others."""
        return self.data.astype(_DTYPES.get(self.format, self.data.dtype))

    def bits(self) -> Array:
        """The bit patterns, as unsigned integers of the format's width (uint16 for float16)."""
        return encode(self.data, self.format)

    def item(self) -> float:
        """The only value; ``ValueError`` if there are more."""
        if self.size != 1:
            raise ValueError(f"item: a tensor of {self.size} values has no single value; allowed: size 1")
        return float(self.data.reshape(-1)[0])

    def detach(self) -> Tensor:
        """The same values off the tape."""
        return Tensor(self.data, self.format)

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add to ``grad`` of every leaf the gradient of this tensor with respect to it.

        ``gradient`` (of this tensor's shape) defaults to 1 for a tensor of one element. Each gradient is
        computed in the precision of its forward operation, leaves it rounded to its ``storage``, and is then
        rounded to the format of the tensor it belongs to. ``RuntimeError`` for a tensor off the tape, for
        several elements without ``gradient``, and for a second call without ``retain_graph``.
        """
        from halfsim.autograd.tape import backward

        backward(self, gradient, retain_graph)

    def to(self, format: object) -> Tensor:
        """The tensor rounded to ``format``, on the tape; itself if it has that format."""
        fmt = as_format(format)
        return self if fmt == self.format else OPS["cast"](self, fmt)

    def half(self) -> Tensor:
        return self.to(float16)

    def float(self) -> Tensor:
        return self.to(float32)

    def double(self) -> Tensor:
        return self.to(float64)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return OPS["sum"](self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return OPS["mean"](self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return OPS["max"](self, axis, keepdims)

    def exp(self) -> Tensor:
        return OPS["exp"](self)

    def log(self) -> Tensor:
        return OPS["log"](self)

    def sqrt(self) -> Tensor:
        return OPS["sqrt"](self)

    def tanh(self) -> Tensor:
        return OPS["tanh"](self)

    def relu(self) -> Tensor:
        return OPS["relu"](self)

    def reshape(self, *shape: Any) -> Tensor:
        return OPS["reshape"](self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def transpose(self, *axes: Any) -> Tensor:
        return OPS["transpose"](self, (axes[0] if len(axes) == 1 and isinstance(axes[0], tuple) else axes) or None)

    @property
    def T(self) -> Tensor:
        return OPS["transpose"](self)

    def __getitem__(self, index: Any) -> Tensor:
        return OPS["getitem"](self, index)

    def __add__(self, other: Any) -> Tensor:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPS["sub"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPS["sub"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPS["mul"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPS["mul"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPS["div"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPS["mul"](OPS["reciprocal"](self), other)  # as in PyTorch, where autocast runs it in float32

    def __matmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return OPS["neg"](self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> Any:  # `float` names a method here
        return self.item()

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
        """A bool array; a Python number is rounded to ``format`` first, so that ``tensor(0.1, "fp16") == 0.1``."""
        if isinstance(other, (bool, int, float)):
            return relation(self.data, round_to(other, self.format))
        known = isinstance(other, (Tensor, np.ndarray, np.generic, list, tuple))
        return relation(self.data, plain(other)) if known else NotImplemented

    def __reduce__(self) -> Any:
        """Copies and pickles hold values and gradient, off the tape."""
        state = (self.data, self.format, self.requires_grad, self.grad, self.name)
        return _rebuilt, (type(self), *state)


def _rebuilt(
    kind: type[Tensor], data: Array, fmt: Format, requires_grad: bool, grad: Tensor | None, name: str
) -> Tensor:
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, data, fmt, requires_grad, name)
    tensor.grad = grad
    return tensor


def plain(x: Any) -> Any:
    """The array inside a tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def format_of(x: Any) -> Format:
    """The Format of a NumPy array or scalar by its dtype; float32 where there is none."""
    return next((fmt for fmt, dtype in _DTYPES.items() if getattr(x, "dtype", None) == dtype), float32)


def tensor(data: object, format: object = None, requires_grad: bool = False) -> Tensor:
    """A new Tensor of the values of ``data``, rounded once to ``format``.

    ``data`` is an array-like of numbers (also str, Decimal, Fraction) of any shape, or a Tensor. Without
    ``format`` it is the storage of the precision in force if that is a plain Precision; else the dtype of a
    float array, or float32. NaN, infinities, both zeros and subnormals are kept; overflow gives infinity.
    ``ValueError`` for an unknown format, ``TypeError`` for what is not a number.

    >>> tensor([1, 0.1, 65520], "fp16")
    tensor([1. , 0.1, inf], float16)
    """
    rule = scope().rule
    if format is not None:
        fmt = as_format(format)
    elif isinstance(data, Tensor):
        fmt = data.format
    elif isinstance(rule, Precision):
        fmt = rule.storage
    else:
        fmt = format_of(data) if isinstance(data, (np.ndarray, np.floating)) else float32
    given = as_floats(plain(data), fmt)
    wide = given.astype(np.promote_types(given.dtype, container(fmt)), copy=False)
    with np.errstate(all="ignore"):
        return Tensor(np.array(round_to(wide, fmt), container(fmt), order="C"), fmt, requires_grad)
