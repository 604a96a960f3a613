"""The IEEE 754 exceptions as a bit mask per element and as counts per array."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields


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
class FlagCounts:
    """How often the roundings of an operation raised each exception.

    Beside the five flags: ``size`` counts the operation's results and ``nonzero`` those not zero before they were
    rounded; ``flushed`` counts results that are zero though they were not before, ``swamped`` the nonzero addends that
    left a sum (or a weight) unchanged, out of ``addends`` nonzero ones, and ``stalled`` the sums that are off by
    more than 1 % of the magnitude of their terms. Of weights, ``addends`` and ``swamped`` are those with a gradient;
    ``updates`` and ``lost`` count all with a nonzero update, momentum that is dying out included.

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
    stalled: int = 0
    updates: int = 0
    lost: int = 0

    def __iadd__(self, other: FlagCounts) -> FlagCounts:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


_COUNTS = tuple(field.name for field in fields(FlagCounts))
