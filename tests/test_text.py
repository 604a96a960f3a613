"""Numbers, shares and names in few characters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfsim.text import clipped, columns, distinct, filled, percent, short, si, width


@settings(max_examples=50)
@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_numbers_stay_short_and_never_lie(part: int, whole: int) -> None:
    assert len(short(part)) <= 7
    part = min(part, whole)
    text = percent(part, whole)
    assert (text == "0 %") == (part == 0)
    assert (text == "100 %") == (part == whole)
    assert len(text) <= 6


@settings(max_examples=50)
@given(st.text("ab. ", max_size=60), st.integers(20, 40))
def test_clipped_texts_fit(text: str, width: int) -> None:
    found = clipped(text, width)
    assert len(found) <= width
    assert (found == text) == (len(text) <= width)
    assert found[-8:] == text[-8:]


@settings(max_examples=50)
@given(st.text("ab. ", max_size=60), st.integers(8, 40))
def test_a_clipped_text_keeps_the_end_that_was_asked_for(text: str, width: int) -> None:
    start, end = clipped(text, width, "start"), clipped(text, width, "end")
    assert max(len(start), len(end)) <= width
    assert start[: width - 3] == text[: width - 3]
    assert end[-(width - 3) :] == text[-(width - 3) :]
    assert clipped(text, None) == text


def test_infinite_counts_are_words() -> None:
    assert (short(float("inf")), short(float("-inf"))) == ("inf", "-inf")


def test_quantities_take_a_prefix() -> None:
    assert [si(x, "s") for x in (2.0, 0.5, 2e-6, 5e-10)] == ["2 s", "500 ms", "2 us", "0.5 ns"]


ALIKE = [
    [f"encoder.layers.{i}.self_attn.out_proj.weight" for i in range(12)],
    [f"{side}coder.layers.{i}.self_attn" for side in ("en", "de") for i in (0, 1)],
    [f"block{i}{'.conv' * 9}" for i in range(9)],
    [f"{'conv.' * 9}block{i}" for i in range(9)],
    ["a" * n for n in range(20, 40)],
]


@pytest.mark.parametrize("keep", ["start", "middle", "end"])
@pytest.mark.parametrize("texts", ALIKE, ids=lambda texts: texts[0][:12])
def test_texts_that_differ_still_differ_when_cut(texts: list[str], keep: str) -> None:
    for room in range(8, 41):
        found = distinct(texts, room, keep)
        assert max(map(len, found)) <= room
        assert len(set(found)) == len(texts)
        table = columns([(text, "1") for text in texts], room=room + 3).splitlines()
        assert len(set(table)) == len(texts)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.text("ab.", max_size=40), st.text("cd", max_size=20)), min_size=2, max_size=6, unique=True),
    st.integers(1, 9),
    st.integers(40, 100),
)
def test_tables_fit_and_lose_no_column(words: list[tuple[str, str]], numbers: int, room: int) -> None:
    rows = [(*pair, *(f"{i}{j}{'0' * j}" for j in range(numbers))) for i, pair in enumerate(words)]
    text = columns(rows, left=2, room=room)
    assert max(map(len, text.splitlines()), default=0) <= room
    assert all(cell in text for row in rows for cell in row[2:])
    for block in text.split("\n\n"):
        lines = block.splitlines()
        assert len(lines) == len(rows)
        assert len(set(lines)) == len(lines)


@pytest.mark.parametrize(("given", "found"), [("40", 40), ("1000", 100), ("5", 24), ("", 100), ("x", 100), ("0", 100)])
def test_the_width_is_that_of_the_terminal(given: str, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", given)
    assert width() == found
    lines = filled("word " * 60, "  - ").splitlines()
    assert max(map(len, lines)) <= found
    assert all(line.startswith("    word") for line in lines[1:])
