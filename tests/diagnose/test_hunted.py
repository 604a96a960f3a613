"""Programs as people report them: the verdict is the one written down before they were run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.diagnose.hunted.catalogue import ROWS
from tests.diagnose.inputs import Row, check

# Sums of thousands of terms one after another: under `slow` but for half; last on 2026-11-29, all were right.
LONG = ("a_compensated_sum", "the_mean_of_what_rises", "a_clock")


def _rows() -> list[Any]:
    long = {p.id for p in ROWS.params() if str(p.id).startswith(LONG) and not str(p.id).endswith(", fp16")}
    return [
        pytest.param(*p.values, id=p.id, marks=[*p.marks, *[pytest.mark.slow] * (p.id in long)]) for p in ROWS.params()
    ]


@pytest.mark.parametrize("row", _rows())
def test_the_verdict_is_the_known_one_with_and_without_a_reference(row: Row) -> None:
    check(row)
