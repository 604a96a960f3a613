"""Who runs the rows: this process, processes of this machine, a Dask cluster, MPI, or any other executor."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any

from halfsim.names import near
from halfsim.options import shown
from halfsim.sweeps.attempt import Answer, Task, attempt, loaded
from halfsim.sweeps.local import LateError, LocalPool, LostError, UnstartedError
from halfsim.text import clipped

_ALLOWED = "None, 'serial', 'local:4', 'dask:ADDRESS', 'mpi', a concurrent.futures.Executor"
_PATIENCE = 60.0  # seconds that a driver waits for a scheduler that went away
_FRESH = 2.0  # seconds for which it is known how many processes there are


class StoppedError(Exception):
    """No row can be run here any more, and why."""


class Engine:
    """An executor as the driver sees it: where it sends a `Task`, and what an exception of it means.

    ``slots`` is how many rows run at once, as far as it says so. ``kills`` tells whether it ends rows that take too
    long. This class is of executors that the caller made: they are used as they are, and left open.
    """

    kills = False
    far = True  # whether its processes may be on other machines
    losses = 1  # how often a row may lose its process before that is its error
    ahead = 4  # rows in flight for each that runs: enough that none waits for the driver
    batch = 1  # rows that are worth a message: fewer are sent only where no more fly

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor

    def start(self, run: bytes, file: str, timeout: float | None) -> None:
        """Get ready for rows of this function."""

    @property
    def slots(self) -> int:
        for name in ("_max_workers", "num_workers"):  # of concurrent.futures, of mpi4py
            found = getattr(self._executor, name, None)
            if isinstance(found, int) and found > 0:
                return found
        return os.cpu_count() or 1

    @property
    def lives(self) -> bool:
        """Whether what has the rows is there still, as far as can be told without a row."""
        return True

    def submit(self, tasks: Sequence[Task]) -> list[Future[Answer]]:
        """Send rows; where that fails none of them counts as sent."""
        assert self._executor is not None
        return [self._executor.submit(attempt, task) for task in tasks]

    def meaning(self, error: BaseException) -> str:
        """What an exception in the place of an answer tells of: "late", "lost" (the row's process), "gone" (it all)."""
        if isinstance(error, LateError):
            return "late"
        if isinstance(error, LostError) or type(error).__name__ == "KilledWorker":
            return "lost"
        if isinstance(error, UnstartedError):
            return "wrong"
        if isinstance(error, (BrokenExecutor, CancelledError, OSError, TimeoutError)) or _told_so(error):
            return "gone"
        return "wrong"

    def reopen(self, error: BaseException) -> None:
        """Get it back after it was gone; `StoppedError` where that cannot be."""
        raise StoppedError(
            f"executor: {type(error).__name__}: {clipped(_words(error), 120)}; allowed: another executor, as 'local:4'"
        )

    def close(self) -> None:
        """Let go of what `start` took."""


def _told_so(error: BaseException) -> bool:
    """Whether Dask says that a connection, or all that it knew, is lost."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"CommClosedError", "FutureCancelledError", "FuturesCancelledError", "ClosedClientError"})


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Serial(Engine):
    """The driver's own process, one row after the other: for debuggers, notebooks, and to compare with."""

    slots = 1
    far = False
    ahead = 1

    def start(self, run: bytes, file: str, timeout: float | None) -> None:
        import random

        import numpy as np

        from halfsim.autograd.random import get_rng_state, set_rng_state

        self._restores: list[Callable[[], object]] = [
            partial(random.setstate, random.getstate()),
            partial(np.random.set_state, np.random.get_state()),
            partial(set_rng_state, get_rng_state()),
        ]

    def submit(self, tasks: Sequence[Task]) -> list[Future[Answer]]:
        found = []
        for task in tasks:
            future: Future[Answer] = Future()
            future.set_result(attempt(task))
            found.append(future)
        return found

    def close(self) -> None:
        for restore in self._restores:
            restore()


class Local(Engine):
    """Processes of this machine, which it may kill."""

    kills = True
    far = False
    losses = 3

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def start(self, run: bytes, file: str, timeout: float | None) -> None:
        self._executor: LocalPool = LocalPool(self._workers, timeout, partial(_warmed, run, file))

    @property
    def slots(self) -> int:
        return self._workers

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


def _warmed(run: bytes, file: str) -> None:
    with suppress(Exception):  # which the first row says
        loaded(run, file)


class Dask(Engine):
    """A cluster of Dask, by its address or by a client of the caller's.

    When its scheduler goes away the driver waits at the address for it to come back. Rows are sent, and their answers
    fetched, many at a time, since a message costs as much as several rows.
    """

    losses = 2  # of which each is four for Dask
    batch = 32

    def __init__(self, address: str, client: Any = None) -> None:
        super().__init__()
        self._address, self._client = address, client
        self._given = client is not None
        self._known = (0, 0.0)
        self._done: queue.SimpleQueue[_Pair | None] = queue.SimpleQueue()

    def start(self, run: bytes, file: str, timeout: float | None) -> None:
        self._first = partial(_warmed, run, file)
        try:
            self._open(10.0)
        except (OSError, ValueError, TimeoutError) as error:
            raise StoppedError(
                f"executor: {self._named} does not answer ({clipped(_words(error), 100)}); allowed: the address of a "
                "dask scheduler"
            ) from None

    @property
    def _named(self) -> str:
        return clipped(repr(f"dask:{self._address}"), 80)

    def _open(self, timeout: float) -> None:
        if not self._given:
            try:
                from distributed import Client
            except ImportError:
                raise ModuleNotFoundError(
                    "executor: dask is missing; it comes with: pip install 'halfsim[distributed]'"
                ) from None
            make: Any = Client
            self._client = make(self._address, timeout=timeout, set_as_default=False)
        self._known, self._done = (0, 0.0), queue.SimpleQueue()
        threading.Thread(target=_collect, args=(self._client, self._done), daemon=True).start()
        self._client.run(self._first)  # what the function imports is not the time of a row

    @property
    def slots(self) -> int:
        found, until = self._known
        if time.monotonic() > until:
            with suppress(Exception):  # while it is away
                found = sum(self._client.nthreads().values())
            self._known = (found, time.monotonic() + _FRESH)
        return max(found, 1)

    @property
    def lives(self) -> bool:
        return bool(self._client.status == "running")

    def submit(self, tasks: Sequence[Task]) -> list[Future[Answer]]:
        found, done = [], self._done
        for inner in self._client.map(attempt, tasks, pure=False):
            future: Future[Answer] = Future()
            inner.add_done_callback(lambda inner, future=future: done.put((future, inner)))
            found.append(future)
        return found

    def reopen(self, error: BaseException) -> None:
        if self._given:
            super().reopen(error)
        until = time.monotonic() + _PATIENCE
        self.close()
        while True:
            try:
                self._open(5.0)
                return
            except (OSError, ValueError, TimeoutError) as again:
                if time.monotonic() > until:
                    raise StoppedError(
                        f"executor: {self._named} went away and did not come back in {_PATIENCE:g} s "
                        f"({clipped(_words(again), 80)})"
                    ) from None
                time.sleep(0.5)

    def close(self) -> None:
        self._done.put(None)
        if self._client is not None and not self._given:
            with suppress(Exception):
                self._client.close(timeout=2)


_Pair = tuple[Future[Answer], Any]  # a future of ours, and the one of Dask that it stands for


def _collect(client: Any, done: queue.SimpleQueue[_Pair | None]) -> None:
    """Give futures what those of Dask have that are done, all that there are at a time, until a None comes."""
    more = True
    while more:
        pairs = [done.get()]
        while not done.empty():
            pairs.append(done.get())
        more = None not in pairs
        told = [pair for pair in pairs if pair is not None]
        finished = [inner for _, inner in told if inner.status == "finished"]
        try:
            answers = dict(zip((inner.key for inner in finished), client.gather(finished), strict=True))
        except BaseException:  # of one of them: each then says for itself
            answers = {}
        for future, inner in told:
            _pass_on(future, inner, answers)


def _pass_on(future: Future[Answer], inner: Any, answers: dict[str, Answer]) -> None:
    try:
        if inner.key in answers:
            future.set_result(answers[inner.key])
        elif inner.status == "finished":
            future.set_result(inner.result())
        else:
            future.set_exception(inner.exception() if inner.status == "error" else CancelledError(inner.status))
    except BaseException as error:  # while the connection is lost
        future.set_exception(error)
    inner.release()


class MPI(Engine):
    """The processes that ``mpiexec -n 5 python -m mpi4py.futures`` started."""

    def start(self, run: bytes, file: str, timeout: float | None) -> None:
        try:
            from mpi4py.futures import MPIPoolExecutor
        except ImportError:
            raise ModuleNotFoundError("executor: mpi4py is missing; it comes with: pip install mpi4py") from None
        self._executor = MPIPoolExecutor()

    def close(self) -> None:
        assert self._executor is not None
        self._executor.shutdown(wait=False, cancel_futures=True)


_KINDS: dict[str, Callable[[str], Engine]] = {
    "serial": lambda word: Serial(),
    "local": lambda word: Local(int(word) if word else _processors()),
    "dask": Dask,
    "mpi": lambda word: MPI(),
}
_WORDS = {"serial": "", "local": r"|[1-9]\d{0,3}", "dask": ".+", "mpi": ""}  # what may stand after the colon


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def engine_of(executor: Any) -> Engine:
    """The engine of a word, as "local:4", or of an executor; ``ValueError`` and ``TypeError`` name what is neither."""
    if executor is None:
        return Local(_processors())
    if isinstance(executor, str):
        kind, _, word = executor.partition(":")
        if kind in _KINDS and re.fullmatch(_WORDS[kind], word):
            return _KINDS[kind](word)
        hint = "".join(f" (did you mean {one!r}?)" for one in near(kind, _KINDS) if one != kind)
        raise ValueError(f"executor: {shown(executor)} is not allowed{hint}; allowed: {_ALLOWED}")
    if not isinstance(executor, Executor):
        raise TypeError(f"executor: {shown(executor)} is not allowed; allowed: {_ALLOWED}")
    client = getattr(executor, "_client", None)
    return Engine(executor) if client is None else Dask("", client)  # of Client.get_executor()
