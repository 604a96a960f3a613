"""What `hs.gallery.remedies` gives: a table, a heat map and a sentence for each problem and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any, ClassVar

from halfsim.card import Record
from halfsim.document import attributes
from halfsim.gallery.languages import Told
from halfsim.gallery.matrix import heat
from halfsim.gallery.matrix.claims import CLAIMS
from halfsim.gallery.matrix.cures import NONE
from halfsim.gallery.matrix.measures import LARGE
from halfsim.gallery.matrix.problems import PROBLEMS
from halfsim.gallery.matrix.texts import change, effect, reason, size, texts
from halfsim.gallery.matrix.verdict import HELPS, LEAST, NOTHING, VERDICTS, Difference, difference, verdict
from halfsim.markup import Figure, sections
from halfsim.numerics.formats import unknown
from halfsim.text import columns, filled

_NOTED = 0.03  # of accuracy: less is not worth a word
_FEW = 24  # cells whose sentences a terminal is told without being asked

Values = Mapping[tuple[str, str], Sequence[tuple[int, float, float]]]


@dataclass(frozen=True)
class Cell(Record):
    """One remedy against one problem: the measure (less is better) and the test accuracy, without it and with it.

    ``before`` and ``after`` are means over ``n`` seeds, ``difference`` is the mean of what ``after`` is more than
    ``before``, seed by seed, and ``error`` its standard error. ``verdict`` is "helps", "nothing" or "harms", see
    `halfsim.gallery.matrix.verdict`. ``same`` says that the remedy changes nothing in this run, as it has it already or
    cannot have it. ``why`` is the sentence on all that.
    """

    problem: str
    remedy: str
    verdict: str
    n: int
    before: float
    after: float
    difference: float
    error: float
    accuracy_before: float
    accuracy: float
    accuracy_difference: float
    accuracy_error: float
    same: bool
    why: str

    @property
    def strength(self) -> float:
        """From 1, all of the trouble is gone, to -1: a share of the larger of both; 0 of what does nothing."""
        largest = max(abs(self.before), abs(self.after))
        if self.verdict == NOTHING or not largest:
            return 0.0
        return max(-1.0, min(1.0, (self.before - self.after) / largest))


@dataclass(frozen=True, eq=False)
class Remedies(Told):
    """Problems of half precision against remedies, each cell measured over several seeds; see `remedies`.

    ``values`` has for each problem and remedy, and for each problem and "none", seed, measure and accuracy of each run;
    none where a remedy leaves the run as it is. ``lang`` is the language of titles and sentences, "en" or "zh".
    """

    values: Values
    lang: str = "en"

    _style: ClassVar[str] = heat.STYLE

    @property
    def title(self) -> str:
        """What the page is called."""
        return str(self._words["title"])

    @property
    def _words(self) -> dict[str, Any]:
        return dict(texts(self.lang)["words"])

    def translated(self, lang: str) -> Remedies:
        """The same in another language; ``ValueError`` for one that there is not."""
        texts(lang)
        return replace(self, lang=lang)

    @property
    def problems(self) -> list[str]:
        """The problems that were measured, by name."""
        return list(dict.fromkeys(problem for problem, _ in self.values))

    @property
    def remedies(self) -> list[str]:
        """The remedies that were measured, by name."""
        return [name for name in dict.fromkeys(remedy for _, remedy in self.values) if name != NONE]

    def cell(self, problem: str, remedy: str) -> Cell:
        """What a remedy does to a problem; ``ValueError`` for names that were not measured."""
        for name, given, known in (("problem", problem, self.problems), ("remedy", remedy, self.remedies)):
            if given not in known:
                raise unknown(name, given, known)
        base = self.values[problem, NONE]
        runs = self.values[problem, remedy] or base
        (before, accuracies), (after, with_it) = ([[r[i] for r in part] for i in (1, 2)] for part in (base, runs))
        apart, accuracy = difference(before, after), difference(accuracies, with_it)
        found = Cell(
            problem, remedy, verdict(before, after), len(base), _mean(before), _mean(after), apart.mean, apart.error,
            _mean(accuracies), _mean(with_it), accuracy.mean, accuracy.error, not self.values[problem, remedy], "",
        )  # fmt: skip
        return replace(found, why=self._sentence(found, apart, accuracy))

    def _sentence(self, cell: Cell, apart: Difference, accuracy: Difference) -> str:
        words, unit = self._words, PROBLEMS[cell.problem].unit
        verdict = words[cell.verdict].capitalize()
        if cell.same:
            return str(words["same"].format(verdict=verdict))
        parts = [words["sentence"].format(
            verdict=verdict, before=size(cell.before, unit), after=size(cell.after, unit), n=cell.n,
            difference=change(cell.difference, unit), error=change(cell.error, unit).lstrip("+"))]  # fmt: skip
        settled = apart.sure or abs(apart.mean) < LEAST * abs(cell.before)
        why = reason(self.lang, cell.problem, cell.remedy, cell.verdict, settled)
        parts += [] if settled else [words["unsure"].format(n=cell.n)]
        parts += [why] if why or not settled else [words["unexplained"]]
        if accuracy.sure and abs(accuracy.mean) >= _NOTED:
            ends = (f"{100 * share:.0f} %" for share in (cell.accuracy_before, cell.accuracy))
            parts.append(words["accuracy_side"].format(*ends))
        return str(words["gap"]).join(filter(None, parts))

    def __iter__(self) -> Iterator[Cell]:
        return (self.cell(problem, remedy) for problem in self.problems for remedy in self.remedies)

    def __len__(self) -> int:
        return len(self.problems) * len(self.remedies)

    def _named(self, kind: str, name: str, word: str = "title") -> str:
        return str(texts(self.lang)[kind][name][word])

    def about(self, problem: str) -> str:
        """What run a problem is shown by, and what is measured of it."""
        row = PROBLEMS[problem]
        large = LARGE.get(row.setup.network, 0.0)
        return self._named("problems", problem, "about").format(**attributes(row.setup), limit=row.limit, large=large)

    def table(self) -> list[tuple[str, ...]]:
        """A head, and a line for each cell: names, verdict, measure before and after, difference, spread, accuracy."""
        words = self._words
        return [tuple(words["head"]), *(self._line(cell) for cell in self)]

    def _line(self, cell: Cell) -> tuple[str, ...]:
        unit, words = PROBLEMS[cell.problem].unit, self._words
        return (
            self._named("problems", cell.problem), self._named("cures", cell.remedy), words[cell.verdict],
            *(Figure(size(x, unit), x) for x in (cell.before, cell.after)),
            Figure(change(cell.difference, unit), cell.difference),
            Figure(change(cell.error, unit).lstrip("+"), cell.error),
            *(Figure(f"{100 * x:.1f} %", x) for x in (cell.accuracy_before, cell.accuracy)),
        )  # fmt: skip

    def matrix(self) -> list[tuple[str, ...]]:
        """A head of problems, and a line for each remedy: what became of the trouble, "." where nothing, "=" the same.

        Shares are given relatively, decades and steps as differences.
        """
        heads = [self._named("problems", problem, "short") for problem in self.problems]
        return [(self._words["remedy"], *heads), *(
            (self._named("cures", remedy), *(_mark(self.cell(problem, remedy)) for problem in self.problems))
            for remedy in self.remedies
        )]  # fmt: skip

    def strengths(self) -> tuple[list[str], list[str], list[list[float]]]:
        """Titles of remedies, short titles of problems, and the strength of each cell, for a picture."""
        rows = [[self.cell(problem, remedy).strength for problem in self.problems] for remedy in self.remedies]
        return (
            [self._named("cures", remedy) for remedy in self.remedies],
            [self._named("problems", problem, "short") for problem in self.problems],
            rows,
        )

    def summary(self) -> str:
        """What helped how often, and what became of the claims of the text that the matrix judges."""
        words = self._words
        cells = list(self)
        counts = Counter(cell.verdict for cell in cells)
        lines = [filled(words["tally"].format(cells=len(cells), **{name: counts[name] for name in VERDICTS}))]
        judged = self.judged()
        if judged:
            right = sum(cell.verdict == HELPS for _, cell in judged)
            lines.append(filled(words["judged"].format(claims=len(judged), right=right)))
            for claim, cell in judged:
                kind = words["holds" if cell.verdict == HELPS else "fails"]
                lines.append(f"{filled(f'{claim} [{kind}]', '- ')}\n{filled(cell.why, '  ')}")
        return "\n\n".join(lines)

    def judged(self) -> list[tuple[str, Cell]]:
        """The claims whose cells were measured, each with its cell; one holds if that helps."""
        said = texts(self.lang)["claims"]
        have = {*self.problems}, {*self.remedies}
        return [
            (said[claim.name], self.cell(claim.problem, claim.remedy))
            for claim in CLAIMS
            if claim.problem in have[0] and claim.remedy in have[1]
        ]

    def __str__(self) -> str:
        parts = [self.title, columns(self.matrix()), filled(self._words["marks"])]
        if len(self) <= _FEW:
            for problem in self.problems:
                about = f"{self._named('problems', problem)}: {self.about(problem)}"
                cells = (self.cell(problem, remedy) for remedy in self.remedies)
                told = (filled(f"{self._named('cures', c.remedy)}: {c.why}", "  ", "    ") for c in cells)
                parts.append("\n".join([filled(about), *told]))
        else:
            parts.append(self.summary())
        return "\n\n".join(parts)

    def _body(self) -> Iterator[str]:
        words = self._words
        yield f'<p class="soft">{escape(words["intro"])}</p>'
        yield heat.drawn(self)
        yield f"<p>{escape(words['marks'])}</p><p>{escape(words['rules'])}</p>"
        judged = self.judged()
        if judged:
            yield f"<h2>{escape(words['claims'])}</h2>"
            for claim, cell in judged:
                kind = "holds" if cell.verdict == HELPS else "fails"
                told = f'<q>{escape(claim)}</q> <b class="{kind}">{escape(words[kind])}</b>'
                yield f'<div class="claim"><p>{told}</p><p>{escape(cell.why)}</p></div>'
        for problem in self.problems:
            yield f'<h2 id="{problem}">{escape(self._named("problems", problem))}</h2>'
            yield f"<p>{escape(self.about(problem))}</p>"
            cells = [self.cell(problem, remedy) for remedy in self.remedies]
            yield from sections([("", [tuple(words["head"][1:]), *(self._line(cell)[1:] for cell in cells)])])
            listed = "".join(
                f"<dt>{escape(self._named('cures', c.remedy))}</dt><dd>{escape(c.why)}</dd>" for c in cells
            )
            yield f"<details><summary>{escape(words['why'])}</summary><dl>{listed}</dl></details>"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: the cells, and the runs behind them."""
        runs = [
            {"problem": problem, "remedy": remedy, "seed": seed, "value": value, "accuracy": accuracy}
            for (problem, remedy), found in self.values.items()
            for seed, value, accuracy in found
        ]
        return {
            "schema": 1, "kind": "remedies", "lang": self.lang, "problems": self.problems, "remedies": self.remedies,
            "cells": [{**asdict(cell), "strength": cell.strength} for cell in self], "runs": runs,
        }  # fmt: skip


def _mark(cell: Cell) -> str:
    if cell.same:
        return "="
    nothing = cell.verdict == NOTHING
    return "." if nothing else effect(cell.before, cell.after, PROBLEMS[cell.problem].unit)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
