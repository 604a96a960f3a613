"""Formats by name, and the dtypes of integers: a floating-point format is data; everything else about it is derived."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim.card import Card
from halfsim.names import public
from halfsim.options import guarded_names, refused

# What others import from here, without being listed.
# isort: off
from halfsim.numerics._format import (
    HASHES as HASHES,
    NAMES as NAMES,
    SPECIALS as SPECIALS,
    ZERO_FIELDS as ZERO_FIELDS,
    Format as Format,
    Specials as Specials,
    is_numpys as is_numpys,
    numpys_dtype as numpys_dtype,
    shortened as shortened,
    unknown as unknown,
    whole as whole,
)

# isort: on

__all__ = [
    "Format",
    "Specials",
    "as_format",
    "bfloat16",
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float16",
    "float16_ahp",
    "float32",
    "float64",
    "register",
    "tfloat32",
]


@dataclass(frozen=True, eq=False)
class Integer(Card):
    """The dtype of a tensor of integers, or of bools: exact, modulo ``2**bits`` as NumPy's and PyTorch's are.

    >>> int16.min, int16.max, bool_.bits, int64 == "int64"
    (-32768, 32767, 1, False)
    """

    _listed = ("bits", "min", "max")

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
        if not isinstance(other, (Format, Integer)):
            raise refused("other", other, "a Format, a dtype of integers")
        return isinstance(other, Integer) and self.min <= other.min and other.max <= self.max

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, Integer) and other.name == self.name) or is_numpys(other, self.name)

    def __hash__(self) -> int:
        return HASHES.get(self.name) or hash(self.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of that name."""
        return numpys_dtype(self.name)

    def __str__(self) -> str:
        return self.name


float16 = Format("float16", exponent_bits=5, precision=11)
bfloat16 = Format("bfloat16", exponent_bits=8, precision=8)
tfloat32 = Format("tfloat32", exponent_bits=8, precision=11)
float32 = Format("float32", exponent_bits=8, precision=24)
float64 = Format("float64", exponent_bits=11, precision=53)
float16_ahp = Format("float16_ahp", exponent_bits=5, precision=11, specials="none")

float8_e3m4 = Format("float8_e3m4", exponent_bits=3, precision=5)
float8_e4m3 = Format("float8_e4m3", exponent_bits=4, precision=4)
float8_e4m3b11fnuz = Format("float8_e4m3b11fnuz", exponent_bits=4, precision=4, specials="fnuz", bias=11)
float8_e4m3fn = Format("float8_e4m3fn", exponent_bits=4, precision=4, specials="nan")
float8_e4m3fnuz = Format("float8_e4m3fnuz", exponent_bits=4, precision=4, specials="fnuz", bias=8)
float8_e5m2 = Format("float8_e5m2", exponent_bits=5, precision=3)
float8_e5m2fnuz = Format("float8_e5m2fnuz", exponent_bits=5, precision=3, specials="fnuz", bias=16)
float8_e8m0fnu = Format("float8_e8m0fnu", 8, 1, specials="nan", signed=False, zero_field="normal")
float6_e2m3fn = Format("float6_e2m3fn", exponent_bits=2, precision=4, specials="none")
float6_e3m2fn = Format("float6_e3m2fn", exponent_bits=3, precision=3, specials="none")
float4_e2m1fn = Format("float4_e2m1fn", exponent_bits=2, precision=2, specials="none")

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


NAMES |= {
    alias: fmt
    for fmt, aliases in {
        float16: ("float16", "fp16", "half", "binary16"),
        bfloat16: ("bfloat16", "bf16"),
        tfloat32: ("tfloat32", "tf32"),
        float32: ("float32", "fp32", "single", "binary32"),
        float64: ("float64", "fp64", "double", "binary64"),
        float16_ahp: ("float16_ahp", "ahp"),
        float8_e3m4: ("float8_e3m4", "e3m4"),
        float8_e4m3: ("float8_e4m3",),  # "e4m3" and "fp8_e4m3" say float8_e4m3fn, as everywhere
        float8_e4m3b11fnuz: ("float8_e4m3b11fnuz", "e4m3b11fnuz"),
        float8_e4m3fn: ("float8_e4m3fn", "fp8_e4m3", "e4m3", "e4m3fn"),
        float8_e4m3fnuz: ("float8_e4m3fnuz", "e4m3fnuz"),
        float8_e5m2: ("float8_e5m2", "fp8_e5m2", "e5m2"),
        float8_e5m2fnuz: ("float8_e5m2fnuz", "e5m2fnuz"),
        float8_e8m0fnu: ("float8_e8m0fnu", "e8m0fnu", "e8m0"),
        float6_e2m3fn: ("float6_e2m3fn", "fp6_e2m3", "e2m3", "e2m3fn"),
        float6_e3m2fn: ("float6_e3m2fn", "fp6_e3m2", "e3m2", "e3m2fn"),
        float4_e2m1fn: ("float4_e2m1fn", "fp4_e2m1", "fp4", "e2m1", "e2m1fn"),
    }.items()
    for alias in aliases
}

# The dtypes by which ml_dtypes knows formats, and the words that hold their codes: values that NumPy has no dtype for.
NARROW = {
    name: "uint16" if fmt.bits > 8 else "uint8"
    for name, fmt in NAMES.items()
    if name == fmt.name and (fmt.bits <= 8 or fmt is bfloat16)
}

TORCH_FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")  # its dtypes

_LOCK = threading.Lock()
_NAME = re.compile(r"[a-z][a-z0-9_.]*")
RESERVED: set[str] = set()  # words that the grammars above have for something else; those who read them add them


def register(format: Format, *aliases: str) -> Format:
    """Give ``format`` its name, and ``aliases``, in every grammar: ``storage=e6m9``, ``hs.tensor(x, "e6m9")``.

    Names are read without regard to case, begin with a letter and go on with letters, digits, points and underscores.
    Registering an equal format again changes nothing. Returns the format that the name stands for. ``ValueError`` for
    a name that stands for something else, ``TypeError`` for anything but a Format and names. Any thread may call it.

    >>> register(Format("e6m9", exponent_bits=6, precision=10)) is as_format("E6M9")
    True
    """
    if not isinstance(format, Format):
        raise TypeError(f"format: {shortened(format)} is not allowed; allowed: a Format")
    names = [format.name, *aliases]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"aliases: {shortened(name)} is not allowed; allowed: names")
        if not _NAME.fullmatch(name.lower()):
            raise ValueError(
                f"name: {shortened(name)} is not allowed; allowed: a letter, then letters, digits, points, underscores"
            )
    with _LOCK:
        for name in names:
            known = NAMES.get(name.lower())
            if name.lower() in INTEGERS or name.lower() in RESERVED or (known is not None and known != format):
                raise ValueError(f"name: {shortened(name)} is not allowed; allowed: names of nothing else")
        found = NAMES.get(format.name.lower(), format)
        NAMES.update(dict.fromkeys((name.lower() for name in names), found))
    return found


def as_format(spec: object, argument: str = "format") -> Format:
    """The Format that ``spec`` names: a Format, a name such as "float16" or "fp16", or a NumPy dtype.

    A format without a name of its own is spelled "e6m9(exponent_bits=6, precision=10)", with the arguments of `Format`.
    ``ValueError`` for an unknown name, ``TypeError`` for anything that carries no name.

    >>> as_format("fp16") is float16
    True
    """
    if isinstance(spec, Format):
        return spec
    name = spec if isinstance(spec, str) else getattr(spec, "name", getattr(spec, "__name__", None))
    if not isinstance(name, str):
        raise TypeError(f"{_called(argument)}: expected a Format or its name, got {type(spec).__name__}")
    found = NAMES.get(name.strip().lower())
    if found is None:
        own, call, inside = name.strip().rpartition("(")
        if call and own and inside.endswith(")"):
            return _made(own, inside[:-1], _called(argument))
        raise unknown(_called(argument), name, dict.fromkeys(f.name for f in list(NAMES.values())), list(NAMES))
    return found


def is_format(name: str) -> bool:
    """Whether a format has that name.

    >>> is_format("bf16"), is_format("bf17")
    (True, False)
    """
    return name.strip().lower() in NAMES


def _called(argument: str) -> str:
    """How an error calls the argument."""
    return argument[:40] if isinstance(argument, str) else "format"


def _made(name: str, inside: str, argument: str) -> Format:
    """The format that a call in a string makes."""
    given: dict[str, Any] = {}
    for pair in inside.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in _READ or key in given or not _READ[key].fullmatch(value):
            raise ValueError(
                f"{argument}: {shortened(pair.strip())} is not allowed; allowed: as 'e6m9(exponent_bits=6, "
                f"precision=10)', each of {', '.join(_READ)} once"
            )
        given[key] = value == "True" if key == "signed" else int(value) if _READ[key] is _WHOLE else value
    for key in ("exponent_bits", "precision"):
        if key not in given:
            raise ValueError(f"{argument}: {key} is missing; allowed: as 'e6m9(exponent_bits=6, precision=10)'")
    return Format(name, **given)


_WHOLE, _WORD = re.compile(r"-?[0-9]{1,5}"), re.compile(r"[a-z0-9]+")
_READ = {
    "exponent_bits": _WHOLE, "precision": _WHOLE, "specials": _WORD, "bias": _WHOLE,
    "signed": re.compile("True|False"), "zero_field": _WORD,
}  # fmt: skip


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


guarded_names(globals(), ["register"])
public(__name__)
