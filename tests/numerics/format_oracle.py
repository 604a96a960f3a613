"""Formats by search in exact fractions: what every code stands for, and what every number rounds to.

Written from the documents, not from the package, of which it uses nothing but the fields of a `Format`:

- IEEE 754-2019: the layout of an encoding (3.4), the roundings (4.3), the flags (7), the operations (5);
- OCP OFP8 1.0: E4M3, whose largest code of each sign is NaN, E5M2; OCP MX 1.0: E2M1, E2M3, E3M2, E8M0;
- the "fnuz" formats as their proposers and LLVM's APFloat describe them: NaN is the code of minus zero;
- the interim report of IEEE P3109: NaN is the code of minus zero, the largest magnitudes are infinities.

A number is rounded by finding the codes of its two neighbours, of which it is then asserted that it lies between what
they stand for. Overflow and tininess are judged, as the standard words it, on the result "with unbounded exponent
range", so the codes go on above the largest finite number, and a tiny number is rounded again after doubling.

What the documents leave open, and what is taken here:

- With one digit of precision both neighbours of a number are odd: nearest_even takes the larger magnitude (4.3.1; so
  does ml_dtypes), to_odd the smaller one. Zero is even.
- Between zero and the smallest normal number of a format without subnormals, zero is even and that number is odd.
- A format without zero (float8_e8m0fnu) gives its smallest number for every positive number below it, in every mode,
  and NaN for zero; one without a sign gives NaN for negative numbers. Both raise invalid. ml_dtypes does the same.
- What rounds to zero in a format with one zero is +0, as is -0.
- A format without infinities gives NaN for an infinity and raises invalid; one without NaN either gives its largest
  number, and for NaN zero, as Arm's conversions do, and raises invalid alone, for an overflow too.
- Stochastic rounding judges tininess before it.
- ``saturate_inf`` turns an infinity into the largest number: an overflow, hence inexact.
- An infinity that stands for NaN (one digit of precision, "ieee") is an infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from math import inf, isqrt
from typing import Any

INEXACT, UNDERFLOW, OVERFLOW, DIVIDE_BY_ZERO, INVALID = 1, 2, 4, 8, 16
MODES = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd")


@dataclass(frozen=True)
class Value:
    """A number (a sign, and the magnitude: a fraction, infinity, or None for NaN)."""

    negative: bool
    magnitude: Any
    signaling: bool = False

    @property
    def nan(self) -> bool:
        return self.magnitude is None

    @property
    def infinite(self) -> bool:
        return self.magnitude == inf

    @property
    def zero(self) -> bool:
        return self.magnitude == 0

    @property
    def finite(self) -> bool:
        return not (self.nan or self.infinite)

    @property
    def exact(self) -> Fraction:
        """The signed fraction of a finite number."""
        return -self.magnitude if self.negative else self.magnitude

    def same(self, other: Value) -> bool:
        """The same number with the same sign of zero, or both NaN."""
        return self.magnitude == other.magnitude and (self.nan or self.negative == other.negative)


NAN = Value(False, None)


def value(x: Any) -> Value:
    """A Python or NumPy number as a Value."""
    if isinstance(x, (int, Fraction)) and not isinstance(x, bool):
        return Value(x < 0, Fraction(abs(x)))
    x = float(x)
    negative = str(x).startswith("-")
    if x != x:
        return NAN
    return Value(negative, inf if x in (inf, -inf) else Fraction(abs(x)))


@cache
def power(exponent: int) -> Fraction:
    """Two to any integer."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def floor_log2(x: Fraction) -> int:
    """The exponent of a positive number."""
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    return exponent - (x < power(exponent))


def integral(x: Fraction, negative: bool, mode: str) -> int:
    """A magnitude as an integer."""
    n, rest = divmod(x, 1)
    up = {
        "nearest_even": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and n % 2 == 1),
        "nearest_away": rest >= Fraction(1, 2),
        "toward_zero": False,
        "upward": rest > 0 and not negative,
        "downward": rest > 0 and negative,
        "to_odd": rest > 0 and n % 2 == 0,
    }[mode]
    return n + up


@dataclass(frozen=True)
class Rounded:
    """A result, and the flags that it raises."""

    value: Value
    flags: int


class Oracle:
    """The codes of a format, and rounding to them."""

    def __init__(
        self,
        exponent_bits: int,
        precision: int,
        specials: str = "ieee",
        bias: int | None = None,
        signed: bool = True,
        zero_field: str = "subnormals",
    ) -> None:
        self.exponent_bits, self.precision, self.specials = exponent_bits, precision, specials
        self.bias = 2 ** (exponent_bits - 1) - 1 if bias is None else bias
        self.signed, self.zero_field = signed, zero_field
        self.width = exponent_bits + precision - 1  # of a magnitude
        self.bits = self.width + signed
        self.first = 1 if zero_field != "normal" else 0  # the exponent field of the smallest normal numbers

    @classmethod
    def of(cls, fmt: Any) -> Oracle:
        """The oracle of a `halfsim.Format`, from the fields it was made of."""
        return cls(fmt.exponent_bits, fmt.precision, fmt.specials, fmt.bias, fmt.signed, fmt.zero_field)

    # The codes.

    def number(self, code: int) -> Fraction | None:
        """The number a magnitude's code stands for were there no specials; None for a code without a number.

        The code may lie beyond the last one, as if the exponent field had more bits.
        """
        field, fraction = code >> (self.precision - 1), code & ((1 << (self.precision - 1)) - 1)
        if field >= self.first:
            return (fraction + (1 << (self.precision - 1))) * power(field - self.bias - self.precision + 1)
        if self.zero_field == "zero":
            return None if fraction else Fraction(0)
        return fraction * power(1 - self.bias - self.precision + 1)

    def special(self, negative: bool, code: int) -> str:
        """ "nan", "infinity" or "" for the code of a magnitude and a sign."""
        top, last = code >> (self.precision - 1) == (1 << self.exponent_bits) - 1, code == (1 << self.width) - 1
        if self.specials == "ieee" and top:
            return "nan" if code & ((1 << (self.precision - 1)) - 1) else "infinity"
        if self.specials == "nan" and last:
            return "nan"
        if self.specials in ("fnuz", "p3109") and negative and code == 0:
            return "nan"
        return "infinity" if self.specials == "p3109" and last else ""

    def decode(self, code: int) -> Value | None:
        """The Value of a code; None for a code without a number."""
        negative, magnitude = bool(code >> self.width), code & ((1 << self.width) - 1)
        kind = self.special(negative, magnitude)
        if kind == "nan":
            quiet = code >> (self.precision - 2) & 1 if self.precision > 2 else 1
            return Value(negative, None, self.specials == "ieee" and not quiet)
        number = inf if kind else self.number(magnitude)
        return None if number is None else Value(negative, number)

    def encode(self, x: Value) -> int | None:
        """The code of a number of the format; None for NaN, of which there are many."""
        if x.nan:
            return None
        sign = int(x.negative) << self.width
        if x.infinite:
            found = (1 << self.width) - 1
            return sign | (found - ((1 << (self.precision - 1)) - 1) if self.specials == "ieee" else found)
        low, _ = self.neighbours(x.magnitude)
        assert low is not None
        assert self.number(low) == x.magnitude
        return sign | low

    @cached_property
    def top(self) -> int:
        """The code of the largest finite number."""
        code = (1 << self.width) - 1
        while self.special(False, code):
            code = code - 1 if self.specials != "ieee" else ((1 << self.exponent_bits) - 1 << (self.precision - 1)) - 1
        return code

    @cached_property
    def max(self) -> Fraction:
        """The largest finite number."""
        return self._at(self.top)

    @cached_property
    def normal(self) -> Fraction:
        """The smallest normal number."""
        return power(self.first - self.bias)

    @cached_property
    def smallest(self) -> Fraction:
        """The smallest positive number."""
        return self._at(self.neighbours(Fraction(0))[1])

    @property
    def has_nan(self) -> bool:
        return self.specials != "none" and not (self.specials == "ieee" and self.precision == 1)

    @property
    def has_infinity(self) -> bool:
        return self.specials in ("ieee", "p3109")

    @property
    def one_zero(self) -> bool:
        return not self.signed or self.specials in ("fnuz", "p3109")

    def _at(self, code: int) -> Fraction:
        found = self.number(code)
        assert found is not None
        return found

    def neighbours(self, magnitude: Fraction) -> tuple[int | None, int]:
        """The codes of the largest number not above ``magnitude`` (None below them all) and of the next one."""
        if magnitude >= 2 * self.max:
            return self.top + 1, self.top + 2  # far above: two that overflow
        if magnitude < self.normal:
            least = self.normal if self.zero_field == "zero" else power(1 - self.bias - self.precision + 1)
            low, high = (
                (None, 0) if self.zero_field == "normal" else (int(magnitude / least), int(magnitude / least) + 1)
            )
            high = 1 << (self.precision - 1) if self.zero_field == "zero" else high
        else:
            exponent = floor_log2(magnitude)
            low = int(magnitude / power(exponent - self.precision + 1)) + (
                exponent + self.bias - 1 << (self.precision - 1)
            )
            high = low + 1
        assert low is None or self._at(low) <= magnitude  # whatever the formulas
        assert magnitude < self._at(high)
        return low, high

    # Rounding.

    def _choose(self, magnitude: Fraction, negative: bool, mode: str) -> tuple[Fraction, bool]:
        """A magnitude rounded with unbounded exponent range above, and whether that was inexact."""
        low_code, high_code = self.neighbours(magnitude)
        high = self._at(high_code)
        if low_code is None:
            return high, True  # no zero: nothing but the smallest number is near
        low = self._at(low_code)
        if low == magnitude:
            return low, False
        single = self.precision == 1 or (self.zero_field == "zero" and low == 0)
        odd = low != 0 if single else low_code % 2 == 1
        twice = 2 * magnitude - (low + high)
        up = {
            "nearest_even": twice > 0 or (twice == 0 and odd),
            "nearest_away": twice >= 0,
            "toward_zero": False,
            "upward": not negative,
            "downward": negative,
            "to_odd": not odd,
        }[mode]
        return (high if up else low), True

    def tiny(self, magnitude: Fraction, negative: bool, mode: str) -> bool:
        """Whether a magnitude other than zero, rounded with unbounded exponent range, is below the normal numbers."""
        if magnitude >= self.normal:
            return False
        if mode == "stochastic" or 2 * magnitude < self.normal:
            return True
        return self._choose(2 * magnitude, negative, mode)[0] < 2 * self.normal

    def _signed(self, negative: bool, magnitude: Any) -> Value:
        return Value(negative and not (magnitude == 0 and self.one_zero), magnitude)

    def absent(self, negative: bool, magnitude: Any = Fraction(0)) -> Rounded:
        """What has no encoding at all: NaN, or what stands for it, and invalid."""
        if self.has_nan:
            return Rounded(Value(negative, None), INVALID)
        if self.specials == "ieee":
            return Rounded(self._signed(negative and self.signed, inf), INVALID)
        least = Fraction(0) if self.zero_field != "normal" else self.smallest
        return Rounded(self._signed(negative and self.signed, max(magnitude, least)), INVALID)

    def overflowed(self, negative: bool, mode: str, overflow: str) -> Rounded:
        """A finite number beyond the largest one."""
        inward = mode in ("toward_zero", "to_odd") or mode == ("upward" if negative else "downward")
        if self.specials == "none":
            return Rounded(Value(negative, self.max), INVALID)
        if inward or overflow != "infinity":
            return Rounded(Value(negative, self.max), OVERFLOW | INEXACT)
        return Rounded(Value(negative, inf if self.has_infinity else None), OVERFLOW | INEXACT)

    def special_rounded(self, x: Value, overflow: str) -> Rounded:
        """An infinity or a NaN brought to the format."""
        if x.nan:
            if self.specials == "none":
                return self.absent(x.negative)
            if not self.has_nan:  # one digit: the infinity stands for it
                return self.absent(x.negative)
            return Rounded(x, INVALID if x.signaling else 0)
        if x.negative and not self.signed:
            return self.absent(True)
        if self.specials == "none":
            return Rounded(Value(x.negative, self.max), INVALID)
        if overflow == "saturate_inf":
            return Rounded(Value(x.negative, self.max), OVERFLOW | INEXACT)
        return Rounded(x, 0) if self.has_infinity else Rounded(Value(x.negative, None), INVALID)

    def _enter(self, x: Value, subnormals: str, overflow: str) -> Rounded | None:
        """What is settled before any rounding."""
        if not x.finite:
            return self.special_rounded(x, overflow)
        if x.zero or (
            self.zero_field != "normal" and subnormals in ("flush_inputs", "flush") and x.magnitude < self.normal
        ):
            if self.zero_field == "normal":
                return self.absent(x.negative)
            return Rounded(self._signed(x.negative, Fraction(0)), 0)
        return self.absent(True) if x.negative and not self.signed else None

    def _leave(self, x: Value, result: Fraction, mode: str, overflow: str, subnormals: str) -> Rounded:
        """What was rounded with unbounded exponent range, as the format has it, with its flags."""
        if result > self.max:
            return self.overflowed(x.negative, mode, overflow)
        inexact = result != x.magnitude
        flags = INEXACT * inexact | UNDERFLOW * (inexact and self.tiny(x.magnitude, x.negative, mode))
        if self.zero_field != "normal" and subnormals in ("flush_outputs", "flush") and result < self.normal:
            result, flags = Fraction(0), INEXACT | UNDERFLOW
        return Rounded(self._signed(x.negative, result), flags)

    def round(
        self, x: Value, mode: str = "nearest_even", overflow: str = "infinity", subnormals: str = "keep"
    ) -> Rounded:
        """``x`` rounded to the format by one of the six modes without chance."""
        settled = self._enter(x, subnormals, overflow)
        if settled is not None:
            return settled
        return self._leave(x, self._choose(x.magnitude, x.negative, mode)[0], mode, overflow, subnormals)

    def chances(self, x: Value, overflow: str = "infinity", subnormals: str = "keep") -> list[tuple[Rounded, Fraction]]:
        """The results of stochastic rounding, each with its probability."""
        settled = self._enter(x, subnormals, overflow)
        if settled is not None:
            return [(settled, Fraction(1))]
        low_code, high_code = self.neighbours(x.magnitude)
        low, high = self._at(high_code if low_code is None else low_code), self._at(high_code)

        def leave(y: Fraction) -> Rounded:
            return self._leave(x, y, "stochastic", overflow, subnormals)

        if low_code is None or low == x.magnitude or low > self.max:
            return [(leave(low), Fraction(1))]
        up = (x.magnitude - low) / (high - low)
        return [(leave(low), 1 - up), (leave(high), up)]

    # Neighbours.

    def ulp(self, x: Value) -> Value:
        """The weight of the last digit at the exponent of ``x``."""
        if not x.finite:
            return Value(False, x.magnitude)
        least = self.normal if self.zero_field == "zero" else power(self.first - self.bias - self.precision + 1)
        if x.magnitude < self.normal:
            return Value(False, least)
        return Value(False, power(floor_log2(x.magnitude) - self.precision + 1))

    def next_up(self, x: Value) -> Value:
        """The least number greater than ``x``."""
        if x.nan or (x.infinite and not x.negative):
            return x
        if x.negative and not x.zero:
            return self._toward_zero(x) if self.signed else Value(False, self._at(0))
        return self._away(x.magnitude, False)

    def next_down(self, x: Value) -> Value:
        """The greatest number less than ``x``."""
        if x.nan or (x.infinite and x.negative):
            return x
        if not x.negative and not x.zero:
            return self._toward_zero(x)
        if self.signed:
            return self._away(x.magnitude, True)
        return NAN if self.has_nan else Value(False, self._at(0))  # nothing is below the smallest number

    def _away(self, magnitude: Fraction, negative: bool) -> Value:
        high = self.top + 1 if magnitude >= self.max else self.neighbours(magnitude)[1]
        if high <= self.top:
            return Value(negative, self._at(high))
        if self.has_infinity:
            return Value(negative, inf)
        return Value(negative, None if self.has_nan else self.max)

    def _toward_zero(self, x: Value) -> Value:
        if x.infinite or x.magnitude > self.max:
            return Value(x.negative, self.max)
        low, _ = self.neighbours(x.magnitude)
        if low is not None and self._at(low) == x.magnitude:
            alone = self.zero_field == "zero" and x.magnitude == self.normal
            low = None if low == 0 else 0 if alone else low - 1
        if low is None:  # below the smallest number of a format without zero
            if not self.signed:
                return NAN if self.has_nan else Value(False, self.smallest)
            return Value(not x.negative, self.smallest)
        return self._signed(x.negative, self._at(low))

    # Operations on codes (clause 5), rounded once: the code (None for any NaN) and the flags.

    def _result(self, exact: Fraction, negative_zero: bool, mode: str) -> Rounded:
        return self.round(Value(exact < 0 or (exact == 0 and negative_zero), abs(exact)), mode)

    def _infinite(self, negative: bool) -> Rounded:
        return self.absent(True) if negative and not self.signed else Rounded(Value(negative, inf), 0)

    def _invalid(self) -> Rounded:
        return self.absent(False)

    def _nans(self, *operands: Value) -> Rounded | None:
        nan = [x for x in operands if x.nan]
        return Rounded(nan[0], INVALID * any(x.signaling for x in nan)) if nan else None

    def add(self, a: Value, b: Value, mode: str) -> Rounded:
        if nan := self._nans(a, b):
            return nan
        if a.infinite or b.infinite:
            if a.infinite and b.infinite and a.negative != b.negative:
                return self._invalid()
            return self._infinite(a.negative if a.infinite else b.negative)
        same = a.negative == b.negative
        minus = a.negative if a.zero and b.zero and same else mode == "downward"
        return self._result(a.exact + b.exact, minus, mode)

    def sub(self, a: Value, b: Value, mode: str) -> Rounded:
        return self._nans(a, b) or self.add(a, Value(not b.negative, b.magnitude), mode)

    def mul(self, a: Value, b: Value, mode: str) -> Rounded:
        if nan := self._nans(a, b):
            return nan
        negative = a.negative != b.negative
        if a.infinite or b.infinite:
            return self._invalid() if a.zero or b.zero else self._infinite(negative)
        return self._result(a.exact * b.exact, negative, mode)

    def div(self, a: Value, b: Value, mode: str) -> Rounded:
        if nan := self._nans(a, b):
            return nan
        negative = a.negative != b.negative
        if (a.infinite and b.infinite) or (a.zero and b.zero):
            return self._invalid()
        if a.infinite:
            return self._infinite(negative)
        if b.infinite:
            if self.zero_field == "normal":
                return self.absent(negative)
            return Rounded(self._signed(negative, Fraction(0)), 0)
        if b.zero:
            found = inf if self.has_infinity else None if self.has_nan else self.max
            return Rounded(Value(negative, found), DIVIDE_BY_ZERO)
        return self._result(a.exact / b.exact, negative, mode)

    def fma(self, a: Value, b: Value, c: Value, mode: str) -> Rounded:
        absent = (a.infinite and b.zero) or (a.zero and b.infinite)
        if nan := self._nans(a, b, c):
            return Rounded(nan.value, nan.flags | INVALID * absent)
        if absent:
            return self._invalid()
        negative = a.negative != b.negative
        if a.infinite or b.infinite:
            if c.infinite and c.negative != negative:
                return self._invalid()
            return self._infinite(negative)
        if c.infinite:
            return self._infinite(c.negative)
        product = a.exact * b.exact
        same = negative == c.negative
        minus = negative if product == 0 and c.zero and same else mode == "downward"
        return self._result(product + c.exact, minus, mode)

    def sqrt(self, a: Value, mode: str) -> Rounded:
        if nan := self._nans(a):
            return nan
        if a.negative and not a.zero:
            return self._invalid()
        if a.infinite:
            return Rounded(a, 0)
        n, d = a.magnitude.numerator, a.magnitude.denominator
        shift = 256  # the root of n * d / d**2, cut to 256 bits and more, with a last bit for what was cut
        root = isqrt(n * d << 2 * shift)
        sticky = root * root != n * d << 2 * shift
        return self._result(Fraction(2 * root + sticky, d << (shift + 1)), a.negative, mode)

    def rem(self, a: Value, b: Value, mode: str) -> Rounded:
        if nan := self._nans(a, b):
            return nan
        if a.infinite or b.zero:
            return self._invalid()
        if b.infinite:
            return self._result(a.exact, a.negative, mode)
        quotient = round(a.exact / b.exact)  # ties to even
        return self._result(a.exact - b.exact * quotient, a.negative, mode)

    def round_to_integral(self, x: Value, mode: str) -> Rounded:
        if nan := self._nans(x):
            return nan
        if x.infinite:
            return Rounded(x, 0)
        n = integral(x.magnitude, x.negative, mode)
        found = self._result(-Fraction(n) if x.negative else Fraction(n), x.negative, mode)
        return Rounded(found.value, found.flags | INEXACT * (n != x.magnitude))

    def classify(self, x: Value) -> str:
        """The class of 5.7.2."""
        if x.nan:
            return "signaling_nan" if x.signaling else "quiet_nan"
        small = "zero" if x.zero else "subnormal" if x.magnitude < self.normal else "normal"
        return f"{'negative' if x.negative else 'positive'}_{'infinity' if x.infinite else small}"

    def convert(self, x: Value, mode: str) -> Rounded:
        """A number of another format."""
        return self.round(x, mode)
