"""Routines of NumPy and SciPy in float16: what the page says of them is what the search finds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.testing.routines import BEGIN, DOCS, END, Routine, routines, row, vectors, versions

PAGE = DOCS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
ROUTINES = list(routines())


@pytest.mark.parametrize("routine", ROUTINES, ids=lambda routine: routine.call)
def test_the_page_has_what_is_found(routine: Routine) -> None:
    """Word for word with the page's versions; with others whether there is anything, and no more."""
    said = next(line for line in PAGE.splitlines(keepends=True) if line.startswith(f"| `{routine.call}` |"))
    if f"With {versions()}:" in PAGE:
        assert row(routine) == said
    else:
        assert said.endswith(" holds |\n") or routine.found() is not None


def test_twelve_of_them_fail() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sum(not line.endswith(" holds |") for line in lines) >= 12


def test_a_right_routine_passes_and_a_wrong_one_shrinks() -> None:
    right = Routine("abs(x)", np.abs, vectors(), "not negative", lambda y, x: (y >= 0).all())
    assert right.found() is None
    wrong = Routine("x + 1", lambda x: x + np.float16(1), vectors(low=0), "another", lambda y, x: (y != x).all())
    assert wrong.told(wrong.found()) == "[2048] gives [2048]"
