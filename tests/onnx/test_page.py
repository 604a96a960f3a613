"""docs/onnx.md: its programs, one after another, print what stands below them; its counts are those of today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import halfsim as hs
from tests.onnx import conformance

ROOT = Path(hs.__file__).parents[1]
PAGE = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")


def test_the_programs_print_what_stands_below_them(tmp_path: Path) -> None:
    parts = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.S)
    code, told = ("".join(part[i] for part in parts) for i in (0, 1))
    (tmp_path / "audit.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "audit.py"], cwd=tmp_path, capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip() == told.rstrip()


def test_the_counts_of_operators_are_those_of_today() -> None:
    if f"With onnx {onnx.__version__}:" not in PAGE:
        pytest.skip("another version of onnx, which defines other operators")
    assert conformance.operators() in PAGE
    assert "; 0 are missing" in PAGE
