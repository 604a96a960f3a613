"""A function of one argument on the numbers of a narrow format, as a table that whole arrays are looked up in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import Format, float16, float32, tfloat32
from halfsim.numerics.quantize import BLOCK, Array, round_to, rounded
from halfsim.numerics.rounding import Rounding


def tabulated(fmt: Format) -> Format:
    """``fmt``, or ``ValueError`` where its table would be too large."""
    if fmt.bits <= 16 or fmt == tfloat32:
        return fmt
    raise ValueError(f"format: {fmt} has {fmt.bits} bits; allowed: formats of at most 16 bits, and tfloat32")


def dtype_of_results(given: np.dtype[Any], fmt: Format) -> np.dtype[Any]:
    """The dtype of the results for arguments of dtype ``given``: that, or the next that holds ``fmt``."""
    if given == np.float16 and float16.contains(fmt):
        return given
    return np.dtype(np.float32 if given.itemsize <= 4 and float32.contains(fmt) else np.float64)


@dataclass(frozen=True)
class Lookup:
    """A table to be looked up: of what values, in which format, rounded how (None: not at all)."""

    values: Callable[[Array, Format], Array]  # of all numbers of the format, given as float64; called once
    format: Format
    rounding: Rounding | None


@lru_cache(maxsize=64)
def _by_code(lookup: Lookup) -> Array:
    """The results at all codes of the format, as float64."""
    fmt = lookup.format
    if lookup.rounding is not None:
        return np.asarray(round_to(_by_code(replace(lookup, rounding=None)), fmt, lookup.rounding))
    x = np.asarray(decode(np.arange(1 << fmt.bits), fmt))
    y = lookup.values(x, fmt)
    if y.shape != x.shape:
        raise ValueError(f"f: returned shape {y.shape} for an argument of shape {x.shape}; allowed: the same shape")
    return y


@lru_cache(maxsize=64)
def _by_half(lookup: Lookup, dtype: np.dtype[Any]) -> Array:
    """The results at all numbers of float16, by their codes."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        return _by_code(lookup).astype(dtype).take(encode(halves, lookup.format))


# The fast way in. A float32 rounded to the precision of the format is an index as it stands: its leading bits. Below
# the format's normal range that precision is too high and a second rounding follows, in the table; it goes wrong only
# where the first made a midpoint, whose entries are left NaN and looked up again with the argument rounded once.


def _leads(fmt: Format) -> bool:
    return float32.contains(fmt) and 2 <= fmt.precision <= 11


@lru_cache(maxsize=16)
def _codes(fmt: Format) -> tuple[Array, Array]:
    """For every leading part of a float32: the code of ``fmt`` it rounds to; and which are midpoints."""
    drop = float32.precision - fmt.precision
    with np.errstate(all="ignore"):
        x = (np.arange(1 << (32 - drop), dtype=np.uint32) << np.uint32(drop)).view(np.float32).astype(np.float64)
        up, down = round_to(x, fmt, "upward"), round_to(x, fmt, "downward")
        midpoint = (up != down) & (up - x == x - down)
        return encode(round_to(x, fmt), fmt), np.flatnonzero(midpoint)


@lru_cache(maxsize=64)
def _by_lead(lookup: Lookup, dtype: np.dtype[Any]) -> Array:
    """The results by the leading bits of a float32, NaN at midpoints."""
    codes, midpoints = _codes(lookup.format)
    results = _by_code(lookup).astype(dtype).take(codes)
    results[midpoints] = np.nan
    return results


class _Scratch(threading.local):
    """Blocks that a thread makes once: a fresh block costs its page faults each time."""

    def __init__(self) -> None:
        self.index, self.word = np.empty(BLOCK, np.intp), np.empty(BLOCK, np.uint32)
        self.bools = np.empty((2, BLOCK), np.bool_)


_scratch = _Scratch()


def apply(lookup: Lookup, x: Array) -> Array:
    """Look up every element of ``x`` (float16, float32 or float64), in blocks, in C order."""
    fmt = lookup.format
    out = np.empty(x.shape, dtype_of_results(x.dtype, fmt))
    source, run = x.reshape(-1) if x.flags.c_contiguous else x.flat, out.reshape(-1)
    with np.errstate(all="ignore"):
        for i in range(0, x.size, BLOCK):
            block, end = source[i : i + BLOCK], run[i : i + BLOCK]
            if block.dtype == np.float16:
                _take(_by_half(lookup, end.dtype), block.view(np.uint16), end)
            elif not _leads(fmt):
                _take(_by_code(lookup).astype(end.dtype, copy=False), encode(block, fmt), end)
            elif block.dtype == np.float64:  # rounded first, since its numbers of the format are float32 too
                _look_up(rounded(block, fmt).astype(np.float32), end, lookup)
            else:
                _look_up(block, end, lookup)
    return out


def _take(results: Array, word: Array, out: Array) -> None:
    index = _scratch.index[: word.size]
    np.copyto(index, word, casting="same_kind")
    results.take(index, mode="clip", out=out)


def _look_up(x: Array, out: Array, lookup: Lookup) -> None:
    """Look up a block of float32, rounding it to nearest even on the way."""
    results, drop = _by_lead(lookup, out.dtype), float32.precision - lookup.format.precision
    code, word, (again, small) = x.view(np.uint32), _scratch.word[: x.size], _scratch.bools[:, : x.size]
    if np.isnan(x.max()):  # a NaN's payload might carry into the sign: round on values, which quiets it, then look up
        np.right_shift(rounded(x, lookup.format).view(np.uint32), drop, out=word)
        _take(results, word, out)
        return
    np.right_shift(code, drop, out=word)
    np.bitwise_and(word, 1, out=word)
    np.add(word, (1 << (drop - 1)) - 1, out=word)  # half an ulp, less one if the kept part is even
    np.add(word, code, out=word)
    np.right_shift(word, drop, out=word)
    _take(results, word, out)
    if not _codes(lookup.format)[1].size or not np.isnan(out.max()):
        return
    normal = np.float32(lookup.format.smallest_normal)
    if np.count_nonzero(np.isnan(out, out=again)) > x.size // 64:  # of a logarithm, say, whose NaN are here to stay
        np.less(np.abs(x, out=word.view(np.float32)), normal, out=small)
        np.logical_and(again, small, out=again)
    where = np.flatnonzero(again)
    where = where[np.abs(x[where]) < normal]
    if where.size:
        ulp = np.float32(lookup.format.smallest_subnormal)
        once = np.rint(x[where] / ulp) * ulp
        out[where] = results.take(once.view(np.uint32) >> np.uint32(drop))
