"""`halfsim run` of scripts that break what they stand on: they end as under python, and are reported."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from halfsim.cli import main

TROUBLE = "import halfsim as hs\nhs.tensor([300.0], 'fp16') * 300\n"
SCRIPTS = {  # what is done, the exit code, and a word of the report
    "import sys; sys.argv = None; sys.path = None": (0, "overflow"),
    "import sys; del sys.argv; del sys.path": (0, "overflow"),
    "import sys; sys.path.clear(); sys.modules['__main__'] = None": (0, "overflow"),
    "import sys; sys.excepthook = None\n1 / 0": (1, "raised ZeroDivisionError"),
    "import sys\ndef hook(*given): raise ValueError\nsys.excepthook = hook\n1 / 0": (1, "raised ZeroDivisionError"),
    "class E(Exception):\n    def __str__(self): raise KeyError\nraise E": (1, "raised E at"),
    "class A:\n    def __str__(self): raise KeyError\nraise SystemExit(A())": (1, "overflow"),
    "raise SystemExit(256)": (0, "overflow"),
    "raise SystemExit(-1)": (255, "overflow"),
    "raise GeneratorExit": (1, "raised GeneratorExit"),
    "raise ValueError('x' * 10**6 + '\\n' + 'y' * 10**6)": (1, "raised ValueError"),
    "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())": (0, "overflow"),
    "hs.trace().__enter__(); hs.precision('fp16').__enter__()": (0, "overflow"),
    "import decimal; decimal.getcontext().prec = 2": (0, "overflow"),
    "import numpy; numpy.set_printoptions(formatter={'float': lambda x: 1 / 0})": (0, "overflow"),
    "import sys; sys.setrecursionlimit(500)": (0, "overflow"),
    "import threading; t = threading.Thread(target=hs.ones, args=(2,)); t.start(); t.join()": (
        0,
        "overflow",
    ),
    "import sys; sys.stdin.close(); del sys.stdin": (0, "overflow"),
}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    import decimal

    import numpy as np

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.chdir(os.getcwd())
    with decimal.localcontext(), np.printoptions():
        yield


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[:40])
def test_a_script_that_breaks_what_it_stands_on(script, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(TROUBLE + script)
    before = sys.argv, sys.path, sys.path[:], sys.modules["__main__"], sys.getrecursionlimit()
    code, word = SCRIPTS[script]
    assert main(["run", str(path)]) == code
    assert word in capsys.readouterr().err
    after = sys.argv, sys.path, sys.path[:], sys.modules["__main__"], sys.getrecursionlimit()
    assert after == before
    assert sys.path is before[1]


def test_a_process_that_ends_itself_ends_as_under_python(tmp_path: Path):
    path = tmp_path / "ends.py"
    path.write_text("import os\nprint('said', flush=True)\nos._exit(7)\n")
    ended = subprocess.run(
        [sys.executable, "-m", "halfsim", "run", str(path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (7, "said\n")
