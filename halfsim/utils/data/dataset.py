"""Data sets: what a loader takes its samples from."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

import numpy as np

from halfsim.autograd.random import Generator, permutation
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import NARROW
from halfsim.numerics.inputs import unmasked
from halfsim.options import guarded_class, guarded_names, refused

T = TypeVar("T", covariant=True)


class Dataset(Generic[T]):
    """The base of data sets that give a sample for a key: define ``__getitem__`` and, for samplers, ``__len__``.

    A loader asks ``__getitems__`` with a list of keys for a list of samples where that is defined. ``a + b`` is one
    after the other.

    >>> class Squares(Dataset[int]):
    ...     def __len__(self): return 4
    ...     def __getitem__(self, i): return i * i
    >>> (Squares() + Squares())[5]
    1
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("halfsim."):
            guarded_class(cls)

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError(f"{type(self).__name__}: __getitem__ is not defined")

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """The base of data sets that give their samples one after the other: define ``__iter__``."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__}: __iter__ is not defined")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples are the tuples of the rows of ``tensors``, Tensors or NumPy arrays of one first size.

    ``ValueError`` for none and for different sizes, ``TypeError`` for what are no numbers.

    >>> from halfsim import tensor
    >>> TensorDataset(tensor([[1.0], [2.0]]), np.array([7, 8]))[1]
    (tensor([2.], float32), np.int64(8))
    """

    tensors: tuple[Any, ...]

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("tensors: none are not allowed; allowed: at least one")
        for x in tensors:
            unmasked(x, "tensors")
            if not isinstance(x, (Tensor, np.ndarray)):
                raise TypeError(f"tensors: {type(x).__name__} is not allowed; allowed: Tensor, ndarray")
            if not isinstance(x, Tensor) and x.dtype.kind not in "fiub" and x.dtype.name not in NARROW:
                raise TypeError(f"tensors: an array of {x.dtype} is not allowed; allowed: real numbers")
        sizes = [len(x) if x.ndim else None for x in tensors]
        if any(size is None or size != sizes[0] for size in sizes):
            raise ValueError(f"tensors: first sizes {sizes} are not allowed; allowed: the same for all")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        if isinstance(index, (bytes, bytearray)):  # which NumPy would read as integers
            raise refused("index", index, "integers, slices, arrays of integers")
        return tuple(_rows(x, index) for x in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


def _rows(x: Any, index: Any) -> Any:
    """``x[index]``; loading data is no operation, so nothing is rounded to a precision in force or noted."""
    if isinstance(x, Tensor) and not x.requires_grad and not isinstance(index, Tensor):
        return Tensor(np.asarray(x.array[index]), x.format)
    return x[index]


class StackDataset(Dataset[Any]):
    """Samples of several data sets of one length side by side: tuples, or dicts for data sets given by name.

    ``ValueError`` for no data set, for some given by place and some by name, and for different lengths.

    >>> StackDataset(x=[1, 2], y="ab")[1]
    {'x': 2, 'y': 'b'}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            given = "no data set" if not args else "data sets by place and by name"
            raise ValueError(f"StackDataset: {given} is not allowed; allowed: all by place, or all by name")
        for d in args or kwargs.values():
            keyed("datasets", d)
        self.datasets = args or kwargs
        lengths = [len(d) for d in self._parts()]
        if len(set(lengths)) > 1:
            raise ValueError(f"datasets: lengths {lengths} are not allowed; allowed: the same for all")
        self._length = lengths[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _joined(self, parts: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, parts, strict=True)) if isinstance(self.datasets, dict) else tuple(parts)

    def __getitem__(self, index: Any) -> Any:
        return self._joined(d[index] for d in self._parts())

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        columns = [samples(d, indices) for d in self._parts()]
        if any(len(column) != len(indices) for column in columns):
            got = [len(column) for column in columns]
            raise ValueError(f"__getitems__: {got} samples are not allowed; allowed: {len(indices)} for as many keys")
        return [self._joined(parts) for parts in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T]):
    """The samples of all ``datasets``, one data set after the other. ``ValueError`` for none, or iterable ones."""

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets: an empty iterable is not allowed; allowed: at least one data set")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ValueError("datasets: IterableDataset is not allowed; allowed: data sets with keys, or ChainDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Where each of the data sets ends."""
        return list(accumulate(len(d) for d in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: Any) -> T:
        if idx < -len(self):
            raise ValueError(f"index: {idx} is not allowed; allowed: from -{len(self)}")
        idx += len(self) if idx < 0 else 0
        place = bisect_right(self.cumulative_sizes, idx)
        found: T = self.datasets[place][idx - (self.cumulative_sizes[place - 1] if place else 0)]
        return found


class ChainDataset(IterableDataset[T]):
    """The samples of iterable data sets, one data set after the other. ``ValueError`` for others."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise ValueError(f"datasets: {type(d).__name__} is not allowed; allowed: IterableDataset")

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class Subset(Dataset[T]):
    """The samples of ``dataset`` at ``indices``."""

    dataset: Any
    indices: Any

    def __init__(self, dataset: Any, indices: Sized) -> None:
        self.dataset, self.indices = keyed("dataset", dataset), keyed("indices", indices)
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(f"{kind.__name__}: __getitem__ is overridden; allowed: with __getitems__ too")

    def __getitem__(self, idx: Any) -> T:
        found: T = self.dataset[[self.indices[i] for i in idx] if isinstance(idx, list) else self.indices[idx]]
        return found

    def __getitems__(self, indices: list[Any]) -> list[T]:
        return samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def keyed(name: str, value: Any) -> Any:
    """``value``, an argument called ``name``; ``TypeError`` for what gives nothing for a key."""
    if isinstance(value, type) or not hasattr(value, "__getitem__"):
        raise refused(name, value, "what has __getitem__: a data set, a list, an array")
    return value


def samples(dataset: Any, keys: Sequence[Any]) -> list[Any]:
    """The samples at ``keys``, by ``__getitems__`` where ``dataset`` has it."""
    several = getattr(dataset, "__getitems__", None)
    return several(keys) if callable(several) else [dataset[key] for key in keys]


def random_split(dataset: Sized, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Random parts of ``dataset`` of ``lengths``, or of fractions whose sum is 1, the same as PyTorch's by seed.

    A remainder goes to the first parts, one sample each. ``ValueError`` for lengths that do not add up.

    >>> from halfsim import Generator
    >>> [part.indices for part in random_split(range(5), [0.6, 0.4], Generator().manual_seed(42))]
    [[2, 4, 3], [0, 1]]
    """
    total, parts = sum(lengths), list(lengths)
    if math.isclose(total, 1) and total <= 1:
        for fraction in parts:
            if not 0 <= fraction <= 1:
                raise ValueError(f"lengths: {fraction} is not allowed; allowed: fractions from 0 to 1")
        parts = [math.floor(len(dataset) * fraction) for fraction in parts]
        for i in range(int(len(dataset) - sum(parts))):
            parts[i % len(parts)] += 1
        for i, length in enumerate(parts):
            if not length:
                warnings.warn(f"random_split: part {i} is empty", stacklevel=2)
    if sum(parts) != len(dataset):
        raise ValueError(f"lengths: a sum of {sum(parts)} is not allowed; allowed: 1, or {len(dataset)}, all samples")
    sizes = [int(length) for length in parts]
    order = permutation(len(dataset), generator).tolist()
    return [Subset(dataset, order[end - size : end]) for end, size in zip(accumulate(sizes), sizes, strict=True)]


guarded_names(globals(), ["random_split"])
