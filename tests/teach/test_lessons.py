"""Every lesson in both languages: its structure, that both are in step, that it runs, and what it says of answers."""

from __future__ import annotations

import ast
import re
import time
from functools import cache
from typing import Any

import pytest

from halfsim.teach import exercises
from halfsim.teach.catalogue import Lesson, lessons
from halfsim.teach.notebook import Cell, pupils, solved
from tests.teach.running import assigned, numbers, run_all, used

pytest.importorskip("matplotlib", reason="the lessons draw")

ENGLISH, CHINESE = lessons("en"), lessons("zh")
# The longest: in the second language under `slow`, whose code and fields are held to be the first one's all the same;
# last on 2026-11-30, all numbers were those of English.
LONG = ("06_remedies", "08_lost_updates", "12_property_tests")


def _named(*which: Lesson, slow: bool = False) -> Any:
    """Those of one lesson, whatever the language, stand together."""
    name, marks = which[0].name, [pytest.mark.slow] * slow
    ident = name if len(which) > 1 else f"{which[0].lang}-{name}"
    return pytest.param(*which, id=ident, marks=[pytest.mark.run(f"lesson {name}"), *marks])


ALL = [_named(lesson) for lesson in (*ENGLISH, *CHINESE)]
RUN = [*map(_named, ENGLISH), *(_named(lesson, slow=lesson.name in LONG) for lesson in CHINESE)]
PAIRS = [_named(*both) for both in zip(ENGLISH, CHINESE, strict=True)]
RUN_PAIRS = [_named(*both, slow=both[0].name in LONG) for both in zip(ENGLISH, CHINESE, strict=True)]
HAN = re.compile(r"[\u4e00-\u9fff]")
CHECKED = re.compile(r'check\(\s*"(.*?)"')


@cache
def _ran(lang: str, name: str) -> list[str]:
    return run_all(next(one for one in lessons(lang) if one.name == name).cells)


def ran(lesson: Lesson) -> list[str]:
    """What each cell of a lesson prints; each exercise is run, and then its solution."""
    return _ran(lesson.lang, lesson.name)


# ---- structure -------------------------------------------------------------------------------------------------------


def test_lessons_are_numbered_from_one() -> None:
    assert [lesson.number for lesson in ENGLISH] == [*range(1, len(ENGLISH) + 1)]
    assert [lesson.name for lesson in ENGLISH] == [lesson.name for lesson in CHINESE]


@pytest.mark.parametrize("lesson", ALL)
def test_a_lesson_has_its_parts(lesson: Lesson) -> None:
    code = [cell.source for cell in lesson.cells if cell.kind == "code"]
    assert lesson.minutes == 45
    assert lesson.question.endswith(("?", "？"))
    assert len(lesson.goals) >= 2
    assert len(lesson.mistakes) >= 2
    assert lesson.cells[0].source.startswith(f"# {lesson.number}. {lesson.title}")
    assert f'start("{lesson.subject}", "{lesson.lang}")' in code[0]
    assert code[-1] == "score()"
    whole = "\n".join(code)
    predicted, revealed = (re.findall(rf'{name}\(\s*"(.*?)"', whole) for name in ("predict", "reveal"))
    assert predicted, "a lesson asks for a prediction"
    assert {*predicted} == {*revealed}
    for key in predicted:
        assert whole.index(f'predict("{key}", ...)') < whole.index(f'reveal("{key}",'), key
    assert "plot" in whole
    solved(lesson.cells)  # each exercise has its solution


@pytest.mark.parametrize("lesson", ALL)
def test_the_exercises_are_those_of_its_table(lesson: Lesson) -> None:
    tables = exercises.of(lesson.subject)
    for made in (pupils(lesson.cells), solved(lesson.cells)):
        checked = [key for cell in made if cell.kind == "code" for key in CHECKED.findall(cell.source)]
        assert checked == [one.key for one in tables]


def test_every_key_is_there_once() -> None:
    keys = [one.key for lesson in ENGLISH for one in exercises.of(lesson.subject)]
    assert len(keys) == len({*keys})


@pytest.mark.parametrize("lesson", ALL)
def test_nothing_but_exercises_needs_an_exercise(lesson: Lesson) -> None:
    """So a notebook whose blanks are open runs, and running an exercise before its solution shows that it does."""
    answers: set[str] = set()
    before: set[str] = set()
    for cell in lesson.cells:
        if "exercise" in cell.tags or "solution" in cell.tags:
            answers |= assigned(cell.source) - before
            if "exercise" in cell.tags:
                assert "..." in cell.source
        elif cell.kind == "code":
            assert not used(cell.source) & answers, cell.source
            before |= assigned(cell.source)


# ---- two languages ---------------------------------------------------------------------------------------------------


class _Without(ast.NodeTransformer):
    """Code without its texts; of a text with fields the fields and their forms, in whatever order and width."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        self.texts.append(node.value)
        return ast.Constant("")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        parts = [value for value in node.values if isinstance(value, ast.FormattedValue)]
        fields = [ast.Tuple([self.visit(value.value), _form(value.format_spec)], ast.Load()) for value in parts]
        return ast.Tuple(sorted(fields, key=ast.dump), ast.Load())


def _form(spec: ast.expr | None) -> ast.Constant:
    """A form such as "8.3g" without its side and width, on which no number depends."""
    text = "" if spec is None else ast.unparse(spec)[2:-1]
    return ast.Constant(re.sub(r"^[<>^]?\d*(?=\D|$)", "", text))


def code_and_texts(cell: Cell) -> tuple[str, list[str]]:
    """A cell's code without its texts, comments and spaces; and its texts."""
    without = _Without()
    return ast.dump(without.visit(ast.parse(cell.source))), without.texts


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_are_in_step(english: Lesson, chinese: Lesson) -> None:
    assert [(cell.kind, cell.tags) for cell in english.cells] == [(cell.kind, cell.tags) for cell in chinese.cells]
    assert english.needs == chinese.needs
    assert [minutes for minutes, _ in english.plan] == [minutes for minutes, _ in chinese.plan]
    assert len(english.goals) == len(chinese.goals)
    assert len(english.mistakes) == len(chinese.mistakes)
    for a, b in zip(english.cells, chinese.cells, strict=True):
        if a.kind == "markdown":
            assert HAN.search(b.source), b.source
            assert not HAN.search(a.source), a.source
            assert re.findall(r"^#+ ", a.source, re.M) == re.findall(r"^#+ ", b.source, re.M)
            assert sorted(re.findall(r"`(.+?)`", a.source)) == sorted(re.findall(r"`(.+?)`", b.source))
            continue
        (one, words), (other, theirs) = code_and_texts(a), code_and_texts(b)
        assert one == other, b.source
        for x, y in zip(words, theirs, strict=True):
            assert x == y or HAN.search(y) or (x, y) == ("en", "zh"), y


@pytest.mark.parametrize(("english", "chinese"), RUN_PAIRS)
def test_both_languages_give_the_same_numbers(english: Lesson, chinese: Lesson) -> None:
    for cell, a, b in zip(english.cells, ran(english), ran(chinese), strict=True):
        assert numbers(a) == numbers(b), cell.source


# ---- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", RUN)
def test_it_runs_and_judges_blanks_and_solutions(lesson: Lesson) -> None:
    start = time.process_time()
    outputs = ran(lesson)
    assert time.process_time() - start < 60
    for cell, out in zip(lesson.cells, outputs, strict=True):
        said = [line[0] for line in out.splitlines() if line[:1] in "\u2713\u2717\u25cb" and line]
        count = len(CHECKED.findall(cell.source)) if cell.kind == "code" else 0
        if "exercise" in cell.tags:
            assert said == ["\u25cb"] * count, out
        elif "solution" in cell.tags:
            assert said == ["\u2713"] * count, out
        else:
            assert not said
    total = len(exercises.of(lesson.subject))
    assert numbers(outputs[-1]) == [str(total)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("solution", [False, True], ids=["pupil", "solved"])
@pytest.mark.parametrize("lesson", ALL)
def test_each_notebook_runs_alone(lesson: Lesson, solution: bool) -> None:
    cells = (solved if solution else pupils)(lesson.cells)
    outputs = run_all(cells)
    mark = "\u2713" if solution else "\u25cb"
    said = [line[0] for out in outputs for line in out.splitlines() if line[:1] in "\u2713\u2717\u25cb" and line]
    assert said == [mark] * len(exercises.of(lesson.subject))
