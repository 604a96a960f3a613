"""The page on PyTorch programs: its examples print what stands below them, its numbers keep what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs
from tests.pytorch.bugs import BUGS
from tests.pytorch.speed import DOCS, PROGRAMS, STORE_LIMIT, measured

PAGE = DOCS.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n((?:(?!```).)*?)```\n\n```text\n((?:(?!```).)*?)```", PAGE, re.S)


def printed(code: str, folder: Path) -> str:
    (folder / "train.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(hs.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, encoding="utf-8",
                          env={**environment, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip()


def test_every_example_has_its_output() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") >= 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_stands_below_it(number: int, tmp_path: Path) -> None:
    code, told = EXAMPLES[number]
    assert printed(code, tmp_path) == told.rstrip()


def test_the_numbers_of_the_page_keep_what_is_promised() -> None:
    precision, recall = map(float, re.search(r"precision ([\d.]+), recall ([\d.]+)", PAGE).groups())
    assert min(precision, recall) >= 0.95
    rows = re.findall(r"^\| (?:transformer|CNN).*ms \| ([\d.]+) \| ([\d.]+) ", PAGE, re.M)
    assert len(rows) == len(PROGRAMS)
    assert max(float(cell) for row in rows for cell in row) <= STORE_LIMIT
    assert f"{len(BUGS)} bugs" in PAGE


def test_a_stored_step_takes_at_most_six_times_the_plain_one() -> None:
    make = PROGRAMS["transformer, 2 layers of 128, 16 x 64 words"]
    found = measured(make, ("plain", "store"), turns=3)
    assert found["store"] <= STORE_LIMIT * found["plain"]
