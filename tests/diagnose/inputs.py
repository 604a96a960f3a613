"""Small inputs whose verdict is known, as rows: a function, the precision it runs in, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest

import halfsim as hs


class Row(NamedTuple):
    """``klass`` "" means that no alarm may be raised; ``todo`` is why a row fails today."""

    run: Callable[[], Any]
    rule: str
    klass: str
    op: str
    phase: str
    todo: str


class Rows:
    """A table of rows, filled by decorators: one row for each precision named."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def told(self, klass: str, op: str, *rules: str, phase: str = "forward", todo: str = "") -> Any:
        """Register a run in which this is wrong; "cancellation or swamping" where either word is true."""

        def register(run: Callable[[], Any]) -> Callable[[], Any]:
            for rule in rules or ("fp16",):
                name = f"{run.__name__}, {rule}"
                assert name not in self.rows, name
                self.rows[name] = Row(run, rule, klass, op, phase, todo)
            return run

        return register

    def calm(self, *rules: str, todo: str = "") -> Any:
        """Register a run that is as right as its format allows."""
        return self.told("", "", *rules, todo=todo)

    def params(self) -> list[Any]:
        """All rows, for `pytest.mark.parametrize`."""
        return [pytest.param(row, id=name, marks=_marks(row)) for name, row in self.rows.items()]


def _marks(row: Row) -> Any:
    return pytest.mark.xfail(reason=row.todo, strict=True) if row.todo else ()


@cache
def traced(row: Row, reference: str | None) -> hs.Trace:
    """The trace of a row's run."""
    hs.manual_seed(0)
    with hs.precision(row.rule), hs.trace(reference=reference) as t:
        row.run()
    return t


def said(found: hs.Finding | None) -> Any:
    """What must not depend on a reference: all words of a trouble, but of rounding alone only the class."""
    if found is None or found.klass == "benign rounding":
        return "benign"
    return found.klass, found.phase, found.path, found.op, found.where, found.message, found.fix


def check(row: Row) -> None:
    """The verdict of a row is the one that is known, the same with and without a reference."""
    found = traced(row, None).verdict()
    if row.klass:
        assert found is not None
        assert (found.op, found.phase) == (row.op, row.phase), f"{found}"
        assert found.klass in row.klass.split(" or "), f"{found}"
    else:
        assert said(found) == "benign", f"{found}"
    assert said(traced(row, "fp64").verdict()) == said(found)
