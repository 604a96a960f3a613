"""Elementwise formulas of stored operands, looked up: a storage of 16 bits has 65,536 numbers, whatever the formula.

A table is made by the formula itself, so that its entries have the formula's bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.codec import decode
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import BLOCK, Array

_LEAST = 1024  # elements: below, a formula costs less than looking its table up
_WORTH = 65536  # elements that a formula computes before it gets a table, which costs as many


class _Table:
    """The results of a formula by the leading bits of a float32 number of the storage; None until it is worth while."""

    def __init__(self) -> None:
        self.seen, self.results = 0, None

    results: Array | None


@lru_cache(maxsize=32)
def _table(precision: Precision, formula: Callable[..., Array], options: tuple[Any, ...]) -> _Table:
    return _Table()


def looked_up(fp: Arithmetic, formula: Callable[..., Any], x: Any, *options: Any) -> Any:
    """``formula(fp, x, *options)``, elementwise, of an operand as it was read; by table where that is quicker.

    ``formula`` is a function of a module or a class, not made anew for each call, and ``options`` are hashable. Whoever
    counts what a unit does sees the formula run.
    """
    if type(fp) is not Arithmetic or not isinstance(x, np.ndarray) or x.size < _LEAST or not _narrow(fp):
        return formula(fp, x, *options)
    table = _table(fp.precision, formula, options)
    table.seen += x.size
    if table.seen <= _WORTH or not x.flags.c_contiguous or np.isnan(np.maximum.reduce(x, axis=None)):
        return formula(fp, x, *options)  # a NaN may carry more than its storage has room for
    drop = float32.nmant - fp.precision.storage.nmant
    if table.results is None:
        table.results = _made(fp, formula, drop, options)
    return _taken(table.results, x, drop)


def named(fp: Arithmetic, x: Array, name: str) -> Array:
    """One function of `Arithmetic.function`, as a formula."""
    return fp.function(name, x)


def _narrow(fp: Arithmetic) -> bool:
    """Whether operands are float32 arrays of a storage of 16 bits or less, and nothing but the number decides."""
    storage = fp.precision.storage
    return storage.bits <= 16 and fp.dtype == np.float32 and fp.precision.mode is None and _holds(storage)


@lru_cache(maxsize=64)
def _holds(storage: Format) -> bool:
    return float32.contains(storage) and storage.precision >= 2


def _made(fp: Arithmetic, formula: Callable[..., Any], drop: int, options: tuple[Any, ...]) -> Array:
    """The results at all numbers of the storage."""
    fmt = fp.precision.storage
    with np.errstate(all="ignore"):
        x = decode(np.arange(1 << fmt.bits), fmt).astype(np.float32)
        y = np.asarray(formula(fp, x, *options))
    results = np.full(1 << (32 - drop), np.nan, y.dtype)
    results[x.view(np.uint32) >> np.uint32(drop)] = y
    return results


def _taken(results: Array, x: Array, drop: int) -> Array:
    out, index = np.empty(x.shape, results.dtype), np.empty(min(BLOCK, x.size), np.intp)
    word, run = x.view(np.uint32).reshape(-1), out.reshape(-1)
    shifted = np.empty(index.size, np.uint32)
    for i in range(0, word.size, BLOCK):
        part = word[i : i + BLOCK]
        np.right_shift(part, drop, out=shifted[: part.size])
        np.copyto(index[: part.size], shifted[: part.size])
        results.take(index[: part.size], mode="clip", out=run[i : i + BLOCK])
    return out
