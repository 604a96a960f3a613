"""Counting differences that lost their leading bits, and how many bits these were."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from halfsim.autograd.trace.counts import Counts
from halfsim.numerics.quantize import BLOCK, Array


def count_cancelled(counts: Counts, z: Array, a: Array, b: Array, kept: Any) -> None:
    """Count the results ``z`` of ``a + b`` or ``a - b`` that are nonzero, and below ``kept`` times the larger operand.

    Most sums are far from that, and are only compared: the exponents of the few that are not say how many bits went.
    """
    size = z.size
    step = size if size <= BLOCK or not z.ndim else max(1, BLOCK // (size // len(z)))
    left, right = (x if np.shape(x) == z.shape else np.broadcast_to(x, z.shape) for x in (a, b))
    for i in range(0, len(z) if z.ndim else 1, step):  # in parts that stay in the cache
        rows = slice(i, i + step) if step < size else ...
        magnitude, near = _magnitude(z[rows], 0), _magnitude(left[rows], 1)
        np.multiply(near, 2 * kept, out=near)  # a small difference is small beside either operand
        small = np.less(magnitude, near)
        if small.any():  # twice too many at most; the few that are left are looked at one by one
            counts.cancelled += _count_bits(counts, magnitude[small], left[rows][small], right[rows][small], kept)


def count_single(counts: Counts, z: Array, a: Array, b: Array, kept: Any) -> None:
    """`count_cancelled` for one number; it is no trouble in itself, for any two may happen to be near."""
    result, larger = abs(z.item()), max(abs(np.asarray(a).item()), abs(np.asarray(b).item()))
    if result < larger * kept and larger < np.inf and np.asarray(a).item() != 0 and np.asarray(b).item() != 0:
        counts.single += 1
        if result:
            lost = int(np.frexp(larger)[1] - np.frexp(result)[1])
            counts.bits = max(counts.bits, lost)


def count_sums(counts: Counts, exact: Array, magnitude: Array, distance: Array) -> bool:
    """Count long sums that are ``distance`` off, more than half of what is ``exact``: whether there are any.

    Their terms cancel to less than the rounding of the largest; ``magnitude`` is that of the terms of each.
    """
    lost = (distance > 0.5 * np.abs(exact)) & (exact != 0)
    if not lost.any():
        return False
    counts.sums += exact.size
    counts.cancelled += int(np.count_nonzero(lost))
    bits = np.log2(magnitude[lost] / np.abs(exact[lost]))
    counts.bits = max(counts.bits, int(bits.max()))
    return True


def _count_bits(counts: Counts, magnitude: Array, left: Array, right: Array, kept: Any) -> int:
    """How many nonzero sums are below ``kept`` times their larger operand, noting the bits that these lost."""
    larger = np.maximum(np.abs(left), np.abs(right))
    small = (magnitude < larger * kept) & (magnitude != 0)
    lost = np.frexp(larger[small])[1] - np.frexp(magnitude[small])[1]
    counts.bits = max(counts.bits, int(lost.max(initial=0)))
    return lost.size


class _Scratch(threading.local):
    """Room for a block's magnitudes, made once a thread."""

    def __init__(self) -> None:
        self.words = np.empty((2, BLOCK), np.float64)


_scratch = _Scratch()


def _magnitude(x: Array, row: int) -> Array:
    """The magnitudes of part of an array, in scratch memory if they fit there."""
    if x.size > BLOCK:
        return np.abs(x)
    return np.abs(x, out=_scratch.words[row].view(x.dtype)[: x.size].reshape(x.shape))
