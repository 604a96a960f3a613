"""The page about devices says what the catalogue and the costs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import halfsim as hs
from halfsim.hardware import devices

PAGE = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text(encoding="utf-8")


def test_the_catalogue_is_whole() -> None:
    lines = {
        line.split("|")[1].strip(): line for line in PAGE.split("\n") if line.startswith("|") and " x |" not in line
    }
    for d in devices():
        line = lines[d.name]
        assert d.evidence in line
        assert d.bandwidth.source in line
        for figure in (d.bandwidth, d.memory, *(d.peaks[k] for k in ("fp32", "fp16", "fp16 matrix") if k in d.peaks)):
            assert f" {figure.value:g}" in line
            assert figure.verified or f" {figure.value:g}?" in line


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "hardware.md", "exec"), {})
    assert "largest batch" in capsys.readouterr().out


def test_autocast_takes_more_memory_for_a_small_model() -> None:
    bills = hs.cost("mlp", 128, "A100").training
    assert (round(bills["amp"].bytes / 1e6, 2), round(bills["fp32"].bytes / 1e6, 2)) == (3.97, 3.83)
    bills = hs.cost("transformer", 128, "A100").training
    held = [bills[recipe].activations for recipe in ("fp32", "fp16", "amp")]
    assert 0.55 < held[1] / held[0] < 0.65
    assert 0.6 < held[2] / held[0] < 0.7
