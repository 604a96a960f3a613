"""The command that measures speed: its tables, what is missing of them, its page."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

import pytest

from benchmarks import __main__ as command
from benchmarks import harness, page
from benchmarks.harness import Table
from benchmarks.targets import TARGETS, Target

RECORDS = {part: record for part in page.PARTS if (record := page.recorded(part)) is not None}


def test_the_pages_are_what_the_records_print() -> None:
    assert tuple(RECORDS) == page.PARTS
    for path, told in page.pages(RECORDS).items():
        assert path.read_text(encoding="utf-8") == told, f"{path.name}: python -m benchmarks --only --write"


@pytest.mark.parametrize("part", page.PARTS)
def test_the_records_are_of_the_tables_of_today(part: str) -> None:
    tables = importlib.import_module(f"benchmarks.{part}").TABLES
    assert [(t["title"], [row["name"] for row in t["rows"]]) for t in RECORDS[part]["tables"]] == [
        (t.title, list(t.rows)) for t in tables
    ]
    for table in RECORDS[part]["tables"]:
        assert table["rows"][0]["ratio"] == 1
        assert all("note" in row or row["low"] <= row["median"] <= row["high"] for row in table["rows"])


def test_every_aim_names_rows_that_there_are() -> None:
    tables = [table for part in page.PARTS for table in importlib.import_module(f"benchmarks.{part}").TABLES]
    rows = {table.title: set(table.rows) for table in tables}
    assert len(rows) == len(tables)
    for target in TARGETS:
        assert {target.row, target.base} - {""} <= rows[target.title], target.words


def test_an_aim_is_a_ratio_of_lower_quartiles() -> None:
    tables = {"t": {"rows": [{"name": "a", "low": 3.0}, {"name": "b", "low": 2.0}, {"name": "c", "note": "crashed"}]}}
    assert Target("", "t", "a", 1.0, "b").measured(tables) == 1.5
    assert Target("", "t", "a", 1.0).measured(tables) == 3.0
    assert Target("", "t", "a", 1.0, "c").measured(tables) is None
    assert page._marked("1.5", 1.5, 1.0) == "**1.5**"
    assert page._marked("1.5", 1.5, 1.5) == "1.5"


def test_a_peer_that_is_missing_or_crashes_is_a_line() -> None:
    def missing() -> Callable[[], object]:
        return lambda: harness.peer("no_such_package")

    def crashing() -> Callable[[], object]:
        return lambda: [][1]

    rows = {"ours": lambda: lambda: sum(range(2000)), "missing": missing, "crashing": crashing}
    found = Table("t", "ms", 1e3, rows, 3).run(quick=False)
    assert found["rows"][1:] == [
        {"name": "missing", "note": "not installed: no_such_package"},
        {"name": "crashing", "note": "crashed: IndexError"},
    ]
    assert found["rows"][0]["ratio"] == 1
    assert page.lines(found)[2] == ("missing", "not installed: no_such_package", "", "")


def test_works_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(harness, "_seconds", lambda work, times: work() or (0.5 if times == 1 else 0.1))
    found = harness.in_turns({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert "".join(order) == "abababab"
    assert found == {"a": [0.5] * 3, "b": [0.5] * 3}


def test_slow_work_gets_few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_seconds", lambda work, times: 2.0)
    assert harness.in_turns({"slow": int}, 3) == {"slow": [2.0]}
    assert harness.in_turns({"slow": int}, 30) == {"slow": [2.0] * 3}


def test_memory_is_what_is_held_at_the_most() -> None:
    found = harness.peaks({"held": lambda: bytearray(10**6)}, 1)
    assert 10**6 <= found["held"][0] < 1.1e6


def test_a_run_that_was_broken_off_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    done: list[str] = []

    def measured(part: str, quick: bool) -> dict[str, object]:
        done.append(part)
        if len(done) == 2:
            raise KeyboardInterrupt
        return {"part": part, "quick": quick, "facts": harness.facts(), "tables": []}

    monkeypatch.setattr(page, "RECORDED", tmp_path)
    monkeypatch.setattr(command, "measured", measured)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "--resume", "--only", "rounding", "steps"])
    with pytest.raises(KeyboardInterrupt):
        command.main()
    assert command.main() == 0
    assert done == ["rounding", "steps", "steps"]


def test_facts_name_no_machine() -> None:
    text = str(harness.facts())
    assert not re.search(r"/|\\\\|@|\.local", text)
    assert re.search(r"'date': '\d{4}-\d\d-\d\d'", text)


def test_marked_sentences_are_made_anew() -> None:
    text = "a <!-- speed: step -->old\nwords<!-- /speed -->, b"
    assert page.filled(text, {"step": "new"}) == "a <!-- speed: step -->new<!-- /speed -->, b"
