"""The page in a real browser; skipped where Chromium is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from halfsim.demo import RECIPES, Settings, train
from halfsim.demo.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=1000"),
)
PROBE = """<script>
const count = (what) => document.querySelectorAll(what).length;
document.title = [document.documentElement.scrollWidth, innerWidth, count('svg path'), count('tbody tr')].join(' ');
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize("width", [500, 1200])
def test_nothing_sticks_out_of_a_window(width: int, tmp_path: Path) -> None:
    settings = Settings(optimizer="adam", epochs=1, hidden=4)
    file = tmp_path / "page.html"
    file.write_text(
        page([train(RECIPES[name], settings) for name in ("fp32", "fp16")], settings).replace("</body>", PROBE)
    )
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, f"--window-size={width},900", "--dump-dom", file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout  # type: ignore[arg-type]
    total, visible, lines, rows = map(int, dom.split("<title>")[1].split("</title>")[0].split())
    assert total <= visible
    assert lines > 10
    assert rows >= 2
