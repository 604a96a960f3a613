"""What PyTorch's worker processes do, one after the other in this process."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from halfsim.autograd.random import manual_seed
from halfsim.card import Record
from halfsim.utils.data.dataset import IterableDataset, samples


@dataclass
class WorkerInfo(Record):
    """What `get_worker_info` gives: which worker runs, of how many, its seed and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_INFO: ContextVar[WorkerInfo | None] = ContextVar("halfsim_worker", default=None)


def get_worker_info() -> WorkerInfo | None:
    """Which worker asks, in a data set, a collate function or a ``worker_init_fn``; None outside.

    >>> get_worker_info() is None
    True
    """
    return _INFO.get()


class Fetcher:
    """What makes batches of the keys of a sampler: ``None`` where an iterable data set has no more."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset, self.batched, self.collate, self.drop_last = dataset, batched, collate, drop_last
        self._source = iter(dataset) if isinstance(dataset, IterableDataset) else None

    def fetch(self, keys: Any) -> tuple[Any] | None:
        """The batch of ``keys``, in a tuple of its own."""
        if self._source is None:
            data = samples(self.dataset, keys) if self.batched else self.dataset[keys]
            return (self.collate(data),)
        data = list(islice(self._source, len(keys) if self.batched else 1))
        if not data or (self.batched and self.drop_last and len(data) < len(keys)):
            return None
        return (self.collate(data if self.batched else data[0]),)


class Worker:
    """A worker: its fetcher in a context of its own, where random numbers are its own too, those of PyTorch's worker.

    That is halfsim's generator, that of ``random`` and ``numpy.random``'s; an iterable data set is copied, so that a
    ``worker_init_fn`` may give each worker its share.
    """

    def __init__(self, id: int, count: int, base_seed: int, dataset: Any, init: Any, *fetching: Any) -> None:
        self._context, self._streams = copy_context(), _seeded(base_seed, id)
        if isinstance(dataset, IterableDataset):
            dataset = copy.copy(dataset)
        info = WorkerInfo(id, count, base_seed + id, dataset)

        def start() -> Fetcher:
            _INFO.set(info)
            manual_seed(info.seed % 2**64)
            if init is not None:
                init(id)
            return Fetcher(dataset, *fetching)

        with self._own_streams():
            self._fetcher = self._context.run(start)

    def fetch(self, keys: Any) -> tuple[Any] | None:
        with self._own_streams():
            return self._context.run(self._fetcher.fetch, keys)

    @contextmanager
    def _own_streams(self) -> Iterator[None]:
        outside = random.getstate(), np.random.get_state()
        _set_streams(self._streams)
        try:
            yield
        finally:
            self._streams = random.getstate(), np.random.get_state()
            _set_streams(outside)


def _set_streams(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])


def _seeded(base_seed: int, id: int) -> tuple[Any, Any]:
    words = np.random.SeedSequence([id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]).generate_state(4)
    return random.Random(base_seed + id).getstate(), np.random.RandomState(words).get_state()
