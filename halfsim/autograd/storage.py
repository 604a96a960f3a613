"""Storage: the array of a tensor, shared by those that share memory in PyTorch.

No array is ever written into: an operation in place gives the storage a new one, and whoever shares it reads that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.numerics.quantize import Array

_DEEPEST = 32  # views of views that are followed; a loop may make thousands


class Storage:
    """One array, and how often it was exchanged."""

    __slots__ = ("array", "version")

    def __init__(self, array: Array) -> None:
        self.array, self.version = array, 0

    def read(self) -> Array:
        """The array as it is now."""
        return self.array

    def write(self, array: Array) -> None:
        """Take another array of the same shape."""
        self.array, self.version = array, self.version + 1


class View(Storage):
    """Elements of the tensor ``base``, which ``pick`` moves and repeats but never computes with."""

    __slots__ = ("base", "depth", "pick", "seen")

    def __init__(self, array: Array, base: Any, pick: Callable[[Array], Array]) -> None:
        super().__init__(array)
        self.base, self.pick = base, pick
        self.seen = base.storage.version
        self.depth: int = getattr(base.storage, "depth", 0) + 1

    def read(self) -> Array:
        """The array, picked anew if the base has another one now."""
        whole = self.base.storage.read()
        if self.base.storage.version != self.seen:
            self.array, self.seen, self.version = self.pick(whole), self.base.storage.version, self.version + 1
        return self.array

    def places(self) -> Array:
        """For each element its index among those of the base in C order."""
        shape = self.base.shape
        return self.pick(np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape))

    def write(self, array: Array) -> None:
        """Put the elements into the base, and so into every view of it."""
        whole = self.base.storage.read().copy()
        whole.reshape(-1)[self.places()] = array
        self.base.storage.write(whole)
        super().write(array)
        self.seen = self.base.storage.version


def view_of(base: Any, array: Array, pick: Callable[[Array], Array]) -> Storage:
    """The storage of a view, or of a copy where views of views go too deep."""
    deep = getattr(base.storage, "depth", 0) >= _DEEPEST
    return Storage(array) if deep else View(array, base, pick)
