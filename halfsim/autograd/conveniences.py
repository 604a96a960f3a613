"""Methods of a tensor whose arguments are not an operation's: shapes given in parts, casts, devices, random values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.operators import OPS
from halfsim.card import Card
from halfsim.markup import Lines
from halfsim.numerics.formats import (
    Integer,
    as_dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from halfsim.options import guarded_class


def _parts(given: tuple[Any, ...]) -> Any:
    """A tuple that was given as one or as its parts."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


def _cast(dtype: Any) -> Any:
    def method(self: Any, memory_format: object = None) -> Any:
        return self.to(dtype)

    method.__doc__ = f"The values as {dtype}, on the tape."
    return method


@guarded_class
class Conveniences(Card):
    """What PyTorch and NumPy let a tensor say in its own way."""

    __slots__ = ()

    # As attributes of a class these names hide Python's types in annotations, so that every method here returns Any.
    half, float, double, bfloat16 = _cast(float16), _cast(float32), _cast(float64), _cast(bfloat16)
    long, int, short, char, byte, bool = (_cast(dtype) for dtype in (int64, int32, int16, int8, uint8, bool_))

    def reshape(self, *shape: Any) -> Any:
        """The values in C order in another shape, given as a tuple or as integers; -1 stands for what is left."""
        return OPS["reshape"](self, _parts(shape))

    def view(self, *shape: Any) -> Any:
        """`reshape`; or, given a dtype, the same bits read as numbers of it."""
        if len(shape) == 1 and not isinstance(shape[0], (tuple, list)) and not hasattr(shape[0], "__index__"):
            return OPS["view_as_dtype"](self, shape[0])
        return OPS["reshape"](self, _parts(shape))

    def permute(self, *dims: Any) -> Any:
        """The axes in another order, given as a tuple or as integers."""
        return OPS["permute"](self, _parts(dims))

    def transpose(self, *axes: Any, **dims: Any) -> Any:
        """All axes reversed, or permuted as NumPy does; two integers swap these axes, as in PyTorch."""
        return OPS["transpose"](self, *axes, **dims)

    def expand(self, *sizes: Any) -> Any:
        """The values broadcast to sizes given as a tuple or as integers; -1 keeps an axis as it is."""
        return OPS["expand"](self, *sizes)

    def repeat(self, *sizes: Any) -> Any:
        """The values repeated along each axis, as PyTorch's ``repeat``, NumPy's ``tile``."""
        return OPS["repeat"](self, *sizes)

    def unfold(self, dimension: Any, size: Any, step: Any) -> Any:
        """The windows of ``size`` along an axis, ``step`` apart, as a new last axis."""
        return OPS["unfold_dim"](self, dimension, size, step)

    def view_as(self, other: Any) -> Any:
        """The values in C order in the shape of ``other``."""
        return OPS["reshape"](self, OPS["as_tensor"](other).shape)

    reshape_as = view_as

    def expand_as(self, other: Any) -> Any:
        """The values broadcast to the shape of ``other``."""
        return OPS["expand"](self, OPS["as_tensor"](other).shape)

    def type_as(self, other: Any) -> Any:
        """The values in the format of ``other``, on the tape."""
        return self.to(other.format)  # type: ignore[attr-defined]

    def type(self, dtype: Any = None, non_blocking: Any = False) -> Any:
        """The values in the format ``dtype``; without one the name that PyTorch has for a tensor of this one."""
        if dtype is None:
            return f"torch.{_TYPES.get(self.dtype.name, 'FloatTensor')}"  # type: ignore[attr-defined]
        names = {f"torch.{name}": format for format, name in _TYPES.items()}
        return self.to(names.get(dtype, dtype) if isinstance(dtype, str) else dtype)  # type: ignore[attr-defined]

    def astype(self, dtype: Any, copy: Any = True) -> Any:
        """NumPy's name for the values in another format."""
        return self.to(dtype)  # type: ignore[attr-defined]

    def copy(self) -> Any:
        """NumPy's name for `clone`."""
        return self.clone()  # type: ignore[attr-defined]

    def where(self, condition: Any, other: Any) -> Any:
        """These values where ``condition`` is true, ``other`` elsewhere."""
        return OPS["where"](condition, self, other)

    def apply_(self, function: Callable[..., Any]) -> Any:
        """``function`` of each value, a Python number, in place; no gradient."""
        values = [function(value) for value in self.array.reshape(-1).tolist()]  # type: ignore[attr-defined]
        return self.copy_(np.array(values).reshape(self.array.shape))  # type: ignore[attr-defined]

    # Devices and memory: there is one of each.

    def cpu(self, memory_format: object = None) -> Any:
        """The tensor itself: everything runs on the CPU."""
        return self

    def cuda(self, device: object = None, non_blocking: Any = False, memory_format: object = None) -> Any:
        """The tensor itself: everything runs on the CPU."""
        return self

    def to_device(self, device: object, /, *, stream: object = None) -> Any:
        """The array API's name for ``to(device)``: the tensor itself; ``ValueError`` for another device."""
        if str(getattr(device, "type", device)) != "cpu" or stream is not None:
            raise ValueError(f"device: {device} with stream={stream} is not allowed; allowed: cpu, without a stream")
        return self

    def pin_memory(self, device: object = None) -> Any:
        """The tensor itself."""
        return self

    def share_memory_(self) -> Any:
        """The tensor itself."""
        return self

    def contiguous(self, memory_format: object = None) -> Any:
        """The tensor itself, or a copy of a view whose values are not in C order, as in PyTorch."""
        return self if self.is_contiguous() else OPS["contiguous"](self)

    def is_contiguous(self, memory_format: object = None) -> Any:
        """Whether the values are in C order; a transposed tensor's are not."""
        return self.array.flags.c_contiguous  # type: ignore[attr-defined]

    def get_device(self) -> Any:
        """-1, PyTorch's number of the CPU."""
        return -1

    def stride(self, dim: Any = None) -> Any:
        """How many values lie between neighbours along each axis, or along ``dim``."""
        array = self.array  # type: ignore[attr-defined]
        found = tuple(step // array.itemsize for step in array.strides)
        return found if dim is None else found[dim]

    is_cpu = True
    is_cuda = is_sparse = is_quantized = is_meta = False

    # Shapes and kinds.

    def dim(self) -> Any:
        """The number of axes."""
        return len(self.shape)  # type: ignore[attr-defined]

    ndimension = dim

    def numel(self) -> Any:
        """The number of values."""
        return self.array.size  # type: ignore[attr-defined]

    nelement = numel

    def element_size(self) -> Any:
        """Bytes that one value takes in ``format``."""
        return self.format.itemsize  # type: ignore[attr-defined]

    def is_floating_point(self) -> Any:
        """Whether these are neither integers nor bools."""
        return not isinstance(self.format, Integer)  # type: ignore[attr-defined]

    def is_complex(self) -> Any:
        """False: there are no complex tensors."""
        return False

    def is_signed(self) -> Any:
        """Whether the dtype has negative numbers."""
        return self.format.is_signed  # type: ignore[attr-defined]

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return OPS["transpose"](self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return OPS["swapaxes"](self, -1, -2)

    H, mH = T, mT  # noqa: N815  # PyTorch's names

    def is_nonzero(self) -> Any:
        """Whether the only value is not zero."""
        return self.item() != 0  # type: ignore[attr-defined]

    def is_same_size(self, other: Any) -> Any:
        """Whether two tensors have one shape."""
        return self.shape == OPS["as_tensor"](other).shape  # type: ignore[attr-defined]

    def squeeze_(self, *dim: Any) -> Any:
        """Without axes of length 1, in place."""
        return self.turn("squeeze", *dim)  # type: ignore[attr-defined]

    def unsqueeze_(self, dim: Any) -> Any:
        """With an axis of length 1, in place."""
        return self.turn("unsqueeze", dim)  # type: ignore[attr-defined]

    def transpose_(self, dim0: Any, dim1: Any) -> Any:
        """Two axes swapped, in place."""
        return self.turn("swapaxes", dim0, dim1)  # type: ignore[attr-defined]

    def t_(self) -> Any:
        """The transpose of a matrix, in place."""
        return self.turn("t")  # type: ignore[attr-defined]

    swapaxes_ = swapdims_ = transpose_

    def resize_(self, *sizes: Any, memory_format: object = None) -> Any:
        """Another shape in place: the values in C order, cut off or filled up with zeros (PyTorch: anything)."""
        values, shape = self.array.reshape(-1), _parts(sizes)  # type: ignore[attr-defined]
        if self.requires_grad:  # type: ignore[attr-defined]
            raise RuntimeError("resize_: a tensor that takes a gradient keeps its shape; allowed: detach()")
        made = OPS["zeros"](shape, dtype=self.format).array  # type: ignore[attr-defined]
        filled = np.concatenate([values[: made.size], made.reshape(-1)[len(values) :]]).reshape(made.shape)
        return self.take_shape(filled)  # type: ignore[attr-defined]

    def resize_as_(self, the_template: Any, memory_format: object = None) -> Any:
        """The shape of another tensor in place; see `resize_`."""
        return self.resize_(OPS["as_tensor"](the_template).shape)

    # Tensors like this one, and random values in place of these.

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """A tensor of a copy of ``data``, off the tape, in this one's format where ``dtype`` names none."""
        return self._new("asarray", data, dtype=dtype, copy=True).detach().requires_grad_(requires_grad)

    def new_zeros(self, *size: Any, **options: Any) -> Any:
        """Zeros in this tensor's format."""
        return self._new("zeros", _parts(size), **options)

    def new_ones(self, *size: Any, **options: Any) -> Any:
        """Ones in this tensor's format."""
        return self._new("ones", _parts(size), **options)

    def new_empty(self, *size: Any, **options: Any) -> Any:
        """Zeros in this tensor's format, where PyTorch leaves what is in memory."""
        return self._new("zeros", _parts(size), **options)

    def new_full(self, size: Any, fill_value: Any, **options: Any) -> Any:
        """``fill_value`` in this tensor's format."""
        return self._new("full", size, fill_value, **options)

    def _new(self, name: str, *args: Any, dtype: Any = None, **options: Any) -> Any:
        return OPS[name](*args, dtype=self.dtype if dtype is None else as_dtype(dtype), **options)  # type: ignore[attr-defined]

    def fill_diagonal_(self, fill_value: Any, wrap: Any = False) -> Any:
        """``fill_value`` where all indices are equal, in place; with ``wrap`` a tall matrix has a diagonal again below.

        As in PyTorch, more than two axes must be of one length, and a number or a row has no diagonal.
        """
        shape = self.shape  # type: ignore[attr-defined]
        if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
            allowed = "matrices, or three axes and more of one length"
            raise RuntimeError(f"fill_diagonal_: shape {shape} is not allowed; allowed: {allowed}")
        step = sum(prod(shape[i + 1 :]) for i in range(len(shape)))
        end = prod(shape) if wrap or len(shape) > 2 else min(shape) * step
        return self.in_place("put_at", fill_value, places=np.arange(0, min(end, prod(shape)), step))  # type: ignore[attr-defined]

    def uniform_(self, a: Any = 0.0, b: Any = 1.0, *, generator: Any = None) -> Any:
        """Random values between ``a`` and ``b``."""
        return self._drawn("uniform", a, b, generator=generator)

    def normal_(self, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None) -> Any:
        """Random values of a normal distribution."""
        return self._drawn("normal", mean, std, generator=generator)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """1 with probability ``p``, else 0; ``ValueError`` outside 0 to 1."""
        return self._drawn("bernoulli", p, generator=generator)

    def exponential_(self, lambd: Any = 1.0, *, generator: Any = None) -> Any:
        """Random values of an exponential distribution."""
        return self._drawn("exponential", lambd, generator=generator)

    def cauchy_(self, median: Any = 0.0, sigma: Any = 1.0, *, generator: Any = None) -> Any:
        """Random values of Cauchy's distribution."""
        return self._drawn("cauchy", median, sigma, generator=generator)

    def log_normal_(self, mean: Any = 1.0, std: Any = 2.0, *, generator: Any = None) -> Any:
        """Exponentials of random values of a normal distribution."""
        return self._drawn("log_normal", mean, std, generator=generator)

    def geometric_(self, p: Any, *, generator: Any = None) -> Any:
        """How many trials the first success took, each a success with probability ``p``."""
        return self._drawn("geometric", p, generator=generator)

    def random_(self, *bounds: Any, generator: Any = None) -> Any:
        """Random integers from 0 (or the first bound) below the last."""
        return self._drawn("integers", *bounds, generator=generator)

    def _card(self: Any) -> Any:
        x, shape = self.array, " x ".join(map(str, self.shape)) or "scalar"
        facts: dict[str, Any] = {"shape": shape, "format": self.format}
        if not isinstance(self.format, Integer) and x.size:
            size = np.abs(x)
            finite = size[np.isfinite(size) & (size != 0)]
            facts |= {"magnitudes": f"{finite.min():.4g} to {finite.max():.4g}"} if finite.size else {}
            small = np.count_nonzero((size > 0) & (size < self.format.smallest_normal))
            counts = {"NaN": np.count_nonzero(np.isnan(x)), "infinite": np.count_nonzero(np.isinf(x)),
                      "subnormal": small, "zero": np.count_nonzero(x == 0)}  # fmt: skip
            facts |= {name: f"{n:,} of {x.size:,}" for name, n in counts.items() if n}
        return [("", Lines(repr(self))), ("", facts)]

    def _drawn(self, distribution: str, *parameters: Any, generator: Any) -> Any:
        return OPS["drawn"](self, distribution, *parameters, generator=generator)


_TYPES = {
    "float16": "HalfTensor", "float32": "FloatTensor", "float64": "DoubleTensor", "bfloat16": "BFloat16Tensor",
    "int64": "LongTensor", "int32": "IntTensor", "int16": "ShortTensor", "int8": "CharTensor", "uint8": "ByteTensor",
    "bool": "BoolTensor",
}  # fmt: skip
