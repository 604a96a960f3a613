"""What is kept of the bits of a result: hashes, a few elements, two sums that tell one changed element; and distances.

All of it is computed from the codes of the result's format, in C order and little-endian, so that it is the same on any
machine and with any NumPy.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from halfsim.card import Record
from halfsim.numerics.codec import decode, grid_codes
from halfsim.numerics.formats import INTEGERS, Format, Integer, as_format
from halfsim.numerics.layout import layout
from halfsim.numerics.quantize import Array

HASH = "sha256-64"  # the first 64 bits of SHA-256, which processors compute by themselves
VALUES = 8  # elements of a result whose bits are kept, unless somebody asks for more
_BLOCK = 1 << 14
_WORD = 1 << 64
_CLEAR = 1 << 53  # the distance of the largest float64 from its negative is this much below 2**64
_NAN = 0x7FF89E3779B97F4B  # what a NaN counts for in the sums, as no number does, so that its place shows in them


@dataclass(frozen=True, slots=True)
class Print(Record):
    """What is kept of one array: see `taken`."""

    hash: str  # of its codes
    numbers: str = ""  # the same with zeros unsigned and all NaN alike; "" where that is no other
    nan: int = 0  # how many NaN there are
    sample: str = ""  # the codes of some elements, or of all, in hexadecimal digits, most significant first
    sums: tuple[int, int] | None = None  # of the elements' ordinals, plain and weighted, where not all are sampled
    norm: float | None = None  # the sum of magnitudes in float64, PyTorch's "norm" hash
    xor: int | None = None  # of all elements as float64 patterns, PyTorch's "hash_tensor"


def codes(y: Array, fmt: Format | Integer) -> Array:
    """The codes of numbers of ``fmt``, in C order and little-endian."""
    if isinstance(fmt, Integer) or y.dtype.kind != "f":
        found = np.ascontiguousarray(y).view(f"u{y.itemsize}")
    else:
        found = grid_codes(y, fmt)
    flat = found.reshape(-1)
    return flat.astype(flat.dtype.newbyteorder("<"), copy=False)


def digest(code: Array) -> bytes:
    """The hash of codes."""
    return sha256(code.data).digest()[:8]


def taken(y: Array, fmt: Format | Integer, values: int) -> tuple[Print, bytes]:
    """What is kept of an array, and its whole hash as bytes; of at most ``values`` elements the bits themselves."""
    with np.errstate(all="ignore"):  # NaN of any kind
        return _taken(y, fmt, values)


def _taken(y: Array, fmt: Format | Integer, values: int) -> tuple[Print, bytes]:
    code = codes(y, fmt)
    whole = digest(code)
    if isinstance(fmt, Integer) or y.dtype.kind != "f":
        return Print(whole.hex()), whole
    flat = np.ascontiguousarray(y).reshape(-1)
    norm, xor = _torch_hashes(flat)
    lost = int(np.count_nonzero(np.isnan(flat))) if norm != norm else 0
    numbers = ""
    signed = code == code.dtype.type(1 << (fmt.bits - 1)) if fmt.minus_zero else None
    if lost or (signed is not None and signed.any()):
        plain = code.copy()
        if signed is not None:
            plain[signed] = 0
        if lost:
            plain[np.isnan(flat)] = grid_codes(np.array([np.nan]), fmt)[0]
        numbers = digest(plain).hex()
        numbers = "" if numbers == whole.hex() else numbers
    sums = None if code.size <= values else _sums(code, np.isnan(flat) if lost else None, fmt)
    sample = code[places(code.size, values)].byteswap().tobytes().hex()
    return Print(whole.hex(), numbers, lost, sample, sums, norm, xor), whole


def _torch_hashes(flat: Array) -> tuple[float, int]:
    """The sum of magnitudes in float64, and all float64 patterns joined by exclusive or, as PyTorch has them."""
    norm, xor, room = 0.0, 0, _scratch.words[0].view(np.float64)
    for i in range(0, flat.size, _BLOCK):
        part = flat[i : i + _BLOCK]
        wide = room[: part.size]
        np.copyto(wide, part)
        xor ^= int(np.bitwise_xor.reduce(wide.view(np.uint64)))
        norm += float(np.abs(wide, out=wide).sum())
    return norm, xor


@lru_cache(maxsize=256)
def places(size: int, values: int) -> Array:
    """The elements whose bits are kept: all of few, else ``values`` spread as multiples of the golden ratio are."""
    if size <= values:
        return np.arange(size)
    steps = (np.arange(values, dtype=np.uint64) * np.uint64(2654435769)) % np.uint64(1 << 32)
    spread = np.array([int(step) * size >> 32 for step in steps], np.intp)
    return np.unique(spread)


def sampled(text: str, fmt: Format) -> Array:
    """The codes behind the digits of a sample; ``ValueError`` where these are no whole codes."""
    return np.frombuffer(bytes.fromhex(text), layout(fmt).word.newbyteorder(">")).astype(np.uint64)


def ordinals(code: Array, fmt: Format, out: Array | None = None) -> Array:
    """The place of each number among all of its format, zero at 0: neighbours are 1 apart, both zeros 0.

    >>> from halfsim.numerics.formats import float16
    >>> ordinals(np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x3C00], np.uint16), float16).tolist()
    [0, 0, 1, -1, 15360]
    """
    wide = np.empty(code.size, np.int64) if out is None else out
    if not fmt.signed:
        np.copyto(wide, code, casting="unsafe")
        return wide
    unused = 8 * code.itemsize - fmt.bits
    place = code.view(code.dtype.str.replace("u", "i"))
    if unused:  # the sign goes to the top
        place = place << unused
    negative = place >> (8 * code.itemsize - 1)
    place = place & np.iinfo(place.dtype).max
    if unused:
        place >>= unused
    place ^= negative  # the complement of negative numbers, and one more
    place -= negative
    np.copyto(wide, place)
    return wide


class _Scratch(threading.local):
    """Room for two blocks of words, made once a thread."""

    def __init__(self) -> None:
        self.words = np.empty((2, _BLOCK), np.int64)


_scratch = _Scratch()


@lru_cache(maxsize=2)
def _weights(stream: int) -> Array:
    """A block of odd 64-bit numbers that look random (splitmix64)."""
    n = np.arange(1, _BLOCK + 1, dtype=np.uint64) + np.uint64(stream << 32)
    with np.errstate(over="ignore"):
        z = n * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)


def _outer(block: int) -> int:
    """The factor of all weights of a block, odd too."""
    return int(_weights(1)[block % _BLOCK]) * (2 * (block // _BLOCK) + 1) % _WORD


def _sums(code: Array, nan: Array | None, fmt: Format) -> tuple[int, int]:
    """The sum of the ordinals, and of the ordinals times the weights of their places, modulo 2**64; NaN are alike."""
    plain = weighted = 0
    with np.errstate(over="ignore"):
        for block, i in enumerate(range(0, code.size, _BLOCK)):
            given = code[i : i + _BLOCK]
            part = ordinals(given, fmt, _scratch.words[1][: given.size])
            if nan is not None:
                part[nan[i : i + _BLOCK]] = _NAN
            plain += int(part.sum())
            words = part.view(np.uint64)
            weighted += _outer(block) * int(np.multiply(words, _weights(0)[: part.size], out=words).sum())
    return plain % _WORD, weighted % _WORD


def changed(size: int, plain: int, weighted: int) -> list[int]:
    """The elements of ``size`` of which one alone, moved by ``plain``, moves the weighted sum by ``weighted``.

    None where several moved. More than one for large powers of two, which leave few bits of the weights.
    """
    found: list[int] = []
    with np.errstate(over="ignore"):
        for block, i in enumerate(range(0, size, _BLOCK)):
            moved = _weights(0)[: size - i] * np.uint64(plain * _outer(block) % _WORD)
            found += [i + int(k) for k in np.flatnonzero(moved == np.uint64(weighted % _WORD))]
    return found


@dataclass(frozen=True, slots=True)
class Distance(Record):
    """How far two results of one format and shape are apart, as far as what was kept of them tells.

    An ulp here is a step from one number of the format to the next. ``ulp`` is the largest distance of two elements:
    that of all if ``exact``, else at least that. ``differing`` counts those of ``looked`` elements that differ.
    """

    ulp: int | None  # None where nothing tells
    exact: bool
    differing: int
    looked: int
    size: int
    where: tuple[int, ...] | None = None  # of the largest distance, where it is known
    signs: bool = False  # whether only signs of zeros, or signs and payloads of NaN, differ
    nan: tuple[int, int] = (0, 0)
    alone: int = 0  # how many of those looked at are NaN in one of the two alone

    def __str__(self) -> str:
        if self.signs:
            return "in NaN's signs or payloads, or zeros' signs, alone" if any(self.nan) else "in zeros' signs alone"
        if self.nan[0] != self.nan[1]:
            told = f"{self.nan[0]:,} of {self.size:,} elements are NaN, against {self.nan[1]:,}"
            return told if not self.ulp else f"{told}; numbers by {'' if self.exact else 'at least '}{self.ulp:,} ulp"
        if self.alone:
            kept = "elements" if self.looked == self.size else f"{self.looked:,} that were kept"
            told = f"as many NaN in both, at other places: {self.alone:,} of {kept} are NaN in one run alone"
            return told if not self.ulp else f"{told}; numbers by {'' if self.exact else 'at least '}{self.ulp:,} ulp"
        at = "" if self.where is None else f", at {list(self.where)}"
        if self.ulp is None:
            return "by how many ulp cannot be told"
        if self.exact:
            one = "by" if self.differing == 1 else "by at most"
            return f"{self.differing:,} of {self.size:,} elements, {one} {self.ulp:,} ulp{at}"
        if not self.looked:
            return f"by at least {self.ulp:,} ulp"
        if self.looked == self.size:  # of float64, whose sums wrap around
            return f"{self.differing:,} of {self.size:,} elements, by at least {self.ulp:,} ulp{at}"
        seen = f"{self.looked} of {self.size:,} elements were kept, and {self.differing} of these"
        return f"by at least {self.ulp:,} ulp ({seen} differ{'s' if self.differing == 1 else ''}{at})"


def distance(a: Print, b: Print, format: str, shape: tuple[int, ...], kept: int = VALUES) -> Distance:
    """How far two results with other hashes are apart, of which up to ``kept`` elements are at hand."""
    size, nan = int(np.prod(shape, dtype=np.int64)), (a.nan, b.nan)
    if not (a.hash and b.hash) or format in INTEGERS:
        return Distance(None, False, 0, 0, size)
    fmt = as_format(format)
    if (a.numbers or a.hash) == (b.numbers or b.hash):
        return Distance(0, True, 0, 0, size, None, True, nan)
    x, y = sampled(a.sample, fmt), sampled(b.sample, fmt)
    if x.size != y.size:  # which kept how many is in the headers
        return Distance(None, False, 0, 0, size, None, False, nan)
    far = _steps(ordinals(x, fmt), ordinals(y, fmt))
    lost, gone = _is_nan(x, fmt), _is_nan(y, fmt)
    far[lost | gone] = 0
    alone = int(np.count_nonzero(lost != gone))
    largest, differing = int(far.max(initial=0)), int(np.count_nonzero(x != y))
    at = places(size, kept) if size > kept else np.arange(size)
    where = _index(int(at[int(far.argmax())]), shape) if largest and at.size == x.size else None
    if x.size == size:
        told = largest if largest or not alone else None
        return Distance(told, told is not None, differing, size, size, where, False, nan, alone)
    if a.sums is None or b.sums is None:
        return Distance(largest or None, False, differing, x.size, size, where, False, nan, alone)
    plain = (b.sums[0] - a.sums[0] + _WORD // 2) % _WORD - _WORD // 2
    wraps = fmt.bits >= 64  # sums modulo 2**64 then tell only small distances
    if nan[0] == nan[1] and plain and (ones := changed(size, plain, b.sums[1] - a.sums[1])):
        exact = not wraps or abs(plain) < _CLEAR
        ulp, at_one = abs(plain) if exact else _CLEAR, _index(ones[0], shape) if len(ones) == 1 else None
        return Distance(ulp, exact, 1, size, size, at_one, False, nan)
    least = -(-abs(plain) // size) if nan == (0, 0) and not wraps else 0
    if least > largest:
        largest, where = least, None
    return Distance(max(largest, int(nan == (0, 0))) or None, False, differing, x.size, size, where, False, nan, alone)


def _steps(x: Array, y: Array) -> Array:
    """The distances of ordinals, as uint64, which holds them all."""
    return np.maximum(x, y).view(np.uint64) - np.minimum(x, y).view(np.uint64)


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    return tuple(int(k) for k in np.unravel_index(i, shape)) if shape else None


def _is_nan(code: Array, fmt: Format) -> Array:
    return np.isnan(decode(code, fmt))
