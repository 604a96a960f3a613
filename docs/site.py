"""Build the site: ``python -m docs.site``. The bit page is written as the package makes it; no copy of it is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from halfsim.teach.bits import page

ROOT = Path(__file__).parents[1]


def generate(root: Path) -> None:
    """Write what of the pages is not kept in the repository."""
    bits = root / "docs" / "bits" / "page.html"
    bits.parent.mkdir(parents=True, exist_ok=True)
    bits.write_text(page(), encoding="utf-8")


def build(root: Path = ROOT) -> int:
    """Write ``site/`` in a checkout, or in a copy of one; the exit code, which is not 0 where a link is broken."""
    generate(root)
    return subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(build())
