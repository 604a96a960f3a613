"""Storage: the array of a tensor, shared by those that share memory in PyTorch.

No array is ever written into: an operation in place gives the storage a new one, and whoever shares it reads that.
"""

from __future__ import annotations

from math import prod
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, holder, round_to

_DEEPEST = 32  # views of views that are followed one by one; a loop may make thousands


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
    """Elements of the tensor ``base``, which ``move`` moves and repeats but never computes with.

    They are rounded to ``narrow``, where a precision in force made them so.
    """

    __slots__ = ("base", "depth", "move", "narrow", "seen")

    def __init__(self, array: Array, base: Any, move: Any, narrow: Format | None = None) -> None:
        super().__init__(array)
        self.base, self.move, self.narrow = base, move, narrow
        self.seen = base.storage.version
        self.depth: int = getattr(base.storage, "depth", 0) + 1

    def read(self) -> Array:
        """The array, picked anew if the base has another one now."""
        whole = self.base.storage.read()
        if self.base.storage.version != self.seen:
            picked = self.move.pick(whole)
            if self.narrow is not None:
                picked = np.asarray(round_to(picked, self.narrow)).astype(holder(self.narrow), copy=False)
            self.array, self.seen, self.version = picked, self.base.storage.version, self.version + 1
        return self.array

    @property
    def root(self) -> Any:
        """The tensor of which the base is a view, or a view of views."""
        x = self.base
        while isinstance(x.storage, View):
            x = x.storage.base
        return x

    def places(self) -> Array:
        """For each element its index among those of the root in C order."""
        above, shape = self.base.storage, self.base.shape
        return self.move.pick(above.places() if isinstance(above, View) else np.arange(prod(shape)).reshape(shape))

    def targets(self) -> Array:
        """`places`, to be written to: ``RuntimeError`` where several elements of the view are one of the root."""
        places = self.places()
        hit = np.zeros(prod(self.root.shape), np.bool_)
        hit[places] = True
        if np.count_nonzero(hit) != places.size:
            raise RuntimeError("in place: several values of an expanded tensor are one in memory; allowed: x.clone()")
        return places

    def write(self, array: Array) -> None:
        """Put the elements into the root, and so into every view of it."""
        storage, places = self.root.storage, self.targets()
        whole = storage.read().copy()
        if self.narrow is not None:  # what was not changed stays as wide as it is
            word = f"u{array.itemsize}"
            changed = np.ascontiguousarray(array).view(word) != np.ascontiguousarray(self.array).view(word)
            places, array = places[changed], array[changed]
        whole.reshape(-1)[places] = array
        storage.write(whole)
        self.read()


def view(out: Any, base: Any, move: Any) -> None:
    """Let the tensor ``out``, which ``move`` made of ``base``, share its values, and stand on the tape as it does.

    Where views of views go deep it becomes one of the tensor that they all are views of.
    """
    narrow = None if out.format == base.format else out.format
    out.storage = View(out.array, base, move, narrow)
    if out.storage.depth > _DEEPEST:
        places, base = out.storage.places(), out.storage.root
        out.storage = View(out.array, base, move.at(places, base.shape), narrow)
    if base.views is None:
        base.views = WeakValueDictionary()
    base.views[id(out)] = out
