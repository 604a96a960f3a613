"""DataLoader: batches of a data set, in PyTorch's order for the same seed."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from halfsim.autograd.random import Generator, integers
from halfsim.options import guarded_class
from halfsim.utils.data.collate import default_collate, default_convert
from halfsim.utils.data.dataset import IterableDataset
from halfsim.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from halfsim.utils.data.worker import Fetcher, Worker

T = TypeVar("T", covariant=True)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless:
    """The keys of an iterable data set, which has none."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T]):
    """Batches of ``dataset``, each made by ``collate_fn`` of a list of samples; `default_collate` where it is None.

    All is done in this process. With ``num_workers`` the batches come from as many workers in turn, each with random
    numbers, a copy of an iterable data set and a ``worker_init_fn`` call of its own, as PyTorch's processes have;
    ``pin_memory``, ``timeout``, ``prefetch_factor``, ``persistent_workers``, ``multiprocessing_context``, ``in_order``
    change nothing. The order of ``shuffle`` is PyTorch's for the same seed, of ``generator`` or `halfsim.manual_seed`.
    ``ValueError`` for options that exclude each other, and for setting one of them later.

    >>> import halfsim as hs
    >>> data = hs.utils.data.TensorDataset(hs.tensor([[1.0], [2.0], [3.0]]))
    >>> _ = hs.manual_seed(0)
    >>> [x.tolist() for x, in DataLoader(data, batch_size=2, shuffle=True)]
    [[[1.0], [3.0]], [[2.0]]]
    """

    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            for name, given in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if given is not None:
                    kind = given if isinstance(given, bool) else type(given).__name__
                    raise ValueError(f"{name}: {kind} is not allowed; allowed: None for an IterableDataset")
        if sampler is not None and shuffle:
            raise ValueError("shuffle: True is not allowed; allowed: False beside a sampler")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler: not allowed beside batch_size, shuffle, sampler or drop_last; allowed: alone"
            )
        if batch_size is None and drop_last:
            raise ValueError("drop_last: True is not allowed; allowed: False with batch_size=None")
        if sampler is None and iterable:
            sampler = _Endless()
        elif sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers, self.multiprocessing_context = persistent_workers, multiprocessing_context
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._said: int | None = None  # what len() said of an iterable data set
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            raise ValueError(f"{name}: not to be set later; allowed: a new DataLoader")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        keys = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        base_seed = int(integers(1, 0, 2**63, self.generator)[0])  # PyTorch draws it without workers too
        fetching = self.batch_sampler is not None, self.collate_fn, self.drop_last
        if not self.num_workers:
            return self._batches(keys, [Fetcher(self.dataset, *fetching)])
        start = base_seed, self.dataset, self.worker_init_fn, *fetching
        return self._batches(keys, [Worker(i, self.num_workers, *start) for i in range(self.num_workers)])

    def _batches(self, keys: Iterator[Any], fetchers: list[Any]) -> Iterator[Any]:
        """The batches of the fetchers in turn, until the keys or all of them have no more."""
        turn = 0
        for given, key in enumerate(keys, 1):
            while (found := fetchers[turn % len(fetchers)].fetch(key)) is None:
                del fetchers[turn % len(fetchers)]
                if not fetchers:
                    return
                turn %= len(fetchers)
            turn = turn % len(fetchers) + 1
            if self._said is not None and given > self._said:
                kind = type(self.dataset).__name__
                warnings.warn(f"{kind}: gave {given} samples, though its length is {self._said}", stacklevel=2)
            yield found[0]

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        length = len(self.dataset)  # type: ignore[arg-type]  # where it has one
        self._said = length
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


def _check_workers(workers: int, timeout: float, prefetch: int | None, persistent: bool) -> None:
    for name, value in (("num_workers", workers), ("timeout", timeout), ("prefetch_factor", prefetch or 0)):
        if value < 0:
            raise ValueError(f"{name}: {value} is not allowed; allowed: numbers from 0")
    for name, given in (("prefetch_factor", prefetch is not None), ("persistent_workers", persistent)):
        if given and not workers:
            raise ValueError(f"{name}: not allowed without workers; allowed: with num_workers from 1")


guarded_class(DataLoader)
