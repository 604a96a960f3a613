"""The IEEE 754 exceptions: a bit mask per element, counts per array, and what a program wants done about them."""

from __future__ import annotations

import enum
import warnings
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, Self

import numpy as np

from halfsim.card import Record
from halfsim.contexts import Context, Pile
from halfsim.frames import level
from halfsim.numerics.formats import unknown


class Flag(enum.IntFlag):
    """The five exceptions of IEEE 754-2019 clause 7, in SoftFloat's bit order.

    >>> Flag.INEXACT | Flag.OVERFLOW
    <Flag.INEXACT|OVERFLOW: 5>
    """

    INEXACT = 1
    UNDERFLOW = 2
    OVERFLOW = 4
    DIVIDE_BY_ZERO = 8
    INVALID = 16


@dataclass(slots=True)
class FlagCounts(Record):
    """How many results raised each of the five IEEE exceptions, and what else rounding did to them.

    ``size`` is the number of results. ``nonzero`` of them were not zero before they were rounded, and ``flushed`` of
    these became zero. ``addends`` counts the numbers other than zero that were added to a running sum; ``swamped`` of
    them were too small to change it.

    >>> counts = FlagCounts(size=4, inexact=2)
    >>> counts += FlagCounts(size=1, inexact=1)
    >>> counts.inexact, counts.size
    (3, 5)
    """

    size: int = 0
    nonzero: int = 0
    inexact: int = 0
    underflow: int = 0
    overflow: int = 0
    divide_by_zero: int = 0
    invalid: int = 0
    flushed: int = 0
    swamped: int = 0
    addends: int = 0

    def __iadd__(self, other: FlagCounts) -> Self:
        for name, more in zip(_COUNTS, _values(other), strict=True):
            if more:
                setattr(self, name, getattr(self, name) + more)
        return self


_COUNTS = tuple(field.name for field in fields(FlagCounts))
_values = attrgetter(*_COUNTS)

_NAMES = {
    "inexact": Flag.INEXACT,
    "underflow": Flag.UNDERFLOW,
    "overflow": Flag.OVERFLOW,
    "divide_by_zero": Flag.DIVIDE_BY_ZERO,
    "invalid": Flag.INVALID,
}
_NUMPYS = {"over": "overflow", "under": "underflow", "divide": "divide_by_zero"}  # as numpy.errstate calls them
_ACTIONS = ("ignore", "warn", "raise")


class FlagWarning(RuntimeWarning):
    """What `errstate` warns with."""


@dataclass(frozen=True)
class _Watch:
    """Who collects counts, and what is done about each flag."""

    collectors: tuple[FlagCounts, ...] = ()
    actions: tuple[tuple[str, str], ...] = ()

    @cached_property
    def wanted(self) -> bool:
        """Whether anybody wants to know of flags."""
        return bool(self.collectors) or any(action != "ignore" for _, action in self.actions)


_WATCH = Pile("halfsim_flags", _Watch())


class flags(Context):  # noqa: N801  # used as a function
    """A context that adds up the flags of everything rounded inside it, in all blocks that are open.

    Each time that it is entered it gives new counts; blocks may be left in any order.

    >>> from halfsim import round_to
    >>> with flags() as f:
    ...     half = round_to([0.1, 1e9], "float16")
    >>> f.inexact, f.overflow
    (2, 1)
    """

    def __enter__(self) -> FlagCounts:
        counts = FlagCounts()
        _WATCH.enter(self, lambda watch: replace(watch, collectors=(*watch.collectors, counts)))
        return counts

    def __exit__(self, *exception: object) -> None:
        _WATCH.leave(self, "flags")


class errstate(Context):  # noqa: N801  # NumPy's name
    """A context that says what flags do: "ignore" (the default), "warn" with `FlagWarning`, "raise" FloatingPointError.

    The keywords are inexact, underflow, overflow, divide_by_zero and invalid, or ``numpy.errstate``'s under, over,
    divide and invalid; ``all`` stands for those not named. It rules halfsim's flags, never the host's. In float32 and
    float64 arithmetic the host rounds, and inexact and underflow are not seen. ``ValueError`` for other words.

    >>> from halfsim import round_to
    >>> with errstate(overflow="raise"):
    ...     round_to(1e9, "float16")
    Traceback (most recent call last):
    FloatingPointError: round_to: overflow in 1 of 1 values
    """

    def __init__(self, all: str | None = None, **actions: str) -> None:
        given, actions = actions, {_NUMPYS.get(name, name): action for name, action in actions.items()}
        for name in given:
            if name not in _NAMES and name not in _NUMPYS:
                raise unknown("errstate", name, ["all", *_NAMES, *_NUMPYS])
        if len(given) > len(actions):
            raise ValueError(f"errstate: {', '.join(given)} name one flag twice; allowed: once")
        for action in (*actions.values(), *([all] if all is not None else [])):
            if not isinstance(action, str) or action not in _ACTIONS:
                raise unknown("errstate", action if isinstance(action, str) else type(action).__name__, _ACTIONS)
        self.actions = {**(dict.fromkeys(_NAMES, all) if all is not None else {}), **actions}

    def __enter__(self) -> None:
        _WATCH.enter(self, lambda watch: replace(watch, actions=tuple({**dict(watch.actions), **self.actions}.items())))

    def __exit__(self, *exception: object) -> None:
        _WATCH.leave(self, "errstate")


class unwatched(Context):  # noqa: N801  # used as a function
    """A context in which nobody is told of flags: for work that belongs to no computation of the user's."""

    def __enter__(self) -> None:
        _WATCH.enter(self, lambda watch: _Watch())

    def __exit__(self, *exception: object) -> None:
        _WATCH.leave(self, "unwatched")


def watching() -> bool:
    """Whether anybody wants to know of flags."""
    watch = _WATCH.get()
    return watch.wanted


def report(counts: FlagCounts, where: str) -> None:
    """Add ``counts`` to the open `flags` blocks and do what `errstate` says about them."""
    watch = _WATCH.get()
    for collector in watch.collectors:
        collector += counts
    for name, action in watch.actions:
        raised = getattr(counts, name)
        if raised and action != "ignore":
            message = f"{where}: {name.replace('_', ' ')} in {raised:,} of {counts.size:,} values"
            if action == "raise":
                raise FloatingPointError(message)
            warnings.warn(message, FlagWarning, stacklevel=level())


def report_mask(mask: Any, where: str) -> None:
    """Raise the flags of an array of `Flag` masks."""
    counts = FlagCounts(size=int(np.size(mask)))
    for name, flag in _NAMES.items():
        setattr(counts, name, int(np.count_nonzero(np.asarray(mask) & flag)))
    report(counts, where)
