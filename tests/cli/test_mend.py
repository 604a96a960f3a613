"""`halfsim run --mend`: the fixes of a script, each tried by running it anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halfsim.cli import main

SCRIPT = """
import sys, time
import halfsim as hs
began = time.perf_counter()
x = hs.tensor([300.0, 2.0], "fp16")
norm = (x * x).sum().sqrt()
print("norm", norm.item())
elapsed = time.perf_counter() - began
if "check" in sys.argv:
    assert norm.item() < 1e5, "norm is infinite"
"""


def test_the_command_mends_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "norm.py"
    path.write_text(SCRIPT)
    assert main(["run", "--mend", str(path)]) == 0
    told = capsys.readouterr()
    assert told.out == "norm inf\n"
    assert "overflow" in told.err
    assert "Best: keep mul in float32" in told.err
    assert "Left out, being other in each run: began, elapsed." in told.err
    assert (
        main(["run", "--mend", "--json", str(tmp_path / "m.json"), "--html", str(tmp_path / "m.html"), str(path)]) == 0
    )
    facts = json.loads((tmp_path / "m.json").read_text())
    assert facts["best"]["policy"] == {"@mul": "fp32"}
    assert "<table" in (tmp_path / "m.html").read_text()


def test_the_command_mends_a_script_that_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "norm.py"
    path.write_text(SCRIPT)
    assert main(["run", "--mend", str(path), "check"]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("The run raised AssertionError: norm is infinite")
    assert "Best: keep mul in float32" in told


def test_a_script_without_global_numbers_is_judged_by_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "main.py"
    path.write_text("def main():\n" + "\n".join(f"    {line}" for line in SCRIPT.splitlines()[:7]) + "\nmain()\n")
    assert main(["run", "--mend", "--json", str(tmp_path / "m.json"), str(path)]) == 0
    capsys.readouterr()
    facts = json.loads((tmp_path / "m.json").read_text())
    assert (facts["error"], facts["best"]["policy"]) == ("inf", {"@mul": "fp32"})


def test_a_script_that_fails_in_float64_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("import halfsim\nraise SystemExit('no data')\n")
    assert main(["run", "--mend", str(path)]) == 2
    assert "fails in float64, too: SystemExit: no data" in capsys.readouterr().err
    assert main(["run", "--mend", "--first", "overflow", str(path)]) == 2
    assert "--mend: not together with --first" in capsys.readouterr().err
