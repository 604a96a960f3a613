"""The simulated unit under observation: the same results, and counts of what every rounding did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.trace.cancelled import count_cancelled, count_single, count_sums
from halfsim.autograd.trace.constants import Constants, unheld
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Constant, Stage, in_blocks, past_largest
from halfsim.autograd.trace.kinds import CLIPPED_SHARE, finite
from halfsim.autograd.trace.whole_numbers import counting_numbers, positions
from halfsim.numerics import block_rounding
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, rounded
from halfsim.numerics.rounding import Stochastic

# Operations that are zero for no nonzero finite operands, so that a zero of theirs was flushed.
_NONZERO = {"mul", "div", "pow", "exp", "expm1", "log1p", "sin", "tan", "sinh", "tanh", "asin", "atan", "erf"}
_NONZERO |= {"sigmoid", "softplus", "rsqrt", "asinh", "atanh", "atan2", "hypot", "erfc", "erfcx", "erfinv", "i0"}
_NONZERO |= {"i1", "i0e", "i1e", "cbrt"}

# Where operations are infinite by IEEE 754's definition of division by zero, which is no overflow.
_POLES: dict[str, Callable[..., Any]] = {
    "div": lambda a, b: np.equal(b, 0) & (a != 0) & np.isfinite(a),
    "pow": lambda a, b: np.equal(a, 0) & (b < 0),
    **dict.fromkeys(("log", "log2", "log10", "rsqrt"), lambda a: np.equal(a, 0)),
    "log1p": lambda a: np.equal(a, -1),
    **dict.fromkeys(("atanh", "erfinv"), lambda a: np.equal(np.abs(a), 1)),
    **dict.fromkeys(("lgamma", "digamma"), lambda a: (a <= 0) & np.equal(a, np.floor(a))),
    **dict.fromkeys(("polygamma", "zeta"), lambda n, a: (a <= 0) & np.equal(a, np.floor(a))),
}

# Labels of kernels whose additions are no sums to look at: an optimizer counts the weights that did not move itself,
# and a compensation is a difference that is meant to cancel.
GRADIENT = "gradient"
_UNWATCHED = ("param", "compensation")


class Counting(Arithmetic):
    """The simulated unit while a trace watches: it gives the same bits as `Arithmetic`, and counts what rounding did.

    One is made for each operation. Everything is counted from the values, as the flags of the processor are never read.

    - ``counts``: what became of the result and of the steps on the way to it; `finished` completes them.
    - ``inputs``: the operands as they were read. They were rounded to ``storage`` before, so their last digits are
      noise, and a difference of two of them may be nothing but that noise.
    - ``terms``: the length of the longest sum.
    - ``disorder``: how far sums in a narrow accumulator are off, in norm, as a share of the magnitude of their terms.
    - ``addition``: where the result is one sum ``a + b`` or ``a - b``, the two operands and the sign; else None.
    """

    __slots__ = (
        "_last",
        "_running",
        "_sum",
        "_zeros",
        "addition",
        "constants",
        "counts",
        "disorder",
        "distance",
        "given",
        "inputs",
        "reading",
        "replaced",
        "stages",
        "storing",
        "summing",
        "taking",
        "terms",
        "watched",
    )

    piecewise = False
    reading: FlagCounts
    storing: FlagCounts

    def __init__(self, precision: Precision, label: str = "") -> None:
        super().__init__(precision)
        if not self.native:
            self._sums = np.dtype(np.float64)  # to count inexact sums takes more than the container
        self.counts = Counts()
        self.reading = self.summing = self.storing = self.counts  # told apart by what each step adds
        self.taking: FlagCounts | None = None
        self.stages: list[Stage] = []
        self.inputs: list[Array] = []
        self.terms = 1
        self.replaced = False  # whether a format without infinities and NaN has put numbers in their place
        self.given = label != GRADIENT  # whether operands are results of one rounding each; gradients are of several
        self.watched = label not in _UNWATCHED  # whether additions are looked at
        self.disorder = 0.0
        self.distance: Array | None = None  # of sums in a narrow accumulator from the exact ones, where they lost all
        self.addition: tuple[Array, Array, int] | None = None
        self._sum: tuple[Array, Array, Array, int] | None = None  # the latest addition: result, operands, sign
        self.constants: Constants | None = None  # those of the formula that its formats cannot hold
        self._last: tuple[Array | None, int] = (None, 0)  # the latest accumulation, and how many of it were flushed
        self._running = False  # whether the result is a running sum of whole numbers
        self._zeros: Array | None = None  # where elementwise steps have flushed something

    def finished(self, y: Array) -> Counts:
        """All counts, once the result ``y`` is stored; no count of results exceeds their number."""
        counts = self.counts
        if self.taking is not None:
            counts += self.taking
        if (counts.invalid or counts.divide_by_zero) and not self.replaced and finite(y):
            # Which the formula masks, as a norm's gradient at 0.
            counts.killed, counts.invalid, counts.divide_by_zero = counts.invalid + counts.divide_by_zero, 0, 0
        if counts.overflow or counts.divide_by_zero or counts.invalid:
            size = counts.size
            counts.overflow, counts.clipped = min(counts.overflow, size), min(counts.clipped, size)
            counts.divide_by_zero, counts.invalid = min(counts.divide_by_zero, size), min(counts.invalid, size)
        return counts

    def _round(self, y: Any, op: str, *operands: Array) -> Array:
        y, compute, counts = np.asarray(y), self.precision.compute, self.counts
        before, zeros = counts.flushed, self._made(y, op, operands)
        over = counts.overflow
        if not (self.replaced or self.native or compute.has_special):
            self.replaced = not finite(y)
        z = y if self.native and y.dtype == self.dtype else rounded(y, compute, counts, self._mode)
        if counts.overflow > over:
            self._past("step", z, compute, counts.overflow - over)
        if counts.flushed > before:
            zeros = (zeros if zeros is not None else np.False_) | ((z == 0) & (y != 0))
            counts.flushed = before  # what is flushed on the way to another result is no zero of that result
        if zeros is not None:
            self._remember(zeros)
        if z.dtype is not self.dtype:
            z = z.astype(self.dtype, copy=False)
        if op in ("add", "sub"):
            if z.size and self.watched:
                self._count_sum(z, *operands)
                self._sum = (z, operands[0], operands[1], 1 if op == "add" else -1)
            return z
        if self.constants is not None:
            self.constants.used(operands)
        return z

    def _remember(self, zeros: Array) -> None:
        """Remember where a step has flushed something."""
        same = self._zeros is not None and self._zeros.shape == zeros.shape
        self._zeros = self._zeros | zeros if same and self._zeros is not None else zeros

    def _past(self, stage: str, y: Array, fmt: Format, counted: int) -> Stage:
        """Note what became of the ``counted`` numbers past the largest of ``fmt``, of which ``y`` are the results."""
        self.stages.append(past_largest(stage, y, fmt, counted, self._mode))
        self.counts.clipped += self.stages[-1].clipped
        return self.stages[-1]

    def constant(self, value: float) -> Any:
        kept = super().constant(value)
        lost = unheld(value, kept, self.precision)
        if lost is not None:
            self.constants = self.constants or Constants()
            self.constants.note(kept, lost)
        return kept

    @property
    def lost_constant(self) -> Constant | None:
        """A constant that became 0, 1 or infinite: in ``compute``, or in ``storage`` where that did something."""
        return None if self.constants is None else self.constants.lost(self.counts.flushed > 0)

    @property
    def large(self) -> Constant | None:
        """A constant past the largest number of storage, with which something was computed."""
        return None if self.constants is None else self.constants.large

    def _made(self, y: Array, op: str, operands: Sequence[Array]) -> Array | None:
        """Count NaN, infinities and poles that the operands do not explain; returns where such zeros are."""
        if not finite(y):
            poles = np.asarray(_POLES[op](*operands) if op in _POLES else False)
            self.counts.divide_by_zero += int(np.count_nonzero(poles))
            # A NaN of NaN, and an infinity of an infinity, were made before: only what begins here is counted.
            known, numbers = np.zeros(y.shape, np.bool_), np.ones(y.shape, np.bool_)
            for x in operands:
                known, numbers = known | np.isnan(x), numbers & np.isfinite(x)
            self.counts.invalid += int(np.count_nonzero(np.isnan(y) & ~known))
            past = int(np.count_nonzero(np.isinf(y) & numbers & ~poles))
            if past:
                self.counts.overflow += past
                self.stages.append(Stage("step", self.precision.compute, y.size, past))
        if op not in _NONZERO or (y != 0).all():
            return None
        vanished = y == 0
        for x in operands:
            vanished = vanished & (x != 0) & np.isfinite(x)
        return vanished if vanished.any() else None

    def _count_sum(self, z: Array, a: Array, b: Array) -> None:
        """Count addends that changed nothing, and results that lost all but their last four leading bits.

        Operands that the operation read were rounded to ``storage``, others to ``compute``; a difference of numbers
        that were so rounded has as many digits to lose.
        """
        counts, size = self.counts, z.size
        if a is b:
            return
        given = False
        for x in self.inputs:  # a loop, for this is asked of every step of a recurrent layer
            if a is x or b is x:
                given = True
                break
        if self.native and not given:  # of steps inside an operation, in numbers that float32 or float64 rounded
            return
        narrow = self.precision.storage if given else self.precision.compute
        digits = min(narrow.precision, self.precision.compute.precision)
        kept = self.dtype.type(2.0 ** (4 - digits))
        if size == 1:
            count_single(counts, z, a, b, kept)
            return
        count_cancelled(counts, z, a, b, kept)
        counts.sums += size

    def _count_addends(self, y: Array, inexact: bool) -> None:
        """Where the result ``y`` is an operand plus something, count what left it as it was, and what left nothing."""
        assert self._sum is not None
        _, a, b, sign = self._sum
        # Only a running value that was read can be left as it was: one of the inputs, of the result's shape.
        if a is b or not y.size or not any((x is a or x is b) and x.shape == y.shape for x in self.inputs):
            return
        self.addition, counts = (a, b, sign), self.counts
        both = np.not_equal(a, 0) & np.not_equal(b, 0)
        both = np.broadcast_to(both, y.shape)
        same = np.equal(y, a)
        same |= np.equal(y, b) if sign > 0 else np.equal(y, np.negative(b))
        if same.any() and not isinstance(self.precision.rounding, Stochastic):  # which loses nothing on average
            same &= both
            counts.swamped += int(np.count_nonzero(same & np.isfinite(y)))
        counts.addends += int(np.count_nonzero(both))
        if y.size > 1 and not (y != 0).all():
            counts.annulled += int(np.count_nonzero(both & (y == 0)))
        if inexact and y.size > 1 and counting_numbers(a) and counting_numbers(b):
            wide = np.add(a, b if sign > 0 else np.negative(b), dtype=np.float64)
            counts.integers += int(np.count_nonzero(both & (wide != y) & (y != a) & (y != b) & np.isfinite(y)))

    def matmul(self, a: Array, b: Array) -> Array:
        flushed, swamped, over = self._before()
        y = super().matmul(a, b)
        self.terms = max(self.terms, a.shape[-1])
        if self._narrow or self.counts.swamped > swamped:
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            self._compare(y, wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b), self.counts.swamped > swamped)
        return self._accumulated(y, flushed, over, a, b)

    def operand(self, x: Array, axis: int) -> tuple[Array, float]:
        taking, fmt = self.taking or FlagCounts(), self.precision.operands
        self.taking = taking
        before, flushed = taking.overflow, taking.flushed
        if isinstance(fmt, BlockFormat):
            y, scale, clipped = block_rounding.operand(x, fmt, axis, taking, self._mode)
            taking.overflow = before + self._clipped(x, fmt, clipped, taking.flushed - flushed)
        else:
            y, scale = super().operand(x, axis)
            if taking.overflow > before:
                self._past("operand", y, fmt, taking.overflow - before)
        if taking.flushed > flushed:
            self.counts.nonzero += int(np.count_nonzero(x))
        return y, scale

    def _clipped(self, x: Array, fmt: BlockFormat, clipped: Array, flushed: int) -> int:
        """Note the elements of a block format that were clipped, so many a block, and those that became zero.

        A rule that clips on purpose clips few; only where many are lost does that count as a trouble, and as overflows,
        whose number is returned.
        """
        past = int(clipped.sum())
        if past or flushed:
            self.stages.append(in_blocks(x, fmt, clipped, flushed))
        if past <= CLIPPED_SHARE * x.size:
            return 0
        self.counts.clipped += past
        return past

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        flushed, swamped, over = self._before()
        y = super().sum(a, axis, keepdims)
        self.terms = max(self.terms, a.size // max(1, y.size))
        if self._narrow or self.counts.swamped > swamped:
            wide = a.astype(np.float64)
            exact, size = (np.asarray(x.sum(axis, keepdims=keepdims)) for x in (wide, np.abs(wide)))
            self._compare(y, exact, size, self.counts.swamped > swamped)
        return self._accumulated(y, flushed, over, a)

    def cumsum(self, a: Array, axis: int) -> Array:
        flushed, swamped, over = self._before()
        y = super().cumsum(a, axis)
        self.terms = max(self.terms, a.shape[axis])
        stopped = self.counts.swamped > swamped
        if self._narrow or stopped:
            wide = a.astype(np.float64)
            self._compare(y, np.cumsum(wide, axis), np.cumsum(np.abs(wide), axis), stopped, axis)
        self._running = a.size > 1 and counting_numbers(a)
        return self._accumulated(y, flushed, over, a)

    def place_pieces(self, out: Array, pieces: Iterable[tuple[Any, Array]]) -> Array:
        flushed = 0
        for place, piece in pieces:
            out[place] = piece
            flushed += self._inner_zeros(piece)
        self._last = out, flushed
        return out

    def computed(self, y: Array, op: str, operands: Sequence[Any], elementary: bool) -> Array:
        if elementary:
            return self._round(y, op, *operands)
        flushed, _, over = self._before()
        y = Arithmetic._round(self, y, op)
        if self.constants is not None:
            self.constants.used(operands)
        self.terms = max([self.terms, *(x.size // max(1, y.size) for x in operands[:1])])
        return self._accumulated(y, flushed, over, *operands)

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        counts = self.counts
        before, over, flushed = counts.inexact, counts.overflow, counts.flushed
        y = super().read(x, fmt, exact)
        if counts.inexact > before:
            grid = self.precision.storage if not self.precision.storage.contains(fmt) else self.precision.compute
            if counts.overflow > over:
                self._past("read", y, grid, counts.overflow - over)
            if counts.flushed > flushed:
                nonzero = int(np.count_nonzero(x))
                counts.nonzero += counts.flushed - flushed
                self.stages.append(Stage("read", grid, x.size, flushed=counts.flushed - flushed, nonzero=nonzero))
            if x.size > 1 and positions(x):
                self.counts.integers += counts.inexact - before
        if self._flushes and not exact:  # subnormal inputs, which no rounding has met
            nonzero = int(np.count_nonzero(x))
            lost = nonzero - int(np.count_nonzero(y)) - (counts.flushed - flushed)
            if lost > 0:
                counts.flushed, counts.nonzero = counts.flushed + lost, counts.nonzero + lost
                self.stages.append(Stage("read", self.precision.storage, x.size, flushed=lost, nonzero=nonzero))
        if self.given:
            self.inputs.append(y)
        return y

    def spill(self, x: Array) -> Array:
        """What is flushed between two steps is no zero of the result, unless the result is zero for it."""
        before, stages, inputs = self.counts.flushed, len(self.stages), len(self.inputs)
        nonzero, y = self.counts.nonzero, super().spill(x)
        if self.counts.flushed > before:
            self._remember((y == 0) & (x != 0))
        self.counts.flushed, self.counts.nonzero = before, nonzero
        self.stages[stages:] = [stage for stage in self.stages[stages:] if stage.past]
        del self.inputs[inputs:]
        return y

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        counts = storing = self.counts
        inner = self._inner_zeros(y)
        counts.size += y.size
        over, flushed, inexact = storing.overflow, storing.flushed, storing.inexact
        nonzero = int(np.count_nonzero(y != 0)) + inner
        if not (self.replaced or self.precision.storage.has_special):
            self.replaced = not finite(y)
        out = super().store(y, operands, exact)
        if storing.overflow > over:
            past = self._past("store", out, self.precision.storage, storing.overflow - over)
            if self.constants is not None and not past.clipped:
                self.constants.stored(past.nan > 0)
        stored = storing.flushed - flushed
        if self._running and storing.inexact > inexact:  # positions that are counted by adding ones
            counts.integers += storing.inexact - inexact
        counts.flushed += inner
        counts.nonzero += nonzero
        lost = inner + stored
        if lost:
            fmt = self.precision.storage if stored else self.precision.compute
            self.stages.append(Stage("store", fmt, y.size, flushed=lost, nonzero=nonzero))
        if self.watched and self._sum is not None and self._sum[0] is y:
            self._count_addends(out, storing.inexact > inexact or counts.inexact > 0)
        return out

    def _before(self) -> tuple[int, int, int]:
        return self.counts.flushed, self.counts.swamped, self.counts.overflow

    def _inner_zeros(self, y: Array) -> int:
        """How many elements of the result ``y`` are zero because a step on the way flushed them."""
        last, flushed = self._last
        count = flushed if last is not None and _memory(y) is _memory(last) else 0
        if self._zeros is not None and self._zeros.size == y.size:
            count += int(np.count_nonzero(self._zeros.reshape(y.shape) & (y == 0)))
        return count

    def _accumulated(self, y: Array, flushed: int, over: int, *operands: Array) -> Array:
        """Count what running sums became: each infinite or clipped result once, whether the loop saw it or not."""
        counted, self.counts.overflow = self.counts.overflow - over, over
        fmt = min(self.precision.accumulate.format, self.precision.compute, key=lambda f: f.max)
        infinite = nan = 0
        if not finite(y):
            numbers = all(np.isfinite(x).all() for x in operands)
            if numbers:
                infinite = int(np.count_nonzero(np.isinf(y)))
            if not any(np.isnan(x).any() for x in operands):
                nan = int(np.count_nonzero(np.isnan(y)))
            if nan and counted and numbers and not infinite:  # a format without infinities
                self.counts.overflow += nan
                self.stages.append(Stage("sum", fmt, y.size, nan=nan))
            else:
                self.counts.invalid += nan
        clipped = int(np.count_nonzero(np.abs(y) >= fmt.max)) - infinite if counted and not nan else 0
        if infinite or clipped > 0:
            self.counts.overflow += infinite + clipped
            self.counts.clipped += clipped
            self.stages.append(Stage("sum", fmt, y.size, infinite, 0, clipped))
        self._last = (y, self.counts.flushed - flushed)
        self.counts.flushed = flushed
        return y

    @property
    def difference(self) -> Array | None:
        """How far the latest sum may be off: half a unit in the last place of each operand; a long sum, how far."""
        if self._sum is None:
            return self.distance
        _, a, b, _ = self._sum
        given = any(a is x or b is x for x in self.inputs)
        unit = (self.precision.storage if given else self.precision.compute).eps / 4
        return np.asarray(unit * (np.abs(a) + np.abs(b)), np.float64)

    @property
    def _narrow(self) -> bool:
        return self.precision.accumulate.format.precision < float32.precision

    def _compare(self, y: Array, exact: Array, magnitude: Array, swamped: bool, axis: int | None = None) -> None:
        """Measure sums against the ``magnitude`` of their terms; count those that swamped addends put off by 1 %.

        Sums whose terms cancel to less than the rounding of the largest have lost everything, as differences do; of
        running sums along ``axis`` the last ones, the sums of all.
        """
        distance = np.abs(y - exact)
        if swamped:
            self.counts.stalled += int(np.count_nonzero(distance > 0.01 * magnitude))
        whole = float(np.sqrt(np.vdot(magnitude, magnitude)))
        off = float(np.sqrt(np.vdot(distance, distance)))
        if whole and np.isfinite(off):
            self.disorder = max(self.disorder, off / whole)
            self.distance = distance
            if axis is not None:
                distance, exact, magnitude = (x.take([-1], axis) for x in (distance, exact, magnitude))
            if not (self._narrow and count_sums(self.counts, exact, magnitude, distance)):
                self.distance = None


def _memory(x: Array) -> Array:
    """The array whose memory ``x`` shows, in whatever shape."""
    return x if x.base is None else x.base
