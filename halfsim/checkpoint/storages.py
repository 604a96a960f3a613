"""The numbers behind the tensors of a ``torch.save`` file: storages, of which tensors are views.

Nothing is copied by tensor, so that a file takes no more memory than its storages do, whatever it says of views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from halfsim.autograd.tensor import Tensor
from halfsim.checkpoint.files import INTEGERS, RefusedError, Stored
from halfsim.checkpoint.tree import as_tensor
from halfsim.numerics.formats import NARROW, TORCH_FLOAT8, Format, Integer, as_dtype
from halfsim.numerics.quantize import Array

_CODED = {kind: NARROW[kind] for kind in ("bfloat16", *TORCH_FLOAT8)}
_TYPED = {"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Bool": "bool"}
_TYPED |= {"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"}


class Kind(NamedTuple):
    """A kind of storage: of numbers of a kind, or "" where each tensor says its own."""

    name: str


# What stands for a kind of numbers in a file: PyTorch's dtypes, and its typed storages.
DTYPES: dict[str, Format | Integer] = {
    name: as_dtype(name) for name in (*INTEGERS, "float16", "float32", "float64", *_CODED)
}
KINDS = {f"{name}Storage": Kind(kind) for name, kind in _TYPED.items()}


def _itemsize(kind: str) -> int:
    return np.dtype(_CODED.get(kind, kind)).itemsize


class Storage:
    """The bytes of a storage, and their numbers by kind, each decoded once."""

    def __init__(self, data: bytearray, kind: str, order: str) -> None:
        self.data, self.kind, self.order = data, kind, order
        self._decoded: dict[str, Tensor] = {}

    def numbers(self, kind: str) -> Tensor:
        """All numbers, flat."""
        if kind not in self._decoded:
            self._decoded[kind] = self._read(kind)
        return self._decoded[kind]

    def _read(self, kind: str) -> Tensor:
        if len(self.data) % _itemsize(kind):
            raise RefusedError(f"has a storage of {len(self.data)} bytes for {kind}")
        codes = np.frombuffer(self.data, self.order + np.dtype(_CODED.get(kind, kind)).str[1:])
        codes = codes.astype(codes.dtype.newbyteorder("="), copy=False)
        return as_tensor(Stored(kind, codes.view(np.uint8) != 0 if kind == "bool" else codes))


class Storages:
    """The storages of a file: ``load(key, size)`` gives the bytes of one, which must be ``size``."""

    def __init__(self, load: Callable[[str, int], bytearray], order: str = "<") -> None:
        self._load, self._order = load, order
        self._found: dict[str, Storage] = {}

    @staticmethod
    def parsed(name: Any) -> tuple[str, str, int, int]:
        """Kind, key, count and bytes of a storage by its name: ("storage", its kind, its key, a device, its count)."""
        whole = isinstance(name, tuple) and len(name) >= 5 and name[0] == "storage" and isinstance(name[1], Kind)
        if not whole or not isinstance(name[2], str) or type(name[4]) is not int or name[4] < 0:
            raise RefusedError("names a storage in no way that PyTorch does")
        if len(name) > 5 and name[5] is not None:
            raise RefusedError("has a view of a storage, as only PyTorch before 0.4 wrote")
        kind, key, count = name[1].name, name[2], name[4]
        return kind, key, count, count * (_itemsize(kind) if kind else 1)

    def find(self, name: Any) -> Any:
        """The storage of that name."""
        kind, key, _, size = self.parsed(name)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = Storage(self._load(key, size), kind, self._order)
        if len(found.data) != size or found.kind != kind:
            raise RefusedError(f"says two things of storage {key[:50]!r}")
        return found


def view(storage: Any, kind: Any, offset: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    """The tensor of ``size`` and ``stride`` in ``storage``, numbers of ``kind``, if it lies in there."""
    if storage is None:  # of a first reading, see `legacy`
        return None
    if not isinstance(storage, Storage) or kind not in DTYPES:
        raise RefusedError("makes a tensor of no storage, or of no numbers")
    numbers = storage.numbers(kind)
    flat: Array = numbers.array
    _check(flat.size, offset, size, stride)
    if 0 in size:
        values = np.zeros(size, flat.dtype)
    else:
        values = as_strided(flat[offset:], size, [n * flat.itemsize for n in stride])
    return Tensor(values, numbers.format, requires_grad is True and isinstance(numbers.format, Format))


def _check(count: int, offset: Any, size: Any, stride: Any) -> None:
    """That a view lies within ``count`` numbers."""
    both = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 64
    if not both or not all(type(n) is int and 0 <= n < 2**63 for n in (offset, *size, *stride)):
        raise RefusedError("has a tensor of no shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= count:
        raise RefusedError(f"has a tensor that ends at number {last} of a storage of {count}")
    if 0 in size and any(n > 2**31 for n in size):
        raise RefusedError("has an empty tensor of no shape")
