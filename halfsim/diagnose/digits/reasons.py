"""Why random rounding and a reference may not agree on how many digits are right: one row a reason, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from halfsim.autograd.trace.event import Event
from halfsim.diagnose.digits.estimate import Spread, norm
from halfsim.numerics.quantize import Array
from halfsim.text import counted, number

_FAR = 1.0  # bits by which the error must be larger than what the spread allows, to be told
_NEAR = 3.0  # bits by which it must be smaller than the spread
_NOTHING = 2.0**-20  # of the spread: what a reference is that is nothing beside it


@dataclass(frozen=True)
class Whole:
    """What is known of the runs as a whole."""

    runs: int
    forks: int = 0  # how many runs under random rounding did other things than the run as it is,
    fork: str = ""  # where first,
    failed: tuple[str, ...] = ()  # what exceptions ended some of them,
    reference_fork: str = ""  # and where the reference did
    given: int = 0  # numbers that a format rounded as tensors were made of them,
    given_at: str = ""  # where first,
    converted: int = 0  # and as tensors were converted to another format
    unit: str = ""  # the matrix unit that adds in its own way
    directed: str = ""  # the word of a rounding that is not to nearest
    firsts: Mapping[str, Event] = field(default_factory=dict)  # by the name of a count: where the run first had any


@dataclass(frozen=True)
class Facts:
    """One result: of the run as it is, of the reference, of the runs under random rounding."""

    run: Array
    reference: Array | None
    samples: tuple[Array, ...]  # of those runs that computed it, in its shape
    digits: int  # how many bits its format has
    spread: Spread | None  # None where nothing was finite in all runs
    measured: float  # in how many bits run and reference agree
    event: Event | None  # where in the run the case is met first
    whole: Whole

    def own(self, name: str) -> Event | None:
        """The event, if it counted any of ``name``."""
        return self.event if self.event is not None and getattr(self.event.counts, name) else None

    def before(self, name: str) -> Event | None:
        """The first event of the run that counted any of ``name``, if it was no later."""
        first = self.whole.firsts.get(name)
        return first if first is not None and (self.event is None or first.serial <= self.event.serial) else None

    @property
    def place(self) -> str:
        """Where this began, in words; "" where it is not known."""
        return "" if self.event is None else _place(self.event)

    @property
    def broken(self) -> int:
        """How many runs under random rounding have a NaN or an infinity where the run as it is has a number."""
        there = np.isfinite(self.run)
        return sum(bool((~np.isfinite(x[there])).any()) for x in self.samples)

    @property
    def whole_again(self) -> int:
        """How many have a number where the run as it is has a NaN or an infinity."""
        gone = ~np.isfinite(self.run)
        return sum(bool(np.isfinite(x[gone]).any()) for x in self.samples)

    @property
    def mean(self) -> Array:
        with np.errstate(invalid="ignore"):  # of infinities of both signs
            return np.mean(self.samples, axis=0)

    @property
    def aside(self) -> bool:
        """Whether the run is off from the mean of the others, rather than with them; False where none can be told."""
        if self.spread is None or self.reference is None:
            return False
        there = np.isfinite(self.run) & np.isfinite(self.reference)
        mean = self.mean[there]
        return norm(self.run[there] - mean) > norm(mean - self.reference[there])

    @property
    def kind(self) -> tuple[str, bool]:
        """The case, and whether it is the run that is aside: what goes back to one event."""
        return self.case, self.aside

    @property
    def case(self) -> str:
        """Which of the cases of ``CASES`` this is."""
        return next(name for name, holds in CASES.items() if holds(self))


def _noise(f: Facts) -> bool:
    if f.spread is None or f.reference is None:
        return False
    return f.spread.moved and norm(f.reference[np.isfinite(f.reference)]) <= _NOTHING * f.spread.deviation


def _told(f: Facts, bits: float) -> float:
    return min(bits, float(f.digits))


def _blind(f: Facts) -> bool:
    return f.spread is not None and _told(f, f.measured) < _told(f, f.spread.lower) - _FAR


def _lucky(f: Facts) -> bool:
    return f.spread is not None and _told(f, f.measured) > max(_told(f, f.spread.bits), 0.0) + _NEAR


CASES: dict[str, Callable[[Facts], bool]] = {
    "apart": lambda f: len(f.samples) < f.whole.runs or f.reference is None,
    "never finite": lambda f: not any(np.isfinite(x).any() for x in (f.run, *f.samples)),
    "not finite": lambda f: bool(f.broken or f.whole_again),
    "not a number": lambda f: f.reference is not None and bool((np.isfinite(f.run) != np.isfinite(f.reference)).any()),
    "noise": _noise,
    "blind": _blind,
    "lucky": _lucky,
    "agree": lambda f: True,
}


@dataclass(frozen=True)
class Reason:
    """A reason: its name, the cases that it explains, what else must hold, and its words."""

    name: str
    cases: tuple[str, ...]
    holds: Callable[[Facts], bool]
    words: Callable[[Facts], str]


def _apart_words(f: Facts) -> str:
    who = f"{f.whole.runs - len(f.samples)} of {f.whole.runs} runs" if f.reference is not None else "the reference"
    return f"{who} did not compute it, or in another shape: a comparison turned out otherwise{_at(f.whole.fork)}"


def _at(place: str) -> str:
    return f", first at {place}" if place else ""


def _noise_words(f: Facts) -> str:
    size = number(float(f"{f.spread.deviation:.2g}")) if f.spread else ""
    return (
        f"the reference is zero beside what changes from run to run, {size}: no digit can be right, and only that size "
        f"means anything"
    )


def _never_words(f: Facts) -> str:
    there = f.reference is not None and bool(np.isfinite(f.reference).any())
    what = "the reference has: it is range that is missing, not digits" if there else "nor has the reference"
    return f"no run has a finite number{f.place}, {what}"


def _some_words(f: Facts) -> str:
    n, of = f.broken, f.whole.runs
    if n:
        return f"{n} of {of} runs under random rounding met a NaN or an infinity where the run as it is has numbers"
    return f"{f.whole_again} of {of} runs under random rounding have numbers where the run as it is has none"


def _place(e: Event) -> str:
    return f" at {e.place}{f' ({e.where})' if e.where else ''}"


def _swamped_words(f: Facts, e: Event) -> str:
    head = f"{counted(e.counts.swamped, 'addend')} changed nothing{_place(e)}"
    if f.aside:
        return f"{head}: rounding to nearest loses such every time, rounding at random keeps them on average"
    return f"{head}, so small beside the sum that hardly one of {f.whole.runs} runs kept any: more runs would"


def _flushed_words(f: Facts, e: Event) -> str:
    head = f"{counted(e.counts.flushed, 'number')} became zero{_place(e)}"
    if f.aside:
        return f"{head}: rounding to nearest loses such every time, rounding at random keeps some"
    return f"{head}, so small that hardly one of {f.whole.runs} runs kept any: more runs would"


def _clipped_words(f: Facts, e: Event) -> str:
    return f"{counted(e.counts.clipped, 'number')} past the largest one became that one{_place(e)}, in every run"


def _counted(
    name: str, count: str, words: Callable[[Facts, Event], str], found: Callable[[Facts, str], Event | None]
) -> Reason:
    """The reason ``name`` of an error that ``count`` tells of, at the event that ``found`` gives."""

    def say(f: Facts) -> str:
        e = found(f, count)
        assert e is not None
        return words(f, e)

    return Reason(name, ("blind",), lambda f: found(f, count) is not None, say)


def _given_words(f: Facts) -> str:
    w, parts = f.whole, []
    if w.given:
        parts.append(f"{counted(w.given, 'number')} as tensors were made of them{_at(w.given_at)}")
    if w.converted:
        parts.append(f"{counted(w.converted, 'number')} as tensors were converted")
    return f"rounded were {' and '.join(parts)}: to nearest in every run, so that no run shows it"


def _shared_words(f: Facts) -> str:
    same = "are all the same" if f.spread is None or not f.spread.moved else "agree with the run as it is"
    return (
        f"runs under random rounding {same}, as far from the reference: either it does not matter which way numbers "
        f"are rounded, or {f.whole.runs} runs are too few to show it"
    )


# In this order: the first that holds is told.
REASONS = (
    Reason(
        "exception", ("apart",), lambda f: bool(f.whole.failed),
        lambda f: f"{len(f.whole.failed)} of {f.whole.runs} runs under random rounding ended by {f.whole.failed[0]}",
    ),
    Reason("branch", ("apart",), lambda f: True, _apart_words),
    Reason("NaN or infinity", ("never finite",), lambda f: True, _never_words),
    Reason("NaN or infinity", ("not finite",), lambda f: True, _some_words),
    Reason(
        "NaN or infinity", ("not a number",), lambda f: True,
        lambda f: f"every run has a NaN or an infinity{f.place} where the reference has numbers, or the other way "
        "round: rounding at random does not mend it",
    ),
    Reason(
        "noise", ("noise",), lambda f: True,
        _noise_words
    ),
    Reason(
        "directed rounding", ("blind",), lambda f: bool(f.whole.directed) and f.aside,
        lambda f: f"the run as it is rounds {f.whole.directed.replace('_', ' ')}, every time to one side: rounding at "
        "random goes to both",
    ),
    _counted("swamping", "swamped", _swamped_words, Facts.own),
    _counted("underflow", "flushed", _flushed_words, Facts.own),
    _counted("clipped", "clipped", _clipped_words, Facts.own),
    Reason(
        "branch", ("blind", "lucky"), lambda f: bool(f.whole.forks),
        lambda f: f"{f.whole.forks} of {f.whole.runs} runs did other things than the run as it is{_at(f.whole.fork)}: "
        "a comparison turned out otherwise",
    ),
    Reason(
        "branch", ("blind",), lambda f: bool(f.whole.reference_fork),
        lambda f: f"the reference did other things{_at(f.whole.reference_fork)}: in every run here a comparison turned "
        "out otherwise than there",
    ),
    Reason(
        "matrix unit", ("blind",), lambda f: bool(f.whole.unit) and not f.aside,
        lambda f: f"products are added as {f.whole.unit} adds them, whatever the rounding: what it cuts off is cut "
        "off in every run",
    ),
    Reason("rounded before", ("blind",), lambda f: bool(f.whole.given or f.whole.converted) and not f.aside,
           _given_words),
    _counted("swamping", "swamped", _swamped_words, Facts.before),
    _counted("underflow", "flushed", _flushed_words, Facts.before),
    Reason(
        "drift", ("blind",), lambda f: f.aside,
        lambda f: f"the roundings of the run as it is go the same way again and again{f.place}, and add up; those at "
        "random take turns",
    ),
    Reason("shared error", ("blind",), lambda f: True, _shared_words),
    Reason(
        "luck", ("lucky",), lambda f: math.isinf(f.measured),
        lambda f: "the run as it is has no error at all: its roundings undid each other. With other numbers they "
        "need not",
    ),
    Reason(
        "luck", ("lucky",), lambda f: True,
        lambda f: f"the errors of the run as it is happen to cancel: they are {_times(f)} times smaller than those of "
        "a run under random rounding. With other numbers they need not",
    ),
)  # fmt: skip


def _times(f: Facts) -> str:
    return number(float(f"{2.0 ** min(60.0, f.measured - (f.spread.bits if f.spread else 0.0)):.1g}"))


def why(f: Facts) -> tuple[str, str]:
    """The name and the words of the first reason that holds; two empty strings where the two agree."""
    case = f.case
    found = next((r for r in REASONS if case in r.cases and r.holds(f)), None)
    return ("", "") if found is None else (found.name, found.words(f))
