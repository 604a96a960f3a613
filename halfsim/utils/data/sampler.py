"""Samplers: in which order a loader asks for samples. For the same seed it is PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from halfsim.autograd.random import Generator, integers, multinomial, permutation
from halfsim.autograd.tensor import plain
from halfsim.numerics.formats import whole
from halfsim.numerics.inputs import numbers_of
from halfsim.options import guarded_class
from halfsim.utils.data.dataset import keyed

T = TypeVar("T", covariant=True)


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: integers from 1")
    return value


def _flag(name: str, value: Any, error: type[Exception]) -> bool:
    if not isinstance(value, bool):
        raise error(f"{name}: {value!r} is not allowed; allowed: True, False")
    return value


class Sampler(Generic[T]):
    """The base of samplers: define ``__iter__``, and ``__len__`` where it is known."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("halfsim."):
            guarded_class(cls)

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__}: __iter__ is not defined")


class SequentialSampler(Sampler[int]):
    """All samples in their order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Samples in random order, each once, or ``num_samples`` of them; with ``replacement`` any at any time.

    Without ``generator`` the seed of each pass is drawn from the one in force. ``TypeError`` for a ``replacement`` that
    is no bool, ``ValueError`` for fewer than one sample.

    >>> list(RandomSampler(range(4), generator=Generator().manual_seed(0)))
    [0, 1, 3, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.generator = data_source, generator
        self.replacement = _flag("replacement", replacement, TypeError)
        self._num_samples = num_samples
        _positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, source = len(self.data_source), self.generator
        if source is None:
            source = Generator().manual_seed(int(integers(1, 0, 2**63)[0]))
        if self.replacement:
            for start in range(0, self.num_samples, 32):
                yield from integers(min(32, self.num_samples - start), 0, n, source).tolist()
            return
        for start in range(0, self.num_samples + 1, n):  # PyTorch draws an order for the rest, if there is none too
            yield from permutation(n, source).tolist()[: self.num_samples - start]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The ``indices`` in random order."""

    def __init__(self, indices: Sized, generator: Generator | None = None) -> None:
        self.indices, self.generator = keyed("indices", indices), generator

    def __iter__(self) -> Iterator[int]:
        for i in permutation(len(self.indices), self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """``num_samples`` samples by ``weights``, which need not add up to 1; each at most once without ``replacement``.

    ``ValueError`` for weights that are negative, not finite or all zero, or of several dimensions, and for more samples
    than there are without replacement.
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.num_samples = _positive("num_samples", num_samples)
        self.replacement = _flag("replacement", replacement, ValueError)
        self.weights, self.generator = np.asarray(numbers_of(plain(weights)), np.float64), generator
        if self.weights.ndim != 1:
            raise ValueError(f"weights: shape {self.weights.shape} is not allowed; allowed: one dimension")

    def __iter__(self) -> Iterator[int]:
        yield from multinomial(self.weights, self.num_samples, self.replacement, self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` of what ``sampler`` gives; the last may be shorter, or with ``drop_last`` left out.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        self.sampler, self.batch_size = sampler, _positive("batch_size", batch_size)
        self.drop_last = _flag("drop_last", drop_last, ValueError)

    def __iter__(self) -> Iterator[list[int]]:
        source = iter(self.sampler)
        while batch := list(islice(source, self.batch_size)):
            if not self.drop_last or len(batch) == self.batch_size:
                yield batch

    def __len__(self) -> int:
        size = len(self.sampler)  # type: ignore[arg-type]  # where it has one
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


class DistributedSampler(Sampler[int]):
    """The share of ``rank`` of ``num_replicas`` processes; here both are given, and 0 and 1 else.

    The order is drawn from ``seed`` and the epoch that `set_epoch` says. The shares are filled up to one size, or with
    ``drop_last`` cut. ``ValueError`` for a rank that is not one of 0 to ``num_replicas`` - 1.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0
        whole("seed", seed)
        self.num_replicas, self.rank = 1 if num_replicas is None else num_replicas, 0 if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"rank: {self.rank} is not allowed; allowed: 0 to {self.num_replicas - 1}")
        shared = len(dataset) - len(dataset) % self.num_replicas if drop_last else len(dataset)
        self.num_samples = math.ceil(shared / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        order = list(range(n))
        if self.shuffle:
            order = permutation(n, Generator().manual_seed(self.seed + self.epoch)).tolist()
        if not self.drop_last and n:
            order = (order * math.ceil(self.total_size / n))[: self.total_size]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass have an order of its own."""
        self.epoch = epoch
