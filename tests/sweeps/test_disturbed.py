"""Whatever disturbs a study, its table is that of the undisturbed serial run: nothing lost, nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs
from halfsim.sweeps.journal import Journal
from halfsim.sweeps.lines import lines
from tests.sweeps import studies
from tests.sweeps.studies import GRID, SEEDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="drivers are forked")


def run(out: Path, executor: Any = "serial", **more: Any) -> hs.sweeps.Results:
    return hs.sweep(studies.study, GRID, SEEDS, executor, out, **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a serial run that nothing disturbed."""
    path = tmp_path_factory.mktemp("undisturbed") / "results.jsonl"
    assert len(run(path)) == 200
    return path


@pytest.fixture(scope="module")
def table(undisturbed: Path) -> str:
    return hs.sweeps.results(undisturbed).table()


def whole(out: Path, table: str) -> None:
    """The table is the undisturbed one's, and no row stands in the file twice."""
    assert hs.sweeps.results(out).table() == table
    with open(out, "rb") as file:
        every = list(lines(file))
    assert {one.state for one in every[1:]} == {"row"}
    assert set(Counter(one.key for one in every[1:]).values()) == {1}
    assert not [path for path in out.parent.iterdir() if path != out], "nothing is left beside it"


def forked(work: Callable[[], object]) -> int:
    """A child that says a byte, does its work and ends with code 0, or 1 for an exception; its process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(writing, b".")
            work()
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return child


def killed(out: Path, times: int, executor: str, most: float) -> int:
    """Drivers killed with SIGKILL at random moments, one after the other; how many were killed before they were done.

    Of four one is killed at any moment from its start on, the others once up to three more rows came through.
    """
    draw, found = random.Random(times), 0
    for i in range(times):
        size = out.stat().st_size if out.exists() else 0
        child = forked(lambda: hs.sweep(studies.slowly, GRID, SEEDS, executor, out))
        end = time.monotonic() + 20
        size = max(size, 400) + 450 * draw.randrange(3)
        while i % 4 and (not out.exists() or out.stat().st_size <= size) and time.monotonic() < end:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        time.sleep(draw.uniform(0.0, most))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        found += os.WIFSIGNALED(status)
    return found


def test_a_driver_killed_at_fifty_moments(tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    assert killed(out, 50, "serial", 0.005) >= 40
    assert len(hs.sweeps.results(out)) > 20, "rows come through between the kills"
    hs.sweep(studies.slowly, GRID, SEEDS, "serial", out)
    whole(out, table)


@pytest.mark.slow  # 273 s on two busy cores, the table whole (2026-11-30)
def test_a_driver_of_processes_killed_at_fifty_moments(tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    assert killed(out, 50, "local:2", 0.005) >= 20
    hs.sweep(studies.slowly, GRID, SEEDS, "local:2", out)
    whole(out, table)


def test_processes_and_their_number_change_nothing(tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    run(out, "local:2")
    whole(out, table)


def test_a_process_killed_half_way(tmp_path: Path, table: str) -> None:
    """One after the other of the pool's processes is killed from outside while rows run."""
    out, stop = tmp_path / "results.jsonl", threading.Event()
    kills: list[int] = []

    def kill() -> None:
        while not stop.wait(0.01):
            size = out.stat().st_size if out.exists() else 0
            if size > 20_000 * (1 + len(kills)) and len(kills) < 3:
                for process in multiprocessing.active_children()[:1]:
                    os.kill(process.pid or 0, signal.SIGKILL)
                    kills.append(size)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        hs.sweep(studies.slowly, GRID, SEEDS, "local:2", out)
    finally:
        stop.set()
        killer.join()
    assert len(kills) >= 1
    whole(out, table)


def test_a_driver_that_dies_takes_its_processes_along(tmp_path: Path) -> None:
    out, mark = tmp_path / "results.jsonl", tmp_path / "mark"
    child = forked(lambda: hs.sweep(studies.marks, {"path": [str(mark)]}, 1, "local:1", out))
    end = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < end:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    process = int(mark.read_text())
    end = time.monotonic() + 20
    while _runs(process) and time.monotonic() < end:
        time.sleep(0.02)
    left = _runs(process)
    if left:
        os.kill(process, signal.SIGKILL)
    assert not left


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("last", range(0, 400, 23))
def test_a_file_cut_anywhere_is_mended(last: int, tmp_path: Path, undisturbed: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    out.write_bytes(undisturbed.read_bytes()[: -last or None])
    run(out)
    whole(out, table)


def test_a_long_torn_line_is_cut_off(tmp_path: Path, undisturbed: Path, table: str) -> None:
    """Longer than all that is written after it, which would else only hide its beginning."""
    out = tmp_path / "results.jsonl"
    out.write_bytes(undisturbed.read_bytes() + b'{"key":"' + b"0" * 100_000)
    assert hs.sweeps.results(out).table() == table, "a reader leaves it out"
    run(out)
    whole(out, table)


def test_a_damaged_line_is_named_and_its_row_runs_again(tmp_path: Path, undisturbed: Path, table: str) -> None:
    out, data = tmp_path / "results.jsonl", undisturbed.read_bytes().split(b"\n")
    data[50] = data[50].replace(b'"sum":', b'"sum":1')  # JSON still, and another number
    data[120] = b"\0" * len(data[120])  # as a power cut may leave it
    out.write_bytes(b"\n".join(data))
    assert hs.sweeps.results(out).damaged == ("results.jsonl:51", "results.jsonl:121")
    assert len(hs.sweeps.results(out)) == 198
    with pytest.warns(
        UserWarning, match=r"2 lines are damaged and left out \(51, 121\); the rows that they held run again"
    ):
        found = run(out)
    assert found.table() == table


def limited(out: Path, size: int) -> None:
    """A driver whose file may have so many bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        run(out)
    except OSError as error:
        if error.filename == str(out) and error.strerror:
            os._exit(7)
        raise


@pytest.mark.parametrize("size", [700, 20_000, 40_001])
def test_a_full_disk_ends_the_driver_and_no_row(size: int, tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    child = forked(lambda: limited(out, size))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert out.read_bytes().endswith(b"\n"), "no part of a line stays"
    run(out)
    whole(out, table)


def test_a_disk_that_is_really_full(tmp_path: Path, table: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with pytest.raises(OSError, match="No space left on device") as caught:
            run(disk / "results.jsonl")
        assert caught.value.filename == str(disk / "results.jsonl")
        (tmp_path / "results.jsonl").write_bytes((disk / "results.jsonl").read_bytes())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()
    run(tmp_path / "results.jsonl")
    whole(tmp_path / "results.jsonl", table)


def test_a_write_that_takes_a_part_leaves_none(tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, real, calls = tmp_path / "results.jsonl", os.write, Counter[str]()

    def part(handle: int, data: bytes) -> int:
        calls["rows"] += data.startswith(b'{"key"')
        return real(handle, data[:40] if calls["rows"] == 30 else data)

    monkeypatch.setattr(os, "write", part)
    with pytest.raises(OSError, match="No space left on device"):
        run(out)
    monkeypatch.undo()
    assert out.read_bytes().count(b"\n") == 30
    run(out)
    whole(out, table)


def test_two_drivers_on_one_file(tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    child = forked(lambda: run(out))
    while not out.exists():
        pass
    with pytest.raises(ValueError, match=rf"^out: .* is being written by process {child} on .* since .*; allowed: "):
        run(out)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    whole(out, table)


def test_a_dead_drivers_lock_is_none(tmp_path: Path, table: str) -> None:
    out = tmp_path / "results.jsonl"
    child = forked(lambda: run(out))
    while not out.exists():
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert out.with_name(".results.jsonl.lock").exists()
    run(out)
    whole(out, table)


def test_ctrl_c_leaves_what_is_there(tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, real, seen = tmp_path / "results.jsonl", Journal.append, Counter[str]()

    def append(self: Journal, *args: Any) -> None:
        real(self, *args)
        seen["rows"] += 1
        if seen["rows"] == 25:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", append)
    with pytest.raises(KeyboardInterrupt):
        run(out, "local:2")
    monkeypatch.undo()
    assert not multiprocessing.active_children()
    assert len(hs.sweeps.results(out)) == 25
    run(out)
    whole(out, table)


def test_a_finished_study_runs_nothing_again(undisturbed: Path, table: str) -> None:
    before = undisturbed.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(undisturbed, "local:2").table() == table
    assert undisturbed.read_bytes() == before
