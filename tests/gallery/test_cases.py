"""Every case of the gallery: what it shows runs as shown, is mended, and explains itself in both languages."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halfsim as hs
from halfsim.gallery.case import flat, off
from halfsim.gallery.catalogue import every
from tests.cases.catalogue import EXCEPTIONS
from tests.gallery.cases import PAGES, exhibit, story


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=pytest.mark.run(f"case {case.id}")) for case in every()]
)
def test_a_case(case: hs.gallery.Case) -> None:
    shown = exhibit(case.name)
    assert case.broken(shown.observed)
    assert off(shown.fixed, shown.reference) <= case.tolerance
    assert 2 * shown.left < off(shown.observed, shown.reference), "which is better"
    if case.id not in EXCEPTIONS:
        assert (shown.finding.klass, shown.finding.phase) == (case.klass, case.phase)
        assert not case.ops or shown.finding.op in case.ops
    assert len(shown.code.splitlines()) <= 15
    names: dict[str, object] = {"np": np, "hs": hs}
    hs.manual_seed(0)
    exec(shown.code, names)
    assert flat(names["observed"]).tobytes() == flat(shown.observed).tobytes()
    for text in (case.why, case.why_zh):
        assert not re.search(r"\d", re.sub(r"float\d+|E4M3|`[^`]*`|\{[^}]*\}", "", text))
    assert set(re.findall(r"\{[^}]*\}", case.why)) >= set(re.findall(r"\{[^}]*\}", case.why_zh))
    assert shown.why
    assert case.title_zh
    for lang, page in PAGES.items():
        assert f"\n\n{story(shown.translated(lang))}\n" in page.read_text(encoding="utf-8"), lang


def test_a_typo_gets_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'adam-eps'"):
        hs.gallery.run("adam-epz")


def test_the_list_has_them_all() -> None:
    assert len(hs.gallery.list()) == 77
    assert len({case.name for case in hs.gallery.list()}) == 77
