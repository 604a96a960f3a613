"""The report's page in a real browser; skipped where Chromium is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import halfsim as hs
from tests.browser import needs_chromium, visit
from tests.diagnose.runs import trained

pytestmark = needs_chromium

PROBE = """
const table = document.querySelector('table.sort'), buttons = [...table.querySelectorAll('th button')];
const column = (i) => [...table.tBodies[0].rows].map((row) => row.cells[i].dataset.v ?? row.cells[i].textContent);
const values = buttons.findIndex((button) => button.textContent === 'values');
buttons[values].click();
const down = column(values).map(Number), sorted = table.querySelector('th[aria-sort]').getAttribute('aria-sort');
buttons[values].click();
const up = column(values).map(Number);
buttons[0].click();
buttons[0].focus();
const svg = document.querySelector('.heat .grid svg'), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent('pointermove', { clientX: box.right - 1, clientY: box.top + 2 }));
return {
  total: document.documentElement.scrollWidth, visible: innerWidth, down, up, sorted, words: column(0),
  focused: document.activeElement === buttons[0], read: document.querySelector('.heat output').textContent,
  ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor,
  loaded: performance.getEntriesByType('resource').length, maps: document.querySelectorAll('.heat').length,
};
"""


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return [trained("sgd").report().page(), trained("amp", reference="fp64").report().page()]


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1200, True)])
def test_the_page_works(width: int, dark: bool, pages: list[str], tmp_path: Path) -> None:
    for page in pages:
        found, said = visit(page, PROBE, tmp_path, width, dark)
        assert said == []
        assert found["loaded"] == 0
        assert found["total"] <= found["visible"] == width
        assert len(found["down"]) > 20
        assert found["sorted"] == "descending"
        assert found["down"] == sorted(found["down"], reverse=True)
        assert found["up"] == sorted(found["up"])
        assert found["words"] == sorted(found["words"], key=str.lower)
        assert found["focused"]
        assert ", step 24: " in found["read"] or ", step 23: " in found["read"]
        assert found["maps"] >= 2
        light = [sum(map(int, found[part][4:-1].split(","))) > 380 for part in ("ink", "paper")]
        assert light == ([True, False] if dark else [False, True])


def test_an_empty_report_is_a_page(tmp_path: Path) -> None:
    with hs.trace() as t:
        pass
    found, said = visit(t.report().page(), "return document.body.textContent", tmp_path)
    assert "Nothing was computed" in found
    assert said == []


def test_a_snippet_in_a_notebook_works(tmp_path: Path) -> None:
    snippet = trained("sgd").report()._repr_html_()
    probe = "document.querySelector('th button').click(); return document.querySelectorAll('[aria-sort]').length"
    found, said = visit(f"<!doctype html><body><h1>mine</h1>{snippet}</body>", probe, tmp_path)
    assert found == 1
    assert said == []


def test_names_cannot_run_as_script(tmp_path: Path) -> None:
    evil = "</script><script>console.log('run')</script><img src=x onerror=console.log(1)>"
    text = trained("sgd").to_json()
    for name in ("path", "op", "tensor"):
        text = text.replace(f'"{name}":"', f'"{name}":"{evil}')
    found, said = visit(hs.Report.from_json(text).page(), "return document.querySelectorAll('img').length", tmp_path)
    assert found == 0
    assert said == []
