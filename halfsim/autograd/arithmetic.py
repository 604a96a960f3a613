"""The simulated floating-point unit: every method is one elementary operation, rounded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.autograd.plan import by_identity, plan_of
from halfsim.numerics import accumulate, bessel, block_rounding, elementary, gamma
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.erf import erf, erfc, erfcx, erfinv, ndtri
from halfsim.numerics.exact_sums import add_in
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, flushed, holder, round_, rounded
from halfsim.numerics.rounding import Mode

_FUNCTIONS: dict[str, Callable[..., Array]] = {  # in float64; their exact values round to what these round to
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": erf,
    "erfc": erfc,
    "erfcx": erfcx,
    "erfinv": erfinv,
    "ndtri": ndtri,
    "lgamma": gamma.lgamma,
    "digamma": gamma.digamma,
    "i0": bessel.i0,
    "i1": bessel.i1,
    "i0e": bessel.i0e,
    "i1e": bessel.i1e,
    "cbrt": np.cbrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),  # exp is infinite below -709, where the result is zero or close to it
    "softplus": lambda x: np.logaddexp(0.0, x),  # log(1 + e**x)
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "polygamma": gamma.polygamma,
    "zeta": gamma.zeta,
}

Axis = int | tuple[int, ...] | None


class Arithmetic:
    """A unit that computes as one `Precision` says; an observer may put one in its place that counts what it does.

    Operands are arrays that `read` has put on the grid of ``compute``, carried in its container dtype;
    + - * / and sqrt in the container, rounded to ``compute``, are the correctly rounded results (see
    `halfsim.numerics.quantize.container`). Elementary functions go through float64. NaN, infinities and signed
    zeros follow IEEE 754. Host exception state is never read.
    """

    __slots__ = ("_directed", "_flushes", "_mode", "_sums", "dtype", "native", "plan", "precision")

    # Where roundings are counted, if anybody wants to know: of operands as they are read and as a product takes them,
    # of sums, and of results as they are stored.
    reading: FlagCounts | None = None
    taking: FlagCounts | None = None
    summing: FlagCounts | None = None
    storing: FlagCounts | None = None
    piecewise = True  # whether an accumulation may be formed in pieces; one who counts wants to see it whole

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        plan = self.plan = plan_of(precision)
        self._mode, self._flushes, self._directed = plan.mode, plan.flushes, plan.directed
        self.dtype = self._sums = plan.dtype  # the latter is where a sum of narrow numbers is formed
        self.native = plan.native

    # Elementary operations, each rounded to `compute`.

    def add(self, a: Array, b: Array) -> Array:
        if self._mode is not None:
            a, b = self._taken(a), self._taken(b)
            if self._directed:  # the nearest float64 would be a rounding too many
                wide = add_in(np.asarray(a, np.float64), np.asarray(b, np.float64), self._mode)
                return self._round(wide, "add", a, b)
        return self._round(np.add(a, b, dtype=self._sums), "add", a, b)

    def sub(self, a: Array, b: Array) -> Array:
        if self._mode is not None:
            return self.add(a, np.negative(b))
        return self._round(np.subtract(a, b, dtype=self._sums), "sub", a, b)

    def mul(self, a: Array, b: Array) -> Array:
        if self._flushes:
            a, b = self._taken(a), self._taken(b)
        return self._round(np.multiply(a, b, dtype=self.dtype if self._mode else None), "mul", a, b)

    def div(self, a: Array, b: Array) -> Array:
        if self._flushes:
            a, b = self._taken(a), self._taken(b)
        return self._round(np.divide(a, b, dtype=np.float64 if self._directed else None), "div", a, b)

    def sqrt(self, a: Array) -> Array:
        a = self._taken(a)
        return self._round(np.sqrt(a, dtype=np.float64 if self._directed else None), "sqrt", a)

    def pow(self, a: Array, b: Array) -> Array:
        """``a ** b``, rounded once, as C's pow: NaN for a negative base with an exponent that is no integer."""
        a, b = self._taken(a), self._taken(b)
        return self._round(np.power(np.asarray(a, np.float64), b), "pow", a, np.asarray(b))

    def function(self, name: str, *operands: Array) -> Array:
        """A function by its name in ``_FUNCTIONS``, rounded once; rsqrt of a zero has its sign."""
        operands = tuple(self._taken(a) for a in operands)
        wide = [np.asarray(a, np.float64) for a in operands]
        if self._directed and self.precision.compute.bits <= 16 and len(wide) == 1:
            return self._round(_settled(name).unrounded(wide[0], self.precision.compute), name, *operands)
        return self._round(_FUNCTIONS[name](*wide), name, *operands)

    def exp(self, a: Array) -> Array:
        return self.function("exp", a)

    def log(self, a: Array, base: str = "log") -> Array:
        """The natural logarithm, or "log2" or "log10"."""
        return self.function(base, a)

    def rsqrt(self, a: Array) -> Array:
        return self.function("rsqrt", a)

    def tanh(self, a: Array) -> Array:
        return self.function("tanh", a)

    def sigmoid(self, a: Array) -> Array:
        return self.function("sigmoid", a)

    @staticmethod
    def keep(x: Array, mask: Array) -> Array:
        """``x`` where ``mask`` is true and +0 elsewhere, exactly; by bits, since a branch for each element is slow."""
        word = np.dtype(f"i{x.itemsize}")
        kept = np.array(mask, word)
        np.negative(kept, out=kept)
        return np.bitwise_and(x.view(word), kept, out=kept if kept.shape == x.shape else None).view(x.dtype)

    # Accumulations, formed as `accumulate` says and then rounded to `compute`.

    def matmul(self, a: Array, b: Array) -> Array:
        how, scale = self.precision.accumulate, 1.0
        if self.plan.narrow_operands:
            (a, first), (b, second) = self.operand(a, -1), self.operand(b, -2)
            scale = first * second
        elif self._flushes:
            a, b = self._taken(a), self._taken(b)
        y = accumulate.matmul(a, b, how, self.summing, target=self.precision.compute, mode=self._mode)
        if scale != 1.0:  # of whole operands: taken out of the sum, and put back in one multiplication
            y = round_(np.multiply(y, scale, dtype=np.float64), self.precision.compute, self.summing, self._mode)
        return self._settled(y)

    def operand(self, x: Array, axis: int) -> tuple[Array, float]:
        """An operand of a matrix product that sums over ``axis``, on the grid of ``operands``; and a scale left out.

        Asked for where that grid is narrower than ``storage``. The scale is that of a whole array in a block format.
        """
        fmt = self.precision.operands
        if isinstance(fmt, BlockFormat):
            return block_rounding.operand(x, fmt, axis, self.taking, self._mode)[:2]
        return rounded(x, fmt, self.taking, self._mode), 1.0

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        a, how, target = self._taken(a), self.precision.accumulate, self.precision.compute
        return self._settled(accumulate.sum_(a, axis, keepdims, how, self.summing, target=target, mode=self._mode))

    def cumsum(self, a: Array, axis: int) -> Array:
        how = self.precision.accumulate
        return self._settled(accumulate.cumsum(self._taken(a), axis, how, self.summing, mode=self._mode))

    def place_pieces(self, out: Array, pieces: Iterable[tuple[Any, Array]]) -> Array:
        """Put ``pieces``, pairs of an index and the result of an accumulation there, into ``out``; returns ``out``.

        A unit that counts counts them together, as what one kernel computed.
        """
        for place, piece in pieces:
            out[place] = piece
        return out

    def computed(self, y: Array, op: str, operands: Sequence[Any], elementary: bool) -> Array:
        """``y``, which another library computed as ``op`` of ``operands`` in the container, on the grid of `compute`.

        ``elementary`` says that it is one of the operations above, element by element.
        """
        return self._round(y, op, *operands)

    def sum_to(self, a: Array, shape: tuple[int, ...]) -> Array:
        """``a`` summed to ``shape``: the gradient of an operand of that shape which was broadcast to that of ``a``.

        Each element of the operand was used several times, so its gradient is the sum over its uses.
        """
        if a.shape == shape:
            return a
        extra = a.ndim - len(shape)
        axes = tuple(i for i in range(a.ndim) if i < extra or (shape[i - extra] == 1 != a.shape[i]))
        assert tuple(n for i, n in enumerate(a.shape[extra:]) if i + extra not in axes) == tuple(
            n for i, n in enumerate(shape) if i + extra not in axes
        ), f"a gradient of shape {a.shape} for an operand of shape {shape}"
        return self.sum(a, axes, keepdims=True).reshape(shape)

    # Between memory and the unit.

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        """``x``, on the grid of ``fmt``, rounded to ``storage`` and to ``compute`` where these are narrower.

        Subnormal inputs are flushed if the precision says so, unless they are only moved, as by an ``exact`` operation.
        """
        plan = self.plan
        for grid in plan.loads if fmt is self.precision.storage else plan.grids(fmt):
            x = rounded(x, grid, self.reading, self._mode)
        if self._flushes and not exact:
            x = flushed(x, self.precision.storage)
        return x if x.dtype is self.dtype else x.astype(self.dtype, copy=False)

    def spill(self, x: Array) -> Array:
        """A step's result as the next kernel reads it from memory: rounded to ``storage``."""
        return self.read(x, self.precision.compute)

    def _taken(self, x: Array) -> Array:
        """An operand as a step takes it: without the subnormal numbers of ``compute`` if these are flushed."""
        return flushed(np.asarray(x), self.precision.compute) if self._flushes else x

    def constant(self, value: float) -> Any:
        """A Python number as a kernel takes it: an argument in ``compute``, which never widens a result."""
        compute = self.precision.compute
        if self.native and isinstance(value, float):
            kept = self.dtype.type(value)
        else:
            made = _nearest if self._mode is None and value else _constant
            kept = made(value, compute, self._mode).astype(self.dtype)
        return kept

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        """``y`` rounded to ``storage``, in place where the unit computed it.

        A value that is on the grid already, being ``exact`` or one of the operands, stays as it is.
        """
        plan = self.plan
        if not (plan.exact_store or (exact and plan.exact_move)):
            for x in operands:
                if y is x:
                    break
            else:
                y = round_(y, self.precision.storage, self.storing, self._mode)
        return y if y.dtype is plan.holder else y.astype(plan.holder, copy=False)

    def delivered(self, y: Array, fmt: Format) -> Array:
        """``y`` as `store` left it, in ``fmt``: a gradient on its way to the tensor that it belongs to."""
        if fmt is self.precision.storage:
            return y
        if not fmt.contains(self.precision.storage):
            y = rounded(y, fmt, self.storing)
        return y.astype(holder(fmt), copy=False)

    def _round(self, y: Any, op: str, *operands: Array) -> Array:
        """``y``, the result of the elementary operation ``op``, on the grid of ``compute``."""
        y = np.asarray(y)
        if not self.native:
            y = round_(y, self.precision.compute, None, self._mode)
        return y if y.dtype is self.dtype else y.astype(self.dtype, copy=False)

    def _settled(self, y: Array) -> Array:
        """An accumulation's result on the grid of ``compute``."""
        if not self.plan.exact_sums:
            y = round_(y, self.precision.compute, self.summing, self._mode)
        return y.astype(self.dtype, copy=False)


plain = by_identity(Arithmetic)  # the unit of operations that nobody watches, which keeps nothing of them


def _settled(name: str) -> elementary.Function:
    """A function of one argument for directed modes, in which rounding a float64 result again may go wrong."""
    return getattr(elementary, name, None) or elementary.Function(name, _FUNCTIONS[name])


def _constant(value: float, fmt: Format, mode: Mode | None) -> Any:
    """A number rounded to ``fmt``, in float64."""
    return rounded(as_floats(value, fmt).astype(np.float64), fmt, None, mode)[()]


_nearest = lru_cache(maxsize=1024)(_constant)  # for numbers that are not zero, whose signs compare equal
