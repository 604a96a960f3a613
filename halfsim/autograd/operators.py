"""Python's operators on a tensor, each an operation on the simulated unit, and the register of operations.

All of it only names operations, which `halfsim.autograd.tape.op` has put into `OPS`. So a tensor has methods and
operators whose code, which makes tensors, stands above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

OPS: dict[str, Callable[..., Any]] = {}  # every operation by name, and "backward"


def _forward(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return OPS[name](self, other)

    operator.__name__, operator.__doc__ = f"__{name}__", f"See `halfsim.ops.{name}`."
    return operator


def _reflected(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return OPS[name](other, self)

    operator.__name__, operator.__doc__ = f"__r{name}__", f"See `halfsim.ops.{name}`."
    return operator


def _augmented(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return self.in_place(name, other)

    operator.__name__, operator.__doc__ = f"__i{name}__", f"See `halfsim.ops.{name}`."
    return operator


class Operators:
    """The operators of a `Tensor`."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = _forward("add"), _reflected("add"), _augmented("add")
    __sub__, __rsub__, __isub__ = _forward("sub"), _reflected("sub"), _augmented("sub")
    __mul__, __rmul__, __imul__ = _forward("mul"), _reflected("mul"), _augmented("mul")
    __truediv__, __itruediv__ = _forward("div"), _augmented("div")
    __pow__, __rpow__, __ipow__ = _forward("pow"), _reflected("pow"), _augmented("pow")
    __matmul__, __rmatmul__ = _forward("matmul"), _reflected("matmul")
    __floordiv__, __rfloordiv__, __ifloordiv__ = (
        _forward("floor_divide"),
        _reflected("floor_divide"),
        _augmented("floor_divide"),
    )
    __mod__, __rmod__, __imod__ = _forward("remainder"), _reflected("remainder"), _augmented("remainder")
    __and__, __rand__, __iand__ = _forward("bitwise_and"), _reflected("bitwise_and"), _augmented("bitwise_and")
    __or__, __ror__, __ior__ = _forward("bitwise_or"), _reflected("bitwise_or"), _augmented("bitwise_or")
    __xor__, __rxor__, __ixor__ = _forward("bitwise_xor"), _reflected("bitwise_xor"), _augmented("bitwise_xor")
    __lshift__, __rlshift__ = _forward("bitwise_left_shift"), _reflected("bitwise_left_shift")
    __rshift__, __rrshift__ = _forward("bitwise_right_shift"), _reflected("bitwise_right_shift")
    __lt__, __le__, __gt__, __ge__ = _forward("lt"), _forward("le"), _forward("gt"), _forward("ge")
    __getitem__ = _forward("getitem")

    def __neg__(self) -> Any:
        return OPS["neg"](self)

    def __abs__(self) -> Any:
        return OPS["abs"](self)

    def __invert__(self) -> Any:
        return OPS["bitwise_not"](self)

    def __rtruediv__(self, other: Any) -> Any:
        return OPS["mul"](OPS["reciprocal"](self), other)  # as in PyTorch, where autocast runs it in float32

    def __pos__(self) -> Any:
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        self.in_place("setitem", value, index=index)  # type: ignore[attr-defined]  # which a Tensor has

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # type: ignore[arg-type]

    def __contains__(self, value: Any) -> bool:
        return bool(OPS["any"](OPS["eq"](self, value)))
