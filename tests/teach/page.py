"""docs/teaching.md and docs/teaching.zh-CN.md: ``python -m tests.teach.page [--write]``."""

from __future__ import annotations

import sys
from pathlib import Path

from halfsim.teach.teacher import page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "teaching.md", "zh": DOCS / "teaching.zh-CN.md"}

if __name__ == "__main__":
    for lang, path in PAGES.items():
        text = page(lang, linked=True)
        if "--write" in sys.argv:
            path.write_text(text, encoding="utf-8")
        else:
            print(text)
