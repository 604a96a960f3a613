"""Answers and what is said of them: every planted error gets its hint, and nothing that a pupil gives raises."""

from __future__ import annotations

import itertools
import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import teach
from halfsim.teach import exercises
from halfsim.teach.catalogue import lessons
from halfsim.teach.exercise import Exercise, Hint
from halfsim.teach.judge import judge

SUBJECTS = [lesson.subject for lesson in lessons()]
PLANTED = [(subject, *row) for subject in SUBJECTS for row in import_module(f"tests.teach.errors.{subject}").ERRORS]
EXERCISES = exercises.by_key()


@pytest.mark.parametrize(
    ("subject", "key", "answer", "english", "chinese"),
    PLANTED,
    ids=[f"{row[0]}-{row[1]}-{n}" for n, row in enumerate(PLANTED)],
)
def test_a_planted_error_gets_its_hint(subject: str, key: str, answer: Any, english: str, chinese: str) -> None:
    assert key in [one.key for one in exercises.of(subject)]
    for lang, told in (("en", english), ("zh", chinese)):
        found = judge(EXERCISES[key], answer, lang)
        assert not found.right
        assert found.answered
        assert told in found.text
        assert re.search(r"[\u4e00-\u9fff]", found.text) is None or lang == "zh"


def test_every_lesson_has_errors_and_every_hint_is_given() -> None:
    for subject in SUBJECTS:
        rows = [row for row in PLANTED if row[0] == subject]
        assert len(rows) >= 3
        for one in exercises.of(subject):
            said = {judge(one, answer).text for _, key, answer, _, _ in rows if key == one.key}
            for hint in one.hints:
                parts = [re.escape(part) for part in re.split(r"\{.*?\}", hint.en)]
                assert any(re.fullmatch(".*".join(parts), text) for text in said), (one.key, hint.en)


@pytest.mark.parametrize("key", EXERCISES)
def test_the_right_answer_is_right_and_a_blank_is_none(key: str) -> None:
    one = EXERCISES[key]
    right = one.right if one.cases else one.right()
    assert judge(one, right).right
    assert not judge(one, ...).answered


class _Hostile:
    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("no")

    __array__ = __str__ = __repr__ = __eq__ = __float__ = __len__ = __iter__ = __bool__ = _raise
    __hash__ = None  # type: ignore[assignment]


def _stops(*_: Any) -> Any:
    raise SystemExit(3)


def _deep(*args: Any) -> Any:
    return _deep(*args)


ODD = [
    ...,
    None,
    True,
    3,
    -0.0,
    float("nan"),
    float("inf"),
    10**400,
    1j,
    "",
    "text",
    "1.5",
    b"\xff",
    [],
    [1, "a"],
    [[1], [1, 2]],
    {},
    {1: 2},
    {3},
    object(),
    _Hostile(),
    int,
    len,
    lambda: 1,
    lambda *a: 1 / 0,
    lambda *a: None,
    lambda *a: "x",
    lambda *a: _Hostile(),
    _stops,
    _deep,
    np.array([]),
    np.array(["a"]),
    np.array([1, None]),
    np.zeros((2, 3)),
    np.datetime64("2020-01-01"),
    np.ma.masked,
    hs.tensor([1.0, 2.0]),
    hs.tensor(1.0),
    hs.nn.Linear(1, 1),
    np,
    Exception("x"),
]


@pytest.mark.parametrize("key", EXERCISES)
def test_no_answer_raises(key: str) -> None:
    for lang, odd in itertools.product(("en", "zh"), ODD):
        found = judge(EXERCISES[key], odd, lang)
        assert found.right or found.text
        assert "\n" not in found.text
        assert len(found.text) < 400


def test_odd_answers_and_predictions_print_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for lang in ("en", "zh"):
        teach.start("sixteen_bits", lang)
        for odd in ODD:
            teach.check("largest", odd)
            teach.predict("x", odd)
            teach.reveal(f"y{id(odd)}", odd)
        teach.check("largset", 1)
        teach.check("no such thing at all", 1)
        teach.check(None, 1)  # type: ignore[arg-type]
        teach.score()
    out, err = capsys.readouterr()
    assert not err
    assert out.count("\n") == 2 * (3 * len(ODD) + 4)
    assert "there is no exercise largset; did you mean largest?" in out
    assert "没有名为 largset 的练习；是不是 largest？" in out


def test_a_prediction_stays_once_it_is_revealed(capsys: pytest.CaptureFixture[str]) -> None:
    teach.start("sixteen_bits")
    teach.predict("a", ...)
    teach.predict("a", 1)
    teach.predict("a", 2.0)
    teach.reveal("a", 3)
    teach.predict("a", 3)
    teach.reveal("b", np.float16(0.5))
    teach.predict("b", 0.5)
    teach.predict("c", True)
    teach.reveal("c", True)
    assert capsys.readouterr().out.splitlines() == [
        "a: no prediction yet; put a guess in the place of ..., being wrong costs nothing",
        "noted: a = 1",
        "noted: a = 2",
        "a: it is 3; you predicted 2",
        "a: revealed already; your prediction stays 2",
        "b: it is 0.5; you made no prediction",
        "b: revealed already",
        "noted: c = True",
        "c: it is True, as you predicted",
    ]


def test_the_score_counts_the_last_answers(capsys: pytest.CaptureFixture[str]) -> None:
    teach.start("sixteen_bits", "en")
    for key, answer in (("value", 0.75), ("largest", 65504), ("largest", 1), ("nans", 2046)):
        teach.check(key, answer)
    teach.score()
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2 of 5 exercises are right; still open: fields, largest, decode"
    )


NUMBER = Exercise("n", lambda: 2048.0, [Hint(lambda x: x == 4096 and {"ulp": 2.0}, "{got} {right} {ulp}", "{got}")])
ARRAY = Exercise("a", lambda: np.array([1.0, 2.0, np.nan]), close=1e-3)
FUNCTION = Exercise("f", lambda x: x + 1, cases=[(1,), (2,)])
TRUTH = Exercise("t", lambda: True)
BIT = Exercise("b", lambda: 1)
ANY = Exercise("p", lambda: 4, accepts=lambda x: x % 2 == 0)
SAID = [
    (NUMBER, 2048, ""),
    (NUMBER, np.float16(2048), ""),
    (NUMBER, [2048.0], ""),
    (NUMBER, hs.tensor(2048.0), ""),
    (NUMBER, 4096, "4096 2048 2"),
    (NUMBER, 2049.5, "2049.5 is too large"),
    (NUMBER, -1, "-1 is too small"),
    (NUMBER, float("nan"), "yours is NaN: 0/0 or inf - inf is in it somewhere"),
    (NUMBER, [1, 2], "yours has shape (2,); () is asked for"),
    (NUMBER, True, "yours is of type bool: a number is asked for"),
    (NUMBER, "2048", "yours is a text: leave the quotes out"),
    (NUMBER, "big", "yours is of type str: a number is asked for"),
    (NUMBER, len, "yours is a function: call it, and give what it returns"),
    (NUMBER, 1j, "yours is of type complex: a number is asked for"),
    (ARRAY, [1.0005, 2, float("nan")], ""),
    (
        ARRAY,
        [1.01, 2, float("nan")],
        "2 of 3 are right; the first that is not is number 0, counted from 0: 1.01 is too large",
    ),
    (
        ARRAY,
        [1, 2, 3],
        "2 of 3 are right; the first that is not is number 2, counted from 0: 3 is a number; look again at "
        "what an invalid operation gives",
    ),
    (ARRAY, 1, "yours has shape (); (3,) is asked for"),
    (ARRAY, {}, "yours is of type dict: a list of 3 numbers is asked for"),
    (FUNCTION, lambda x: x + 1, ""),
    (FUNCTION, 2, "yours is no function: give its name, without brackets"),
    (FUNCTION, abs, "abs(1): 1 is too small"),
    (FUNCTION, lambda x: None, "your function returns nothing yet: write its body, with a return"),
    (FUNCTION, lambda x: 2 if x == 1 else 1 / 0, "<lambda>(2) raised ZeroDivisionError: division by zero"),
    (FUNCTION, lambda: 1, "<lambda>(1) raised TypeError: "),
    (TRUTH, np.True_, ""),
    (TRUTH, False, "it is not False"),
    (TRUTH, 1, "yours is of type int: True or False is asked for"),
    (BIT, True, ""),
    (BIT, False, "0 is too small"),
    (ANY, 6, ""),
    (ANY, 7, "7 does not do it"),
]


@pytest.mark.parametrize("number", range(len(SAID)))
def test_what_is_said_of_an_answer(number: int) -> None:
    exercise, answer, told = SAID[number]
    found = judge(exercise, answer)
    assert found.right == (not told)
    assert found.text[: len(told)] == told
    assert told.endswith(" ") or len(found.text) == len(told)
