"""What a trace counts beside IEEE's exceptions: sums, differences, weights and integers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Self

from halfsim.numerics.flags import FlagCounts


@dataclass(slots=True)
class Counts(FlagCounts):
    """`FlagCounts` of an operation, and what else became of its numbers; ``+=`` adds up several operations.

    Adding takes sums of all counts, of ``bits`` the larger one. An addition or subtraction cancels where operands of
    nearly the same size leave a small result: the digits that are left are those in which the operands were rounded.
    An optimizer's update adds to each weight; ``addends`` and ``swamped`` then count those that have a gradient.

    >>> counts = Counts(size=4, bits=3)
    >>> counts += Counts(size=1, bits=2)
    >>> counts.size, counts.bits
    (5, 3)
    """

    clipped: int = 0  # overflows that ended at the largest number, and not at infinity
    killed: int = 0  # NaN and infinities that the operation made inside and left out of its result
    subnormals: int = 0  # results that are subnormal
    stalled: int = 0  # sums that are off by more than 1 % of the magnitude of their terms
    updates: int = 0  # weights with an update that is not zero, be it of a momentum that fades
    lost: int = 0  # of these, weights that the update left as they were
    sums: int = 0  # additions and subtractions of arrays, element by element
    cancelled: int = 0  # of these, results of at most four of the operands' leading bits
    annulled: int = 0  # of these, zeros made of two numbers that were not zero
    single: int = 0  # cancelled and annulled ones of operations that gave one number alone
    integers: int = 0  # integers that a format turned into other integers
    bits: int = 0  # the most leading bits that one of the sums lost

    def __iadd__(self, other: FlagCounts) -> Self:
        whole = isinstance(other, Counts)
        for name, more in zip(_ALL, _all(other), strict=True) if whole else zip(_FLAGS, _flags(other), strict=True):
            if more:
                setattr(self, name, getattr(self, name) + more)
        if isinstance(other, Counts):
            self.bits = max(self.bits, other.bits)
        return self


_FLAGS = tuple(field.name for field in fields(FlagCounts))
_ALL = tuple(field.name for field in fields(Counts) if field.name != "bits")
_flags, _all = attrgetter(*_FLAGS), attrgetter(*_ALL)
