"""One operation's result as a trace sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.kinds import kinds_of
from halfsim.card import Card, Record
from halfsim.frames import Line, spelled
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Mode
from halfsim.text import place_name

if TYPE_CHECKING:
    from halfsim.autograd.policy import Rule


@dataclass(frozen=True)
class Constant(Record):
    """A number of the program that ``format`` turned into a number with another meaning: 0, 1, infinity or NaN.

    It prints as the sentence that says so.

    >>> from halfsim import float16
    >>> print(Constant("eps =", 1e-8, float16, 0.0))
    eps = 1e-08 is zero in float16 (smallest subnormal 5.96e-08)
    """

    name: str  # how the operation takes it: "constant", "factor", "eps ="
    value: float  # as it was given
    format: Format
    became: float  # in ``format``

    def __str__(self) -> str:
        fmt = self.format
        if self.became == 0:
            return f"{self.name} {self.value:g} is zero in {fmt} (smallest subnormal {fmt.smallest_subnormal:.3g})"
        if abs(self.became) == 1:
            apart = f"whose numbers below 1 are {fmt.epsneg:.2g} apart"
            return f"{self.name} {self.value:.12g} is {self.became:g} in {fmt} ({apart})"
        became = "infinite" if self.became == self.became else "NaN"
        return f"{self.name} {self.value:.6g} is {became} in {fmt} (largest number {fmt.max:g})"


@dataclass(frozen=True, slots=True)
class Error(Record):
    """How far a result is from a reference.

    Of a result with more than 4,096 elements a sample spread over all of it is compared, see `sample`. An ulp is the
    spacing of the result's format at the reference. All three are infinite where one of the two has a number and the
    other a NaN or an infinity. Where both have a NaN, or the same infinity, they are taken as equal.
    """

    largest: float  # distance of an element, in ulp
    mean: float  # distance, in ulp
    relative: float  # the norm of the difference over the norm of the reference


@dataclass(frozen=True, slots=True)
class Stage(Record):
    """What one kind of rounding inside an operation did to the numbers that it rounded."""

    name: str  # "read" (operands), "operand" (those of a matrix product), "step" (inside), "sum", "store" (the result)
    format: Format | BlockFormat  # to which it rounded
    size: int  # how many numbers it rounded
    infinite: int = 0  # numbers past the largest one of the format that became infinite,
    nan: int = 0  # that became NaN, in a format without infinities,
    clipped: int = 0  # and that became the largest number
    flushed: int = 0  # numbers that became zero and were not zero before
    nonzero: int = 0  # numbers that were not zero before
    block: tuple[int, ...] | None = None  # in a block format, the block in which most were clipped

    @property
    def past(self) -> int:
        """How many numbers lay past the largest one."""
        return self.infinite + self.nan + self.clipped


def past_largest(name: str, y: Array, fmt: Format, counted: int, mode: Mode | None) -> Stage:
    """What became of the ``counted`` numbers past the largest of ``fmt``, of which ``y`` are the results."""
    if mode is None or (mode.nearest and not mode.clips):
        infinite, nan = (counted * fmt.has_infinity, counted * (fmt.has_nan and not fmt.has_infinity))
    else:
        infinite, nan = min(counted, int(np.count_nonzero(np.isinf(y)))), 0
    return Stage(name, fmt, y.size, infinite, nan, counted - infinite - nan)


def in_blocks(x: Array, fmt: BlockFormat, clipped: Array, flushed: int) -> Stage:
    """What became of an operand in a block format, of which so many elements were ``clipped`` in each block."""
    past = int(clipped.sum())
    where = tuple(int(i) for i in np.unravel_index(np.argmax(clipped), clipped.shape)) if past else None
    return Stage("operand", fmt, x.size, 0, 0, past, flushed, int(np.count_nonzero(x)), where)


@dataclass(frozen=True, slots=True)
class Event(Card):
    """What one operation did: which operation, where in the program, and how often its roundings went wrong.

    The numbers themselves are not kept. The gradient of an operation is an event of its own, and so is an optimizer's
    change of one parameter. ``counts`` has the NaN, infinities and zeros that this operation made. Where they came in
    with its operands, ``origin`` is the event that made them, or ``given`` says that no recorded operation did.

    >>> import halfsim as hs
    >>> with hs.trace() as t:
    ...     product = hs.tensor([300.0, 1.0], "fp16") * 300.0
    >>> event = t.first("overflow").event
    >>> event.op, event.phase, event.shape, event.counts.overflow, event.klass
    ('mul', 'forward', (2,), 1, 'overflow')
    """

    step: int  # 1 for all before an optimizer's first step is over, then 2, ...
    phase: str  # "forward", "backward" or "optimizer"
    path: str  # of the module, "" outside all; in the optimizer phase, of the parameter
    op: str
    tensor: str  # what was written, where the operation alone does not say: "weight", "exp_avg"
    shape: tuple[int, ...]  # of the result
    counts: Counts
    lost: Constant | None = None  # a constant that the format could not hold
    format: Format = float32  # of the result
    stages: tuple[Stage, ...] = ()  # the roundings that made the counts of overflow and flushing
    exponents: Array | None = field(
        default=None, compare=False
    )  # how many numbers of the result have which exponent, see `sample.exponents`
    magnitude: float = 0.0  # the sum of the result's magnitudes, where more than 5 % of it were flushed
    terms: int = 1  # of its longest sum
    unit: Format = float32  # in which that sum was formed
    local: Error | None = None  # with a reference: the error that this operation made
    total: Error | None = None  # with a reference: the error that has come together up to here
    origin: Event | None = None  # where the trouble of its operands began, if that explains what is wrong here
    given: str = ""  # "NaN" or "infinity" where an operand brought one that no recorded operation made
    disorder: float = 0.0  # how far its sums in a narrow accumulator are off, as a share of their terms' magnitude
    square: float = 0.0  # of a parameter's gradient: the sum of squares
    serial: int = 0  # events are numbered as they happen
    line: Line | None = None  # of the caller's code; of a gradient, that of the forward operation
    rule: Rule | None = field(default=None, repr=False)  # the precision in force
    detail: Mapping[str, Any] | None = None  # what a message needs that is counted nowhere else
    names: tuple[str, ...] = ()  # the latest operations on the way here, this one first, as a policy names them
    called: bool = False  # whether somebody called it; gradients and an optimizer's notes come by themselves

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
