"""Sums of blocks of products, exact within a block and rounded between blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from halfsim.numerics._bounded import round_bounded, workspace
from halfsim.numerics.exact import grains, matmul_exact
from halfsim.numerics.formats import Format, float16, float32
from halfsim.numerics.quantize import Array, round_


def blocked(a: Array, b: Array, fmt: Format, size: int) -> Array:
    """Exact sums of ``size`` products, rounded to float32, added in float32 to a total that rounds to ``fmt``.

    Float64 takes the place of float32 for a format that float32 does not contain. All products of a block are
    multiples of the product of the operands' lowest set bits, and by Cauchy's inequality no part of their sum
    exceeds the product of the norms of row and column: where that is at most 2**53 such multiples, float64
    sums without error in any order, a BLAS included. The other blocks go through `matmul_exact`.
    """
    unit = np.dtype(np.float32 if float32.contains(fmt) else np.float64)
    (m, depth), n = a.shape, b.shape[1]
    out = np.zeros((m, n), a.dtype)
    if not (m and n and depth):
        return out
    columns = min(n, _TILE[1])
    rows = min(m, _TILE[0] // columns)
    fine_a, norm_a = _block_extents(a, size, rows)
    fine_b, norm_b = _block_extents(b.T, size, columns)
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            bound = norm_a[i // rows] * norm_b[j // columns] * (1 + 2.0**-20)
            exact = bound <= 2.0**53 * (fine_a[i // rows] * fine_b[j // columns])
            grown = np.cumsum(bound) * (1 + 2.0**-10) ** len(bound)
            quick = fmt == float16 and bool(grown[-1] < 32768.0)
            left, right = a[i : i + rows], b[:, j : j + columns]
            total = np.zeros((left.shape[0], right.shape[1]), unit)
            parts = _block_sums(left, right, size, unit, exact.tolist())
            out[i : i + rows, j : j + columns] = _running_total(parts, len(bound) - 1, total, fmt, quick)
    return out


_TILE = (32768, 256)  # outputs of a tile, and the most of them in a row


def _block_sums(a: Array, b: Array, size: int, unit: np.dtype[Any], exact: list[bool]) -> Iterator[Array]:
    """The sums of each block of a tile, in one array of dtype ``unit`` that the caller may change."""
    part = np.empty((a.shape[0], b.shape[1]), unit)
    sums = np.empty(part.shape)
    for block, k in enumerate(range(0, a.shape[1], size)):
        x, y = a[:, k : k + size], b[k : k + size]
        if exact[block]:
            np.matmul(x.astype(np.float64), y.astype(np.float64), out=sums)
        np.copyto(part, sums if exact[block] else matmul_exact(x, y, unit == np.float64), casting="same_kind")
        yield part


def _running_total(parts: Iterator[Array], last: int, total: Array, fmt: Format, quick: bool) -> Array:
    """Add up the parts. The sign of a zero shows only after the last, for an exact sum that is zero is +0."""
    work = workspace(total) if quick else None
    for block, part in enumerate(parts):
        if block == last:
            part += 0  # a BLAS may make zeros of either sign
        np.add(total, part, out=part)
        if work is not None:
            round_bounded(part, work, total, signed=block == last)
        else:
            np.copyto(total, round_(part, fmt))
    return total


def _block_extents(x: Array, size: int, rows: int) -> tuple[Array, Array]:
    """For tiles of ``rows`` rows and blocks of ``size`` columns: the lowest set bit, and the largest norm of a row."""
    starts = np.arange(0, x.shape[1], size)
    tiles = -(-x.shape[0] // rows)
    finest, largest = np.full((tiles, len(starts)), np.inf), np.zeros((tiles, len(starts)))
    step = max(1, min(rows, 16384 // x.shape[1]))
    for tile in range(tiles):
        for i in range(tile * rows, min((tile + 1) * rows, x.shape[0]), step):
            part = x[i : min(i + step, (tile + 1) * rows)].astype(np.float64)
            np.minimum(finest[tile], np.minimum.reduceat(grains(part).min(0), starts), out=finest[tile])
            np.maximum(largest[tile], np.add.reduceat(part * part, starts, axis=1).max(0), out=largest[tile])
    return finest, np.sqrt(largest)
