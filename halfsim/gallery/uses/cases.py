"""An operation of an application, run under each arithmetic, and the smallest fix that mends it where it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim.autograd.scope import no_grad, precision
from halfsim.card import Record
from halfsim.document import attributes
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.arithmetic import rule
from halfsim.gallery.uses.measures import Array, Measure, broken

Run = Callable[[], Any]
FORMATS = ("fp16", "bf16", "pure_fp16")


@dataclass(frozen=True)
class Fix:
    """Another program of the same meaning, or the same one (None) in another arithmetic."""

    words: Said
    run: Run | None = None
    precision: Any = ""


@dataclass(frozen=True)
class Case:
    """An operation: what it is called, the program, how its error is measured, and how much is ``enough``.

    ``run`` gives a Tensor or an array and is called under each of ``precisions``; the result that is right is ``right``
    where that is given, else the program's own in float64. ``where`` says in words where a result breaks. ``fixes`` are
    in order, the smallest first.
    """

    operation: Said
    run: Run
    measure: Measure
    enough: float
    fixes: tuple[Fix, ...] = ()
    where: Callable[[Array, Array], Said] = lambda out, right: NOTHING
    precisions: tuple[str, ...] = FORMATS
    right: Run | None = None


@dataclass(frozen=True)
class Row(Record):
    """What was measured of an operation in one arithmetic; ``fixed`` is None where no fix was needed or known."""

    operation: Said
    precision: str
    measure: Measure
    value: float
    enough: float
    where: Said = NOTHING
    fix: Said = NOTHING
    fixed: float | None = None

    @property
    def fine(self) -> bool:
        """Whether the operation is good enough as it is."""
        return self.measure.fine(self.value, self.enough)

    def to_dict(self, lang: str) -> dict[str, Any]:
        """Everything as plain data."""
        own = attributes(self, "measure")
        for name in ("operation", "where", "fix"):
            own[name] = own[name].to(lang)
        return own | {
            "measure": self.measure.name.to(lang), "unit": self.measure.unit.to(lang), "fine": self.fine,
        }  # fmt: skip


def under(words: Any, run: Run) -> Array:
    """What a program gives in an arithmetic, a word of ours or what `halfsim.precision` takes, as float64."""
    with precision(rule(words) if isinstance(words, str) else words), no_grad():
        out = run()
    return np.asarray(out.numpy() if hasattr(out, "numpy") else out, np.float64)


def measured(cases: Iterable[Case]) -> list[Row]:
    """A row for each case and arithmetic; where one is not good enough, with the first fix that mends it.

    Where none of the fixes is enough, the best of them is told.
    """
    return [row for case in cases for row in _rows(case)]


def _rows(case: Case) -> Iterable[Row]:
    right = np.asarray(under("fp64", case.run) if case.right is None else case.right(), np.float64)
    for words in case.precisions:
        out = under(words, case.run)
        row = Row(case.operation, words, case.measure, case.measure.of(out, right), case.enough)
        if row.fine:
            yield row
            continue
        told = [one for one in (broken(out), case.where(out, right)) if one.en]
        where = Said("; ".join(one.en for one in told), "；".join(one.zh for one in told))
        fix, fixed = NOTHING, None
        for one in case.fixes:
            value = case.measure.of(under(one.precision or words, one.run or case.run), right)
            if fixed is None or case.measure.better(value, fixed):
                fix, fixed = one.words, value
            if case.measure.fine(value, case.enough):
                break
        yield Row(row.operation, words, row.measure, row.value, row.enough, where, fix, fixed)
