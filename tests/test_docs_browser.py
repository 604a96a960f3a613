"""The documentation as it is built, in a real browser: minutes, so with -m slow; skipped where Chromium is missing."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from docs.site import build
from tests.browser import needs_chromium, visit

pytestmark = [needs_chromium, pytest.mark.slow]
pytest.importorskip("zensical", reason="zensical is not installed (pip install -e '.[docs]')")

ROOT = Path(__file__).parents[1]
PROBE = """
const cell = document.querySelector('table:not(.highlighttable) td');
const loaded = performance.getEntriesByType('resource').map((entry) => entry.name);
const outside = loaded.filter((name) => !name.startsWith(location.origin));
return {
  total: document.documentElement.scrollWidth, visible: innerWidth, outside,
  search: document.querySelectorAll('.md-search__button').length,
  cell: cell === null ? '1px' : getComputedStyle(cell).borderTopWidth,
  scheme: document.body.dataset.mdColorScheme,
};
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    copied = tmp_path_factory.mktemp("site")  # the command has no word for where the site goes
    for name in ("docs", "halfsim"):
        shutil.copytree(ROOT / name, copied / name)
    for name in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, copied)
    assert build(copied) == 0
    folder = copied / "site"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    with contextlib.closing(server.socket):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_page_is_read_at_any_width_and_in_the_dark(site: tuple[Path, str]) -> None:
    folder, address = site
    pages = [page for page in folder.rglob("index.html") if page.parent != folder / "404"]
    assert len(pages) > 30
    for i, page in enumerate(sorted(pages)):
        dark = bool(i % 2)
        where = page.parent.relative_to(folder).as_posix()
        html = page.read_text(encoding="utf-8")
        found, said = visit(html, PROBE, page.parent, 360, dark, f"{address}/{where}".rstrip("/."))
        assert said == [], where
        assert found["total"] <= found["visible"] == 360, where
        assert found["outside"] == [], where
        assert (found["search"], found["cell"]) == (1, "1px"), where
        assert found["scheme"] == ("slate" if dark else "default"), where


def test_search_knows_what_readers_look_for(site: tuple[Path, str]) -> None:
    index = json.loads((site[0] / "search.json").read_text(encoding="utf-8"))
    text = " ".join(entry["title"] for entry in index["items"])
    for word in ("round_to", "GradScaler", "swamping", "Port from PyTorch", "LayerNorm"):
        assert word.lower() in text.lower() or any(word.lower() in e["text"].lower() for e in index["items"])
