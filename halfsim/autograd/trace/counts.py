"""What a trace counts beside IEEE's exceptions: sums, differences, weights and integers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Self

from halfsim.numerics.flags import FlagCounts


@dataclass(slots=True)
class Counts(FlagCounts):
    """`FlagCounts` of an operation, and what else became of its numbers.

    ``clipped`` counts overflows that ended at the largest finite number, ``killed`` NaN that the operation made inside
    and left out of its result; ``subnormals`` counts subnormal results, ``stalled`` the sums that are off by more than
    1 % of the magnitude of their terms. Of weights, ``addends`` and ``swamped`` are those with a gradient; ``updates``
    and ``lost`` count all with a nonzero update, that of a fading momentum too. Of ``sums`` additions and subtractions
    of arrays, ``cancelled`` had nonzero results with at most four of their operands' leading bits left, and
    ``annulled`` results of zero from two nonzero numbers; ``single`` counts both where one number was formed, and
    ``bits`` is the largest number of bits that one of them lost (the larger of two counts, not their sum).
    ``integers`` counts integers that a format turned into other integers.

    >>> counts = Counts(size=4, bits=3)
    >>> counts += Counts(size=1, bits=2)
    >>> counts.size, counts.bits
    (5, 3)
    """

    clipped: int = 0
    killed: int = 0
    subnormals: int = 0
    stalled: int = 0
    updates: int = 0
    lost: int = 0
    sums: int = 0
    cancelled: int = 0
    annulled: int = 0
    single: int = 0
    integers: int = 0
    bits: int = 0

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
