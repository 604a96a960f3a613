"""The room of papers: what is printed of a claim, and that the pages are what the record says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import halfsim as hs
from halfsim.cli import main
from halfsim.gallery.languages import LANGUAGES
from halfsim.gallery.literature import catalogue
from halfsim.gallery.literature.catalogue import PAPERS, measured
from halfsim.gallery.literature.result import Claim, Paper, Reproduction, Reproductions
from halfsim.gallery.said import Said
from tests.gallery.literature.page import LESSONS, PAGES, page, record, recorded

GAP = Claim(Said("gap", "差距"), (7.5, 8.5), 7, 9, 8.0, Said("2^3", "2^3"), "dB")
PAPER = Paper(
    "gap", Said("A gap", "差距"), "On Gaps", "A. N. Author", 2025, "https://example.org", Said("Why?", "为什么？")
)


def test_a_claim_is_judged_by_its_range() -> None:
    assert GAP.reproduced
    assert GAP.here("en") == "8 dB ± 0.71 dB (2 runs)"
    assert GAP.paper("zh") == "8 dB（2^3）"
    wide = Claim(GAP.words, (8100.0, 8300.0), 8000, 9000, 8192.0)
    assert wide.here("en") == "8,200 ± 141 (2 runs)"
    assert wide.paper("en") == "8,192"
    off = Claim(GAP.words, (6.5, 7.2), 7, 9)
    assert off.verdict("en") == "differs; allowed: 7 to 9"
    assert off.paper("en") == "no number"
    assert Claim(GAP.words, (7.5,), 7, 9).verdict("zh") == "成立"
    lost = Claim(GAP.words, (math.nan, 8.0), 7, 9)
    assert not lost.reproduced
    assert "nan" in lost.here("en")


@pytest.mark.parametrize(("values", "low", "words"), [((), 0, "values"), ((1.0,), 3, "low")])
def test_a_claim_without_values_or_range_is_refused(values: tuple[float, ...], low: float, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}: "):
        Claim(GAP.words, values, low, 2)


def test_a_reproduction_is_text_page_and_data_in_both_languages() -> None:
    one = Reproduction(PAPER, [GAP], [Said("nothing of note", "没有")])
    assert "here: 8 dB ± 0.71 dB (2 runs); paper or theory: 8 dB (2^3); reproduced" in str(one)
    assert "- nothing of note" in str(one)
    both = Reproductions([one, one]).translated("zh")
    assert str(both).count("本机：8 dB ± 0.71 dB（2 次运行）") == 2
    assert "<td" in both.page()
    assert json.loads(both.to_json())["papers"][0]["claims"][0]["reproduced"] is True
    assert both["gap"].title == "差距"
    with pytest.raises(ValueError, match="'gaps'"):
        both["gaps"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"name": "flush"}, ValueError), ({"name": 1}, TypeError), ({"seeds": 1}, ValueError), ({"seeds": 2.0}, TypeError),
     ({"name": "flash", "lang": "fr"}, ValueError), ({"seeds": np.int64(1)}, ValueError)],
)  # fmt: skip
def test_what_is_not_a_paper_is_refused_before_work(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^\w+: .* is not allowed"):
        hs.gallery.papers(**arguments)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_is_what_the_record_says(lang: str) -> None:
    assert PAGES[lang].read_text(encoding="utf-8") == page(lang), "python -m tests.gallery.literature --write"


def test_every_paper_is_recorded_and_has_its_lesson() -> None:
    assert [*record()] == [*PAPERS]
    for one in recorded():
        assert one.claims
        assert all(words.en and words.zh for words in (one.paper.words, *one.not_shown, *(c.words for c in one.claims)))
    lessons = {lesson.number for lesson in import_module("halfsim.teach.catalogue").lessons()}
    assert lessons >= {*LESSONS.values()}


def test_each_took_less_than_three_minutes_on_two_processors() -> None:
    assert max(facts["seconds"] for facts in record().values()) < 180


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_measured_again_it_is_the_same(name: str) -> None:
    assert str(measured(name)) == str(recorded()[name])  # 2026-11-30


def test_the_command_tells_each_paper_when_it_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []

    def quick(name: str, seeds: int | None, lang: str) -> Reproduction:
        told.append(capsys.readouterr().out)
        return Reproduction(replace(PAPER, name=name), [GAP], (), lang)

    monkeypatch.setattr(catalogue, "measured", quick)
    page = tmp_path / "papers.html"
    assert main(["papers", "--lang", "zh", "--html", str(page)]) == 0
    told.append(capsys.readouterr().out)
    assert [text.count("On Gaps") for text in told] == [0, *[1] * len(PAPERS)]
    assert str(page) in told[-1]
    assert page.read_text(encoding="utf-8").count("<h2>") == len(PAPERS)
    assert main(["papers", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["papers"]) == len(PAPERS)
    assert main(["papers", "flash", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "paper"
