"""One operation's result as a trace sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.kinds import kinds_of
from halfsim.frames import Line, spelled
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array
from halfsim.text import place_name

if TYPE_CHECKING:
    from halfsim.autograd.policy import Rule


@dataclass(frozen=True)
class Constant:
    """A number of the program that ``format`` turned into a number with another meaning: 0, 1 or infinity.

    ``name`` is how the operation takes it ("constant", "factor", "eps ="), ``became`` the number in ``format``. It
    reads as the sentence that says so.
    """

    name: str
    value: float
    format: Format
    became: float

    def __str__(self) -> str:
        fmt = self.format
        if self.became == 0:
            return f"{self.name} {self.value:g} is zero in {fmt} (smallest subnormal {fmt.smallest_subnormal:.3g})"
        if abs(self.became) == 1:
            apart = f"whose numbers below 1 are {fmt.epsneg:.2g} apart"
            return f"{self.name} {self.value:.9g} is {self.became:g} in {fmt} ({apart})"
        became = "infinite" if self.became == self.became else "NaN"
        return f"{self.name} {self.value:.6g} is {became} in {fmt} (largest number {fmt.max:g})"


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
class Stage:
    """What one kind of rounding inside an operation did: which one, in which format, to how many of how many numbers.

    ``name`` is "read" (operands on their way in), "operand" (those of a matrix product), "step" (an elementary result
    inside), "sum" (a running sum) or "store" (the result). ``infinite``, ``nan`` and ``clipped`` count numbers past the
    format's largest by what became of them, ``flushed`` those that became zero.
    """

    name: str
    format: Format
    size: int
    infinite: int = 0
    nan: int = 0
    clipped: int = 0
    flushed: int = 0
    nonzero: int = 0

    @property
    def past(self) -> int:
        """How many numbers lay past the largest one."""
        return self.infinite + self.nan + self.clipped


@dataclass(frozen=True, slots=True)
class Event:
    """One operation's result: where it was computed and what its roundings did.

    ``phase`` is "forward", "backward" or "optimizer"; ``path`` the module (in the optimizer phase, the
    parameter), "" outside any; ``tensor`` what was written, where the operation alone does not say. ``format`` is that
    of the result, ``stages`` say which rounding in which format made the counts of overflow and flushing, ``exponents``
    how many of its numbers have which exponent (see `exponents`), ``magnitude`` the sum of their magnitudes where over
    5 % were flushed, ``terms`` the length of its longest sum and ``unit`` the format that was formed in. With a
    reference, ``local`` is the error that this operation made and ``total`` what has come together. ``origin`` is the
    event where the trouble in its operands began, if that explains what is wrong here; ``given`` says "NaN" or
    "infinity" where one among the operands came from no recorded operation. ``disorder`` is how far its sums in a
    narrow accumulator are off, in norm, relative to the magnitude of their terms. ``line`` is the line of the caller's
    code (of the forward operation, in the backward pass), ``rule`` the precision in force, ``lost`` a constant that
    the format could not hold, ``detail`` what a message needs that is counted nowhere else, ``names`` the latest
    operations on the way here, this one first, as a policy names them; ``called`` says that somebody called it, where
    others are gradients and notes.
    """

    step: int
    phase: str
    path: str
    op: str
    tensor: str
    shape: tuple[int, ...]
    counts: Counts
    lost: Constant | None = None
    format: Format = float32
    stages: tuple[Stage, ...] = ()
    exponents: Array | None = field(default=None, compare=False)
    magnitude: float = 0.0
    terms: int = 1
    unit: Format = float32
    local: Error | None = None
    total: Error | None = None
    origin: Event | None = None
    given: str = ""
    disorder: float = 0.0
    square: float = 0.0  # of a parameter's gradient: the sum of squares
    serial: int = 0  # events are numbered as they happen
    line: Line | None = None
    rule: Rule | None = field(default=None, repr=False)
    detail: Mapping[str, Any] | None = None
    names: tuple[str, ...] = ()
    called: bool = False

    def __post_init__(self) -> None:
        if type(self.counts) is not Counts:  # those of flags alone
            counts = Counts()
            counts += self.counts
            object.__setattr__(self, "counts", counts)

    def __str__(self) -> str:
        return f"step {self.step}, {self.phase}, {self.place}: {self.klass or 'no trouble'}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of trouble that this is, the gravest first; see `halfsim.autograd.trace.kinds`."""
        return kinds_of(self)

    @property
    def klass(self) -> str | None:
        """The gravest kind of trouble that this is, or None."""
        return next(iter(kinds_of(self)), None)

    @property
    def size(self) -> int:
        """The number of elements of the result."""
        return prod(self.shape)

    @property
    def key(self) -> str:
        """The operation as a policy names it: "@exp", "encoder.0@matmul"."""
        return f"{self.path}@{self.op}" if self.phase == "forward" else f"@{self.op}"

    @property
    def where(self) -> str:
        """The line of the caller's code, "train.py:41"; "" where it is not known."""
        return spelled(self.line)

    @property
    def eventful(self) -> bool:
        """Whether anything happened that could be trouble, or explain another."""
        c = self.counts
        seen = c.flushed or c.cancelled or c.annulled or c.single or c.stalled or c.overflow or c.invalid or c.integers
        return bool(seen or c.divide_by_zero or self.given or self.lost is not None or self.detail is not None)

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        return place_name(self.op, self.path, self.tensor)
