"""PyTorch's names at its top level that are no operations: dtypes, constants, switches. Ported scripts ask for them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.policy import Policy
from halfsim.autograd.scope import amended, no_grad, scope, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import (
    Format,
    Integer,
    as_dtype,
    as_format,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promoted,
    uint8,
    uint16,
    uint32,
    uint64,
)
from halfsim.options import guarded_names, refused

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "are_deterministic_algorithms_enabled",
    "bool",
    "can_cast",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "double",
    "dtype",
    "e",
    "finfo",
    "float",
    "get_autocast_dtype",
    "get_num_threads",
    "half",
    "iinfo",
    "inf",
    "inference_mode",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_autocast_enabled",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_nonzero",
    "is_tensor",
    "long",
    "nan",
    "newaxis",
    "numel",
    "pi",
    "preserve_format",
    "promote_types",
    "result_type",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "short",
    "strided",
    "typename",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "use_deterministic_algorithms",
]

inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None


# Layouts of memory, which are taken and change nothing.
channels_last, channels_last_3d, contiguous_format, preserve_format, strided = (
    f"torch.{name}" for name in ("channels_last", "channels_last_3d", "contiguous_format", "preserve_format", "strided")
)


class dtype:  # noqa: N801  # PyTorch's name
    """What ``isinstance`` asks of a tensor's dtype: a `Format`, or the dtype of integers or bools."""

    def __new__(cls, spec: object) -> Any:
        """The dtype that ``spec`` names."""
        return as_dtype(spec)


def is_tensor(obj: Any) -> Any:
    """Whether ``obj`` is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Any) -> Any:
    """Whether a tensor holds neither integers nor bools."""
    return input.is_floating_point()


def is_complex(input: Any) -> Any:
    """False: there are no complex tensors."""
    return False


def is_nonzero(input: Any) -> Any:
    """Whether the only value of a tensor is not zero."""
    return input.is_nonzero()


_AUTOCASTS = {"amp": float16, "amp_bf16": bfloat16}


def is_autocast_enabled(device_type: Any = None) -> Any:
    """Whether an `halfsim.autocast` is in force."""
    return isinstance(scope().rule, Policy) and str(scope().rule) in _AUTOCASTS


def get_autocast_dtype(device_type: Any) -> Any:
    """The format of an autocast in force, or of one that says none."""
    usual = bfloat16 if str(device_type).startswith("cpu") else float16
    return _AUTOCASTS[str(scope().rule)] if is_autocast_enabled() else usual


def numel(input: Any) -> Any:
    """The number of values of a tensor."""
    return input.numel()


def typename(obj: Any) -> str:
    """PyTorch's name for the type of an object."""
    return str(obj.type()) if isinstance(obj, Tensor) else type(obj).__name__


def finfo(type: object = None) -> Format:
    """The numbers of a floating-point format, which it has itself: ``max``, ``min``, ``eps``, ``tiny``, ``bits``.

    >>> finfo("float16").max, finfo("bfloat16").eps
    (65504.0, 0.0078125)
    """
    return as_format(float32 if type is None else type, "type")


def iinfo(type: object) -> Integer:
    """The numbers of a dtype of integers: ``min``, ``max``, ``bits``."""
    found = as_dtype(type, "type")
    if not isinstance(found, Integer):
        raise refused("type", str(found), "dtypes of integers")
    return found


def promote_types(type1: object, type2: object) -> Format | Integer:
    """The dtype of what two dtypes make together, as PyTorch has it: a float beside an integer stays what it is."""
    return promoted([as_dtype(type1), as_dtype(type2)])


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of ``tensor1 + tensor2``."""
    first = tensor1 if isinstance(tensor1, Tensor) else tensor(tensor1)
    second = tensor2 if isinstance(tensor2, Tensor) else tensor(tensor2)
    both = first is not tensor1 and second is not tensor2  # numbers, which make tensors of their own
    return (first + (second if both else tensor2)).dtype


def can_cast(from_: object, to: object) -> Any:
    """Whether PyTorch casts one dtype to another by itself: not from floats to integers, nor from these to bools."""
    source, target = as_dtype(from_), as_dtype(to)
    if isinstance(target, Integer):
        return isinstance(source, Integer) and (target is not bool_ or source is bool_)
    return True


class set_grad_enabled(scoped):  # noqa: N801  # PyTorch's name
    """Switch the recording of gradients on or off from here on, or in a context.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    def __init__(self, mode: Any) -> None:
        if not isinstance(mode, (np.bool_, sys.modules["builtins"].bool)):
            raise refused("mode", mode, "True, False")
        super().__init__(gradients=mode)
        self.__dict__["_undo"] = amended(gradients=mode)

    @staticmethod
    def _undo() -> None:
        """Nothing, for a copy."""

    def __call__(self, function: Any) -> Any:
        self._undo()  # as a decorator, or a context, it switches nothing for good
        return super().__call__(function)

    def __enter__(self) -> None:
        self._undo()
        super().__enter__()

    def __getstate__(self) -> dict[str, Any]:
        return {"restart": self.restart, "changes": self.changes}  # a copy has switched nothing


def is_grad_enabled() -> Any:
    """Whether operations are recorded for gradients."""
    return scope().gradients


def inference_mode(mode: Any = True) -> Any:
    """`no_grad` by its newer name: a context, or a decorator with or without parentheses."""
    if callable(mode):
        return no_grad(mode)
    return scoped(gradients=False) if mode else scoped()


def compile(model: Any = None, **ignored: Any) -> Any:
    """The model itself, or a decorator that leaves it so: programs run as they are written."""
    return (lambda function: function) if model is None else model


def set_num_threads(int: Any) -> None:
    """Accepted: sums have one order whatever the number of threads, but under ``blas``."""


def get_num_threads() -> Any:
    """1."""
    return 1


def use_deterministic_algorithms(mode: Any, *, warn_only: Any = False) -> None:
    """Accepted: the same input and seed give the same bits; `halfsim.reproducible` says so of ``blas`` too."""


def are_deterministic_algorithms_enabled() -> Any:
    """True: see `use_deterministic_algorithms`."""
    return True


def set_float32_matmul_precision(precision: Any) -> None:
    """Accepted: ``halfsim.precision("tf32")`` is the context that simulates it."""


def set_printoptions(
    precision: Any = None,
    threshold: Any = None,
    edgeitems: Any = None,
    linewidth: Any = None,
    profile: Any = None,
    sci_mode: Any = None,
) -> None:
    """How tensors are shown: NumPy's options of these names."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    given = {name: sys.maxsize if value == math.inf else value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, Integral):
            raise refused(name, value, "integers, None")
    np.set_printoptions(**given)


def _of(kind: Any) -> Callable[..., Any]:
    def make(*data: Any) -> Tensor:
        sizes = all(isinstance(n, Integral) for n in data)
        return tensor(np.zeros(data) if sizes and data else data[0] if data else [], kind)

    make.__doc__ = f"A tensor of {kind} of the given values; of zeros if a shape is given in integers."
    return make


Integral = np.integer | sys.modules["builtins"].int
FloatTensor, DoubleTensor, HalfTensor = _of(float32), _of(float64), _of(float16)
LongTensor, IntTensor, ByteTensor, BoolTensor = _of(int64), _of(int32), _of(uint8), _of(bool_)

# PyTorch's other names of dtypes. They hide Python's types below this line.
half, double, short = float16, float64, int16
long, int, float, bool = int64, int32, float32, bool_

guarded_names(globals(), __all__)
