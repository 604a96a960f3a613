"""From what was computed to rows: the spread of each result, what it has in common with the reference, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan

import numpy as np

from halfsim.autograd.policy import Rule
from halfsim.autograd.trace.event import Event
from halfsim.diagnose.compare.meter import forked, group_norms, group_of
from halfsim.diagnose.compare.recorder import Kept, Key, Step
from halfsim.diagnose.compare.runs import coarsest
from halfsim.diagnose.digits.at_random import by_device, directed
from halfsim.diagnose.digits.at_random import notes as not_random
from halfsim.diagnose.digits.estimate import agreement, norm, spread
from halfsim.diagnose.digits.experiment import Experiment
from halfsim.diagnose.digits.reasons import Facts, Whole, why
from halfsim.diagnose.digits.result import DigitsRow, single
from halfsim.frames import spelled
from halfsim.numerics.quantize import Array
from halfsim.text import counted, located, place_name

_FLOAT = 53  # bits of a plain number
_COUNTS = ("swamped", "flushed", "clipped")  # of what random rounding may not show


@dataclass
class Rows:
    """Makes the rows of what was computed."""

    done: Experiment
    rule: Rule
    taken: float
    whole: Whole = field(init=False)
    told: list[tuple[Facts, DigitsRow]] = field(init=False)  # of operations, in their order
    returned: list[DigitsRow] = field(init=False)
    first: dict[tuple[str, bool], Event] = field(default_factory=dict)  # of each case: the event that shows it first

    def __post_init__(self) -> None:
        self.whole = _whole(self.done, self.rule)
        self.told = [*self._operations()]
        self.returned = [*self._results()]

    def _operations(self) -> Iterator[tuple[Facts, DigitsRow]]:
        done = self.done
        for number, step in done.store.steps.items():
            norms = group_norms(step)
            others = [x for x in (s.steps.get(number) for s in done.samplers) if x is not None]
            reference = done.twin.steps.get(number)
            skipped = any(x is not None and x.skipped for x in (step, reference, *others))
            for key, kept in step.results.items():
                if kept.values.size and not (skipped and key[0][0] != "forward"):
                    yield self._operation(key, kept, reference, others, norms.get(group_of(key[0], kept.leaf), 0.0))

    def _operation(
        self, key: Key, kept: Kept, reference: Step | None, others: Sequence[Step], least: float
    ) -> tuple[Facts, DigitsRow]:
        event = kept.event
        assert event is not None
        twin = _like(kept, None if reference is None else reference.results.get(key))
        samples = [x for x in (_like(kept, other.results.get(key)) for other in others) if x is not None]
        facts = self._facts(kept.values, twin, samples, event.format.precision, least / kept.weight**0.5)
        facts = replace(facts, event=self.first.setdefault(facts.kind, event))
        row = _row(facts, event.path, kept.shape)
        return facts, replace(
            row, op=event.op, phase=event.phase, tensor=event.tensor, step=event.step, where=event.where
        )

    def _facts(
        self, run: Array, reference: Array | None, samples: Sequence[Array], digits: int, least: float = 0.0
    ) -> Facts:
        run = run.ravel()
        twin = None if reference is None else reference.ravel()
        drawn = tuple(x.ravel() for x in samples)
        found, measured = None, 0.0
        there = np.isfinite(run)
        if len(drawn) > 1 and there.any() and all(_alike(run, x, there) for x in drawn):
            found = spread(np.array([x[there] for x in drawn]), run[there], self.taken, least)
        if twin is not None and there.any() and _alike(run, twin, there):
            measured = agreement(norm(run[there] - twin[there]), max(norm(twin[there]), least))
        return Facts(run, twin, drawn, digits, found, measured, None, self.whole)

    def _results(self) -> Iterator[DigitsRow]:
        """A row for each number or array that the run returned."""
        run, reference, *others = self.done.outcomes
        for name, (values, fmt) in run.items():
            if not values.size:
                continue
            twin = reference.get(name)
            samples = [x[name][0] for x in others if name in x and x[name][0].shape == values.shape]
            theirs = None if twin is None or twin[0].shape != values.shape else twin[0]
            still = all(np.array_equal(x, values, equal_nan=True) for x in samples)
            digits = fmt.precision if fmt is not None else coarsest(self.rule).precision if still else _FLOAT
            facts = self._facts(values, theirs, samples, digits)
            yield _row(replace(facts, event=self.first.get(facts.kind)), name, values.shape)

    def modules(self) -> Iterator[DigitsRow]:
        """For each phase and module path the row with the fewest digits."""
        found: dict[tuple[str, str], DigitsRow] = {}
        for _, row in self.told:
            path = row.name.rpartition(".")[0] if row.phase == "optimizer" else row.name
            known = found.get((row.phase, path))
            if known is None or row.least < known.least:
                found[row.phase, path] = row
        for (_, path), row in found.items():
            yield replace(row, name=path, tensor=row.tensor or row.name[len(path) :].lstrip("."))

    def notes(self) -> Iterator[str]:
        """What the reader should know besides."""
        w, done = self.whole, self.done
        yield from not_random(self.rule, any(total.terms > 1 for total in done.recorder.places.values()))
        if not done.recorder.results:
            yield "No operation of halfsim ran: what other libraries compute is not rounded at random."
        if unlike := self._not_the_same():
            yield (
                f"The run is not the same each time: {unlike}. What spreads by that is no rounding; seed what is "
                "drawn, as np.random.default_rng(0), and begin iterators inside of the run."
            )
        if not any(done.outcomes[:1]):
            yield "The run returned no number: digits are those of its operations."
        if w.forks:
            yield (
                f"{w.forks} of {w.runs} runs under random rounding did other things than the run as it is, first at "
                f"{w.fork}: digits are told of what they computed alike."
            )
        if done.failed:
            yield f"{counted(len(done.failed), 'run')} under random rounding ended by an exception: {done.failed[0]}."
        if done.store.every > 1:
            yield f"Of the operations one step in {done.store.every} was looked at, from the first on."
        yield from self._lost()

    def _not_the_same(self) -> str:
        """What runs have otherwise before anything was rounded at random, "" where they have not."""
        samplers, (run, _, *others) = self.done.samplers, self.done.outcomes
        if len({sampler.read for sampler in samplers}) > 1:
            first = next(sampler.first for sampler in samplers if sampler.first)
            return f"its first operation, {first}, read other numbers in one run than in another"
        alike = all(
            np.array_equal(x, run[name][0], equal_nan=True)
            for other in others for name, (x, _) in other.items() if name in run
        )  # fmt: skip
        if not alike and not any(sampler.operations for sampler in samplers):
            return "its results differ, though no operation of halfsim ran"
        return ""

    def _lost(self) -> Iterator[str]:
        """A warning where no digit was left on the way: what follows may have settled elsewhere."""
        gone = next(
            (row for f, row in self.told if row.phase == "forward" and row.lower == 0 == row.held and f.case != "noise"
             and f.spread is not None and norm(f.run)), None,
        )  # fmt: skip
        if gone is not None and any(row.lower >= 4 for row in self.returned):
            where = located(gone.step, gone.phase, place_name(gone.op, gone.name, gone.tensor), gone.where)
            yield (
                f"On the way no digit was left ({where}). Where what follows does more than add it to larger numbers, "
                f"all runs, and the reference too, may have settled on a number that is not the exact one."
            )


def _alike(run: Array, other: Array, there: Array) -> bool:
    """Whether both are finite ``there``, and have the same infinities and NaN elsewhere."""
    return bool(np.isfinite(other[there]).all()) and np.array_equal(run[~there], other[~there], equal_nan=True)


def _like(mine: Kept, theirs: Kept | None) -> Array | None:
    """The same result in another run, None where that has none of the same shape."""
    return None if theirs is None or theirs.shape != mine.shape or theirs.values.size != mine.values.size else (
        theirs.values
    )  # fmt: skip


def _row(f: Facts, name: str, shape: tuple[int, ...]) -> DigitsRow:
    """The row of ``f``, of which no bits are told beyond those of its format."""

    def told(x: float) -> float:
        return 0.0 if isnan(x) else min(max(x, 0.0), float(f.digits))

    s, entire = f.spread, f.run.size == np.prod(shape) and bool(np.isfinite(f.run).all())
    bits, lower, held, worst = (0.0,) * 4 if s is None else map(told, (s.bits, s.lower, s.held, s.worst))
    reason, words = why(f)
    return DigitsRow(
        name=name, op="", phase="", tensor="", step=0, size=int(np.prod(shape)), bits=bits, lower=lower, held=held,
        measured=None if f.reference is None else told(f.measured), worst=worst,
        worst_at=tuple(int(i) for i in np.unravel_index(s.at, shape)) if s is not None and entire else (),
        run=single(f.run), mean=single(f.mean) if f.samples else None,
        reference=None if f.reference is None else single(f.reference),
        reason=reason, why=words, where="" if f.event is None else f.event.where,
    )  # fmt: skip


def _whole(done: Experiment, rule: Rule) -> Whole:
    """What is known of the runs as a whole."""
    steps: Mapping[int, Step] = done.store.steps
    forks = [_first_fork(steps, s.steps) for s in done.samplers]
    events = [kept.event for step in steps.values() for kept in step.results.values() if kept.event is not None]
    events += [total.swamped for total in done.recorder.places.values() if total.swamped is not None]  # of updates
    events.sort(key=lambda event: event.serial)
    firsts = {name: next((e for e in events if getattr(e.counts, name)), None) for name in _COUNTS}
    apart = [x for x in forks if x]
    given, at, converted = 0, "", 0
    for (_, _, op, _), total in done.recorder.places.items():
        if op == "tensor" and total.counts.inexact:
            given += total.counts.inexact
            at = at or spelled(total.line)
        converted += total.counts.inexact if op == "cast" else 0
    return Whole(
        done.runs, len(apart), apart[0] if apart else "", tuple(done.failed), _first_fork(steps, done.twin.steps),
        given, at, converted, by_device(rule), directed(rule),
        {name: event for name, event in firsts.items() if event is not None},
    )  # fmt: skip


def _first_fork(steps: Mapping[int, Step], others: Mapping[int, Step]) -> str:
    """Where another run first does something else than the run as it is, in words; "" where it does not."""
    for number, step in steps.items():
        other = others.get(number)
        found = forked(step, other) if other is not None and not (step.cut or other.cut) else None
        if other is None or found is not None:
            place = None if found is None else (found.run or found.reference)
            if place is None:
                return f"step {number}"
            line = found.where if found is not None else ""
            return located(number, place[0], place_name(place[2], place[1], place[3]), line)
    return ""
