"""A floating-point format is data; everything else about it is derived."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

import numpy as np

_SPECIALS = ("ieee", "nan", "none")


_SHOWN = 24  # words of a list that an error names
_LONG = 80  # characters of a value that an error repeats


def unknown(argument: str, value: object, allowed: Iterable[str], aliases: Iterable[str] = ()) -> ValueError:
    """The one-line error for a word that is not in a list, with the nearest word if there is one.

    Of a list too long for a line, such as that of all operations, it shows the words nearest to this one.
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(str(value), [*aliases, *allowed], n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    shown = allowed
    if len(allowed) > _SHOWN:
        nearest = difflib.get_close_matches(str(value), allowed, n=_SHOWN // 3, cutoff=0.0)
        shown = [*(word for word in allowed if word in nearest), f"... ({len(allowed)} in all)"]
    return ValueError(f"{argument}: {shortened(value)} is not allowed{hint}; allowed: {', '.join(shown)}")


def shortened(value: object) -> str:
    """``value`` as an error repeats it: cut where it is long."""
    text = repr(value[: 2 * _LONG]) if isinstance(value, (str, bytes)) else repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def whole(argument: str, value: object) -> int:
    """``value`` as an int; ``TypeError`` in one line where it is no integer."""
    try:
        return index(value)  # type: ignore[arg-type]  # which is what the handler is for
    except TypeError:
        raise TypeError(f"{argument}: {value!r} is not allowed; allowed: integers") from None


@dataclass(frozen=True, eq=False)
class Format:
    """A binary floating-point format laid out as IEEE 754-2019 clause 3.4 lays out its own.

    ``precision`` counts the implicit bit, so binary16 is ``Format("float16", 5, 11)``. The derived
    attributes carry the names of ``numpy.finfo`` (whose ``precision``, a number of decimal digits,
    is the one name that differs). Both zeros and subnormals are always present; ``specials`` says what the largest
    exponent field encodes: "ieee", infinities and NaN; "nan", numbers, but for one NaN of each sign (OCP's
    float8_e4m3fn); "none", numbers only (Arm's alternative half precision). ``ValueError`` when exponent_bits is
    outside 2..11, precision outside 1..53, or specials is another word.

    >>> Format("e6m9", exponent_bits=6, precision=10).max
    4290772992.0
    """

    name: str
    exponent_bits: int
    precision: int
    specials: str = "ieee"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name: {self.name!r} is not allowed; allowed: a string that is not empty")
        for argument in ("exponent_bits", "precision"):
            object.__setattr__(self, argument, whole(argument, getattr(self, argument)))
        if self.specials not in _SPECIALS:
            raise unknown("specials", self.specials, _SPECIALS)
        if not 2 <= self.exponent_bits <= 11:
            raise ValueError(f"exponent_bits: {self.exponent_bits} is not allowed; allowed: 2 to 11")
        if not 1 <= self.precision <= 53:
            raise ValueError(f"precision: {self.precision} is not allowed; allowed: 1 to 53")

    @cached_property
    def bits(self) -> int:
        """Width of the encoding: sign, exponent and trailing significand."""
        return self.exponent_bits + self.precision

    is_floating_point = True  # as torch.dtype has it
    is_complex = False
    is_signed = True

    def __eq__(self, other: object) -> bool:
        """Equal to a format of the same numbers and name, and to NumPy's dtype of that name.

        >>> import numpy as np
        >>> float16 == np.float16, float16 == np.dtype("float32"), float16 == "float16"
        (True, False, False)
        """
        if other is self:
            return True
        if isinstance(other, Format):
            return (self.name, self.exponent_bits, self.precision, self.specials) == (
                other.name, other.exponent_bits, other.precision, other.specials
            )  # fmt: skip
        return _is_numpys(other, self.name)

    def __hash__(self) -> int:
        return _HASHES.get(self.name) or hash(self.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of that name, as which NumPy reads this format: ``np.zeros(3, float16)``."""
        return _numpys(self.name)

    @cached_property
    def bias(self) -> int:
        """What the exponent field exceeds the exponent of a normal number by."""
        return (1 << (self.exponent_bits - 1)) - 1

    @cached_property
    def emax(self) -> int:
        """Exponent of the largest finite number."""
        return self.bias + (self.specials != "ieee")

    @cached_property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.bias

    @cached_property
    def max(self) -> float:
        """Largest finite number."""
        return (2.0 - self.eps * (2 if self.specials == "nan" else 1)) * 2.0**self.emax

    @property
    def min(self) -> float:
        """Most negative finite number."""
        return -self.max

    @property
    def eps(self) -> float:
        """Distance from 1 to the next larger number, ulp(1)."""
        return 2.0 ** (1 - self.precision)

    @property
    def epsneg(self) -> float:
        """Distance from 1 to the next smaller number."""
        return 2.0**-self.precision

    @cached_property
    def smallest_normal(self) -> float:
        """Smallest positive number with a full significand."""
        return 2.0**self.emin

    @cached_property
    def smallest_subnormal(self) -> float:
        """Smallest positive number; every number of the format is a multiple of it."""
        return 2.0 ** (self.emin - self.precision + 1)

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

        >>> float32.contains(float16), float16.contains(bfloat16)
        (True, False)
        """
        return self is other or (
            self.precision >= other.precision
            and self.max >= other.max
            and (self.specials == "ieee" or self.specials == other.specials)
            and self.smallest_subnormal <= other.smallest_subnormal
        )

    @property
    def itemsize(self) -> int:
        """Bytes that a number takes."""
        return -(-self.bits // 8)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Integer:
    """The dtype of a tensor of integers, or of bools: exact, modulo ``2**bits`` as NumPy's and PyTorch's are.

    >>> int16.min, int16.max, bool_.bits, int64 == "int64"
    (-32768, 32767, 1, False)
    """

    name: str
    bits: int
    signed: bool = True

    is_floating_point = False
    is_complex = False

    @property
    def is_signed(self) -> bool:
        """Whether it has negative numbers."""
        return self.signed

    @property
    def min(self) -> int:
        """The smallest number."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest number."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def itemsize(self) -> int:
        """Bytes that a number takes."""
        return -(-self.bits // 8)

    def contains(self, other: Format | Integer) -> bool:
        """Whether every number of ``other`` is one of these."""
        return isinstance(other, Integer) and self.min <= other.min and other.max <= self.max

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, Integer) and other.name == self.name) or _is_numpys(other, self.name)

    def __hash__(self) -> int:
        return _HASHES.get(self.name) or hash(self.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of that name."""
        return _numpys(self.name)

    def __str__(self) -> str:
        return self.name


# What equals NumPy's dtypes has their hash, so that both find one entry of a dict.
_HASHES = {
    name: hash(np.dtype(name))
    for name in (
        "float16",
        "float32",
        "float64",
        "bool",
        *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)),
    )
}


def _numpys(name: str) -> np.dtype[Any]:
    if name not in _HASHES:
        raise AttributeError(f"dtype: {name} is none of NumPy's; allowed: {', '.join(_HASHES)}")
    return np.dtype(name)


def _is_numpys(other: object, name: str) -> bool:
    """Whether ``other`` is NumPy's (or ml_dtypes') dtype or scalar type of that name."""
    if isinstance(other, type):
        return other.__name__ == name and hasattr(other, "dtype")
    return type(other).__module__.partition(".")[0] in ("numpy", "ml_dtypes") and getattr(other, "name", None) == name


float16 = Format("float16", exponent_bits=5, precision=11)
bfloat16 = Format("bfloat16", exponent_bits=8, precision=8)
tfloat32 = Format("tfloat32", exponent_bits=8, precision=11)
float32 = Format("float32", exponent_bits=8, precision=24)
float64 = Format("float64", exponent_bits=11, precision=53)
float8_e4m3fn = Format("float8_e4m3fn", exponent_bits=4, precision=4, specials="nan")
float8_e5m2 = Format("float8_e5m2", exponent_bits=5, precision=3)
float16_ahp = Format("float16_ahp", exponent_bits=5, precision=11, specials="none")

bool_ = Integer("bool", 1, signed=False)
uint8, uint16, uint32, uint64 = (Integer(f"uint{bits}", bits, signed=False) for bits in (8, 16, 32, 64))
int8, int16, int32, int64 = (Integer(f"int{bits}", bits) for bits in (8, 16, 32, 64))

INTEGERS: dict[str, Integer] = {
    **{d.name: d for d in (bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64)},
    "long": int64,
    "int": int32,
    "short": int16,
    "byte": uint8,
    "char": int8,
}


def together(dtypes: Iterable[object]) -> Integer:
    """The smallest dtype that holds the integers of all ``dtypes``; ``TypeError`` where none of 64 bits does.

    >>> together([uint8, int8]).name
    'int16'
    """
    given = [INTEGERS[getattr(d, "name", "")] for d in dtypes]
    kinds = sorted(INTEGERS.values(), key=lambda d: (d.bits, d.signed))
    for kind in kinds:
        if all(kind.contains(d) for d in given):
            return kind
    raise TypeError(
        f"dtypes: {' and '.join(map(str, given))} are not allowed; allowed: those that one of 64 bits holds"
    )


_BY_NAME: dict[str, Format] = {
    alias: fmt
    for fmt, aliases in {
        float16: ("float16", "fp16", "half", "binary16"),
        bfloat16: ("bfloat16", "bf16"),
        tfloat32: ("tfloat32", "tf32"),
        float32: ("float32", "fp32", "single", "binary32"),
        float64: ("float64", "fp64", "double", "binary64"),
        float8_e4m3fn: ("float8_e4m3fn", "fp8_e4m3", "e4m3"),
        float8_e5m2: ("float8_e5m2", "fp8_e5m2", "e5m2"),
        float16_ahp: ("float16_ahp", "ahp"),
    }.items()
    for alias in aliases
}

NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # dtypes by which ml_dtypes knows these formats


def as_format(spec: object, argument: str = "format") -> Format:
    """The Format that ``spec`` names: a Format, a name such as "float16" or "fp16", or a NumPy dtype.

    ``ValueError`` for an unknown name, ``TypeError`` for anything that carries no name.

    >>> as_format("fp16") is float16
    True
    """
    if isinstance(spec, Format):
        return spec
    name = spec if isinstance(spec, str) else getattr(spec, "name", getattr(spec, "__name__", None))
    if not isinstance(name, str):
        raise TypeError(f"{argument}: expected a Format or its name, got {type(spec).__name__}")
    found = _BY_NAME.get(name.strip().lower())
    if found is None:
        raise unknown(argument, name, dict.fromkeys(f.name for f in _BY_NAME.values()), _BY_NAME)
    return found


def as_dtype(spec: object, argument: str = "dtype") -> Format | Integer:
    """The format, or the dtype of integers or bools, that ``spec`` names: also ``bool`` and ``int`` of Python.

    ``ValueError`` for an unknown name, ``TypeError`` for anything that carries no name.

    >>> as_dtype("long"), as_dtype(bool), as_dtype("fp16")
    (Integer(name='int64', bits=64, signed=True), Integer(name='bool', bits=1, signed=False), \
Format(name='float16', exponent_bits=5, precision=11, specials='ieee'))
    """
    if isinstance(spec, (Format, Integer)):
        return spec
    if spec is int:
        return int64
    name = spec if isinstance(spec, str) else getattr(spec, "name", getattr(spec, "__name__", ""))
    return INTEGERS.get(name.strip().lower().removeprefix("torch.")) or as_format(spec, argument)


def promoted(dtypes: Iterable[Format | Integer]) -> Any:
    """The dtype of what several make together: the widest format, else the integers that hold them all.

    Of two formats of which neither holds the other, as float16 and bfloat16, it is float32.

    >>> promoted([float16, int64]).name, promoted([float16, bfloat16]).name
    ('float16', 'float32')
    """
    given = list(dtypes)
    formats = [d for d in given if isinstance(d, Format)]
    if not formats:
        return together(given)
    found = formats[0]
    for other in formats[1:]:
        if not found.contains(other):
            found = other if other.contains(found) else float32
    return found
