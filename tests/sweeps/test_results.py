"""Results: records, columns for pandas, means and paired differences as the standard library has them, pages."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs


def loss(format: str, rate: float, seed: int) -> Any:
    if rate == 3.0 and seed == 2:
        raise ValueError("diverged")
    draw = np.random.default_rng(seed).normal()
    return {"loss": draw + rate * (2 if format == "fp16" else 1), "steps": seed, "ok": seed > 0, "rate": "x",
            "note": None}  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> hs.sweeps.Results:
    return hs.sweep(loss, {"format": ["fp32", "fp16"], "rate": [1.0, 3.0]}, 5, "serial", tmp_path / "results.jsonl")


def test_columns_are_arrays_as_pandas_takes_them(found: hs.sweeps.Results) -> None:
    columns = found.columns()
    names = ["format", "rate", "seed", "loss", "steps", "ok", "result.rate", "note", "error", "duration"]
    assert [*columns] == names
    assert {array.shape for array in columns.values()} == {(20,)}
    assert (columns["rate"].dtype, columns["seed"].dtype, columns["loss"].dtype) == (np.float64, np.int64, np.float64)
    assert list(columns["format"]) == ["fp32"] * 10 + ["fp16"] * 10
    assert np.isnan(columns["loss"]).sum() == 2
    assert [e for e in columns["error"] if e] == ["ValueError: diverged"] * 2
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(columns).groupby("format").loss.count().to_dict() == {"fp16": 9, "fp32": 9}


def test_a_summary_is_what_the_standard_library_says(found: hs.sweeps.Results) -> None:
    summary = found.summary("format", of="loss", baseline="fp32")
    values = {
        (r["config"]["format"], r["config"]["rate"], r["seed"]): r["result"]["loss"] for r in found if "result" in r
    }
    for line, name in zip(summary, ("fp32", "fp16"), strict=True):
        mine = [v for (f, _, _), v in values.items() if f == name]
        pairs = [v - values["fp32", r, s] for (f, r, s), v in values.items() if f == name]
        assert (line.by, line.of, line.n, line.failed, line.pairs) == ({"format": name}, "loss", 9, 1, 9)
        assert line.mean == pytest.approx(statistics.mean(mine), rel=1e-12)
        assert line.std == pytest.approx(statistics.stdev(mine), rel=1e-12)
        assert line.difference == pytest.approx(statistics.mean(pairs), abs=1e-12)
        assert line.error == pytest.approx(statistics.stdev(pairs) / 3, abs=1e-12)
        assert (line.low, line.high) == (min(mine), max(mine))
    whole = found.summary(baseline={"format": "fp32", "rate": 1.0})
    assert whole.by == ("format", "rate")
    by_group = {(*line.by.values(), line.of): line for line in whole}
    assert by_group["fp16", 1.0, "loss"].difference == pytest.approx(1.0)
    assert by_group["fp16", 1.0, "loss"].error == pytest.approx(0.0, abs=1e-15)
    assert by_group["fp16", 3.0, "ok"].mean == 0.75
    assert by_group["fp16", 3.0, "loss"].pairs == 4


def test_numbers_that_are_not_finite_are_counted_and_show(tmp_path: Path) -> None:
    def far(a: int, seed: int) -> float:
        return [1.0, float("inf"), float("nan")][seed] if a else 1e308

    found = hs.sweep(far, {"a": [0, 1]}, 3, "serial", tmp_path / "results.jsonl")
    finite, broken = found.summary("a")
    assert (finite.infinite, finite.std, broken.infinite) == (0, pytest.approx(0), 2) or finite.mean == float("inf")
    assert broken.mean is not None
    assert np.isnan(broken.mean)
    page = found.page()
    assert "nan" in page
    assert json.loads(found.to_json())["rows"][-1]["result"] == "nan"


def test_names_that_are_not_there_are_refused(found: hs.sweeps.Results) -> None:
    for wrong, words in [
        (
            {"by": "formt"},
            r"^by: 'formt' is not in the configurations \(did you mean 'format'\?\); allowed: format, rate$",
        ),
        ({"of": "los"}, "^of: 'los' is not a number of the results; allowed: loss, steps, ok$"),
        (
            {"by": "format", "baseline": "fp64"},
            "^baseline: 'fp64' is not one of the groups; allowed: format: fp32, fp16$",
        ),
        (
            {"baseline": "fp32"},
            "^baseline: 'fp32' is not one of the groups; allowed: format: fp32, fp16 or rate: 1, 3$",
        ),
    ]:
        with pytest.raises(ValueError, match=words):
            found.summary(**wrong)  # type: ignore[arg-type]


def test_a_file_read_alone_is_in_the_order_of_its_values(found: hs.sweeps.Results) -> None:
    alone = hs.sweeps.results(found.paths[0])
    assert alone.table() == found.table()
    assert alone.axes == {"format": ["fp16", "fp32"], "rate": [1.0, 3.0]}
    assert [(*r["config"].values(), r["seed"]) for r in alone][:6] == [
        *(("fp16", 1.0, s) for s in range(5)), ("fp16", 3.0, 0)
    ]  # fmt: skip


def test_parts_of_a_study_are_read_as_one(tmp_path: Path) -> None:
    parts = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for i, path in enumerate(parts):
        hs.sweep(loss, {"format": ["fp16"], "rate": [1.0 + 2 * i]}, 3, "serial", path)
    both = hs.sweeps.results(*parts)
    assert (len(both), both.failed, both.axes["rate"]) == (6, 1, [1.0, 3.0])
    with pytest.raises(ValueError, match="^paths: none is not allowed"):
        hs.sweeps.results()


def test_it_prints_and_makes_a_page_with_a_table_that_sorts(found: hs.sweeps.Results) -> None:
    text, page = str(found), found.page()
    assert text.startswith("results.jsonl: 20 rows, 2 failed, of 5 seeds.\n\nformat  rate")
    assert '<table class="sort">' in page
    assert "ValueError: diverged" in page
    assert page.count("<figure>") == 6, "three numbers along two names"
    assert "://" not in page, "it loads nothing"
    assert len(found.to_dict()["rows"]) == 20


def test_it_says_why_rows_failed(tmp_path: Path) -> None:
    def wrong(kind: int, seed: int) -> int:
        if kind < 7:
            raise ValueError("no " * 60 + str(kind % 6))
        return seed

    found = hs.sweep(wrong, {"kind": list(range(9))}, 2, "serial", tmp_path / "results.jsonl")
    errors = found._errors()
    assert [words.partition(" x ")[0] for words in errors] == ["4", "2", "2", "2", "2", "2"]
    assert errors[0].startswith("4 x ValueError: no no ")
    assert errors[0].endswith(f"0 (wrong, line {wrong.__code__.co_firstlineno + 2})")
    assert errors[-1] == "2 x another, see the rows"
    text, page = str(found), found.page()
    assert " ".join(text.split()).endswith(" ".join(errors))
    assert [page.count(words) for words in errors] == [1] * 6, "whole above the table, which cuts them"
    fine = hs.sweep(wrong, {"kind": [8]}, 1, "serial", tmp_path / "fine.jsonl")
    assert fine._errors() == []
    assert "Errors" not in fine.page()


def test_a_picture_has_room_for_its_numbers(tmp_path: Path) -> None:
    def far(a: int, seed: int) -> float:
        return -1.2345e-5 * a

    page = hs.sweep(far, {"a": [1, 2]}, 2, "serial", tmp_path / "results.jsonl").page()
    ends = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">(-[^<]+)</text>', page)
    assert [label for _, label in ends] == ["-2.47e-05", "-1.85e-05", "-1.23e-05"]
    assert all(float(x) >= 7.5 * len(label) for x, label in ends), "12 pixels high, no digit is wider than 7.5"


def test_an_empty_study_has_nothing_to_show(found: hs.sweeps.Results, tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(found.paths[0].read_bytes().split(b"\n")[0] + b"\n")
    empty = hs.sweeps.results(path)
    assert (len(empty), empty.table(), empty.records(), len(empty.summary())) == (0, "", [], 0)
    assert "0 rows" in str(empty)
    assert "0 rows" in empty.page()


def test_pictures(found: hs.sweeps.Results) -> None:
    pytest.importorskip("matplotlib")
    ax = hs.plot.sweep(found, "rate", "loss", by="format")
    lines = {tuple(line.get_label() for line in [c]) for c in ax.containers}
    assert lines == {("format = fp32",), ("format = fp16",)}
    line = ax.containers[0].lines[0]
    assert list(line.get_xdata()) == [1.0, 3.0]
    wanted = [g.mean for g in found.summary(["format", "rate"], "loss") if g.by["format"] == "fp32"]
    assert list(line.get_ydata()) == wanted
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in hs.plot.sweep(found).get_xticklabels()] == ["fp32", "fp16"]
    with pytest.raises(TypeError, match="^sweep: 3 is not allowed; allowed: the Results"):
        hs.plot.sweep(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^x: 'rat' is not allowed"):
        hs.plot.sweep(found, "rat")
