"""Hostile calls: what judges them is judged, a slice of them runs, and the page is what the last whole run found."""

from __future__ import annotations

import inspect
import time
import warnings
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.hostile import compare, draw, judge, page, report, work
from tests.hostile.names import Target
from tests.hostile.recipes import recipes
from tests.hostile.values import Hostile


def _bare(x: Any) -> Any:
    return {}[x]


def _python(x: Any) -> Any:
    raise ValueError("x: 1 is not allowed; allowed: 2")  # outside the package


def _slow(x: Any) -> Any:
    end = time.process_time() + 3
    while time.process_time() < end:
        pass


def _warns(x: Any) -> Any:
    warnings.warn("old", DeprecationWarning, stacklevel=2)


def _changes(x: Any) -> Any:
    x[0] = 7


def _takes(x: Any) -> Any:
    return len(str(x))


def _verdict(function: Any, value: str, junk: str = "", name: str = "hs.tested") -> judge.Verdict:
    """What is said of ``function`` as a public name."""
    judge.namespace()["hs"].tested = function
    try:
        parameters = tuple(inspect.signature(function).parameters.values())
        target = Target(name, f"{name}({{}})", (), parameters, {})
        call = draw._written(target, "", {"x": value}, {"x": Hostile(value, junk)})
        verdict, result = judge.judged(call)
        return compare.checked(target, call, verdict, result) if verdict.kind == "result" else verdict
    finally:
        del judge.namespace()["hs"].tested


def test_the_judge_sees_what_is_planted() -> None:
    assert _verdict(_bare, "1").kind == "internal error"
    assert _verdict(_python, "1").kind == "internal error"
    assert _verdict(_slow, "1").kind == "hang"
    assert _verdict(_warns, "1").kind == "warning"
    assert _verdict(_changes, "np.ones(3)").kind == "mutated"
    assert _verdict(_takes, "b'ab'", "bytes").kind == "taken"
    assert _verdict(hs.encode, "1.5").kind == "result"
    assert _verdict(hs.encode, "object()").kind == "refusal"
    assert _verdict(hs.encode, "made.broken()").kind == "refusal"


def test_the_judge_sees_several_lines_long_ones_and_words_about_python() -> None:
    def said(text: str) -> str:
        code = compile(f"def f(x):\n    raise ValueError({text!r})", judge._ROOM + "planted.py", "exec")
        space: dict[str, Any] = {}
        exec(code, space)
        return _verdict(space["f"], "1").kind

    assert said("x: 1 is not allowed; allowed: 2") == "refusal"
    assert said("x: 1 is not allowed;\nallowed: 2") == said("x" * 400) == said("") == "bad words"
    assert said("'int' object is not subscriptable") == said("unsupported operand type(s)") == "bad words"


def test_results_are_compared_with_those_of_others() -> None:
    x = hs.tensor(np.arange(6.0).reshape(2, 3))
    target = Target("np.sum", "np.sum({})", (), tuple(inspect.signature(np.sum).parameters.values()), {})
    call = draw.written(target, "", {"a": "hs.tensor(np.arange(6.0).reshape(2, 3))", "axis": "0"})
    right, wrong, short = x.sum(0), x.sum(0) + 1, x.sum()
    kinds = [compare.checked(target, call, judge.Verdict("result"), y).kind for y in (right, wrong, short)]
    assert kinds == ["result", "wrong", "wrong"]


def test_calls_are_the_same_for_the_same_seed() -> None:
    known = work.known_calls()
    targets = work.all_targets(known)[::50]

    def texts() -> list[str]:
        return [draw.draw(t, known.get(t.name, []), 3, i).text for t in targets for i in range(3)]

    first, again = texts(), texts()
    assert first == again
    assert len(set(first)) > len(first) * 0.7


def _run(seed: int, calls: int, every: int = 1) -> None:
    known = work.known_calls()
    targets = work.all_targets(known)
    names = [t.name for t in targets][::every]
    each = work.shares((t for t in targets if t.name in names), calls)
    found = work.run(names, known, seed, each.__getitem__, 2, lambda name, results: None, written=recipes(targets))
    assert not report.groups(found), report.text(found, known)
    assert sum(len(results) for results in found.values()) >= calls


def test_a_slice_of_hostile_calls() -> None:
    _run(seed=1, calls=2000, every=7)


@pytest.mark.slow  # on the last run, of 2026-11-29: see docs/reliability.md
def test_hostile_calls_of_every_name() -> None:
    _run(seed=2, calls=100_000)


def test_the_page_is_that_of_the_records() -> None:
    assert page.PAGE.read_text("utf-8") == page.text()
