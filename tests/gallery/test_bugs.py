"""Every case against a record of the catalogue that was written down apart from them: link, year, class, phase, op."""

from __future__ import annotations

from typing import Any

import pytest

import halfsim as hs
from halfsim.diagnose.finding import CLASSES
from tests.gallery.bugs import bugs, expected
from tests.gallery.cases import exhibit

BUGS = bugs()
CASES = {case.id: case for case in hs.gallery.list()}


def test_every_bug_of_the_catalogue_is_a_case() -> None:
    assert CASES.keys() == BUGS.keys()
    assert len(BUGS) == len({bug["link"] for bug in BUGS.values()}) == 77


@pytest.mark.parametrize("number", [pytest.param(number, marks=pytest.mark.run(f"case {number}")) for number in BUGS])
def test_a_case_is_what_the_catalogue_says(number: str) -> None:
    bug, case = BUGS[number], CASES[number]
    assert case.link == bug["link"]
    assert case.year == bug.get("year", case.year)
    assert case.year <= bug.get("year_at_most", case.year)
    found = exhibit(case.name)
    assert found.link == bug["link"]
    for what in ("klass", "phase", "op"):
        known = expected(bug, what)
        assert not known or getattr(found.finding, what) in known, f"{what}\n{found.finding}"
    for what in ("klass", "phase"):
        allowed = {*expected(bug, what), bug.get(what)}
        assert what not in bug or getattr(found, what) in allowed, what


@pytest.mark.parametrize("number", BUGS)
def test_the_record_is_sound(number: str) -> None:
    bug = BUGS[number]
    told: dict[str, Any] = bug.get("told", {})
    assert ("told" in bug) == ("because" in bug)
    for what, value in told.items():
        assert value not in expected({**bug, "told": {}}, what), "which is no difference"
    for known in (bug, told):
        assert known.get("klass", "overflow") in CLASSES
        assert known.get("phase", "forward") in ("forward", "backward", "optimizer")


def test_the_same_words_of_the_catalogue_are_the_same_class() -> None:
    classes: dict[str, set[str]] = {}
    for bug in BUGS.values():
        if "said" in bug:
            classes.setdefault(bug["said"], set()).add(bug["klass"])
    assert all(len(found) == 1 for found in classes.values()), classes
