"""The pages of comparisons in a real browser; skipped where Chromium is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.scope import scoped
from tests.browser import needs_chromium, visit

pytestmark = needs_chromium

PROBE = """
const tables = [...document.querySelectorAll('table.sort')], seen = [];
for (const table of tables) {
  const heads = [...table.tHead.rows[0].cells];
  const i = heads.findIndex((head, i) => head.firstElementChild && 'v' in (table.tBodies[0].rows[0].cells[i].dataset));
  const clip = (x) => Math.max(-1e308, Math.min(1e308, x));  // JSON has no infinity
  const column = () => [...table.tBodies[0].rows].map((row) => clip(Number(row.cells[i].dataset.v)));
  heads[i].firstElementChild.click();
  const down = column();
  heads[i].firstElementChild.click();
  seen.push([down, column()]);
}
return {
  total: document.documentElement.scrollWidth, visible: innerWidth,
  seen: JSON.stringify(seen, (_, v) => (v === -Infinity ? -1e308 : v)),
  paper: getComputedStyle(document.body).backgroundColor, loaded: performance.getEntriesByType('resource').length,
};
"""


def found() -> list[Any]:
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.Tanh(), hs.nn.Linear(8, 2))
    opt, x = hs.optim.SGD(model.parameters(), lr=0.1), np.linspace(-300, 300, 32).reshape(8, 4)

    def backward() -> None:
        (model(hs.tensor(x)) ** 2).sum().backward()

    def run() -> None:
        for _ in range(3):
            opt.zero_grad()
            backward()
            opt.step()

    half = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.Tanh(), hs.nn.Linear(8, 2))
    half.load_state_dict(model.state_dict())
    return [hs.compare(run, "fp16"), hs.loss_scale_range(backward), hs.compare_models(model, half.half(), x)]


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1200, True)])
def test_the_pages_work(width: int, dark: bool, tmp_path: Path) -> None:
    for i, (result, tables) in enumerate(zip(found(), (3, 1, 1), strict=True)):
        result.to_html(tmp_path / f"{i}.html")
        seen, said = visit((tmp_path / f"{i}.html").read_text(encoding="utf-8"), PROBE, tmp_path, width, dark)
        assert said == []
        assert seen["loaded"] == 0
        assert seen["total"] <= seen["visible"] == width
        columns = json.loads(seen["seen"])
        assert len(columns) >= tables
        for down, up in columns:
            assert up == sorted(down)
            assert down == sorted(down, reverse=True)
        assert (sum(map(int, seen["paper"][4:-1].split(","))) > 380) is not dark


def test_a_name_is_no_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=console.log(1)>"
    result = hs.compare(lambda: {evil: hs.tensor([1.0]) * 0.1}, "fp16")
    result.to_html(tmp_path / "e.html")
    probe = "return document.querySelectorAll('img').length"
    assert visit((tmp_path / "e.html").read_text(encoding="utf-8"), probe, tmp_path) == (0, [])


def test_a_long_name_fits_a_phone(tmp_path: Path) -> None:
    def run() -> Any:
        with scoped(path="block" * 30):
            return hs.tensor([300.0]) * 300.0

    result = hs.compare(run, "fp16")
    assert "block" * 30 in result.verdict().place
    result.to_html(tmp_path / "l.html")
    probe = "return document.documentElement.scrollWidth"
    assert visit((tmp_path / "l.html").read_text(encoding="utf-8"), probe, tmp_path, 360, False) == (360, [])


def test_a_fragment_sorts(tmp_path: Path) -> None:
    probe = "document.querySelector('th button').click(); return document.querySelectorAll('[aria-sort]').length"
    page = f"<!doctype html><body>{found()[0]._repr_html_()}</body>"
    assert visit(page, probe, tmp_path) == (1, [])
