"""Routines of NumPy and SciPy in float16: what the page says of them is what the search finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import marks
from tests.testing.routines import DOCS, Routine, vectors, versions

ROOT = Path(__file__).parents[2]

PAGE = marks.between(DOCS, "found")


# All of them: under `slow`; last on 2026-11-30, all were as the page has them.
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_the_page_has_what_is_found(every: int) -> None:
    """Word for word with the page's versions; with others whether there is anything, and no more.

    In a process of its own: hypothesis draws constants of the modules that are loaded, whichever they are.
    """
    done = subprocess.run([sys.executable, "-m", "tests.testing.routines", f"--every={every}"], cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    head, rows = PAGE.partition("| --- | --- | --- |\n")[::2]
    page = f"{head}| --- | --- | --- |\n{''.join(rows.splitlines(keepends=True)[::every])}"
    if f"With {versions()}:" in PAGE:
        assert done.stdout.strip() == page.strip()
    else:
        assert _holding(done.stdout) == _holding(page)


def _holding(page: str) -> dict[str, bool]:
    lines = (line for line in page.splitlines() if line.startswith("| `"))
    return {line.split("|")[1]: line.endswith(" holds |") for line in lines}


def test_twelve_of_them_fail() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sum(not line.endswith(" holds |") for line in lines) >= 12


def test_a_right_routine_passes_and_a_wrong_one_shrinks() -> None:
    right = Routine("abs(x)", np.abs, vectors(), "not negative", lambda y, x: (y >= 0).all())
    assert right.found() is None
    wrong = Routine("x + 1", lambda x: x + np.float16(1), vectors(low=0), "another", lambda y, x: (y != x).all())
    assert wrong.told(wrong.found()) == "[2048] gives [2048]"
