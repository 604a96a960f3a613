"""Elementary functions on the numbers of a narrow format, correctly rounded in every mode, by table.

A format of 16 bits has 65,536 numbers, so a function of one argument is a table of as many results, built on first use
and looked up ever after. Its entries come from float64 in three steps, after which rounding them to the format gives
what rounding the exact values would have given, in whichever mode:

1. Underflow and overflow of float64 itself become its smallest and its largest number: inexact, on the right side.
2. A value within 2**-46 of a number or a midpoint of the format *is* that number: the exact cases (``exp2(3)``,
   ``log10(100)``, ``cbrt(27)``) need no list. Nothing else comes nearer than 2**-43.6, as sweeps against MPFR show ...
3. ... but for the tails, where a function approaches a number without reaching it (``tanh`` approaches 1, ``sin(x)``
   approaches x): there the result is that number's neighbour in float64, on the side where the function runs.

The host's float64 functions may thus be wrong by 32 units in the last place without changing one result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.names import public
from halfsim.numerics._lookup import Lookup, apply, dtype_of_results, tabulated
from halfsim.numerics.erf import each
from halfsim.numerics.formats import Format, as_format
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.quantize import Array, round_to
from halfsim.numerics.rounding import Rounding, as_rounding
from halfsim.options import guarded_class as _guarded_class
from halfsim.options import guarded_names as _guarded_names

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "exp10",
    "expm1",
    "gelu",
    "log",
    "log1p",
    "log2",
    "log10",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "tan",
    "tanh",
]

_LARGEST, _SMALLEST = math.ldexp(1.0 - 2.0**-53, 1024), math.ldexp(1.0, -1074)
_EXACT = 2.0**-46  # relative; 64 units or more in the last place of float64
_NEAR = 2.0**-18  # up to here 1 + x, or x + x**2, is nearer to 1, or x, than any midpoint of 14-digit numbers


@dataclass(frozen=True)
class Tail(Record):
    """Where a function comes so near to a straight line that float64 cannot tell them apart, though they never meet.

    For ``low < x < high`` and x not 0 the line is ``constant + slope * x``: tanh(x) is 1 to float64 from x = 20 on, and
    below 1 for all that. A directed rounding must know on which ``side`` of the line the function is: "above" or
    "below", or "along" (away from the line in the direction of the sign of x) or "against" it.
    """

    low: float
    high: float
    constant: float
    slope: float
    side: str

    def settle(self, x: Array, y: Array) -> None:
        """Replace ``y`` on the tail by the float64 next to the line, on the function's side."""
        on = (self.low < x) & (x < self.high) & (x != 0)
        sign = {"above": 1.0, "below": -1.0, "along": np.sign(x[on]), "against": -np.sign(x[on])}[self.side]
        y[on] = np.nextafter(self.constant + self.slope * x[on], sign * np.inf)


def _halved(fmt: Format) -> Format:
    """The format of the numbers and midpoints of ``fmt``."""
    small = "normal" if fmt.zero_field == "normal" else "subnormals"
    return replace(fmt, name=f"{fmt}+1", precision=fmt.precision + 1, signed=True, zero_field=small)


def _near(constant: float, slope: float, side: str) -> Tail:
    return Tail(-_NEAR, _NEAR, constant, slope, side)


@dataclass(frozen=True, eq=False)
class Function(Record):
    """A function of one argument on the numbers of a format, correctly rounded by looking it up.

    ``function(x, format, rounding)`` takes an array-like ``x`` of any shape and returns an array of that shape:
    float16, float32 and float64 keep their dtype where it holds the format (else it is the narrowest of float32 and
    float64 that does), everything else gives float64. Each element is first rounded to ``format``, nearest even;
    then the exact value of the function there is rounded in the mode ``rounding`` names. NaN gives NaN, as do arguments
    outside the domain; an infinity gives the function's limit (``gelu(-inf)`` and ``silu(-inf)`` are -0) or, where
    it has none, NaN; odd functions keep the sign of zero, and poles are infinite, with the sign of the zero they are at
    (``rsqrt`` too). Results underflow and overflow as ``rounding`` says: ``exp(-60000)`` upward is the smallest
    subnormal. ``ValueError`` for unknown words or a format of more than 16 bits (but tfloat32 is allowed),
    ``TypeError`` for anything but real numbers. The special values are those of IEEE 754-2019 clause 9.2.1.

    >>> exp([0.0, 1.0, 12.0]), float(tanh(20.0, rounding="toward_zero"))
    (array([1.     , 2.71875,     inf]), 0.99951171875)
    """

    name: str
    formula: Callable[[Array], Any]  # in float64
    tails: tuple[Tail, ...] = ()

    def __call__(self, x: object, format: object = "float16", rounding: object = "nearest_even") -> Array:
        fmt = tabulated(as_format(format))
        if as_rounding(rounding) is Rounding.STOCHASTIC:  # a table holds one result, so it is drawn afterwards
            values = as_floats(x, fmt)
            exact = apply(Lookup(self.unrounded, fmt, None), values.astype(np.float64, copy=False))
            return np.asarray(round_to(exact, fmt, rounding)).astype(dtype_of_results(values.dtype, fmt), copy=False)
        return apply(Lookup(self.unrounded, fmt, as_rounding(rounding)), as_floats(x, fmt))

    def unrounded(self, x: Array, fmt: Format) -> Array:
        """float64 values whose rounding to ``fmt``, in any mode, is that of the function at ``x``, numbers of it."""
        with np.errstate(all="ignore"):
            y = np.array(self.formula(x), np.float64)
            finite, at = np.isfinite(x), np.abs(x)  # zeros and poles of all these functions lie at 0, 1 and -1
            y = np.where((y == 0) & finite & (at != 0) & (at != 1), np.copysign(_SMALLEST, y), y)
            y = np.where(np.isinf(y) & finite & (at != 0) & (at != 1), np.copysign(_LARGEST, y), y)
            midpoint = round_to(y, _halved(fmt))
            y = np.where(np.abs(y - midpoint) <= _EXACT * np.abs(y), midpoint, y)
            for tail in self.tails:
                tail.settle(x, y)
        return np.where(np.isnan(y), np.nan, y)

    def __repr__(self) -> str:
        return f"<elementary function {self.name}>"

    def __reduce__(self) -> str:
        return self.name  # copied and pickled by name, like any function


def table(
    f: Callable[[Array], Any], format: object = "float16", rounding: object = "nearest_even"
) -> Callable[[object], Array]:
    """A function that looks up ``f`` in a table of its values at every number of ``format``, made on first use.

    ``f`` maps a float64 array to an array of its shape. The result takes an array-like and returns an array of its
    shape, with the dtypes and the rounding of the argument of `Function`; its elements are the float64 values of ``f``
    rounded to ``format`` in the mode ``rounding``, NaN and infinities as ``f`` has them. ``ValueError`` for unknown
    words, a format of more than 16 bits (but tfloat32 is allowed), stochastic rounding, or results of another shape.

    >>> table(lambda x: x**3 + x)([0.1, 2.0, 100.0])
    array([ 0.10095215, 10.        ,         inf])
    """
    if not callable(f):
        raise TypeError(f"f: {type(f).__name__} is not allowed; allowed: a callable from float64 arrays to such arrays")
    fmt, mode = tabulated(as_format(format)), as_rounding(rounding)
    if mode is Rounding.STOCHASTIC:
        raise ValueError("rounding: 'stochastic' is not allowed in a table; allowed: the deterministic modes")

    def values(x: Array, fmt: Format) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(f(x), np.float64)

    def look_up(x: object) -> Array:
        return apply(Lookup(values, fmt, mode), as_floats(x, fmt))

    return look_up


_erf, _erfc = each(math.erf), each(math.erfc)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))  # of the magnitude, which cannot overflow
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _times(x: Array, probability: Array) -> Array:
    return np.maximum(x, -_LARGEST) * probability  # the limit at -inf is -0, not the NaN of -inf * 0


_OVER_ONE = (_near(1, 0, "along"),)
_INWARD, _OUTWARD = (_near(0, 1, "against"),), (_near(0, 1, "along"),)

exp = Function("exp", np.exp, _OVER_ONE)
exp2 = Function("exp2", np.exp2, _OVER_ONE)
exp10 = Function("exp10", lambda x: np.power(10.0, x), _OVER_ONE)
expm1 = Function("expm1", np.expm1, (_near(0, 1, "above"), Tail(-math.inf, -20, -1, 0, "above")))
log = Function("log", np.log)
log2 = Function("log2", np.log2)
log10 = Function("log10", np.log10)
log1p = Function("log1p", np.log1p, (_near(0, 1, "below"),))
sin = Function("sin", np.sin, _INWARD)
cos = Function("cos", np.cos, (_near(1, 0, "below"),))
tan = Function("tan", np.tan, _OUTWARD)
asin = Function("asin", np.arcsin, _OUTWARD)
acos = Function("acos", np.arccos)
atan = Function("atan", np.arctan, _INWARD)
sinh = Function("sinh", np.sinh, _OUTWARD)
cosh = Function("cosh", np.cosh, (_near(1, 0, "above"),))
tanh = Function("tanh", np.tanh, (*_INWARD, Tail(12, math.inf, 1, 0, "below"), Tail(-math.inf, -12, -1, 0, "above")))
asinh = Function("asinh", np.arcsinh, _INWARD)
acosh = Function("acosh", np.arccosh)
atanh = Function("atanh", np.arctanh, _OUTWARD)
cbrt = Function("cbrt", np.cbrt)
erf = Function("erf", _erf, (Tail(4.5, math.inf, 1, 0, "below"), Tail(-math.inf, -4.5, -1, 0, "above")))
erfc = Function("erfc", _erfc, (_near(1, 0, "against"), Tail(-math.inf, -4.5, 2, 0, "below")))
sigmoid = Function("sigmoid", _sigmoid, (_near(0.5, 0, "along"), Tail(20, math.inf, 1, 0, "below")))
rsqrt = Function("rsqrt", lambda x: 1.0 / np.sqrt(x))
reciprocal = Function("reciprocal", np.reciprocal)
sqrt = Function("sqrt", np.sqrt)
square = Function("square", np.square)
softplus = Function("softplus", lambda x: np.logaddexp(0.0, x), (Tail(20, math.inf, 0, 1, "above"),))
gelu = Function(
    "gelu",
    lambda x: _times(x, 0.5 * _erfc(-x / math.sqrt(2.0))),
    (_near(0, 0.5, "above"), Tail(6, math.inf, 0, 1, "below")),
)
silu = Function("silu", lambda x: _times(x, _sigmoid(x)), (_near(0, 0.5, "above"), Tail(20, math.inf, 0, 1, "below")))

_guarded_class(Function, ("__call__",))
_guarded_names(globals(), ["table"])
public(__name__)
