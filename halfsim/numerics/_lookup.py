"""A function of one argument on the numbers of a narrow format, as a table that whole arrays are looked up in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.numerics.codec import decode, encode
from halfsim.numerics.flags import unwatched
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


# The fast way in. A float32 rounded to the precision of the format is an index as it stands: its leading bits. Below
# the format's normal range that precision is too high and a second rounding follows, in the table; it goes wrong only
# where the first made a midpoint, whose entries are left NaN and looked up again with the argument rounded once.


@lru_cache(maxsize=16)
def _codes(fmt: Format) -> tuple[Array, Array]:
    """For every leading part of a float32: the code of ``fmt`` it rounds to; and which are midpoints."""
    drop = float32.precision - fmt.precision
    with np.errstate(all="ignore"):
        x = (np.arange(1 << (32 - drop), dtype=np.uint32) << np.uint32(drop)).view(np.float32).astype(np.float64)
        up, down = round_to(x, fmt, "upward"), round_to(x, fmt, "downward")
        midpoint = (up != down) & (up - x == x - down)
        return encode(round_to(x, fmt), fmt), np.flatnonzero(midpoint)


@dataclass(frozen=True, eq=False)
class _Leads:
    """A table of a function's results, looked up by the leading bits of a float32 operand.

    The operand is rounded to the digits of the format first. Below its normal range these are too many, and the entry
    stands for a number that is rounded again; where that is a midpoint of two numbers of the format the second rounding
    may go wrong, so the table has NaN there, and the operand is looked up again, rounded once.
    """

    results: Array
    drop: int  # number of trailing bits that are no part of the index
    midpoints: bool  # whether there are any
    normal: Any  # the format's smallest normal number, in float32
    ulp: Any  # the distance of its subnormal numbers

    @classmethod
    def of(cls, lookup: Lookup, dtype: np.dtype[Any]) -> _Leads:
        fmt = lookup.format
        codes, midpoints = _codes(fmt)
        results = _by_code(lookup).astype(dtype).take(codes)
        results[midpoints] = np.nan
        normal, ulp = np.float32(fmt.smallest_normal), np.float32(fmt.smallest_subnormal)
        return cls(results, float32.precision - fmt.precision, midpoints.size > 0, normal, ulp)


class _Scratch(threading.local):
    """Blocks that a thread makes once: a fresh block costs its page faults each time."""

    def __init__(self) -> None:
        self.index, self.word = np.empty(BLOCK, np.intp), np.empty(BLOCK, np.uint32)
        self.bools = np.empty((2, BLOCK), np.bool_)


_scratch = _Scratch()


def apply(lookup: Lookup, x: Array) -> Array:
    """Look up every element of ``x`` (float16, float32 or float64), in blocks, in C order."""
    out = np.empty(x.shape, dtype_of_results(x.dtype, lookup.format))
    source, run = x.reshape(-1) if x.flags.c_contiguous else x.flat, out.reshape(-1)
    with np.errstate(all="ignore"), unwatched():  # a table's making is nobody's computation
        look_up = _way(lookup, x.dtype, out.dtype)
        for i in range(0, x.size, BLOCK):
            look_up(source[i : i + BLOCK], run[i : i + BLOCK])
    return out


@lru_cache(maxsize=128)
def _way(lookup: Lookup, given: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[[Array, Array], None]:
    """What looks a block of dtype ``given`` up, into one of ``dtype``; it holds the table."""
    fmt = lookup.format
    if given == np.float16:
        halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
        by_half = _by_code(lookup).astype(dtype).take(encode(halves, fmt))
        return lambda x, out: _take(by_half, x.view(np.uint16), out)
    if not (float32.contains(fmt) and 2 <= fmt.precision <= 11 and fmt.zero_field == "subnormals"):
        by_code = _by_code(lookup).astype(dtype, copy=False)
        return lambda x, out: _take(by_code, encode(x, fmt), out)
    leads = _Leads.of(lookup, dtype)
    if given == np.float64:  # rounded first, since its numbers of the format are float32 too
        return lambda x, out: _look_up(rounded(x, fmt).astype(np.float32), out, leads, fmt)
    return lambda x, out: _look_up(x, out, leads, fmt)


def _take(results: Array, word: Array, out: Array) -> None:
    index = _scratch.index[: word.size]
    np.copyto(index, word, casting="same_kind")
    results.take(index, mode="clip", out=out)


def _look_up(x: Array, out: Array, leads: _Leads, fmt: Format) -> None:
    """Look up a block of float32, rounding it to nearest even on the way."""
    code, word, drop = x.view(np.uint32), _scratch.word[: x.size], leads.drop
    if np.isnan(x.max()):  # a NaN's payload might carry into the sign: round on values, which quiets it, then look up
        _take(leads.results, np.right_shift(rounded(x, fmt).view(np.uint32), drop, out=word), out)
        return
    np.right_shift(code, drop, out=word)
    np.bitwise_and(word, 1, out=word)
    np.add(word, (1 << (drop - 1)) - 1, out=word)  # half an ulp, less one if the kept part is even
    np.add(word, code, out=word)
    np.right_shift(word, drop, out=word)
    _take(leads.results, word, out)
    if leads.midpoints and np.isnan(out.max()):
        _look_up_midpoints(x, out, leads)


def _look_up_midpoints(x: Array, out: Array, leads: _Leads) -> None:
    """Replace the results that are NaN only because a subnormal number was first rounded to a midpoint."""
    again, small = _scratch.bools[:, : x.size]
    if np.count_nonzero(np.isnan(out, out=again)) > x.size // 64:  # of a logarithm, say, whose NaN are here to stay
        magnitude = np.abs(x, out=_scratch.word[: x.size].view(np.float32))
        np.logical_and(again, np.less(magnitude, leads.normal, out=small), out=again)
    where = np.flatnonzero(again)
    value = x[where]
    once = np.rint(value / leads.ulp) * leads.ulp
    results = leads.results.take(once.view(np.uint32) >> np.uint32(leads.drop))
    out[where] = np.where(np.abs(value) < leads.normal, results, out.dtype.type(np.nan))
