"""Pages in headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"
)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=2000"),
    *("--enable-logging=stderr", "--v=0", "--hide-scrollbars"),
)


def visit(
    html: str, probe: str, folder: Path, width: int = 1200, dark: bool = False, served: str = ""
) -> tuple[Any, list[str]]:
    """What ``probe``, the body of a JavaScript function, returns on a page of that width; and what the console said.

    ``served`` is where ``folder`` is served, if the page is to be read from there. Windows of Chromium are never
    narrower than 500 pixels, so the page is in a frame.
    """
    script = f"<script>parent.postMessage(JSON.stringify((() => {{{probe}}})()), '*')</script></body>"
    (folder / "page.html").write_text(html.replace("</body>", script), encoding="utf-8")
    (folder / "frame.html").write_text(
        "<body style='margin:0'><script>onmessage = (e) => { document.title = e.data }</script>"
        f"<iframe src='page.html' style='border:0;width:{width}px;height:900px'></iframe>"
    )
    flags = [*_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width + 40},940"]
    flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command = [str(CHROMIUM), *flags, "--dump-dom"]
    command.append(f"{served}/frame.html" if served else (folder / "frame.html").as_uri())
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return json.loads(unescape(done.stdout.split("<title>")[1].split("</title>")[0])), said
