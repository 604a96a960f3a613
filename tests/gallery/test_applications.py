"""The page of applications is what was measured; the record holds. Last measured on 2026-11-30."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest

import halfsim as hs
from halfsim.gallery.languages import LANGUAGES
from halfsim.gallery.uses.arithmetic import ARITHMETIC
from halfsim.gallery.uses.catalogue import APPLICATIONS
from tests.gallery.applications import PAGES, PICTURES, files, page, record, recorded

NEEDED = ("matplotlib", "sklearn", "pysptk", "onnx", "silero_vad", "rapidocr_onnxruntime")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_is_what_the_record_says(lang: str) -> None:
    assert PAGES[lang].read_text(encoding="utf-8") == page(lang), "python -m tests.gallery.applications --write"


def test_every_application_is_recorded_with_its_pictures() -> None:
    found = recorded()
    assert [one.name for one in found] == [*APPLICATIONS] == [*record()["seconds"]]
    wanted = {file for one in found for picture in one.pictures for file in files(one, picture)}
    assert {path.name for path in PICTURES.iterdir()} == wanted
    assert all(
        row.precision in ARITHMETIC and row.operation.zh and row.operation.en for one in found for row in one.rows
    )


def test_each_took_less_than_twenty_seconds() -> None:
    assert max(record()["seconds"].values()) < 20


def test_what_breaks_has_a_fix_that_is_enough() -> None:
    broken = [row for one in recorded() for row in one.rows if not row.fine]
    assert len(broken) > 40
    assert all(row.fixed is not None and row.measure.fine(row.fixed, row.enough) and row.fix.en for row in broken)


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="the packages with the data and models are not installed")
@pytest.mark.parametrize("name", APPLICATIONS)
def test_measured_again_it_is_the_same(name: str) -> None:
    start = time.process_time()
    one, then = hs.gallery.applications(name), recorded()[name]
    assert time.process_time() - start < 40  # twice what the page allows: machines differ
    assert str(one) == str(then)
    assert str(one.translated("zh")) == str(then.translated("zh"))
