"""Every rebuilt case is told rightly, but for those that are listed with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.catalogue import EXCEPTIONS, cases, judged

DOCS = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.run(f"case {name}")) for name in cases()])
def test_the_answer_is_right(name: str) -> None:
    j = judged(cases()[name])
    names = ("value", "class", "operation", "phase", "fix", "same verdict with a reference", "same bits traced")
    wrong = [what for what, right in zip(names, j.columns, strict=True) if not right]
    assert j.value
    assert j.same, "the same verdict with a reference"
    assert j.bits, "traced bits equal untraced bits"
    assert bool(wrong) == (name in EXCEPTIONS), f"{wrong}\n{j.finding}"


def test_all_cases_of_both_catalogues_are_there() -> None:
    assert len(cases()) == 77


def test_the_table_in_the_docs_has_them_all() -> None:
    for case in cases().values():
        assert f"[{case.id}]({case.link}) {case.name}, {case.year}" in DOCS
    assert f"**{len(cases()) - len(EXCEPTIONS)} of {len(cases())}**" in DOCS
