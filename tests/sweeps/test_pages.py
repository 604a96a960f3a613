"""docs/scale.md is what its records print, docs/sweeps.md what its study does; halfsim's own sweeps are studies."""

from __future__ import annotations

import heapq
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import halfsim as hs
from benchmarks import exhaustive
from benchmarks.harness import quartiles
from tests.cases import verdicts
from tests.marks import between
from tests.sweeps import page, scale

ROOT = Path(__file__).parents[2]
SWEEPS = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")


def test_the_page_is_that_of_the_records() -> None:
    for mark, text in page.marks(page.records()).items():
        assert between(page.PAGE, mark) == text, f"{mark}: python -m tests.sweeps page"


def test_a_row_costs_what_it_may() -> None:
    found = page.records()
    many, most = found["many"], {"local": (1_000_000, 5), "dask": (100_000, 20), "many": (1_000_000, 5)}
    for name, (rows, milliseconds) in most.items():
        one = found[name]
        assert one["rows"] >= rows
        assert max(one["all"]) <= milliseconds, "of all processes together"
        assert quartiles(one["all"][5:])[0] < 1.5 * quartiles(one["all"][:5])[0], "flat"
        assert one["memory"][-1] - one["memory"][1] < 16, "MiB of the driver"
    assert many["read"] == many["rows"]


def test_a_slice_of_the_rows_is_measured(tmp_path: Path) -> None:
    seen = scale.driven("serial", 400, tmp_path / "results.jsonl", parts=2)
    assert [one.done for one in seen] == [1, 200, 400]
    assert min(scale.each(seen)) > 0


def stepped(tasks: int, seconds: float, cores: int, rate: float) -> float:
    """The simulation, task by task."""
    free, now = [0.0] * cores, 0.0
    for _ in range(tasks):
        now = max(now + 1 / rate, free[0])  # a driver that waits for a place, or sends as fast as it can
        heapq.heapreplace(free, now + seconds)
    return max(free)


def test_the_simulation_is_right() -> None:
    assert page.simulated(1000, 1.0, 10, math.inf) == 100.0
    assert page.simulated(1000, 1e-9, 10, 100.0) == pytest.approx(10.0)
    assert page.simulated(7, 1.0, 3, math.inf) == 3.0
    assert page.simulated(1000, 0.5, 10_000, 1000.0) == pytest.approx(1.5)
    draw = random.Random(0)
    for _ in range(300):
        one = (draw.randrange(1, 300), draw.uniform(0.0, 2.0), draw.randrange(1, 40), 10 ** draw.uniform(-1, 3))
        assert page.simulated(*one) == pytest.approx(stepped(*one), rel=1e-12), one


def test_the_example_prints_what_stands_below_it(tmp_path: Path) -> None:
    code, told = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", SWEEPS, re.S)[0]
    (tmp_path / "study.py").write_text(code)
    done = subprocess.run([sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == told
    config = re.findall(r"```toml\n(.*?)```", SWEEPS, re.S)[0].replace('"local:4"', '"serial"')
    (tmp_path / "study.toml").write_text(config)
    command = [sys.executable, "-m", "halfsim", "sweep", "study.toml", "--status"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "30 of 30 rows finished; 0 left" in done.stdout


def test_the_exhaustive_sweeps_are_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exhaustive.jsonl"
    words = ["exhaustive", "all", "--executor", "serial", "--out", str(out), "--blocks"]
    monkeypatch.setattr(sys, "argv", [*words, "1"])
    assert exhaustive.main() == 0
    assert re.findall(r"(\w+): 4,194,304 cases, 0 wrong", capsys.readouterr().out) == ["round", "add", "mul", "div"]
    assert exhaustive.main() == 0
    assert out.read_bytes().count(b"\n") == 5, "nothing runs again"
    monkeypatch.setattr(exhaustive, "wrong_roundings", lambda block: 3)
    monkeypatch.setattr(sys, "argv", [*words[:1], "round", *words[2:], "2"])
    assert exhaustive.main() == 1
    assert "8,388,608 cases, 3 wrong" in capsys.readouterr().out


def test_the_verdict_table_is_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = verdicts.cases()
    few = {name: every[name] for name in ("B01", "N03")}
    monkeypatch.setattr(verdicts, "cases", lambda: few)
    found = verdicts.verdicts(tmp_path / "verdicts.jsonl")
    assert [all(found[name]["right"].values()) for name in few] == [True, False]
    assert found["B01"]["said"]["class"] == every["B01"].klass
    rows = hs.sweeps.results(tmp_path / "verdicts.jsonl").records()
    assert [row["config"] for row in rows] == [{"case": "B01"}, {"case": "N03"}]
