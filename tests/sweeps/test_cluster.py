"""A real Dask cluster of two processes on loopback, disturbed: ``python -m pytest -m distributed tests/sweeps``."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs
from tests.sweeps import studies
from tests.sweeps.studies import GRID, SEEDS
from tests.sweeps.test_disturbed import table, undisturbed, whole  # noqa: F401  # fixtures

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.distributed, pytest.mark.filterwarnings("default")]  # Dask's own warnings are its own

distributed = pytest.importorskip("distributed", reason="pip install 'halfsim[distributed]'")


class Cluster:
    """A scheduler and two workers with their nannies, each in a process of its own, as on a real cluster."""

    def __init__(self, port: int) -> None:
        self.address = f"tcp://127.0.0.1:{port}"
        self.port = port
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        self.scheduler = self._run("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        self.workers = [
            self._run("distributed.cli.dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "1")
            for _ in range(2)
        ]

    def _run(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *words, "--no-dashboard"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = Cluster(port)
    try:
        with distributed.Client(found.address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield found
    finally:
        found.end()


def meanwhile(out: Path, work: Any, rows: int = 40) -> threading.Thread:
    """Do ``work`` in a thread once so many rows stand in the file."""

    def wait() -> None:
        while not out.exists() or out.read_bytes().count(b"\n") <= rows:
            time.sleep(0.005)
        work()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_cluster_gives_the_table_of_a_serial_run(cluster: Cluster, table: str, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "results.jsonl"
    hs.sweep(studies.study, GRID, SEEDS, f"dask:{cluster.address}", out)
    whole(out, table)
    with distributed.Client(cluster.address, set_as_default=False) as client:
        again = tmp_path / "again" / "results.jsonl"
        again.parent.mkdir()
        hs.sweep(studies.study, GRID, SEEDS, client.get_executor(), again)
        whole(again, table)


def test_a_cluster_whose_worker_is_killed_half_way(cluster: Cluster, table: str, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "results.jsonl"
    with distributed.Client(cluster.address, set_as_default=False) as client:
        pids = list(client.run(os.getpid).values())
    killer = meanwhile(out, lambda: os.kill(pids[0], signal.SIGKILL))
    hs.sweep(studies.slowly, GRID, SEEDS, f"dask:{cluster.address}", out)
    killer.join()
    whole(out, table)


def test_a_cluster_whose_scheduler_is_started_again(cluster: Cluster, table: str, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "results.jsonl"

    def restart() -> None:
        cluster.end()
        cluster.processes.clear()
        cluster.start()

    killer = meanwhile(out, restart)
    hs.sweep(studies.slowly, GRID, SEEDS, f"dask:{cluster.address}", out)
    killer.join()
    whole(out, table)


def killed_again_and_again(cluster: Cluster, moments: Iterable[int], out: Path, table: str) -> None:  # noqa: F811
    code = "import sys, halfsim; from tests.sweeps.studies import *; halfsim.sweep(slowly, GRID, SEEDS, *sys.argv[1:])"
    for rows in moments:
        driver = subprocess.Popen([sys.executable, "-c", code, f"dask:{cluster.address}", str(out)], cwd=ROOT)
        meanwhile(out, driver.kill, rows).join()
        assert driver.wait() == -signal.SIGKILL
    hs.sweep(studies.slowly, GRID, SEEDS, f"dask:{cluster.address}", out)
    whole(out, table)


def test_a_driver_of_a_cluster_killed_and_started_again(cluster: Cluster, table: str, tmp_path: Path) -> None:  # noqa: F811
    killed_again_and_again(cluster, (10, 60, 110), tmp_path / "results.jsonl", table)


@pytest.mark.slow  # 59 s on two busy cores, the table whole (2026-11-30)
def test_a_driver_of_a_cluster_killed_fifty_times(cluster: Cluster, table: str, tmp_path: Path) -> None:  # noqa: F811
    draw = random.Random(50)
    moments = sorted(draw.randrange(1, 150) for _ in range(50))
    killed_again_and_again(cluster, moments, tmp_path / "results.jsonl", table)


def test_a_row_that_kills_its_worker_each_time_fails_alone(cluster: Cluster, tmp_path: Path) -> None:
    found = hs.sweep(studies.ends, {"how": ["exit", "not"]}, 3, f"dask:{cluster.address}", tmp_path / "results.jsonl")
    crash = {"type": "Crashed", "message": "the process that ran it ended, each time"}
    assert [row.get("result", row.get("error")) for row in found] == [0, crash, 2, 0, 1, 2]


def test_a_late_row_of_a_cluster_is_noted(cluster: Cluster, tmp_path: Path) -> None:
    found = hs.sweep(
        studies.hangs, {"scale": [1.0, 2.0]}, 3, f"dask:{cluster.address}", tmp_path / "results.jsonl", timeout=4.0
    )
    late = {"type": "TimedOut", "message": "took more than 4 s"}
    assert [row.get("result", row.get("error")) for row in found] == [1.0, 1.0, 1.0, 2.0, late, 2.0]


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"^executor: 'dask:tcp://127.0.0.1:1' does not answer .*; allowed: "
    ) as caught:
        hs.sweep(studies.quick, {"i": [1]}, 1, "dask:tcp://127.0.0.1:1", tmp_path / "results.jsonl")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300
