"""The simulated unit under observation: the same results, and counts of what every rounding did."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.trace import LostConstant
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import BLOCK, Array, rounded

# Operations that are zero for no nonzero finite operands, so that a zero of theirs was flushed.
_NONZERO = {"mul", "div", "pow", "exp", "expm1", "log1p", "sin", "tan", "sinh", "tanh", "asin", "atan", "erf"}
_NONZERO |= {"sigmoid", "softplus", "rsqrt"}

# Where operations are infinite by IEEE 754's definition of division by zero, which is no overflow.
_POLES: dict[str, Callable[..., Any]] = {
    "div": lambda a, b: np.equal(b, 0) & (a != 0) & np.isfinite(a),
    "pow": lambda a, b: np.equal(a, 0) & (b < 0),
    **dict.fromkeys(("log", "log2", "log10", "rsqrt"), lambda a: np.equal(a, 0)),
    "log1p": lambda a: np.equal(a, -1),
}


def unit(precision: Precision, counts: FlagCounts | None) -> Arithmetic:
    """A unit that computes as ``precision`` says and counts what it does in ``counts``, if given."""
    return Arithmetic(precision) if counts is None else Counting(precision, counts)


class Counting(Arithmetic):
    """An `Arithmetic` that tells ``counts`` what its roundings do. Host exception state is never read.

    ``inputs`` are the operands as the operation read them: results of earlier roundings to ``storage``; ``terms`` is
    the length of the longest sum; ``disorder`` the error of sums in a narrow accumulator, in norm, relative to the
    magnitude of their terms; ``addition`` the operands of the addition, and its sign, whose sum is the result, if
    it is one.
    """

    __slots__ = (
        "_constants",
        "_last",
        "_sum",
        "_zeros",
        "addition",
        "counts",
        "disorder",
        "inputs",
        "summing",
        "terms",
    )

    def __init__(self, precision: Precision, counts: FlagCounts) -> None:
        super().__init__(precision)
        self.counts: FlagCounts = counts
        self.inputs: Sequence[Any] = ()
        self.terms = 1
        self.summing = True  # whether additions are looked at; an optimizer looks at those to weights
        self.disorder = 0.0
        self.addition: tuple[Array, Array, int] | None = None
        self._sum: tuple[Array, Array, Array, int] | None = None  # the latest addition: result, operands, sign
        self._constants: list[tuple[Any, LostConstant]] = []  # those that storage or compute cannot hold
        self._last: tuple[Array | None, int] = (None, 0)  # the latest accumulation, and how many of it were flushed
        self._zeros: Array | None = None  # where elementwise steps have flushed something

    @property
    def _sums(self) -> np.dtype[Any]:
        return (
            self.dtype if self.native else np.dtype(np.float64)
        )  # to count inexact sums takes more than the container

    def _round(self, y: Any, op: str, *operands: Array) -> Array:
        y, compute, counts = np.asarray(y), self.precision.compute, self.counts
        before, zeros = counts.flushed, self._made(y, op, operands)
        z = y if self.native and y.dtype == self.dtype else rounded(y, compute, counts, self._mode)
        if counts.flushed > before:
            zeros = (zeros if zeros is not None else np.False_) | ((z == 0) & (y != 0))
            counts.flushed = before  # what is flushed on the way to another result is no zero of that result
        if zeros is not None:
            self._remember(zeros)
        z = z.astype(self.dtype, copy=False)
        if op in ("add", "sub") and z.size and self.summing:
            self._count_sum(z, *operands)
            self._sum = (z, operands[0], operands[1], 1 if op == "add" else -1)
        elif self._constants:
            self._count_factors(operands)
        return z

    def _count_factors(self, operands: Sequence[Array]) -> None:
        """Call constants that something is multiplied with factors: nobody's eps."""
        for i, (kept, lost) in enumerate(self._constants):
            if any(x is kept for x in operands):
                self._constants[i] = kept, replace(lost, name="factor")

    def constant(self, value: float) -> Any:
        kept = super().constant(value)
        if self.lost is not None:
            self._constants.append((kept, self.lost))
            self.lost = None
        elif 0 < abs(value) <= self.precision.storage.smallest_subnormal / 2:
            self._constants.append((kept, LostConstant("constant", value, self.precision.storage)))
        return kept

    @property
    def lost_constant(self) -> LostConstant | None:
        """A constant that ``compute`` cannot hold, or that is too small for ``storage``, whose zeros were results."""
        for kept, lost in self._constants:
            if kept == 0 or np.isinf(kept) or (self.counts.flushed and lost.name == "constant"):
                return lost
        return None

    def _remember(self, zeros: Array) -> None:
        """Remember where a step has flushed something."""
        same = self._zeros is not None and self._zeros.shape == zeros.shape
        self._zeros = self._zeros | zeros if same and self._zeros is not None else zeros

    def _made(self, y: Array, op: str, operands: Sequence[Array]) -> Array | None:
        """Count NaN, infinities and poles that the operands do not explain; returns where such zeros are."""
        if not finite(y):
            poles = np.asarray(_POLES[op](*operands) if op in _POLES else False)
            self.counts.divide_by_zero += int(np.count_nonzero(poles))
            known, numbers = np.zeros(y.shape, np.bool_), np.ones(y.shape, np.bool_)
            for x in operands:
                known, numbers = known | np.isnan(x), numbers & np.isfinite(x)
            self.counts.invalid += int(np.count_nonzero(np.isnan(y) & ~known))
            self.counts.overflow += int(np.count_nonzero(np.isinf(y) & numbers & ~poles))
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
        if size < 2 or a is b:
            return
        given = any(a is x or b is x for x in self.inputs)
        narrow = self.precision.storage if given else self.precision.compute
        digits = min(narrow.precision, self.precision.compute.precision)
        kept = self.dtype.type(2.0 ** (4 - digits))
        step = size if size <= BLOCK or not z.ndim else max(1, BLOCK // (size // len(z)))
        left, right = (x if np.shape(x) == z.shape else np.broadcast_to(x, z.shape) for x in (a, b))
        for i in range(0, len(z) if z.ndim else 1, step):  # in parts that stay in the cache
            rows = slice(i, i + step) if step < size else ...
            magnitude, near = _magnitude(z[rows], 0), _magnitude(left[rows], 1)
            np.multiply(near, 2 * kept, out=near)  # a small difference is small beside either operand
            small = np.less(magnitude, near)
            if small.any():
                counts.cancelled += self._count_bits(magnitude[small], left[rows][small], right[rows][small], kept)
        counts.sums += size

    def _count_bits(self, magnitude: Array, left: Array, right: Array, kept: Any) -> int:
        """How many nonzero sums are below ``kept`` times their larger operand, noting the bits that these lost."""
        larger = np.maximum(np.abs(left), np.abs(right))
        small = (magnitude < larger * kept) & (magnitude != 0)
        lost = np.frexp(larger[small])[1] - np.frexp(magnitude[small])[1]
        self.counts.bits = max(self.counts.bits, int(lost.max(initial=0)))
        return lost.size

    def _count_addends(self, y: Array) -> None:
        """Where the result ``y`` is an operand plus something, count what left it as it was, and what left nothing."""
        assert self._sum is not None
        _, a, b, sign = self._sum
        if a is b or not y.size or not any((x is a or x is b) and x.shape == y.shape for x in self.inputs):
            return
        self.addition, counts = (a, b, sign), self.counts
        both = np.not_equal(a, 0) & np.not_equal(b, 0)
        both = np.broadcast_to(both, y.shape)
        same = np.equal(y, a)
        same |= np.equal(y, b) if sign > 0 else np.equal(y, np.negative(b))
        if same.any():
            same &= both
            counts.swamped += int(np.count_nonzero(same & np.isfinite(y)))
        counts.addends += int(np.count_nonzero(both))
        if not (y != 0).all():
            counts.annulled += int(np.count_nonzero(both & (y == 0)))

    def matmul(self, a: Array, b: Array) -> Array:
        flushed, swamped = self.counts.flushed, self.counts.swamped
        y = super().matmul(a, b)
        self.terms = max(self.terms, a.shape[-1])
        if self._narrow or self.counts.swamped > swamped:
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            self._compare(y, wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b), self.counts.swamped > swamped)
        return self._accumulated(y, flushed, a, b)

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        flushed, swamped = self.counts.flushed, self.counts.swamped
        y = super().sum(a, axis, keepdims)
        self.terms = max(self.terms, a.size // max(1, y.size))
        if self._narrow or self.counts.swamped > swamped:
            wide = a.astype(np.float64)
            exact, size = (np.asarray(x.sum(axis, keepdims=keepdims)) for x in (wide, np.abs(wide)))
            self._compare(y, exact, size, self.counts.swamped > swamped)
        return self._accumulated(y, flushed, a)

    def cumsum(self, a: Array, axis: int) -> Array:
        counts, flushed = self.counts, self.counts.flushed
        y = super().cumsum(a, axis)
        self.terms = max(self.terms, a.shape[axis])
        fed, sums = np.moveaxis(a, axis, 0) != 0, np.moveaxis(y, axis, 0)
        same = fed[1:] & (sums[1:] == sums[:-1]) & np.isfinite(sums[1:])
        counts.addends += int(np.count_nonzero(fed))
        counts.swamped += int(np.count_nonzero(same))
        if same.any():
            wide = a.astype(np.float64)
            self._compare(y, np.cumsum(wide, axis), np.cumsum(np.abs(wide), axis), True)
        return self._accumulated(y, flushed, a)

    def joined(self, out: Array, pieces: Iterable[tuple[Any, Array]]) -> Array:
        flushed = 0
        for place, piece in pieces:
            out[place] = piece
            flushed += self._inner_zeros(piece)
        self._last = out, flushed
        return out

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        before = self.counts.inexact
        y = super().read(x, fmt, exact)
        if self.counts.inexact > before and x.size > 1 and np.array_equal(x, np.rint(x)):
            self.counts.integers += self.counts.inexact - before
        return y

    def spill(self, x: Array) -> Array:
        before = self.counts.flushed
        y = super().spill(x)
        if self.counts.flushed > before:
            self.counts.flushed = before  # counted by `store` where the result is zero for it
            self._remember((y == 0) & (x != 0))
        return y

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        counts = self.counts
        counts.flushed += self._inner_zeros(y)
        counts.size += y.size
        counts.nonzero += int(np.count_nonzero(y != 0)) + counts.flushed
        out = super().store(y, operands, exact)
        if self.summing and self._sum is not None and self._sum[0] is y:
            self._count_addends(out)
        return out

    def _inner_zeros(self, y: Array) -> int:
        """How many elements of the result ``y`` are zero because a step on the way flushed them."""
        count = self._last[1] if y is self._last[0] or (y.base is not None and y.base is self._last[0]) else 0
        if self._zeros is not None and self._zeros.size == y.size:
            count += int(np.count_nonzero(self._zeros.reshape(y.shape) & (y == 0)))
        return count

    def _accumulated(self, y: Array, before: int, *operands: Array) -> Array:
        if not finite(y):
            if not any(np.isnan(x).any() for x in operands):
                self.counts.invalid += int(np.count_nonzero(np.isnan(y)))
            if all(np.isfinite(x).all() for x in operands):
                self.counts.overflow += int(np.count_nonzero(np.isinf(y)))
        self._last = (y, self.counts.flushed - before)
        self.counts.flushed = before
        return y

    @property
    def _narrow(self) -> bool:
        return self.precision.accumulate.format.precision < float32.precision

    def _compare(self, y: Array, exact: Array, magnitude: Array, swamped: bool) -> None:
        """Measure sums against the ``magnitude`` of their terms; count those that swamped addends put off by 1 %."""
        distance = np.abs(y - exact)
        if swamped:
            self.counts.stalled += int(np.count_nonzero(distance > 0.01 * magnitude))
        whole = float(np.sqrt(np.vdot(magnitude, magnitude)))
        off = float(np.sqrt(np.vdot(distance, distance)))
        if whole and np.isfinite(off):
            self.disorder = max(self.disorder, off / whole)


class _Scratch(threading.local):
    """Room for a block's magnitudes, made once a thread."""

    def __init__(self) -> None:
        self.words = np.empty((2, BLOCK), np.float64)


_scratch = _Scratch()


def _magnitude(x: Array, row: int) -> Array:
    """The magnitudes of part of an array, in scratch memory if they fit there."""
    if x.size > BLOCK:
        return np.abs(x)
    return np.abs(x, out=_scratch.words[row].view(x.dtype)[: x.size].reshape(x.shape))


def finite(x: Array) -> bool:
    """Whether every element is finite; by their squares first, which is quicker."""
    return (x.flags.c_contiguous and bool(np.isfinite(np.vdot(x, x)))) or bool(np.isfinite(x).all())
