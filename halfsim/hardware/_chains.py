"""Units that round at every operation, or once for an exact sum: processors, CDNA1, CDNA2, Pascal's half2."""

from __future__ import annotations

import numpy as np

from halfsim.hardware._aligned import aligned
from halfsim.hardware.units import Unit
from halfsim.numerics.exact_sums import add_odd, two_sum
from halfsim.numerics.formats import float16, float32
from halfsim.numerics.quantize import Array, flushed, round_


def _settled(x: Array, row: Unit) -> Array:
    """``x``, exact or rounded to odd, on the grid of the sums, in float64."""
    if row.flush_outputs and row.accumulate == "fp16":
        x = flushed(x, row.output_format)  # Arm judges before rounding
    if row.accumulate == "fp16":
        return round_(x, row.output_format)
    narrow = x.astype(np.float32)
    if row.flush_outputs:
        narrow = flushed(narrow, float32)
    return narrow.astype(np.float64)


def chained(a: Array, b: Array, c: Array, row: Unit, near: bool) -> Array:
    """Fused multiply-adds. Float64 holds a product, and its sum with ``c`` to within what rounding once forgives."""
    del near
    total = c.astype(np.float64)
    for k in range(0, len(a), row.tile or max(1, len(a))):
        last = min(len(a), k + (row.tile or len(a)))
        chains = [np.zeros_like(total) if row.tile or i else total for i in range(row.chains)]
        order = list(range(k, last))
        if row.swapped:
            order = [i for even in order[::2] for i in (even + 1, even) if i < last]
        for i in order:
            way = (i - k) % row.chains
            product = np.multiply(a[i], b[i], dtype=np.float64)
            product += chains[way]
            chains[way] = _settled(product, row)
        joined = chains[0]
        for other in chains[1:]:
            joined = _settled(joined + other, row)
        total = _settled(total + joined, row) if row.tile else joined
    return total.astype(np.float32)


def summed_in_pairs(a: Array, b: Array, c: Array, row: Unit, near: bool) -> Array:
    """CDNA2: c + ((p0 + p1) + (p2 + p3)), every operation in float32, subnormal results flushed."""
    total = c.astype(np.float32)
    halves = row.inputs == "fp16"  # whose products and sums never are subnormal in float32

    def settled(x: Array) -> Array:
        return x if halves else flushed(x, float32)

    for k in range(0, len(a), row.block):
        parts = [settled(x * y) for x, y in zip(a[k : k + row.block], b[k : k + row.block], strict=True)]
        while len(parts) > 1:
            parts = [settled(sum(parts[i + 1 : i + 2], parts[i])) for i in range(0, len(parts), 2)]
        total = settled(total + parts[0])
    return total + np.float32(0)


def summed_exactly(a: Array, b: Array, c: Array, row: Unit, near: bool) -> Array:
    """CDNA1: the sum of a few products and c, rounded once.

    Errors of float64 sums of products of halves are multiples of 2**-48 below 2**-18, so they add up without
    error; of bfloat16 there are two products, whose sum has one. Three numbers then make the exact sum, of which a
    rounding to odd keeps what float32 needs (Boldo and Melquiond 2008).
    """
    del near
    total = c.astype(np.float32)
    for k in range(0, len(a), row.block):
        pairs = zip(a[k : k + row.block], b[k : k + row.block], strict=True)
        products = [np.multiply(x, y, dtype=np.float64) for x, y in pairs]
        wide = total.astype(np.float64)
        plain = sum(products[1:], products[0]) + wide
        head, tail = products[0], np.zeros_like(wide)
        for product in products[1:]:
            head, error = two_sum(head, product)
            tail += error
        high, low = two_sum(wide, tail)
        head, rest = two_sum(head, high)
        exact = add_odd(head, add_odd(rest, low))
        total = np.where(np.isfinite(plain), exact, plain).astype(np.float32)
    return total + np.float32(0)


def detached(a: Array, b: Array, c: Array, row: Unit, near: bool) -> Array:
    """8-bit factors as halves: 32 products from zero, in two steps, which an ordinary addition joins to ``c``."""
    del near
    total = c.astype(np.float32)
    for k in range(0, len(a), 32):
        span = range(k, min(len(a), k + 32))
        gathered = np.zeros_like(total)
        for some in ([i for i in span if (i - k) % 4 < 2], [i for i in span if (i - k) % 4 >= 2]):
            if some:  # a step that lacks products is one with zeros in their places
                gathered = aligned(a[some], b[some], gathered, row, True)
        sums = total.astype(np.float64) + gathered
        total = (round_(sums, float16) if row.accumulate == "fp16" else sums).astype(np.float32)
    return total
