"""MPI, from ``pip install mpi4py mpich``: the table of a serial run, also of a study that was killed and went on."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sweeps.test_disturbed import table, undisturbed, whole  # noqa: F401  # fixtures

ROOT = Path(__file__).parents[2]
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(
        MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="pip install mpi4py mpich"
    ),
]

SCRIPT = """
import sys
import halfsim as hs
from tests.sweeps.studies import GRID, SEEDS, {run}
if __name__ == "__main__":
    hs.sweep({run}, GRID, SEEDS, "mpi", sys.argv[1])
"""


def started(folder: Path, run: str, out: Path) -> subprocess.Popen[bytes]:
    """A study on two processes of MPI, beside the driver."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(run=run))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [str(MPIEXEC), "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script), str(out)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=env, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def test_mpi_gives_the_table_of_a_serial_run(tmp_path: Path, table: str) -> None:  # noqa: F811
    out = tmp_path / "out" / "results.jsonl"
    out.parent.mkdir()
    assert started(tmp_path, "study", out).wait(timeout=120) == 0
    whole(out, table)


def test_a_study_on_mpi_that_is_killed_goes_on(tmp_path: Path, table: str) -> None:  # noqa: F811
    out = tmp_path / "out" / "results.jsonl"
    out.parent.mkdir()
    first = started(tmp_path, "slowly", out)
    end = time.monotonic() + 60
    while (not out.exists() or out.read_bytes().count(b"\n") < 60) and time.monotonic() < end:
        pass
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert 60 <= out.read_bytes().count(b"\n") < 201, "it was killed before it was done"
    end = time.monotonic() + 60
    while (second := started(tmp_path, "slowly", out)).wait(timeout=120) and time.monotonic() < end:
        pass  # a process that outlives mpiexec for a moment holds the lock
    assert second.returncode == 0
    whole(out, table)
