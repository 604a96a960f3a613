"""Tensor: an array on the grid of a format, or of integers or bools, with a gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from halfsim.autograd.conveniences import Conveniences
from halfsim.autograd.device import CPU, device, is_device
from halfsim.autograd.in_place import InPlace
from halfsim.autograd.methods import Methods
from halfsim.autograd.numpy_protocol import NumPyProtocol
from halfsim.autograd.observer import active
from halfsim.autograd.operators import OPS, Operators
from halfsim.autograd.scope import carried
from halfsim.autograd.storage import Storage, View, view
from halfsim.autograd.values import DTYPES, Values
from halfsim.frames import Line
from halfsim.names import missing
from halfsim.numerics.formats import (
    NARROW,
    Format,
    Integer,
    as_dtype,
    as_format,
    bool_,
    float32,
    unknown,
)
from halfsim.numerics.inputs import array_of, numbers_of, unmasked
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class, refused, shown

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node

Hook = Callable[..., Any]


class Flushed(NamedTuple):
    """What is known of an array made while nobody watched: ``lost`` of its ``nonzero`` numbers became zero."""

    of: Array
    lost: int
    nonzero: int
    line: Line | None


class Size(tuple[int, ...]):
    """A shape, as PyTorch's ``torch.Size``: a tuple of integers; ``TypeError`` for anything else."""

    __slots__ = ()

    def __new__(cls, sizes: Iterable[int] = ()) -> Size:
        try:
            if hasattr(sizes, "__iter__") and not isinstance(sizes, (str, bytes, bytearray, set, frozenset, dict)):
                return tuple.__new__(cls, map(index, sizes))
        except TypeError:
            pass
        raise refused("sizes", sizes, "a tuple of integers")

    def numel(self) -> int:
        """The number of values that a tensor of this shape has."""
        return prod(self)


class _Count(int):
    """A tensor's number of values, as NumPy's ``x.size``; called, as PyTorch's ``x.size()``, the shape."""

    shape: Any

    def __call__(self, dim: int | None = None) -> Any:
        """The shape, or the length along the axis ``dim``."""
        if dim is None:
            return Size(self.shape)
        if not -len(self.shape) <= dim < len(self.shape):
            raise IndexError(f"dim: {dim} is not allowed; allowed: axes of {self.shape}")
        return self.shape[dim]


class Tensor(Operators, Methods, Conveniences, InPlace, Values, NumPyProtocol):
    """An array on the grid of a `Format`, with a gradient; or an array of integers or bools, exact and without one.

    ``array`` holds the values in the format's container dtype (float32 for float16); every value is a number
    of ``format``, and no operation ever writes into it: one in place gives the tensor a new one, which those that
    share memory with it in PyTorch see too. ``data`` is a tensor that shares the values, off the tape. Operations
    follow the precision in force, see `halfsim.precision`; those on integers are NumPy's. Make one with
    `halfsim.tensor`.
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "counted",
        "format",
        "hooks",
        "leaf",
        "name",
        "node",
        "requires_grad",
        "retains_grad",
        "shadow",
        "storage",
        "views",
    )

    def __init__(self, array: Array, fmt: Format | Integer, requires_grad: bool = False, name: str = "") -> None:
        self.storage = Storage(array)
        self.format: Any = fmt  # a Format; of integers and bools an Integer, which `tape.apply` asks for first
        self.requires_grad = requires_grad
        self._grad: Tensor | None = None
        self.name = name
        self.node: Node | None = None
        self.hooks: dict[int, Hook] | None = None
        self.retains_grad = False
        self.shadow: Any = None  # what an observer knows of the values
        self.counted: tuple[Array, Array] | None = None  # an array of floats and the integers given for it, see `whole`
        self.leaf: Tensor | None = None  # the leaf whose values these are, of its `data`
        self.views: WeakValueDictionary[int, Tensor] | None = None  # those that were made of this tensor itself

    @property
    def array(self) -> Array:
        """The values in the container dtype; not to be written into."""
        storage = self.storage
        return storage.array if storage.__class__ is Storage else storage.read()

    @array.setter
    def array(self, array: Array) -> None:
        if not isinstance(array, (np.ndarray, np.generic)):
            raise refused("array", array, "an array of NumPy's")
        if array.shape == self.storage.array.shape:
            self.storage.write(array)
        else:
            self.storage = Storage(array)

    @property
    def grad(self) -> Tensor | None:
        """The gradient, or None. It may be set to a Tensor of floats of this shape, or None."""
        return self._grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is not None:
            if not isinstance(grad, Tensor):
                raise refused("grad", grad, "a Tensor of floats, None")
            if isinstance(grad.format, Integer):
                raise ValueError(f"grad: a Tensor of {grad.format} is not allowed; allowed: a Tensor of floats, None")
            if grad.shape != self.shape:
                raise ValueError(f"grad: shape {tuple(grad.shape)} is not allowed; allowed: {tuple(self.shape)}")
        self._grad = grad

    @property
    def data(self) -> Tensor:
        """A tensor off the tape that shares the values: what is done to it in place is done to this one."""
        shared = self.detach()
        shared.leaf = self if self.node is None else None
        return shared

    @data.setter
    def data(self, value: Any) -> None:
        new = value if isinstance(value, Tensor) else OPS["as_tensor"](value, self.format)
        if new.storage is not self.storage:
            observer = active()
            if observer is not None and new.shape == self.shape and new.format == self.format:
                observer.replaced(self, new)
            self.array = new.array
            self._share(new)
            self.format, self.shadow = new.format, new.shadow

    @property
    def shape(self) -> Size:
        return tuple.__new__(Size, self.storage.array.shape)

    @property
    def ndim(self) -> int:
        return self.storage.array.ndim

    @property
    def size(self) -> _Count:
        """The number of values; ``x.size()`` is the shape and ``x.size(0)`` the length of an axis, as in PyTorch."""
        count = _Count(self.storage.array.size)
        count.shape = self.storage.array.shape
        return count

    @property
    def nbytes(self) -> int:
        """Bytes the values take in ``format`` (not in the container that carries them here)."""
        return -(-self.storage.array.size * (8 if self.format is bool_ else self.format.bits) // 8)

    @property
    def itemsize(self) -> int:
        """Bytes that one value takes in ``format``."""
        return self.format.itemsize

    @property
    def dtype(self) -> Any:
        """PyTorch's name for ``format``; equal to NumPy's dtype of that name."""
        return self.format

    @property
    def device(self) -> device:
        """PyTorch's name for where a tensor is: always the CPU."""
        return CPU

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """What the backward pass needs of the operation that made this tensor; None for a leaf."""
        return self.node

    def detach(self) -> Tensor:
        """The same values off the tape, shared with this tensor."""
        out = Tensor(self.array, self.format)
        out._share(self)
        out.shadow = self.shadow
        return out

    def _share(self, other: Tensor) -> None:
        """Share the values of ``other``, but not its place on the tape."""
        storage = other.storage
        if isinstance(storage, View):
            view(self, storage.base.detach(), storage.move)
        else:
            self.storage = storage

    def bare(self) -> Tensor:
        """A tensor of the same array that shares nothing and is off the tape."""
        return Tensor(self.array, self.format, self.requires_grad)

    def clone(self, *, memory_format: object = None) -> Tensor:
        """The same values in another tensor, on the tape."""
        return OPS["cast"](self, self.format)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether this leaf takes a gradient; ``RuntimeError`` for the result of an operation, which does."""
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad_: the result of an operation takes a gradient; allowed: detach()")
        differentiable(self.format, requires_grad)
        self.requires_grad = requires_grad
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

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add to ``grad`` of every leaf the gradient of this tensor with respect to it.

        ``gradient`` (of this tensor's shape) defaults to 1 for a tensor of one element. Each gradient is
        computed in the precision of its forward operation, leaves it rounded to its ``storage``, and is then
        rounded to the format of the tensor it belongs to. With ``create_graph`` the gradients are themselves on the
        tape, see `halfsim.autograd.grad`. ``RuntimeError`` for a tensor off the tape, for several elements without
        ``gradient``, and for a second call without ``retain_graph``.
        """
        retain_graph = bool(create_graph if retain_graph is None else retain_graph)
        OPS["backward"](self, gradient, retain_graph, create_graph, inputs)

    def to(self, *given: Any, dtype: object = None, device: object = None, **ignored: Any) -> Tensor:
        """The tensor rounded to a format, on the tape; itself if it has that format.

        The format is ``dtype``, or the first argument, or that of a tensor given there; devices, ``non_blocking``,
        ``copy`` and ``memory_format`` are taken for PyTorch's sake.
        """
        if dtype is not None:
            as_dtype(dtype)
        for x in given[:2]:
            if isinstance(x, Tensor):
                dtype = x.format
            elif not is_device(x) and not isinstance(x, bool) and x is not None:
                dtype = x
        if device is not None and not is_device(device):
            raise unknown("device", device, ("cpu", "cuda"))
        if dtype is None:
            return self
        fmt = as_dtype(dtype)
        fmt = fmt if isinstance(fmt, Integer) else carried(fmt)
        return self if fmt == self.format else OPS["cast"](self, fmt)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Any:
        return _compare("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return _compare("ne", self, other)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols, which NumPy asks for
            raise AttributeError(f"Tensor has no attribute {name!r}")
        raise missing("Tensor", name, dir(type(self)))

    def __reduce__(self) -> Any:
        """Copies and pickles hold values and gradient, off the tape."""
        state = (self.array, self.format, self.requires_grad, self.grad, self.name)
        return _rebuilt, (type(self), *state)


guarded_class(Tensor, ("backward", "register_hook", "requires_grad_", "to"))


def _compare(relation: str, x: Tensor, other: object) -> Any:
    """The bool tensor of a comparison, or NotImplemented if ``other`` is not made of numbers."""
    known = isinstance(other, (Tensor, np.ndarray, np.generic, list, tuple, int, float))  # bool is an int
    return OPS[relation](x, other) if known else NotImplemented


def differentiable(fmt: Format | Integer, requires_grad: bool) -> None:
    """``RuntimeError`` where integers or bools are asked to take a gradient."""
    if requires_grad and isinstance(fmt, Integer):
        raise RuntimeError(f"requires_grad: a tensor of {fmt} takes no gradient; allowed: floating-point formats")


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
    """The array inside a tensor; anything else as it is, but for masked arrays, which are refused."""
    if isinstance(x, Tensor):
        return x.array
    return unmasked(x) if isinstance(x, np.ndarray) else x


def numbers(x: Any, dtype: Any = None) -> Array:
    """The array inside a tensor, or an array of other numbers; ``TypeError`` for anything else."""
    found = x.array if isinstance(x, Tensor) else numbers_of(unquoted(x))
    return found if dtype is None else found.astype(dtype, copy=False)


def unquoted(x: Any) -> Any:
    """``x``, an operand; ``TypeError`` for strings, which `halfsim.tensor` reads and operations do not."""
    if isinstance(x, (str, np.str_)) or (isinstance(x, (list, tuple, np.ndarray)) and array_of(x).dtype.kind == "U"):
        raise TypeError(f"x: {shown(x)} is not allowed; allowed: numbers, arrays, tensors; hs.tensor reads strings")
    return x


def whole(x: Any) -> Any:
    """`plain`; of a tensor whose integers a precision in force has made floats of, the integers: labels, say."""
    counted = x.counted if isinstance(x, Tensor) else None
    return counted[1] if counted is not None and counted[0] is x.array else plain(x)


def format_of(x: Any) -> Format:
    """The Format of a NumPy array or scalar by its dtype, ml_dtypes' ones too; float32 where there is none."""
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "name", "") in NARROW:
        return as_format(dtype)
    native = dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else dtype
    return next((fmt for fmt, dtype in DTYPES.items() if native == dtype), float32)
