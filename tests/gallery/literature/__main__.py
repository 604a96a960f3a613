"""What the papers gave here, recorded, and docs/papers.md with docs/papers.zh-CN.md printed from the record.

python -m tests.gallery.literature                   print the English page
python -m tests.gallery.literature --write           write both pages from the record
python -m tests.gallery.literature --measure [NAME]  run all again, or one (minutes), record it, write both pages
"""

from __future__ import annotations

import sys

from halfsim.gallery.literature.catalogue import PAPERS
from tests.gallery.literature.page import PAGES, measure, page

if __name__ == "__main__":
    measuring = "--measure" in sys.argv
    if measuring:
        for name in [name for name in sys.argv if name in PAPERS] or PAPERS:
            measure(name)
    if measuring or "--write" in sys.argv:
        for lang, path in PAGES.items():
            path.write_text(page(lang), encoding="utf-8")
    else:
        print(page("en"))
