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
from halfsim.autograd.methods import Methods
from halfsim.autograd.numpy_protocol import NumPyProtocol
from halfsim.autograd.observer import active
from halfsim.autograd.operators import OPS, Operators
from halfsim.autograd.scope import carried, resolve_for, scope, scoped
from halfsim.autograd.storage import Storage, View, view
from halfsim.frames import Line
from halfsim.names import missing
from halfsim.numerics.codec import encode
from halfsim.numerics.formats import (
    NARROW,
    Format,
    Integer,
    as_dtype,
    as_format,
    bool_,
    float16,
    float32,
    float64,
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
        if not -max(len(self.shape), 1) <= dim < len(self.shape):
            raise IndexError(f"dim: {dim} is not allowed; allowed: axes of {self.shape}")
        return self.shape[dim]


_DTYPES: dict[Format, np.dtype[Any]] = {
    float16: np.dtype(np.float16),
    float32: np.dtype(np.float32),
    float64: np.dtype(np.float64),
}


class Tensor(Operators, Methods, Conveniences, NumPyProtocol):
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
        """The gradient, None where there is none; ``TypeError`` or ``ValueError`` where it is set to what is none."""
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

    def numpy(self, *, force: bool = False) -> Array:
        """A copy of the values: float16, float32, float64 for these formats, else float32 if that has them all."""
        return self.array.astype(_DTYPES.get(self.format, self.array.dtype))

    def bits(self) -> Array:
        """The bit patterns, as unsigned integers of the format's width (uint16 for float16)."""
        if isinstance(self.format, Integer):
            return self.array.view(f"u{self.array.itemsize}")
        return encode(self.array, self.format)

    def item(self) -> Any:
        """The only value, a Python number; ``ValueError`` if there are more."""
        if self.array.size != 1:
            raise ValueError(f"item: a tensor of {self.size} values has no single value; allowed: size 1")
        if self.requires_grad and scope().phase == "on tape":  # where the number would have no gradient
            raise TypeError("it takes the value out of the tape")
        return self.array.reshape(-1)[0].item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

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

    def detach_(self) -> Tensor:
        """Take this tensor off the tape."""
        self._before()
        self.node, self.requires_grad = None, False
        return self

    def in_place(self, op: str, *operands: Any, **options: Any) -> Tensor:
        """Let this tensor hold what the operation ``op`` makes of it, as ``x.add_(y)`` and ``x += y`` do.

        It gets a new array of its own format, which everything sees that shares memory with it in PyTorch. So
        ``p -= lr * p.grad`` under `halfsim.no_grad` moves a parameter, rounded to its format. ``RuntimeError`` for a
        leaf that takes a gradient where gradients are recorded, as in PyTorch, and for results of another shape.
        """
        if not scope().gradients:
            return self.receive(OPS[op](self, *operands, **options))
        self._changeable()
        before = self._before()  # for this tensor is about to stand elsewhere on the tape
        result = OPS[op](before, *(before if x is self else x for x in operands), **options)
        if result is before:
            return self
        if before.requires_grad and not result.requires_grad and result.shape == self.shape:
            result = OPS["copy"](before, result)  # from where on nothing depends on the values that were there
        return self.receive(result)

    def _changeable(self) -> None:
        """``RuntimeError`` for a leaf that takes a gradient, and for its views."""
        x = self
        while isinstance(x.storage, View):
            if x.storage.base.requires_grad and not x.requires_grad:
                raise RuntimeError("in place: the view was made under no_grad; allowed: to change it there, detach()")
            x = x.storage.base
        if x.requires_grad and x.node is None:
            what = "a leaf that takes a gradient" if x is self else "a view of a leaf that takes a gradient"
            raise RuntimeError(f"in place: {what} is not changed on the tape; allowed: hs.no_grad()")

    def _before(self) -> Tensor:
        """A tensor that stands where this one stands on the tape now, for an operation that is about to change it."""
        before, node = Tensor(self.array, self.format, self.requires_grad), self.node
        if node is not None and node.left is not None and node.left is not self:
            node.left.storage, before = before.storage, node.left
        before.node, before.hooks, before.shadow = node, self.hooks, self.shadow
        if node is not None:
            node.left = before
        return before

    def receive(self, result: Tensor) -> Tensor:
        """Take the values of ``result`` and its place on the tape, in the format that this tensor has."""
        if result.shape != self.shape:
            raise RuntimeError(f"in place: shape {result.shape} does not fit {self.shape}; allowed: the same shape")
        fmt, made = self.format, result.format
        if isinstance(fmt, Integer) and (not isinstance(made, Integer) or (fmt is bool_ and made is not bool_)):
            allowed = "bools" if fmt is bool_ else "integers"
            raise RuntimeError(f"in place: {made} does not fit a tensor of {fmt}; allowed: {allowed}")
        result, observer = result.to(fmt), active()
        leaf = self if self.leaf is None else self.leaf
        if leaf.requires_grad and leaf.node is None and observer is not None:
            observer.replaced(leaf, result)
        leaf.shadow = self.shadow = result.shadow
        storage = self.storage
        if result.node is None:
            storage.write(result.array)
            return self
        if isinstance(storage, View):  # its root goes on the tape, and all views of that follow it
            storage.root.in_place("put_at", result, places=storage.targets())
        else:
            storage.write(result.array)
            self._stand(result.node)
        return self

    def _stand(self, node: Node) -> None:
        """Stand on the tape at ``node`` from now on, and let the views of this tensor stand there as its parts."""
        self.node, self.requires_grad, self.hooks = node, True, None
        for x in list((self.views or {}).values()):
            if isinstance(x.storage, View) and x.storage.base is self and not (x.requires_grad and x.node is None):
                x._before()
                x._stand(x.storage.move.node(self))

    def turn(self, op: str, *options: Any) -> Tensor:
        """Become what the operation ``op``, which moves values, makes of this tensor, as ``x.t_()`` does."""
        if self.requires_grad and self.node is None and scope().gradients:
            raise RuntimeError(
                "in place: a leaf that takes a gradient keeps its shape; allowed: x = x.t() and its like"
            )
        before, storage = self._before(), self.storage  # of which this tensor becomes a view
        if isinstance(storage, View):
            view(before, storage.base, storage.move)
        else:
            before.storage = storage
        with scoped(rule=resolve_for(self.format), base="", gradients=self.node is not None):
            result = OPS[op](before, *options)
        before.leaf, before.views, self.views = self.leaf, self.views, None
        for x in list((before.views or {}).values()):
            if isinstance(x.storage, View) and x.storage.base is self:
                x.storage.base = before
        self.storage, self.node, self.hooks = Storage(result.array), result.node, None
        view(self, before, result.storage.move)
        return self

    def take_shape(self, array: Array) -> Tensor:
        """Take an array of another shape, off the tape."""
        self.array, self.shadow = array, None
        return self

    def hold(self, result: Tensor) -> Tensor:
        """Take the array of ``result``, of this tensor's shape and format, and what is known of it."""
        self.array, self.shadow = result.array, result.shadow
        return self

    def copy_(self, source: Any, non_blocking: bool = False) -> Tensor:
        """The values of ``source``, broadcast and rounded to this tensor's format, in place."""
        return self.in_place("copy", source)

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
        from halfsim.autograd.gradients import backward  # which knows tensors

        backward(self, gradient, bool(create_graph if retain_graph is None else retain_graph), create_graph, inputs)

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy: False is not allowed, for a tensor's array is its own; allowed: True, None")
        if self.requires_grad and scope().phase == "on tape":  # where the array would have no gradient
            raise TypeError("it takes the values out of the tape")
        values = self.numpy()
        if dtype is None:
            return values
        if isinstance(dtype, dict):
            raise refused("dtype", dtype, "NumPy's dtypes")
        return values.astype(dtype)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        """A DLPack capsule of a copy of the values, for float16, float32 and float64, integers and bools."""
        if self.format not in _DTYPES and not isinstance(self.format, Integer):
            raise BufferError(f"__dlpack__: {self.format} has no NumPy dtype; allowed: float16, float32, float64")
        return self.numpy().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    def __float__(self) -> Any:  # `float` names a method here
        return float(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        if not isinstance(self.format, Integer) or self.array.size != 1:
            raise TypeError(f"index: a tensor of {self.format} {self.shape} is no integer; allowed: one integer")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        """A single value as Python formats a number, as in ``f"{loss:.4f}"``; with no ``spec``, as ``str``."""
        return format(self.item(), spec) if spec else str(self)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ValueError(f"bool: a tensor of {self.size} values is not one truth; allowed: .any(), .all()")
        return self.item() != 0

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        return f"tensor({values}, {self.format}{', requires_grad=True' if self.requires_grad else ''})"

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


_CALLED = "__array__ __format__ __len__ backward copy_ in_place item numpy register_hook requires_grad_ to turn"
guarded_class(Tensor, _CALLED.split())


def _compare(relation: str, x: Tensor, other: object) -> Any:
    """The bool tensor of a comparison, or NotImplemented for what is no number."""
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
    """The array inside a tensor, or of an array-like of numbers; what is none is refused."""
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
    return next((fmt for fmt, dtype in _DTYPES.items() if native == dtype), float32)
