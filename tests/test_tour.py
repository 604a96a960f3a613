"""docs/tour.md: what it quotes stands in the source, and what it prints is printed."""

from __future__ import annotations

import doctest
import re

from tests import tour

PAGE = tour.TOUR.read_text("utf-8")


def test_every_excerpt_is_the_source() -> None:
    assert len(tour.QUOTED.findall(PAGE)) == PAGE.count("```python") >= 10
    assert tour.text() == PAGE, "python -m tests.tour --write"


def test_every_output_is_printed() -> None:
    session = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE, re.S))
    test = doctest.DocTestParser().get_doctest(session, {}, "tour", str(tour.TOUR), 0)
    assert len(test.examples) >= 15
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=told.append)
    assert not told, "".join(told)
