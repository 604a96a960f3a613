"""Numbers, shares and names in few characters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from halfsim.text import clipped, percent, short, si


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
