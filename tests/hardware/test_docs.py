"""The page about devices says what the catalogue and the costs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import halfsim as hs
from halfsim.hardware import devices
from tests.hardware.page import filled

PAGE = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_catalogue() -> None:
    assert filled(PAGE) == PAGE, "python -m tests.hardware.page --write makes them anew"
    for d in devices():
        assert f"\n| {d.name}" in PAGE
        for figure in d.figures.values():
            for document in figure.documents:
                assert f"{document.publisher}: {document.title}" in PAGE


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "hardware.md", "exec"), names)
    out = capsys.readouterr().out
    assert "largest batch" in out
    for line in re.findall(r"^# (.*)$", PAGE, re.M):  # what the page says that its code prints
        assert f"\n{line}\n" in out or line.startswith(("Devices", "#"))


def test_autocast_takes_more_memory_for_a_small_model() -> None:
    bills = hs.cost("mlp", 128, "A100").training
    assert (round(bills["amp"].bytes / 1e6, 2), round(bills["fp32"].bytes / 1e6, 2)) == (3.97, 3.83)
    bills = hs.cost("transformer", 128, "A100").training
    held = [bills[recipe].activations for recipe in ("fp32", "fp16", "amp")]
    assert 0.55 < held[1] / held[0] < 0.65
    assert 0.6 < held[2] / held[0] < 0.7
