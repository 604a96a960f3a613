"""`halfsim sweep`: a file that says all of a study, how far it is, a page; errors in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import halfsim as hs
from tests.cli.calling import called, refusal

STUDY = """
def run(format, scale, seed):
    if seed == 9: raise ValueError("nine")
    print("said")
    return {"sum": scale * seed, "format": len(format)}
"""
CONFIG = """
run = "{module}:run"
out = "found.jsonl"
seeds = 3
executor = "serial"
[grid]
format = ["fp16", "bf16"]
scale = [1.0, 0.5]
"""
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a study, and its configuration with some text in the place of other; the configuration's path."""
    module = f"study_{os.path.basename(tmp_path)}"
    (tmp_path / f"{module}.py").write_text(STUDY)

    def written(old: str = "", new: str = "") -> str:
        path = tmp_path / "study.toml"
        path.write_text(CONFIG.format(module=module).replace(old, new) if old else CONFIG.format(module=module))
        return str(path)

    return written


def test_a_study_from_its_file(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = write(), tmp_path / "found.jsonl"
    assert called(["sweep", config, "--status"], capsys) == (
        0,
        f"{out}: 0 of 12 rows finished; 12 left; not begun\n",
        "",
    )
    code, said, err = called(["sweep", config], capsys)
    assert (code, err) == (0, "")
    assert "found.jsonl: 12 rows, of 3 seeds.\n" in said
    assert (
        called(["sweep", config, "--status"], capsys)[1] == f"{out}: 12 of 12 rows finished; 0 left; nobody writes it\n"
    )
    page = tmp_path / "page.html"
    code, said, _ = called(["sweep", config, "--report", str(page)], capsys)
    assert said.endswith(f"\nPage written to {page}\n")
    assert "said" not in said, "nothing ran again"
    assert '<table class="sort">' in page.read_text()
    write("seeds = 3", "seeds = [0, 9]")
    code, said, _ = called(["sweep", config, "--json"], capsys)
    facts = json.loads(said)
    assert (code, len(facts["rows"]), facts["failed"]) == (1, 8, 4), "the exit code says that rows failed"
    code, said, _ = called(["sweep", config, "--status", "--json"], capsys)
    assert json.loads(said) == {"out": str(out), "rows": 8, "finished": 8, "failed": 4, "left": 0, "written_by": None,
                                "changed": None}  # fmt: skip
    other = tmp_path / "other.jsonl"
    assert called(["sweep", config, "--out", str(other), "--executor", "local:1"], capsys)[0] == 1
    assert len(hs.sweeps.results(other)) == 8
    assert set(hs.sweeps.results(other).table().split("\n")) <= set(hs.sweeps.results(out).table().split("\n"))


WRONG = [
    ('run = "', 'rum = "', "rum: is not a name of a study (did you mean 'run'?); allowed: run, grid, seeds"),
    (":run", ":rum", "there is no 'rum' (did you mean 'run'?)"),
    ('run = "study', 'run = "no_such', "cannot be imported: No module named 'no_such"),
    (":run", "", "is not allowed; allowed: text, as 'study:run'"),
    ("seeds = 3", "seeds = 'x'", "seeds: 'x' is not allowed; allowed: how many, a list of integers"),
    ("seeds = 3", "seeds = true", "seeds: True is not allowed"),
    ("seeds = 3", "seeds = -3", "seeds: -3 is not allowed"),
    ('"serial"', '"seriel"', "executor: 'seriel' is not allowed (did you mean 'serial'?)"),
    ("scale =", "scales =", "run: 'scales' is not a parameter of it (did you mean 'scale'?); allowed: format, scale"),
    ("[1.0, 0.5]", "1.0", "grid['scale']: 1.0 is not allowed; allowed: a list of values"),
    ("[grid]", "[other]", "other: is not a name of a study"),
    ("seeds = 3", "seeds = ", "is not TOML: Invalid value"),
    ("found.jsonl", "study.toml", "is not a results file of a sweep"),
    ("found.jsonl", "no/found.jsonl", "no such file or directory"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_a_wrong_file_gets_one_line(
    old: str, new: str, words: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(["sweep", write(old, new)], capsys)
    assert told.startswith("halfsim sweep: ")
    assert words in told


def test_other_refusals(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refusal(["sweep", str(tmp_path / "none.toml")], capsys)
    assert "CONFIG.toml is missing" in refusal(["sweep"], capsys)
    config = write()
    called(["sweep", config], capsys)
    module = next(tmp_path.glob("study_*.py"))
    module.write_text(STUDY + "# changed")
    told = refusal(["sweep", config], capsys)
    assert "the file of the function changed, though not the function itself; allowed: the code of before" in told
    assert told.endswith(", another file, --fresh\n")
    assert (
        "they are of other code: the file of the function changed" in called(["sweep", config, "--status"], capsys)[1]
    )
    assert called(["sweep", config, "--fresh"], capsys)[0] == 0
    assert "--report" in refusal(["sweep", config, "--report", str(tmp_path)], capsys)
    for own in (tmp_path / "found.jsonl", Path(config)):
        before = own.read_bytes()
        for option in (["--report", str(own)], [f"--json={own}"]):
            assert "is the study's own file" in refusal(["sweep", config, *option], capsys)
        assert own.read_bytes() == before


def test_ctrl_c_leaves_a_study_that_goes_on(write: Write, tmp_path: Path) -> None:
    config, out = write("seeds = 3", "seeds = 100000"), tmp_path / "found.jsonl"
    env = {**os.environ, "PYTHONPATH": str(Path(hs.__file__).parents[1])}
    driver = subprocess.Popen(
        [sys.executable, "-m", "halfsim", "sweep", config], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not out.exists() or out.stat().st_size < 2000:
        pass
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=60)
    assert (driver.returncode, err) == (130, b"halfsim sweep: interrupted\n")
    assert len(hs.sweeps.results(out)) > 3
    assert not out.with_name(".found.jsonl.lock").exists()
