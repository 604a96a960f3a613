"""The conformance kit: every code, tie and threshold of a format, asked of somebody else's encoder and decoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.atomic import write_text
from halfsim.card import Card, Record
from halfsim.document import attributes
from halfsim.numerics.blocks import BlockFormat, find
from halfsim.numerics.codec import decode as decoded
from halfsim.numerics.codec import encode as encoded
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.layout import layout
from halfsim.numerics.neighbours import next_up
from halfsim.numerics.neighbours import ulp as ulp_of
from halfsim.numerics.rounding import Rounding, as_rounding
from halfsim.testing.block_cases import BlockCases
from halfsim.text import columns, counted

Array = NDArray[Any]

CONTAINERS = ("float64", "float32", "float16")
_EXHAUSTED = 20  # bits of the widest format of which every code is asked
_SHOWN = 3  # wrong cases of a kind that a report shows


@dataclass(frozen=True)
class Wrong(Record):
    """A case in which the implementation does not say what the format does."""

    given: str  # "encode 1.0009765625 (0x1.004p+0)" or "decode 3c01"
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.given}: got {self.got}, expected {self.expected}"


@dataclass(frozen=True)
class Kind(Record):
    """The cases of one kind: how many, how many of them wrong, and the first of these."""

    name: str
    cases: int
    wrong: int
    first: tuple[Wrong, ...] = ()


@dataclass(frozen=True)
class Conformance(Card):
    """What `conformance` found: a row for each kind of case. It prints as a table, with the first wrong cases."""

    format: str
    container: str
    kinds: tuple[Kind, ...]
    every_code: bool  # False where the format is too wide to ask all

    @property
    def cases(self) -> int:
        """How many cases there were."""
        return sum(kind.cases for kind in self.kinds)

    @property
    def wrong(self) -> int:
        """How many of them were wrong."""
        return sum(kind.wrong for kind in self.kinds)

    @property
    def ok(self) -> bool:
        """Whether none was."""
        return not self.wrong

    def __str__(self) -> str:
        rows = [("kind", "cases", "wrong"), *((k.name, f"{k.cases:,}", f"{k.wrong:,}") for k in self.kinds)]
        of = "every code" if self.every_code else "a part of the codes"
        head = f"{self.format} from {self.container}, {of}: {self.wrong:,} of {counted(self.cases, 'case')} wrong"
        return "\n".join([head, columns(rows), *(str(wrong) for kind in self.kinds for wrong in kind.first)])

    def _card(self) -> Any:
        rows = [("kind", "cases", "wrong"), *((k.name, f"{k.cases:,}", f"{k.wrong:,}") for k in self.kinds)]
        return [("", rows), ("", "; ".join(str(wrong) for kind in self.kinds for wrong in kind.first))]

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain data."""
        kinds = [attributes(k, "first") | {"first": [attributes(w) for w in k.first]} for k in self.kinds]
        return attributes(self, "kinds") | {"kinds": kinds, "cases": self.cases, "wrong": self.wrong}


@dataclass(frozen=True)
class Cases:
    """What is asked of an implementation of ``format`` that takes numbers in ``container``, and what is right.

    ``encode`` has numbers by kind, ``rules`` are the options of `halfsim.encode` that say what they become.
    """

    format: Format
    container: str
    codes: Array
    rules: dict[str, Any]

    @classmethod
    def of(cls, format: object, container: object, rounding: object, overflow: str, subnormals: str) -> Cases:
        """The cases; errors as in `conformance`."""
        fmt = as_format(format)
        name = as_format(container, "container").name
        if name not in CONTAINERS:
            raise unknown("container", name, CONTAINERS)
        if not as_format(name).contains(fmt):
            raise ValueError(f"container: {name} is not allowed for {fmt}; allowed: formats that hold all its numbers")
        return cls(fmt, name, _codes(fmt), _rules(rounding, overflow, subnormals))

    @property
    def every_code(self) -> bool:
        """Whether ``codes`` are all there are."""
        return self.codes.size == 1 << self.format.bits

    def numbers(self) -> Iterator[tuple[str, Array]]:
        """What to encode, by kind: arrays of the container's dtype."""
        fmt = self.format
        values = decoded(self.codes, fmt)
        yield "every number", self._held(values[~np.isnan(values)])
        finite = np.unique(values[np.isfinite(values)])
        above = next_up(finite, fmt)
        between = np.isfinite(above) & (above != finite)
        low, high = finite[between], above[between]
        ties = low + (high - low) / 2
        ties = self._held(ties[(ties != low) & (ties != high)])
        yield "ties", ties
        yield "beside ties", self._beside(ties)
        yield "beside numbers", self._beside(self._held(finite))
        past = fmt.max + float(ulp_of(fmt.max, fmt)) * np.array([0.5, 1.0, 1.5, 2.0])
        largest = float(np.finfo(self.container).max)
        ends = self._held(np.concatenate([past, [largest, np.inf]]))
        ends = np.concatenate([ends, self._beside(ends[:-1])])
        yield "overflow", self._signed(ends)
        least = float(np.finfo(self.container).smallest_subnormal)
        small = self._held(np.array([0.0, least, fmt.smallest_subnormal / 2, fmt.smallest_normal / 2]))
        yield "underflow", self._signed(np.concatenate([small, self._beside(small[1:])]))
        if fmt.has_nan:
            yield "NaN", self._signed(np.array([np.nan], self.container))

    def _held(self, values: Array) -> Array:
        """Those that the container holds as they are."""
        with np.errstate(all="ignore"):
            narrow = values.astype(self.container)
        return narrow[narrow.astype(np.float64) == values]

    @staticmethod
    def _beside(values: Array) -> Array:
        """The numbers of the container on both sides."""
        with np.errstate(all="ignore"):
            sides = np.concatenate([np.nextafter(values, end, dtype=values.dtype) for end in (-np.inf, np.inf)])
        return sides[np.isfinite(sides)]

    @staticmethod
    def _signed(values: Array) -> Array:
        return np.concatenate([values, -values])

    def right(self, numbers: Array) -> Array:
        """The codes that they become."""
        return encoded(numbers, self.format, **self.rules)

    def is_nan(self, codes: Array) -> Array:
        """Which codes are NaN, of which any will do."""
        return np.asarray(layout(self.format).is_nan(layout(self.format).parts(codes.astype(np.int64))[0]))


def _rules(rounding: object, overflow: str, subnormals: str) -> dict[str, Any]:
    """The options of `halfsim.encode`; errors for words that it does not know."""
    rule = as_rounding(rounding)
    if rule is Rounding.STOCHASTIC:
        raise ValueError("rounding: 'stochastic' is not allowed; allowed: modes that give one result")
    rules = {"rounding": rule.value, "overflow": overflow, "subnormals": subnormals}
    encoded(0.0, "float16", **rules)
    return rules


def _block_cases(fmt: BlockFormat, container: object, rounding: object, overflow: str, subnormals: str) -> BlockCases:
    """The cases of a block format; errors as in `conformance`."""
    name = as_format(container, "container").name
    if name not in CONTAINERS[:2]:
        raise unknown("container", name, CONTAINERS[:2])
    if fmt.hadamard:
        raise ValueError(f"format: {fmt} is not allowed; allowed: block formats that do not turn their numbers")
    return BlockCases(fmt, name, _rules(rounding, overflow, subnormals))


def conformance(
    encode: Callable[[Any], object],
    decode: Callable[[Any], object],
    format: object,
    *,
    container: object = "float64",
    rounding: object = "nearest_even",
    overflow: str = "infinity",
    subnormals: str = "keep",
) -> Conformance:
    """Whether somebody's ``encode`` and ``decode`` are those of ``format``: every code, tie, threshold and special.

    ``encode`` is given arrays of one dimension of ``container`` (float64, float32 or float16) and returns codes, of any
    dtype of integers; ``decode`` is given codes, in the smallest unsigned dtype that holds them, and returns numbers.
    ``rounding``, ``overflow`` and ``subnormals`` are those of `halfsim.encode`, and say what is right. Of NaN any code
    and any payload will do; the sign of zero counts, as do infinities and subnormals. Numbers that the container does
    not hold are not asked, nor NaN of a format that has none. Of formats past 20 bits every exponent is asked with a
    part of the significands. Of a block format ``encode`` is given arrays of two dimensions, a block a row, float32 or
    float64, and returns codes and scales as `halfsim.encode` does, ``decode`` is given these; a case is then a block,
    at each largest magnitude where a rule of scales decides, with each element, tie, and the numbers beside them.
    ``ValueError`` for unknown words, for a container that does not hold the format and for
    results of another shape, ``TypeError`` for codes that are not integers; what the functions raise goes on.

    >>> import numpy as np
    >>> found = conformance(lambda x: x.astype(np.float16).view(np.uint16), lambda c: c.view(np.float16), "float16")
    >>> found.ok, found.cases > 300_000
    (True, True)
    >>> def truncated(x):
    ...     return x.astype(np.float32).view(np.uint32) >> 16
    >>> def widened(codes):
    ...     return (codes.astype(np.uint32) << 16).view(np.float32)
    >>> found = conformance(truncated, widened, "bfloat16", container="float32")
    >>> print([kind.name for kind in found.kinds if kind.wrong])
    ['ties', 'beside ties', 'beside numbers', 'overflow', 'underflow']
    """
    shared = find(format)
    if shared is not None:
        asked = _block_cases(shared, container, rounding, overflow, subnormals)
        with np.errstate(all="ignore"):
            size, found = asked.decoding(decode)
            rows = [_kind("decode", size, found)]
            rows += [_kind(name, len(x), asked.encoding(encode, x)) for name, x in asked.numbers()]
        return Conformance(str(shared), asked.container, tuple(rows), True)
    cases = Cases.of(format, container, rounding, overflow, subnormals)
    with np.errstate(all="ignore"):  # what overflows is meant to
        kinds = [_decoding(decode, cases)]
        kinds += [_encoding(encode, cases, name, numbers) for name, numbers in cases.numbers()]
    return Conformance(cases.format.spelled, cases.container, tuple(kinds), cases.every_code)


def write_golden(
    path: str | os.PathLike[str],
    format: object,
    *,
    container: object = "float32",
    rounding: object = "nearest_even",
    overflow: str = "infinity",
    subnormals: str = "keep",
) -> None:
    """Write the cases of `conformance` to ``path``, as plain text for tests in any language.

    A line "d CODE BITS" says that CODE stands for the float64 number of these BITS, "e BITS CODE" that the number of
    ``container`` with these BITS becomes CODE, all in hexadecimal. Where the result is NaN its place says ``nan``.
    Lines that begin with # are remarks. Of a block format "d SCALE CODE BITS" has two codes, "e BITS,... SCALE CODES"
    a block, each code of it in as many digits; "s BITS" is the scale of the array whose blocks follow. The other
    arguments are those of `conformance`. ``ValueError`` as there, ``OSError`` where nothing can be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_golden(os.path.join(folder, "e2m1.txt"), "e2m1")
    ...     with open(os.path.join(folder, "e2m1.txt")) as file:
    ...         print("".join(line for line in file if line[0] == "d")[:41])
    d 0 0000000000000000
    d 1 3fe0000000000000
    """
    shared = find(format)
    if shared is not None:
        write_text(path, _block_cases(shared, container, rounding, overflow, subnormals).golden())
        return
    cases = Cases.of(format, container, rounding, overflow, subnormals)
    rules = ", ".join(f"{name} {word}" for name, word in cases.rules.items())
    digits = -(-cases.format.bits // 4)
    lines = [f"# halfsim: {cases.format.spelled} from {cases.container}; {rules}"]
    lines += [f"# d CODE BITS: what a code of {cases.format.bits} bits stands for, in float64"]
    values = decoded(cases.codes, cases.format)
    bits = values.view(np.uint64)
    lines += [
        f"d {int(code):0{digits}x} {'nan' if np.isnan(value) else f'{int(word):016x}'}"
        for code, value, word in zip(cases.codes, values, bits, strict=True)
    ]
    for name, numbers in cases.numbers():
        lines.append(f"# e BITS CODE: {name}")
        right = cases.right(numbers)
        words = numbers.view(f"u{numbers.itemsize}")
        lines += [
            f"e {int(word):0{2 * numbers.itemsize}x} {'nan' if nan else f'{int(code):0{digits}x}'}"
            for word, code, nan in zip(words, right, cases.is_nan(right), strict=True)
        ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _kind(name: str, cases: int, found: tuple[int, list[tuple[str, str, str]]]) -> Kind:
    wrong, first = found
    return Kind(name, cases, wrong, tuple(Wrong(*case) for case in first[:_SHOWN]))


def _codes(fmt: Format) -> Array:
    """Every code, or of a wide format those whose significand is near an end or a power of two, and 64 others."""
    word = layout(fmt).word
    if fmt.bits <= _EXHAUSTED:
        return np.arange(1 << fmt.bits, dtype=word)
    top = 1 << fmt.nmant
    near = np.arange(8)
    powers = np.array([1 << i for i in range(fmt.nmant)])
    parts = np.unique(
        np.concatenate([near, top - 1 - near, powers, powers - 1, np.linspace(0, top - 1, 64).astype(int)])
    )
    fields = np.arange(1 << (fmt.bits - fmt.nmant), dtype=np.uint64) << np.uint64(fmt.nmant)
    return np.asarray((fields[:, None] | parts.astype(np.uint64)).reshape(-1).astype(word))


def _result(name: str, result: object, n: int) -> Array:
    array = np.asarray(result)
    if array.shape != (n,):
        raise ValueError(
            f"{name}: a result of shape {array.shape} is not allowed; allowed: {(n,)}, that of its argument"
        )
    return array


def _decoding(decode: Callable[[Array], object], cases: Cases) -> Kind:
    expected = decoded(cases.codes, cases.format)
    got = _result("decode", decode(cases.codes.copy()), cases.codes.size).astype(np.float64)
    same = (got.view(np.uint64) == expected.view(np.uint64)) | (np.isnan(got) & np.isnan(expected))
    digits = -(-cases.format.bits // 4)
    first = tuple(
        Wrong(f"decode {int(cases.codes[i]):0{digits}x}", str(float(got[i])), str(float(expected[i])))
        for i in np.flatnonzero(~same)[:_SHOWN]
    )
    return Kind("decode", expected.size, int(np.count_nonzero(~same)), first)


def _encoding(encode: Callable[[Array], object], cases: Cases, name: str, numbers: Array) -> Kind:
    expected = cases.right(numbers)
    got = _result("encode", encode(numbers.copy()), numbers.size)
    if got.dtype.kind not in "iu":
        raise TypeError(f"encode: codes of dtype {got.dtype} are not allowed; allowed: integers")
    got = got.view(f"u{got.itemsize}").astype(np.uint64)
    small = got < np.uint64(1 << cases.format.bits) if cases.format.bits < 64 else np.ones(got.shape, np.bool_)
    same = (got == expected) | (small & cases.is_nan(got) & cases.is_nan(expected))
    digits = -(-cases.format.bits // 4)
    first = tuple(
        Wrong(f"encode {_told(numbers[i])}", f"{int(got[i]):0{digits}x}", f"{int(expected[i]):0{digits}x}")
        for i in _plainest(numbers, ~same)
    )
    return Kind(name, numbers.size, int(np.count_nonzero(~same)), first)


def _plainest(numbers: Array, wrong: Array) -> Array:
    """Where the wrong cases are that a reader knows best: the numbers nearest to 1."""
    where = np.flatnonzero(wrong)
    size = np.abs(np.log2(np.abs(numbers[where].astype(np.float64))))
    return where[np.lexsort((numbers[where] < 0, size))[:_SHOWN]]


def _told(number: Any) -> str:
    value = float(number)
    return f"{value!r} ({value.hex()})" if np.isfinite(value) else str(value)
