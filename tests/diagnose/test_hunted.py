"""Programs as people report them: the verdict is the one written down before they were run."""

from __future__ import annotations

import pytest

from tests.diagnose.hunted.catalogue import ROWS
from tests.diagnose.inputs import Row, check


@pytest.mark.parametrize("row", ROWS.params())
def test_the_verdict_is_the_known_one_with_and_without_a_reference(row: Row) -> None:
    check(row)
