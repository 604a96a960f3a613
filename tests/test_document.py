"""What every result can do: plain data, JSON and pages that are whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.document import Document, json_text, jsonable, plain

GIVEN = {"a": np.float32(0.5), "b": (1, np.int64(2)), "c": np.array([1.0, np.nan]), "d": hs.float16, 1: True, "e": None}


class Said(Document):
    title = "what <was> said"

    def to_dict(self) -> dict[str, Any]:
        return {"given": GIVEN}

    def _body(self) -> Iterator[str]:
        yield "<p>words</p>"


def test_values_become_plain() -> None:
    wanted = {"a": 0.5, "b": [1, 2], "d": "float16", "1": True, "e": None}
    assert plain(GIVEN, lambda x: -1.0 if x != x else x) == {**wanted, "c": [1.0, -1.0]}
    assert jsonable(GIVEN) == {**wanted, "c": [1.0, "nan"]}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (hs.tensor([1.0, 2.0], "fp16"), [1.0, 2.0]),
        (hs.tensor(float("inf")), "inf"),
        (np.float64("-inf"), "-inf"),
        (np.array(3, np.int8), 3),
        (np.array(["a"]), "['a']"),
        ({1, 2} - {2}, "{1}"),
        (np.bool_(True), True),
    ],
)
def test_what_json_makes_of_kinds_of_values(value: Any, wanted: Any) -> None:
    assert json.loads(json_text(value), parse_constant=lambda word: pytest.fail(word)) == wanted


def test_files_hold_what_is_returned(tmp_path: Path) -> None:
    said, path = Said(), tmp_path / "said.json"
    assert said.to_json(path) == path.read_text() == said.to_json()
    said.to_html(tmp_path / "said.html")
    page = (tmp_path / "said.html").read_text()
    assert page == said.page()
    assert "<h1>what &lt;was&gt; said</h1>" in page
    assert "<p>words</p>" in said._repr_html_()
    assert "<html" not in said._repr_html_()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["said.html", "said.json"]


def test_a_file_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        Said().to_html(tmp_path / "none" / "page.html")
    assert not list(tmp_path.iterdir())
