"""What sweeps cost: seconds of rows that do nothing, a million of them, and the rates of the main jobs."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import halfsim as hs
from halfsim.sweeps.attempt import Answer, here
from halfsim.sweeps.code import code_of, sent
from halfsim.sweeps.drive import Driver, Orders, Todo
from halfsim.sweeps.engines import engine_of
from halfsim.sweeps.grid import grid_of
from halfsim.sweeps.journal import Journal
from tests.reliability.processes import memory
from tests.sweeps.studies import quick

ROOT = Path(__file__).parents[2]


class Seen(NamedTuple):
    """How far a driver was: rows done, seconds of processor time of it, of its scheduler and of all, its MiB."""

    done: int
    driver: float
    scheduler: float
    all: float
    memory: float


def seen(done: int, scheduler: int | None = None) -> Seen:
    """This process now, with all that it started."""
    own, ended = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = dict(_descendants())
    whole = own + sum(alive.values()) + ended.ru_utime + ended.ru_stime
    return Seen(done, own, alive.get(scheduler or 0, 0.0), whole, memory())


def _descendants() -> Iterator[tuple[int, float]]:
    """Every process that this one started, and those that these did, with its seconds of processor time."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        process = int(path.parent.name)
        parents[process] = int(fields[1])
        spent[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for process in parents:
        above = parents[process]
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid():
            yield process, spent[process]


def driven(executor: Any, count: int, out: Path, parts: int = 10, scheduler: int | None = None) -> list[Seen]:
    """So many rows that do nothing, and how far the driver was at the end of each part of them."""
    code, grid, engine = code_of(quick), grid_of(quick, {"i": list(range(count // 10))}, 10), engine_of(executor)
    payload, named = sent(quick, engine.far)
    orders = Orders(payload, code.file if named else "", 0, None, False)
    journal = Journal(out, code, fresh=True)
    found: list[Seen] = []

    def progress(done: int) -> None:
        if done == 1 or done % (count // parts) == 0:  # processes have started when the first is back
            found.append(seen(done, scheduler))

    engine.start(payload, orders.file, None)
    try:
        Driver(engine, journal, orders, progress).run(iter(Todo(grid.rows(), journal, orders)))
    finally:
        engine.close()
        journal.close()
    return found


def each(found: list[Seen], what: str = "all") -> list[float]:
    """Milliseconds of processor time a row of each part."""
    return [1e3 * (getattr(b, what) - getattr(a, what)) / (b.done - a.done) for a, b in pairwise(found)]


def _told(found: list[Seen]) -> dict[str, Any]:
    return {
        "rows": found[-1].done, **{what: each(found, what) for what in ("all", "driver", "scheduler")},
        "memory": [round(one.memory, 1) for one in found],
    }  # fmt: skip


@contextlib.contextmanager
def cluster(workers: int = 2) -> Iterator[tuple[str, int]]:
    """The address of a scheduler of Dask with its workers, each a process of this machine; the scheduler's process."""
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
            client.wait_for_workers(workers, timeout=120)
        yield address, started[0].pid
    finally:
        for process in started:
            process.kill()
            process.wait()


def local(count: int = 1_000_000) -> dict[str, Any]:
    """What a row costs on two processes of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        return _told(driven("local:2", count, Path(folder) / "results.jsonl"))


def dask(count: int = 100_000) -> dict[str, Any]:
    """What a row costs on a cluster of Dask with two workers."""
    with tempfile.TemporaryDirectory() as folder, cluster() as (address, scheduler):
        return _told(driven(f"dask:{address}", count, Path(folder) / "results.jsonl", scheduler=scheduler))


class Instant(Executor):
    """Answers at once, and runs nothing: what is left is the driver, its file and its memory."""

    _max_workers = 4

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(Answer("result", str(args[0].seed), 0.0, *here()))
        return future


def many(count: int = 1_000_000) -> dict[str, Any]:
    """A million rows: processor time and memory of the driver, size of the file, what it takes to go on and to read."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        found = driven(Instant(), count, out)
        start, before = time.process_time(), memory()
        journal = Journal(out, code_of(quick))
        resumed, held = time.process_time() - start, memory() - before
        journal.close()
        start = time.process_time()
        read = hs.sweeps.results(out)
        return {
            **_told(found), "resumed": resumed, "held": held, "indexed": time.process_time() - start,
            "read": len(read), "bytes": out.stat().st_size,
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
