"""The page of cases: what it searches and filters, how it reads; and docs/gallery.md, printed by a command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.gallery import Exhibits
from halfsim.gallery.catalogue import case
from halfsim.gallery.languages import LANGUAGES
from halfsim.gallery.picture import picture
from halfsim.gallery.search import searched
from tests.browser import needs_chromium, visit
from tests.cli.calling import called
from tests.gallery.cases import PAGES, beginning, exhibit, story

# Cases that run in no time, of several classes, phases and symptoms.
SOME = ("adam-eps", "mask-minus-1e8", "mean-overflow", "no-gradient", "no-decay", "rms-norm", "softplus", "sum-order")
ASKED = (
    "",
    "adam nan",
    "overflow encountered",
    "weights don't change",
    "xyzzy",
    "softplus xyzzy",
    "损失和权重不变",
    "全零",
)

# Types, chooses and clears; what is then to be seen, in its order.
PROBE = """
  const form = document.querySelector('form.find'), told = document.querySelector('[role=status]');
  const shown = () => [...document.querySelectorAll('details.case')].filter((one) => one.checkVisibility())
    .map((one) => one.id);
  const put = (name, value) => {
    form.elements[name].value = value; form.elements[name].dispatchEvent(new Event('input', { bubbles: true }));
    return shown();
  };
  const typed = Object.fromEntries(ASKED.map((text) => [text, put('words', text)]));
  put('words', 'softplus xyzzy'); const partly = told.textContent;
  put('words', 'xyzzy'); const none = told.textContent;
  put('words', '');
  const chosen = {};
  for (const [name, value] of [['seen', 'NaN'], ['klass', 'overflow'], ['phase', 'optimizer'], ['where', 'Softplus'],
    ['where', 'Adam']]) { chosen[value] = put(name, value); put(name, ''); }
  put('klass', 'overflow'); const both = put('words', 'silently'); put('words', ''); put('klass', '');
  const first = document.querySelector('details.case'); first.open = true;
  const names = [...form.elements].map((one) => one.labels?.[0]?.textContent || one.textContent);
  const paint = (name) => getComputedStyle(document.querySelector(name));
  return { typed, partly, none, chosen, both, names, count: told.textContent, summary: first.firstElementChild.tabIndex,
    total: document.documentElement.scrollWidth, visible: innerWidth, paper: paint('body').backgroundColor,
    ink: paint('body').color, loaded: performance.getEntriesByType('resource').length };
"""


def page(lang: str) -> str:
    return Exhibits(tuple(exhibit(name) for name in SOME)).translated(lang).page()


def looked(html: str, folder: Path, width: int = 1280, dark: bool = False) -> Any:
    found, said = visit(html, f"const ASKED = {json.dumps(ASKED)};{PROBE}", folder, width, dark)
    assert said == []
    assert found["total"] <= found["visible"] == width
    assert found["loaded"] == 0
    return found


@needs_chromium
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_searches_and_filters(lang: str, tmp_path: Path) -> None:
    papers = set()
    for width, dark in ((360, False), (1280, True)):
        found = looked(page(lang), tmp_path, width, dark)
        papers |= {found["paper"], found["ink"]}
    assert len(papers) == 4
    for text in ASKED:
        assert found["typed"][text] == [one.name for one in searched([*map(case, SOME)], text)[0]], text
    assert found["typed"]["adam nan"] == ["adam-eps"]
    assert found["typed"]["softplus xyzzy"] == ["softplus"]
    assert found["typed"]["xyzzy"] == []
    assert found["typed"]["全零"][0] == "rms-norm"
    assert "no-decay" in found["typed"]["weights don't change"]
    assert {*found["chosen"]["NaN"]} == {"adam-eps", "mask-minus-1e8"}
    assert {*found["chosen"]["overflow"]} == {"mean-overflow", "rms-norm", "softplus"}
    assert {*found["chosen"]["optimizer"]} == {"adam-eps", "no-decay"}
    assert found["chosen"]["Softplus"] == ["softplus"]
    assert found["chosen"]["Adam"] == ["adam-eps"]
    assert found["both"] == ["rms-norm"]
    assert "8" in found["count"]
    assert len({found["partly"], found["none"], found["count"]}) == 3
    assert all(found["names"])
    assert found["summary"] == 0  # reached by keyboard


@needs_chromium
@pytest.mark.slow
def test_the_page_of_all_finds_what_the_library_finds(tmp_path: Path) -> None:
    found = looked(hs.gallery.list().run().page(), tmp_path)
    for text in ASKED:
        assert found["typed"][text] == [case.name for case in hs.gallery.list(search=text)], text


@needs_chromium
def test_a_link_unfolds_its_case(tmp_path: Path) -> None:
    html = page("en").replace("</body>", "<script>location.hash = '#softplus'</script></body>")
    probe = "dispatchEvent(new Event('hashchange')); return document.querySelector('#softplus').open"
    assert visit(html, probe, tmp_path) == (True, [])


def test_a_page_is_whole_without_scripts_and_says_what_is_english() -> None:
    for lang in LANGUAGES:
        html = page(lang)
        assert html.count("<details") == len(SOME)
        assert not re.search(r"(src|href)=(?!\"https://github\.com/)", html)
        assert re.search(r'<form class="find" role="search" hidden', html)
        assert "No inf checks were recorded for this optimizer." in html
        assert "docs/onnx_ocr.md" in html
    assert html.count("英文原文") == 2 * len(SOME)
    assert html.count('<p lang="en">') == 2 * len(SOME)
    assert '<html lang="zh-CN">' in html


def test_the_command_writes_a_page_of_what_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    code, out, _ = called(["gallery", "--search", "adam eps", "--html", str(path), "--lang", "zh"], capsys)
    assert code == 0
    assert f"Page written to {path}" in out
    assert re.findall(r'<details class="case" id="([\w-]+)"', path.read_text("utf-8"))[0] == "adam-eps"


def test_what_a_case_prints_is_shown_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(["gallery", "no-gradient", "--json"], capsys)
    assert (code, err) == (0, "")
    assert json.loads(out)["printed"] == "No inf checks were recorded for this optimizer.\n"
    assert hs.gallery.run("no-gradient").finding.where == ""


def test_a_picture_marks_what_is_off_and_where_it_should_end() -> None:
    drawn = picture([1.0, 0.939, np.nan], [0.94, 0.94, 0.94], [0.94, 0.94, 0.94])
    assert (drawn.count('class="bad"'), drawn.count('class="due"')) == (2, 1)
    assert "Red: " in drawn
    assert "Red: " not in picture(1.0, 1.0, 1.0)
    assert "what happened: 1, 0.939, nan" in drawn
    assert "实际结果：4 NaN" in picture([np.nan] * 4, np.ones(4), np.ones(4), "zh")


def test_cases_are_taken_by_name_and_told_in_both_languages() -> None:
    shown = Exhibits((exhibit("adam-eps"), exhibit("softplus")))
    assert len(shown) == 2
    assert shown["softplus"].name == "softplus"
    with pytest.raises(KeyError):
        shown["sofplus"]
    assert str(shown).count("https://") == 2
    facts = shown.to_dict()
    assert [case["name"] for case in facts["cases"]] == ["adam-eps", "softplus"]
    assert json.loads(shown.to_json())["kind"] == "gallery"
    with pytest.raises(ValueError, match="lang: 'fr' is not allowed"):
        shown.translated("fr")
    assert "现象：" in str(exhibit("adam-eps").translated("zh"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_documentation_is_what_the_command_prints(lang: str) -> None:
    """The beginning, and that a story a case follows in their order; `test_cases` compares each story."""
    text = PAGES[lang].read_text(encoding="utf-8")
    assert text.startswith(f"{beginning(lang)}\n\n### {hs.gallery.list()[0].name}\n")
    stories = text.removeprefix(beginning(lang))
    assert re.findall(r"^### (.*)$", stories, re.M) == [case.name for case in hs.gallery.list()]
    last = hs.gallery.list()[-1].name
    assert text.endswith(f"\n\n{story(exhibit(last).translated(lang))}\n")
