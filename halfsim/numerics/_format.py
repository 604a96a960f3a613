"""What a format is: a row of numbers, and everything that follows from them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from operator import attrgetter, index
from typing import Any

import numpy as np

from halfsim.card import Card, Record
from halfsim.options import refused, shown

NAMES: dict[str, Format] = {}  # every format by its names, in lower case; `halfsim.numerics.formats` fills it

_SHOWN = 24  # words of a list that an error names
_LONG, _LINE = 80, 300  # characters of a value that an error repeats, and of the error


def unknown(argument: str, value: object, allowed: Iterable[str], aliases: Iterable[str] = ()) -> ValueError:
    """The one-line error for a word that is not in a list, with the nearest word if there is one.

    Of a list too long for a line, such as that of all operations, it shows the words nearest to this one.
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(str(value), [*aliases, *allowed], n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    got, shown = shortened(value), ", ".join(allowed)
    around = len(f"{argument}: {got} is not allowed{hint}; allowed: ")
    if len(allowed) > _SHOWN or around + len(shown) > _LINE:
        nearest = difflib.get_close_matches(str(value), allowed, n=_SHOWN // 3, cutoff=0.0)
        shown = ", ".join([*(word for word in allowed if word in nearest), f"... ({len(allowed)} in all)"])
    room = max(_LINE - (around - len(got)) - len(shown), 12)
    got = got if len(got) <= room else f"{got[: room - 3]}..."
    return ValueError(f"{argument}: {got} is not allowed{hint}; allowed: {shown}")


def shortened(value: object) -> str:
    """``value`` as an error repeats it: cut where it is long."""
    text = repr(value[: 2 * _LONG]) if isinstance(value, (str, bytes)) else " ".join(repr(value).split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def whole(argument: str, value: object) -> int:
    """``value`` as an int; ``TypeError`` in one line where it is no integer."""
    try:
        return index(value)  # type: ignore[arg-type]  # which is what the handler is for
    except TypeError:
        raise TypeError(f"{argument}: {shown(value)} is not allowed; allowed: integers") from None


@dataclass(frozen=True)
class Specials(Record):
    """Where a format keeps its infinities and NaN, if it has any: a row of `SPECIALS`.

    ``infinity`` and ``nan`` are "field", a code of the largest exponent field, all of which is theirs (infinity has
    the first, NaN the others); "last", the largest code of each sign; "minus_zero", the code of minus zero, which
    then is none; or "" for nowhere.
    """

    infinity: str
    nan: str


SPECIALS = {
    "ieee": Specials(infinity="field", nan="field"),
    "nan": Specials(infinity="", nan="last"),
    "none": Specials(infinity="", nan=""),
    "fnuz": Specials(infinity="", nan="minus_zero"),
    "p3109": Specials(infinity="last", nan="minus_zero"),
}
ZERO_FIELDS = ("subnormals", "zero", "normal")


@dataclass(frozen=True, eq=False, repr=False)
class Format(Card):
    """A binary floating-point format: a sign, an exponent and a significand, as IEEE 754-2019 clause 3.4 lays them out.

    ``precision`` counts the implicit bit, so binary16 is ``Format("float16", 5, 11)``. The derived
    attributes carry the names of ``numpy.finfo`` (whose ``precision``, a number of decimal digits,
    is the one name that differs).

    - ``specials`` says where infinities and NaN are: "ieee", in the largest exponent field; "nan", no infinities, and
      NaN is the largest code of each sign (OCP's float8_e4m3fn); "none", numbers only (Arm's alternative half
      precision, OCP's 6- and 4-bit formats); "fnuz", no infinities, and NaN is the code of minus zero, so that there is
      one zero (float8_e4m3fnuz); "p3109", the same with infinity as the largest code of each sign (IEEE P3109).
    - ``bias`` is what the exponent field exceeds the exponent of a normal number by; None is the usual
      ``2**(exponent_bits - 1) - 1``.
    - ``signed=False`` leaves the sign bit out. A negative number is then invalid: NaN, or for want of one the smallest
      number there is, zero or not; -0 is 0.
    - ``zero_field`` is what an exponent field of 0 encodes: "subnormals"; "zero", nothing but zero, whose neighbour is
      the smallest normal number, half of which is a tie that goes to zero; "normal", normal numbers, so that there is
      no zero (float8_e8m0fnu): zero is then invalid and NaN (for want of one the smallest number), and what is
      too small, however it is rounded, becomes the smallest number of its sign.

    ``ValueError`` when exponent_bits is outside 2..11, precision outside 1..53, a word is another, or they do not go
    together: minus zero is no code without a sign or a zero, and numbers have to lie in the range of float64's
    normal numbers (or to start where float64 starts, at 2**-1022, with its subnormals). ``TypeError`` for other types.

    >>> Format("e6m9", exponent_bits=6, precision=10).max
    4290772992.0
    >>> Format("float8_e4m3fnuz", 4, 4, specials="fnuz", bias=8).max
    240.0
    """

    _listed = ("bits", "exponent_bits", "precision", "max", "smallest_normal", "smallest_subnormal", "eps", "specials")

    name: str
    exponent_bits: int
    precision: int
    specials: str = "ieee"
    bias: int = None  # type: ignore[assignment]  # never None once made
    signed: bool = True
    zero_field: str = "subnormals"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name: {shortened(self.name)} is not allowed; allowed: a string that is not empty")
        for argument in ("exponent_bits", "precision"):
            object.__setattr__(self, argument, whole(argument, getattr(self, argument)))
        for argument, words in (("specials", SPECIALS), ("zero_field", ZERO_FIELDS)):
            word = getattr(self, argument)
            if not isinstance(word, str):
                raise TypeError(f"{argument}: {shortened(word)} is not allowed; allowed: {', '.join(words)}")
            if word not in words:
                raise unknown(argument, word, words)
        if not isinstance(self.signed, (bool, np.bool_)):
            raise TypeError(f"signed: {shortened(self.signed)} is not allowed; allowed: True, False")
        object.__setattr__(self, "signed", bool(self.signed))
        if not 2 <= self.exponent_bits <= 11:
            raise ValueError(f"exponent_bits: {shortened(self.exponent_bits)} is not allowed; allowed: 2 to 11")
        if not 1 <= self.precision <= 53:
            raise ValueError(f"precision: {shortened(self.precision)} is not allowed; allowed: 1 to 53")
        object.__setattr__(self, "bias", self._usual if self.bias is None else whole("bias", self.bias))
        if SPECIALS[self.specials].nan == "minus_zero" and not (self.signed and self.zero_field != "normal"):
            raise ValueError(
                f"specials: {self.specials!r} is not allowed without a sign or a zero, for its NaN is the code of "
                "minus zero; allowed: ieee, nan, none"
            )
        self._in_float64()

    def _in_float64(self) -> None:
        """``ValueError`` where float64 cannot hold all numbers of this format, each with all its digits."""
        if self.emin == -1022 and self.zero_field == "subnormals" and self.emax <= 1023:
            return  # float64's own range, subnormal numbers and all
        least = self.precision - 1023  # of emin: the smallest normal number has its last bit at 2**-1022
        most = 1023 - (self.precision == 1)  # of emax
        if not (least <= self.emin and self.emax <= most):
            low, high = self.bias + self.emax - most, self.bias + self.emin - least
            raise ValueError(
                f"bias: {shortened(self.bias)} is not allowed with exponent_bits={self.exponent_bits}, "
                f"precision={self.precision}, specials={self.specials!r}, for numbers would leave float64's range; "
                "allowed: " + (f"{low} to {high}" if low <= high else "none")
            )

    @cached_property
    def bits(self) -> int:
        """Width of the encoding: sign, exponent and trailing significand."""
        return self.signed + self.exponent_bits + self.nmant

    is_floating_point = True  # as torch.dtype has it
    is_complex = False

    @property
    def is_signed(self) -> bool:
        """Whether it has negative numbers."""
        return self.signed

    def __eq__(self, other: object) -> bool:
        """Equal to a format of the same numbers and name, and to NumPy's dtype of that name.

        >>> import numpy as np
        >>> from halfsim.numerics.formats import float16
        >>> float16 == np.float16, float16 == np.dtype("float32"), float16 == "float16"
        (True, False, False)
        """
        if other is self:
            return True
        if isinstance(other, Format):
            return _numbers(self) == _numbers(other)
        known = NAMES.get(self.name)
        return (known is None or known is self or known == self) and is_numpys(other, self.name)

    def __hash__(self) -> int:
        return HASHES.get(self.name) or hash(self.name)

    def __repr__(self) -> str:
        shown = [f for f in fields(self) if f.default is MISSING or f.name == "specials"]
        more = [
            f for f in fields(self)[4:] if getattr(self, f.name) != (self._usual if f.name == "bias" else f.default)
        ]
        return f"Format({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in (*shown, *more))})"

    @property
    def spelled(self) -> str:
        """The name, or where that names no format or another one, a call that `as_format` reads back.

        >>> from halfsim.numerics.formats import float16
        >>> float16.spelled, Format("e6m9", 6, 10).spelled
        ('float16', 'e6m9(exponent_bits=6, precision=10)')
        """
        if NAMES.get(self.name.lower()) == self:
            return self.name
        inside = repr(self).partition(", ")[2].replace(", specials='ieee'", "").replace("'", "")
        return f"{self.name}({inside}"

    @property
    def _usual(self) -> int:
        """The usual bias."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of that name, as which NumPy reads this format: ``np.zeros(3, float16)``."""
        return numpys_dtype(self.name)

    @cached_property
    def minus_zero(self) -> bool:
        """Whether there are two zeros."""
        return self.signed and self.zero_field != "normal" and SPECIALS[self.specials].nan != "minus_zero"

    @cached_property
    def has_infinity(self) -> bool:
        """Whether there are infinities."""
        return bool(SPECIALS[self.specials].infinity)

    @cached_property
    def has_nan(self) -> bool:
        """Whether there is a NaN; with one digit of precision the field of infinity and NaN has room for infinity."""
        return SPECIALS[self.specials].nan not in (("", "field") if self.precision == 1 else ("",))

    @property
    def has_special(self) -> bool:
        """Whether there is an infinity or a NaN, so that an overflow has something to become."""
        return self.has_nan or self.has_infinity

    @property
    def lacking(self) -> str:
        """What numbers it does not have at all, in words: "zero", "negative numbers", or both; mostly "".

        >>> Format("e8m0", 8, 1, "nan", signed=False, zero_field="normal").lacking
        'zero and no negative numbers'
        """
        lacks = {"zero": self.zero_field == "normal", "negative numbers": not self.signed}
        return " and no ".join(word for word, lacked in lacks.items() if lacked)

    @cached_property
    def largest(self) -> int:
        """The code of the largest finite number."""
        special, ones = SPECIALS[self.specials], (1 << (self.exponent_bits + self.nmant)) - 1
        if special.infinity == "field":
            return ones - (1 << self.nmant)
        return ones - ("last" in (special.infinity, special.nan))

    @cached_property
    def emax(self) -> int:
        """Exponent of the largest finite number."""
        return (self.largest >> self.nmant) - self.bias

    @cached_property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return (self.zero_field != "normal") - self.bias

    @cached_property
    def lowest(self) -> int:
        """Exponent of the smallest positive number, a subnormal one where there are such."""
        return self.emin - (self.nmant if self.zero_field == "subnormals" else 0)

    @cached_property
    def max(self) -> float:
        """Largest finite number."""
        trailing = self.largest & ((1 << self.nmant) - 1)
        return math.ldexp((1 << self.nmant) + trailing, self.emax - self.nmant)

    @property
    def eps(self) -> float:
        """Distance from 1 to the next larger number, ulp(1)."""
        return 2.0 ** (1 - self.precision)

    @property
    def epsneg(self) -> float:
        """Distance from 1 to the next smaller number."""
        return 2.0 ** (max(self.emin, -1) - self.nmant)

    @cached_property
    def overflow_threshold(self) -> float:
        """Smallest float64 that rounding to nearest, ties to even, takes past ``max``.

        >>> from halfsim.numerics.formats import float16
        >>> float16.overflow_threshold
        65520.0
        """
        half = math.ldexp(1.0, self.emax - self.precision)
        tie = self.max + half if self.max < 2.0**1023 else math.inf
        return tie if self.largest & 1 or self.precision == 1 else math.nextafter(tie, math.inf)

    @cached_property
    def smallest_normal(self) -> float:
        """Smallest positive number with a full significand."""
        return 2.0**self.emin

    @cached_property
    def smallest_subnormal(self) -> float:
        """Smallest positive number: a subnormal one where there are such."""
        return math.ldexp(1.0, self.lowest)

    @property
    def min(self) -> float:
        """Most negative finite number; without a sign the smallest number."""
        return -self.max if self.signed else 0.0 if self.zero_field != "normal" else self.smallest_normal

    @property
    def tiny(self) -> float:
        """Alias of ``smallest_normal``, as in ``numpy.finfo``."""
        return self.smallest_normal

    @property
    def nmant(self) -> int:
        """Number of bits of the trailing significand."""
        return self.precision - 1

    @property
    def nexp(self) -> int:
        """Number of bits of the exponent field."""
        return self.exponent_bits

    @property
    def maxexp(self) -> int:
        """Exponent of the smallest power of two that is too large."""
        return self.emax + 1

    @property
    def minexp(self) -> int:
        """Most negative power of two that is normal."""
        return self.emin

    def contains(self, other: Format) -> bool:
        """Whether every number of ``other``, infinities and NaN included, is one of this format.

        >>> from halfsim.numerics.formats import bfloat16, float16, float32
        >>> float32.contains(float16), float16.contains(bfloat16)
        (True, False)
        """
        if self is other:
            return True
        if not isinstance(other, Format):
            raise refused("other", other, "a Format")
        return (
            self.precision >= other.precision
            and self.max >= other.max
            and self.smallest_subnormal <= (other._finest if self._goes_on else other.smallest_subnormal)
            and not other._kinds & ~self._kinds
        )

    @cached_property
    def _goes_on(self) -> bool:
        """Whether there are numbers of fewer digits below the normal ones."""
        return self.zero_field == "subnormals"

    @cached_property
    def _kinds(self) -> int:
        """Which kinds of number there are, a bit for each that a format may lack."""
        kinds = (self.has_infinity, self.has_nan, self.minus_zero, self.signed, self.zero_field != "normal")
        return sum(there << i for i, there in enumerate(kinds))

    @cached_property
    def _finest(self) -> float:
        """What every number is a multiple of."""
        return math.ldexp(1.0, self.emin - self.nmant)

    @property
    def itemsize(self) -> int:
        """Bytes that a number takes."""
        return -(-self.bits // 8)

    def __str__(self) -> str:
        return self.name


_numbers = attrgetter("name", "exponent_bits", "precision", "specials", "bias", "signed", "zero_field")

# What equals NumPy's dtypes has their hash, so that both find one entry of a dict.
HASHES = {
    name: hash(np.dtype(name))
    for name in (
        "float16",
        "float32",
        "float64",
        "bool",
        *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)),
    )
}


def numpys_dtype(name: str) -> np.dtype[Any]:
    if name not in HASHES:
        raise AttributeError(f"dtype: {name} is none of NumPy's; allowed: {', '.join(HASHES)}")
    return np.dtype(name)


def is_numpys(other: object, name: str) -> bool:
    """Whether ``other`` is NumPy's (or ml_dtypes') dtype or scalar type of that name."""
    if isinstance(other, type):
        return other.__name__ == name and hasattr(other, "dtype")
    return type(other).__module__.partition(".")[0] in ("numpy", "ml_dtypes") and getattr(other, "name", None) == name
