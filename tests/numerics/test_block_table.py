"""What docs/formats.md says of block formats is what is measured, and what its program prints."""

from __future__ import annotations

import re

import pytest

from tests import marks
from tests.numerics.block_table import DOCS, table


def test_the_table_is_what_is_measured() -> None:
    assert marks.between(DOCS, "blocks") == table()


def test_the_program_prints_what_stands_below_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    section = DOCS.read_text(encoding="utf-8").partition("## Block formats\n")[2]
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```\n", section, re.S)
    assert found is not None
    exec(compile(found[1], "<string>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == found[2]
