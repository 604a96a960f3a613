"""A unit whose every result is a little off: how far that moves what is computed from it is its sensitivity.

It computes in float64 what the unit of a precision would round, and moves each result by some part of what that
rounding may change it by. So it goes through the same operations, with the same precision in force for each, and no
operation needs a rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.observer import Observer
from halfsim.autograd.tape import Op
from halfsim.autograd.tensor import Tensor
from halfsim.frames import Line, caller, spelled
from halfsim.numerics.block_rounding import round_to
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format
from halfsim.numerics.neighbours import ulp
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.testing.bounds import Relative, of_sum

# Steps that IEEE 754 has rounded correctly. Libraries' functions are off by up to two ulp (CUDA C++ Programming Guide,
# "Mathematical Functions": expf 1, tanhf, erff, rsqrtf and sinf 2), which is four times half an ulp.
_CORRECT = ("add", "sub", "mul", "div", "sqrt")
_FUNCTION = 4.0


@dataclass
class Noise:
    """What each result is moved by: ``scale`` times a random number of ``draw`` times what rounding may change.

    ``likely`` takes of a sum what is likely, not what is certain. ``only`` is the operation whose results are moved,
    by its number in the order in which they run, None for all.
    """

    draw: Callable[[tuple[int, ...]], Array] | None = None  # None moves nothing
    scale: float = 1.0
    likely: bool = False
    only: int | None = None
    quiet: bool = field(default=False)  # of the operation in hand, that it is not the one

    def moved(self, y: Array, limit: Callable[[], Array]) -> Array:
        """``y`` moved by a part of ``limit()``; infinities, NaN and exact zeros stay."""
        if self.draw is None or self.quiet:
            return y
        with np.errstate(all="ignore"):
            step = self.scale * self.draw(np.shape(y)) * limit()
            return np.asarray(np.where(np.isfinite(step) & (y != 0), y + step, y))


def half_ulp(y: Array, fmt: Format, precision: Precision) -> Array:
    """The most that a rounding of ``y`` to ``fmt`` changes it by, however ``precision`` rounds and flushes."""
    mode = precision.mode
    unit = ulp(y, fmt)
    if mode is None:
        return 0.5 * unit
    limit = (0.5 if mode.nearest else 1.0) * unit
    if mode.flush_inputs or mode.flush_outputs:
        limit = np.where(np.abs(y) < fmt.smallest_normal, np.abs(y), limit)
    return limit


class Perturbed(Arithmetic):
    """The unit of ``precision`` in float64, whose roundings are ``noise``."""

    __slots__ = ("noise", "unstored")

    piecewise = False

    def __init__(self, precision: Precision, noise: Noise) -> None:
        super().__init__(precision)
        self._mode, self._flushes, self._directed, self.native = None, False, False, False
        self.dtype = self._sums = np.dtype(np.float64)
        self.noise = noise
        self.unstored: Array | None = None  # the result as it is before it is stored, where storing rounds it

    def _moved(self, y: Array, fmt: Format, times: float = 1.0) -> Array:
        return self.noise.moved(y, lambda: times * half_ulp(y, fmt, self.precision))

    def _round(self, y: Any, op: str, *operands: Array) -> Array:
        return self._moved(np.asarray(y, np.float64), self.precision.compute, 1.0 if op in _CORRECT else _FUNCTION)

    def constant(self, value: float) -> Any:
        given = np.asarray(value, np.float64)
        return self.noise.moved(given, lambda: np.abs(np.float64(super(Perturbed, self).constant(value)) - given))[()]

    def operand(self, x: Array, axis: int) -> tuple[Array, float]:
        fmt = self.precision.operands
        if isinstance(fmt, BlockFormat):
            return self.noise.moved(x, lambda: np.abs(round_to(x, fmt, axis=axis) - x)), 1.0
        return self._moved(x, fmt), 1.0

    def matmul(self, a: Array, b: Array) -> Array:
        if self.plan.narrow_operands:
            a, b = self.operand(a, -1)[0], self.operand(b, -2)[0]
        return self._summed(np.matmul(a, b), lambda: np.matmul(np.abs(a), np.abs(b)), a.shape[-1], 2)

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        y = np.asarray(np.sum(a, axis=axis, keepdims=keepdims))
        terms = a.size // y.size if y.size else 0
        return self._summed(y, lambda: np.sum(np.abs(a), axis=axis, keepdims=keepdims), terms, 1)

    def cumsum(self, a: Array, axis: int) -> Array:
        y = np.cumsum(a, axis=axis)
        return self._summed(y, lambda: np.cumsum(np.abs(a), axis=axis), a.shape[axis], 1)

    def _summed(self, y: Array, magnitude: Callable[[], Array], terms: int, before: int) -> Array:
        """A sum of so many terms, moved as its accumulation and then the grid of ``compute`` may move it."""
        how, compute, mode = self.precision.accumulate, self.precision.compute, self.precision.mode
        if before == 1:
            how, before = how.steps, 0 if how.format.contains(compute) else 1
        error: Relative = of_sum(how, terms, mode is None or mode.nearest, before)
        share = error.likely if self.noise.likely else error.certain
        y = self.noise.moved(np.asarray(y, np.float64), lambda: share * magnitude())
        return y if compute.contains(how.format) and how.order != "exact" else self._moved(y, compute)

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        x = np.asarray(x, np.float64)
        for grid in (self.precision.storage, self.precision.compute):
            if not grid.contains(fmt):
                x, fmt = self._moved(x, grid), grid
        return x

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        y = np.asarray(y, np.float64)
        storage = self.precision.storage
        if exact or any(y is x for x in operands) or storage.contains(self.precision.compute):
            return y
        self.unstored = y
        return self._moved(y, storage)

    def delivered(self, y: Array, fmt: Format) -> Array:
        return np.asarray(y, np.float64) if fmt.contains(self.precision.storage) else self._moved(y, fmt)


@dataclass(frozen=True)
class Ran:
    """An operation that ran: its number, its name, whether it rounds nothing, its precision and the caller's line."""

    number: int
    op: str
    exact: bool
    precision: Precision
    line: Line | None

    def __str__(self) -> str:
        return f"{self.op} ({spelled(self.line)})" if self.line else self.op


class Perturbing(Observer):
    """Lets every operation compute with a `Perturbed` unit, and keeps with each result what it was before storing."""

    def __init__(self, noise: Noise) -> None:
        self.noise, self.count = noise, 0
        self.ran: list[Ran] = []  # the operations called, in order

    def unit(self, precision: Precision, label: str) -> Arithmetic:
        self.noise.quiet = self.noise.only not in (None, self.count)
        self.count += 1
        return Perturbed(precision, self.noise)

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> Any:  # fmt: skip
        assert isinstance(fp, Perturbed)
        self.ran.append(Ran(self.count - 1, spec.name, bool(spec.exact), fp.precision, caller()))
        before = fp.unstored
        if spec.exact is True and len(operands) == 1:  # what is only moved, as by a reshape at the end
            moved = unstored(operands[0])
            before = None if moved is None else spec.formula(fp, moved, *options[0], **options[1])[0]
        out.shadow = None if before is None else Unstored(out.array, before)


@dataclass(frozen=True)
class Unstored:
    """The values of a tensor, whose array is ``of``, before they were rounded to storage."""

    of: Array
    values: Array


def unstored(x: Any) -> Array | None:
    """The values of a tensor before they were stored; None where storing changed nothing, or nothing is known."""
    known = x.shadow if isinstance(x, Tensor) else None
    return known.values if isinstance(known, Unstored) and known.of is x.array else None
