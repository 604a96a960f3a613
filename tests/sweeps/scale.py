"""What sweeps cost: seconds of rows that do nothing, a million of them, and the rates of the main jobs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path
from typing import Any

import halfsim as hs
from halfsim.sweeps.code import code_of, sent
from halfsim.sweeps.drive import Driver, Orders, Todo
from halfsim.sweeps.engines import engine_of
from halfsim.sweeps.grid import grid_of
from halfsim.sweeps.journal import Journal
from tests.reliability.processes import memory
from tests.sweeps.studies import quick

ROOT = Path(__file__).parents[2]
Seen = list[tuple[int, float, float]]  # rows done, seconds, MiB of the driver


def driven(executor: Any, count: int, out: Path, parts: int = 10) -> Seen:
    """So many rows that do nothing, and how far the driver was at the end of each part of them."""
    seen: Seen = [(0, time.perf_counter(), memory())]

    def progress(done: int) -> None:
        if done % (count // parts) == 0:
            seen.append((done, time.perf_counter(), memory()))

    code, grid, engine = code_of(quick), grid_of(quick, {"i": list(range(count // 10))}, 10), engine_of(executor)
    payload, named = sent(quick, engine.far)
    orders = Orders(payload, code.file if named else "", 0, None, False)
    journal = Journal(out, code, fresh=True)
    engine.start(payload, orders.file, None)
    try:
        seen[0] = (0, time.perf_counter(), memory())
        Driver(engine, journal, orders, progress).run(iter(Todo(grid.rows(), journal, orders)))
    finally:
        engine.close()
        journal.close()
    return seen


def each(seen: Seen) -> list[float]:
    """Milliseconds a row of each part."""
    return [1e3 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(seen)]


@contextlib.contextmanager
def cluster(workers: int = 2) -> Iterator[str]:
    """The address of a scheduler of Dask and its workers, each a process of this machine."""
    import socket

    from distributed import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    host = ["--host", "127.0.0.1", "--no-dashboard"]
    lines = [["distributed.cli.dask_scheduler", "--port", address.rpartition(":")[2]]]
    lines += [["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]] * workers
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    started = [subprocess.Popen([sys.executable, "-m", *line, *host], env=env, **quiet) for line in lines]
    try:
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address
    finally:
        for process in started:
            process.kill()
            process.wait()


def rows() -> dict[str, Any]:
    """Milliseconds a row on local processes and on Dask, part by part."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        for name, executor, count in (("serial", "serial", 20_000), ("local:2", "local:2", 100_000)):
            found[name] = {"rows": count, "each": each(driven(executor, count, out))}
        with cluster() as address:
            found["dask"] = {"rows": 20_000, "each": each(driven(f"dask:{address}", 20_000, out))}
    return found


class Instant(Executor):
    """Answers in the driver's own thread: what is left is the driver, its file and its memory."""

    _max_workers = 4

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def million(count: int = 1_000_000) -> dict[str, Any]:
    """A million rows that do nothing: seconds and memory of the driver, size of the file, time to go on and to read."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        seen = driven(Instant(), count, out)
        code, start, before = code_of(quick), time.perf_counter(), memory()
        journal = Journal(out, code)
        resumed, held = time.perf_counter() - start, memory() - before
        journal.close()
        start = time.perf_counter()
        read = hs.sweeps.results(out)
        indexed = time.perf_counter() - start
        return {
            "rows": len(read), "each": each(seen), "memory": [round(m, 1) for _, _, m in seen], "resumed": resumed,
            "held": held, "indexed": indexed, "bytes": out.stat().st_size,
        }  # fmt: skip


def rates() -> dict[str, Any]:
    """Seconds of processor time of one block of each of the main jobs, the lower quartile of a few."""
    from benchmarks import exhaustive
    from benchmarks.harness import in_turns, quartiles
    from tests.cases.catalogue import cases
    from tests.cases.verdicts import judge
    from tests.sweeps.jobs import trained

    works: dict[str, Callable[[], object]] = {
        what: (lambda what=what: exhaustive.run(what, 300, 0))
        for what in exhaustive.WHATS  # type: ignore[misc]
    }
    works["training"] = lambda: trained("fp16", 0)
    works["verdict"] = lambda: [judge(name, 0) for name in list(cases())[::6]]
    found = {name: quartiles(seconds)[0] for name, seconds in in_turns(works, 5).items()}
    found["verdict"] /= len(list(cases())[::6])
    return {"seconds": found, "block": exhaustive.BLOCK, "blocks": exhaustive.BLOCKS}
