"""Processes of this machine, each with one row at a time: a row that hangs or ends its process costs that one alone."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
            "NUMEXPR_NUM_THREADS")  # fmt: skip
_STARTS = 10  # processes killed while they start, one after the other
_START = threading.Lock()  # while a process starts the environment is another


class LateError(Exception):
    """The call took longer than it was given, and its process was killed."""


class LostError(Exception):
    """The process that ran the call ended before it came back."""


class UnstartedError(Exception):
    """A process ended before it could take a call; ``killed`` if by a signal, from outside."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker process ended while it started, with exit code {code}")
        self.killed = code < 0


class LocalPool(Executor):
    """A `concurrent.futures.Executor` of ``workers`` processes that may be killed one by one.

    Each runs one call at a time; one that takes more than ``timeout`` seconds is killed with all that it started, and
    a new process takes its place. Processes are spawned, with one thread for BLAS unless the environment says another
    number; they end when this process does. What they print goes to standard error. ``first`` is called in each process
    before the first call, whose time it does not take.
    """

    def __init__(self, workers: int, timeout: float | None = None, first: Callable[[], object] | None = None) -> None:
        self.workers, self._timeout, self._first = workers, timeout, first
        self._calls: queue.SimpleQueue[tuple[Future[Any], Any] | None] = queue.SimpleQueue()
        self._processes: set[Any] = set()
        self._ended = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` in a process that is free, or the next that is."""
        future: Future[Any] = Future()
        self._calls.put((future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: once all calls are done, or with ``cancel_futures`` now."""
        self._ended = self._ended or cancel_futures
        for _ in self._threads:
            self._calls.put(None)
        if cancel_futures:
            for process in list(self._processes):
                _kill(process)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        process: Any = None
        pipe: Connection | None = None
        while (item := self._calls.get()) is not None:
            future, call = item
            if self._ended or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            try:
                if process is None:
                    process, pipe = self._started()
                assert pipe is not None
                pipe.send(call)
                if not pipe.poll(self._timeout):
                    raise LateError(f"took more than {self._timeout:g} s")
                good, answer = pipe.recv()
            except (EOFError, OSError):
                self._end(process)
                process = None
                future.set_exception(LostError("the process that ran it ended"))
            except BaseException as error:
                self._end(process)
                process = None
                future.set_exception(error)
            else:
                (future.set_result if good else future.set_exception)(answer)
        if pipe is not None:
            pipe.close()  # which ends the process
        self._end(process, kill=False)

    def _started(self) -> tuple[Any, Connection]:
        """A process that is ready; `UnstartedError` where one after the other ends before it is."""
        for left in reversed(range(_STARTS)):
            try:
                return self._spawned()
            except UnstartedError as error:
                if not left or self._ended or not error.killed:
                    raise
        raise AssertionError

    def _spawned(self) -> tuple[Any, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._first), daemon=False)
        with _START:
            kept = {name: os.environ.get(name) for name in _THREADS}
            os.environ.update({name: value or "1" for name, value in kept.items()})
            try:
                process.start()
            finally:
                for name, value in kept.items():
                    if value is None:
                        del os.environ[name]
        theirs.close()
        self._processes.add(process)
        try:
            ours.recv()
        except (EOFError, OSError):
            process.join()
            self._processes.discard(process)
            raise UnstartedError(process.exitcode or 0) from None
        if self._ended:
            _kill(process)
        return process, ours

    def _end(self, process: Any, kill: bool = True) -> None:
        if process is not None:
            if kill:
                _kill(process)
            process.join()
            self._processes.discard(process)


def _kill(process: Any) -> None:
    """Kill a process and what it started."""
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _work(pipe: Connection, first: Callable[[], object] | None) -> None:
    """What a process does: call what comes, until nothing can come any more."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, which Ctrl-C does not reach and which is killed as one
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()
    with suppress(OSError):
        sys.stdout.flush()
        os.dup2(2, 1)
    if first is not None:
        first()
    answer: Any = None
    with suppress(EOFError, OSError):  # nobody is there any more
        while True:
            pipe.send(answer)
            fn, args, kwargs = pipe.recv()
            answer = _called(fn, args, kwargs)


def _called(fn: Callable[..., Any], args: Any, kwargs: Any) -> tuple[bool, Any]:
    """What comes of a call: that it came back with a value, or with which exception it did not."""
    try:
        return True, fn(*args, **kwargs)
    except Exception as error:
        return False, error


def _watch(parent: int) -> None:
    """End with the process that started this one, whatever runs."""
    wait([parent])
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
