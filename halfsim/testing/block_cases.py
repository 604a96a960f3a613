"""The cases of a block format for the conformance kit: every code of every scale, and blocks at each rule's edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.block_rounding import Blocks, decode, encode
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.codec import decode as numbers_of
from halfsim.numerics.codec import encode as codes_of

Array = NDArray[Any]
Found = tuple[int, list[tuple[str, str, str]]]  # how many are wrong, and of the first: what was given, got, expected

_STEPS = 16  # significands of a largest magnitude, besides those where a rule decides


@dataclass(frozen=True)
class BlockCases:
    """What is asked of an implementation of ``format`` that takes blocks, a row each, in ``container``."""

    format: BlockFormat
    container: str
    rules: dict[str, Any]

    def codes(self) -> Blocks:
        """Every code of an element under every code of a scale, a block a row; the last may have some twice."""
        fmt = self.format
        elements = np.arange(1 << fmt.element_bits)
        rows = np.resize(elements, (-(-elements.size // fmt.block), fmt.block)).astype(np.uint8)
        scales = np.arange(1 << (fmt.scale.bits - fmt.scale.signed))
        return Blocks(np.tile(rows, (scales.size, 1)), np.repeat(scales, len(rows)).astype(np.uint8)[:, None])

    def numbers(self) -> Iterator[tuple[str, Array]]:
        """Arrays to encode, by kind: what scales follow from, what elements do, and blocks with something special."""
        yield "scales", self._scales()
        grid = self._grid()
        low, high = grid[:-1], grid[1:]
        ties = low + (high - low) / 2
        for kind, values in (("elements", grid), ("ties", ties)):
            yield kind, self._elements(np.concatenate([values, -values]))
            sides = np.concatenate([np.nextafter(values, end, dtype=self.container) for end in (-np.inf, np.inf)])
            yield f"beside {kind}", self._elements(sides)
        small = np.zeros((4, self.format.block), self.container)
        small[1], small[2, 1], small[3] = -0.0, np.finfo(self.container).smallest_subnormal, small[2, 1]
        small[3, ::2] = -np.finfo(self.container).tiny
        yield "zero and subnormal blocks", self._held(small)
        broken = np.ones((4, self.format.block), self.container)
        broken[0, 1], broken[1, -1], broken[2, 0], broken[3] = np.inf, -np.inf, np.nan, np.nan
        yield "infinity and NaN", self._held(broken)

    def right(self, x: Array) -> Blocks:
        """What they become."""
        made: Blocks = encode(x, self.format, **self.rules)
        return made

    def _grid(self) -> Array:
        """Every element that is not negative, in order."""
        codes = np.arange(1 << self.format.element_bits)
        alone = BlockFormat(self.format.element, codes.size)  # under one scale, 1
        values = np.abs(decode((codes, [127]), alone))
        return np.unique(values[values <= self.format.largest]).astype(self.container)

    def _scales(self) -> Array:
        """Blocks by their largest magnitude: at every exponent where each rule decides, beside that, and between."""
        fmt, most = self.format, np.finfo(self.container)
        digits = fmt.element.precision
        mantissa = np.frexp(fmt.largest)[0] * 2
        edges = np.array([1, mantissa, 0.75 * mantissa, 1.5 * mantissa, 2 - 2.0**-digits, 2 - 2.0 ** (1 - digits)])
        if fmt.scale.precision > 1:  # of a scale's own numbers and ties
            edges = np.concatenate([edges, mantissa * (1 + np.arange(2 << fmt.scale.nmant) / (2 << fmt.scale.nmant))])
        edges = np.unique(np.ldexp(1.0, -np.frexp(edges)[1] + 1) * edges).astype(self.container)
        edges = np.concatenate([edges, *(np.nextafter(edges, end, dtype=self.container) for end in (0, 3))])
        edges = np.unique(np.concatenate([edges, (1 + np.arange(_STEPS) / _STEPS).astype(self.container)]))
        reach = (-150, 128) if fmt.scale.precision == 1 else (-12, 9)
        exponents = np.arange(max(reach[0], most.minexp - most.nmant), min(reach[1], most.maxexp))
        with np.errstate(all="ignore"):
            amax = np.ldexp(edges[:, None], exponents).reshape(-1).astype(self.container)
        amax = amax[np.isfinite(amax) & (amax > 0)]
        if fmt.second_scale is not None:
            amax = amax[amax <= fmt.max]
        share = (np.arange(fmt.block) / fmt.block * np.where(np.arange(fmt.block) % 2, -1, 1)).astype(self.container)
        rows = amax[:, None] * share
        rows[np.arange(amax.size), np.arange(amax.size) % fmt.block] = amax * np.where(np.arange(amax.size) % 2, -1, 1)
        return self._held(rows)

    def _elements(self, values: Array) -> Array:
        """``values`` in blocks whose scale is a power of two, by every rule: each begins with the largest element."""
        fmt = self.format
        values = values[np.abs(values) <= fmt.largest].astype(self.container)
        width = max(1, fmt.block - 1)
        body = np.resize(values, (-(-values.size // width), width))
        rows = np.concatenate([np.full((len(body), 1), fmt.largest, self.container), body], 1)[:, : fmt.block]
        sizes = (-90, -1, 0, 50) if fmt.second_scale is None and self.container != "float16" else (-3, 0, 4)
        return self._held(np.concatenate([np.ldexp(rows, size).astype(self.container) for size in sizes]))

    def _held(self, rows: Array) -> Array:
        """With a row, where there is a scale of all, that makes it 1."""
        if self.format.second_scale is None:
            return rows
        first = np.zeros((1, self.format.block), rows.dtype)
        first[0, 0] = self.format.max
        return np.concatenate([first, rows])

    def decoding(self, function: Callable[[Any], object]) -> tuple[int, Found]:
        """How many cases decoding is, and what is wrong."""
        given = self.codes()
        expected = decode(given, self.format)
        got = _numbers("decode", function(given), expected.shape)
        wrong = np.argwhere((got.view(np.uint64) != expected.view(np.uint64)) & ~(np.isnan(got) & np.isnan(expected)))
        digits = -(-self.format.element_bits // 4)
        first = [
            (f"decode {given.codes[i, j]:0{digits}x}, scale {given.scales[i, 0]:02x}", str(got[i, j]),
             str(expected[i, j]))
            for i, j in wrong.tolist()
        ]  # fmt: skip
        return expected.size, (len(first), first)

    def encoding(self, function: Callable[[Any], object], x: Array) -> Found:
        """Which blocks become something else; codes of a block count where its scale is a number, and not zero."""
        right = self.right(x)
        got = function(x.copy())
        if not isinstance(got, tuple) or len(got) not in (2, 3):
            raise TypeError(
                f"encode: {type(got).__name__} is not allowed; allowed: (codes, scales), as halfsim.encode gives"
            )
        codes = _integers("encode", got[0], right.codes.shape)
        scales = _integers("encode", np.reshape(got[1], (-1, 1)), right.scales.shape)
        values = numbers_of(right.scales, self.format.scale)
        top = codes_of(np.nan, self.format.scale)
        scale_wrong = (scales != right.scales) & ~(np.isnan(values) & (scales == top))
        counts = ~np.isnan(values) & (values != 0)
        codes_wrong = (codes != right.codes) & counts
        second = len(got) == 3 and got[2] != right.second_scale
        wrong = np.flatnonzero(scale_wrong.any(1) | codes_wrong.any(1) | second)
        digits = -(-self.format.element_bits // 4)
        first = []
        for i in wrong[np.argsort(np.abs(np.log2(self._amax(x[wrong]))), kind="stable")].tolist():
            amax = float(self._amax(x[i : i + 1])[0])
            if scale_wrong[i].any():
                told = f"encode a block of largest {amax!r} ({amax.hex()})"
                first.append((told, f"scale {scales[i, 0]:02x}", f"scale {right.scales[i, 0]:02x}"))
            else:
                j = int(np.argmax(codes_wrong[i]))
                told = f"encode {float(x[i, j])!r} in a block of largest {amax!r}"
                first.append((told, f"{codes[i, j]:0{digits}x}", f"{right.codes[i, j]:0{digits}x}"))
        return len(wrong), first

    def golden(self) -> str:
        """The cases as text, see `halfsim.testing.write_golden`."""
        rules = ", ".join(f"{name} {word}" for name, word in self.rules.items())
        digits, given = -(-self.format.element_bits // 4), self.codes()
        lines = [f"# halfsim: {self.format} from {self.container}; {rules}"]
        lines.append("# d SCALE CODE BITS: what a code stands for under that of a scale, in float64")
        values = decode(given, self.format)
        for codes, (scale,), row, bits in zip(given.codes, given.scales, values, values.view(np.uint64), strict=True):
            lines += [
                f"d {scale:02x} {code:0{digits}x} {'nan' if np.isnan(value) else f'{int(word):016x}'}"
                for code, value, word in zip(codes, row, bits, strict=True)
            ]
        for name, x in self.numbers():
            right, words = self.right(x), x.view(f"u{x.itemsize}")
            lines.append(f"# e BITS,... SCALE CODES: {name}")
            if self.format.second_scale is not None:
                lines.append(f"s {int(np.float64(right.second_scale).view(np.uint64)):016x}")
            for row, (scale,), codes in zip(words, right.scales, right.codes, strict=True):
                shown = ",".join(f"{int(word):0{2 * x.itemsize}x}" for word in row)
                lines.append(f"e {shown} {scale:02x} {''.join(f'{code:0{digits}x}' for code in codes)}")
        return "".join(f"{line}\n" for line in lines)

    @staticmethod
    def _amax(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.abs(x).max(1, initial=0).astype(np.float64)


def _numbers(name: str, result: object, shape: tuple[int, ...]) -> Array:
    array = np.asarray(result, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name}: a result of shape {array.shape} is not allowed; allowed: {shape}")
    return array


def _integers(name: str, result: object, shape: tuple[int, ...]) -> Array:
    array = np.asarray(result)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: codes of dtype {array.dtype} are not allowed; allowed: integers")
    if array.shape != shape:
        raise ValueError(f"{name}: codes of shape {array.shape} are not allowed; allowed: {shape}")
    return array
