"""The page in a real browser; skipped where Chromium is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfsim.demo import RECIPES, Settings, train
from halfsim.demo.page import page
from tests.browser import needs_chromium, visit

PROBE = """
const count = (what) => document.querySelectorAll(what).length;
return [document.documentElement.scrollWidth, innerWidth, count('svg path'), count('tbody tr')];
"""


@needs_chromium
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out_of_a_window(width: int, tmp_path: Path) -> None:
    settings = Settings(optimizer="adam", epochs=1, hidden=4)
    content = page([train(RECIPES[name], settings) for name in ("fp32", "fp16")], settings)
    (total, visible, lines, rows), said = visit(content, PROBE, tmp_path, width)
    assert said == []
    assert total <= visible == width
    assert lines > 10
    assert rows >= 2
