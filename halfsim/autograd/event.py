"""One operation's result as a trace sees it, and what makes it trouble."""

from __future__ import annotations

from dataclasses import dataclass

from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array

CLASSES = ("NaN", "overflow", "underflow", "swamping", "cancellation", "integer rounding")

# Rounding always flushes, swamps and cancels a little; these shares of the values concerned make it a trouble.
FLUSHED_SHARE = 0.05  # of the nonzero results, if with them goes ...
VANISHED_SHARE = 0.01  # ... this share of their magnitude,
FLUSHED_GRADIENTS = 0.5  # or this share of nonzero gradients and optimizer state
SWAMPED_SHARE = 0.5
CANCELLED_SHARE = 0.5


@dataclass(frozen=True)
class LostConstant:
    """A number that ``format`` turns into zero or infinity; it reads as the sentence that says so."""

    name: str
    value: float
    format: Format

    @property
    def klass(self) -> str:
        """The class of trouble: underflow or overflow."""
        return "underflow" if abs(self.value) < 1 else "overflow"

    def __str__(self) -> str:
        if self.klass == "underflow":
            return f"{self.name} {self.value:g} is zero in {self.format} (smallest subnormal {self._limit:.3g})"
        return f"{self.name} {self.value:.6g} is infinite in {self.format} (largest number {self._limit:g})"

    @property
    def _limit(self) -> float:
        return self.format.smallest_subnormal if self.klass == "underflow" else self.format.max


@dataclass(frozen=True, slots=True)
class Error:
    """How far a result is from a reference: the largest and the mean distance in ulp, and the relative one in norm.

    Of more than 4,096 elements every so many-th is compared, see `sample`. ``ulp`` is that of the result's format at
    the reference. Where only one of the two is finite, all are infinite.
    """

    largest: float
    mean: float
    relative: float


@dataclass(frozen=True, slots=True)
class Event:
    """One operation's result: where it was computed and what its roundings did.

    ``phase`` is "forward", "backward" or "optimizer"; ``path`` the module (in the optimizer phase, the
    parameter), "" outside any; ``tensor`` what was written, where the operation alone does not say. ``format`` is that
    of the result, ``exponents`` how many of its numbers have which exponent (see `exponents`), ``magnitude`` the sum of
    their magnitudes where over 5 % were flushed, ``terms`` the length of its longest sum and ``unit``
    the format that was formed in. With a reference, ``local`` is the error that this operation made and ``total``
    what has come together. ``origin`` is the event where the trouble in its operands began, if they had any,
    ``given`` says that a NaN among them came from no recorded operation. ``disorder`` is how far its sums in a narrow
    accumulator are off, in norm, relative to the magnitude of their terms.
    """

    step: int
    phase: str
    path: str
    op: str
    tensor: str
    shape: tuple[int, ...]
    counts: FlagCounts
    lost: LostConstant | None = None  # a constant that the format cannot hold
    format: Format = float32
    exponents: Array | None = None
    magnitude: float = 0.0
    terms: int = 1
    unit: Format = float32
    local: Error | None = None
    total: Error | None = None
    origin: Event | None = None
    given: bool = False
    disorder: float = 0.0
    square: float = 0.0  # of a parameter's gradient: the sum of squares
    serial: int = 0  # events are numbered as they happen

    def __str__(self) -> str:
        return f"step {self.step}, {self.phase}, {self.place}: {self.klass or 'no trouble'}"

    @property
    def klass(self) -> str | None:
        """The gravest class of trouble in this event, or None."""
        return None if self.quiet else next((klass for klass in CLASSES if self.shows(klass)), None)

    @property
    def quiet(self) -> bool:
        """Whether nothing happened that could be trouble."""
        c = self.counts
        seen = c.flushed or c.cancelled or c.stalled or c.overflow or c.invalid or c.divide_by_zero or c.integers
        return not (seen or self.given or self.lost is not None)

    def shows(self, klass: str) -> bool:
        """Whether the event is trouble of ``klass``.

        Any NaN made from numbers and any overflow or division by zero is; underflow where a constant became zero,
        where more than 5 % of the nonzero results did that held more than 1 % of their magnitude, or half of the
        nonzero gradients; swamping where more than half of the nonzero addends changed nothing and a sum is off by more
        than 1 % of the magnitude of its terms (or a weight did not move); cancellation where half of the differences
        have at most four good bits left, or none; integer rounding where integers became other integers.
        """
        c = self.counts
        if self.lost is not None and klass == self.lost.klass:
            return True
        if klass == "NaN":
            return c.invalid > 0 or self.given
        if klass == "overflow":
            return c.overflow + c.divide_by_zero > 0
        if klass == "underflow":
            lost = 0.5 * c.flushed * self.format.smallest_subnormal  # at most
            half = self.phase != "forward" and c.flushed > FLUSHED_GRADIENTS * c.nonzero
            return half or (c.flushed > FLUSHED_SHARE * c.nonzero and lost > VANISHED_SHARE * self.magnitude)
        if klass == "swamping":
            return c.stalled > 0 and c.swamped > SWAMPED_SHARE * c.addends
        if klass == "cancellation":
            return c.cancelled > 0 and c.cancelled + c.annulled > CANCELLED_SHARE * c.sums
        return c.integers > 0

    @property
    def suspicion(self) -> str | None:
        """What zeros in the result would be, if a division by one of them is to be explained."""
        return "underflow" if self.counts.flushed else "cancellation" if self.counts.annulled else None

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        where = f" in {self.path}" if self.path else ""
        return f"{self.op}{where}{f' ({self.tensor})' if self.tensor else ''}"
