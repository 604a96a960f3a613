"""The step of a tensor core, and that of CDNA3: products aligned to the largest, cut, added exactly, rounded once."""

from __future__ import annotations

import numpy as np

from halfsim.hardware._block import Block
from halfsim.hardware.units import Unit
from halfsim.numerics.half_kernel import round_bounded
from halfsim.numerics.quantize import Array, round_

_FIELD = np.int64(0x7FF << 52)


def aligned(a: Array, b: Array, c: Array, row: Unit, near: bool) -> Array:
    """The running sums ``c`` (B, m, n) after products of ``a`` (K, B, m, 1) and ``b`` (K, B, 1, n), in float32."""
    bounded = row.accumulate == "fp16" and _bound(a, b, c, row) < 32768.0
    work = Block(row, near, c.shape, bounded)
    e_a, e_b = work.exponents(a), work.exponents(b)
    special = not (np.isfinite(a).all() and np.isfinite(b).all() and np.isfinite(c).all())
    limit = np.inf
    if row.kind == "floored" and not near:
        limit = 2.0**128
        special = special or bool(_largest(a) * _largest(b) >= limit)
    risky = special or not near or (row.accumulate == "fp16" and not bounded)  # a step may begin with infinities
    step = _tensor_core if row.kind == "aligned" else _floored
    given_a, given_b = a.astype(work.real), b.astype(work.real)
    finite_a, finite_b = (np.where(np.isfinite(x), x, 0) if special else x for x in (given_a, given_b))
    c = c.astype(work.real)
    for k in range(0, len(a), row.block):
        part = slice(k, k + row.block)
        signs = _signs(given_a[part], given_b[part], c, limit) if special else None
        if signs is None and risky and not np.isfinite(c).all():
            signs = np.where(np.isfinite(c), 0, c)
        if signs is not None:
            c = np.where(np.isfinite(c), c, 0)
        with np.errstate(all="ignore"):
            c = step(work, finite_a[part], finite_b[part], e_a[part], e_b[part], c)
        if signs is not None:
            np.copyto(c, signs, where=signs != 0, casting="same_kind")
    return c.astype(np.float32)


def _bound(a: Array, b: Array, c: Array, row: Unit) -> float:
    """What no running sum exceeds; NaN where there is one."""
    steps = -(-len(a) // row.block)
    return (_largest(a) * _largest(b) * len(a) + _largest(c)) * (1 + 2.0**-10) ** min(steps, 10000)


def _largest(x: Array) -> float:
    return max(float(x.max(initial=0.0)), -float(x.min(initial=0.0)))


def _signs(a: Array, b: Array, c: Array, limit: float) -> Array:
    """The sum of what is not finite among products and ``c``: zero, an infinity or NaN."""
    total = np.where(np.isfinite(c), 0, c).astype(np.float64)
    for x, y in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        product = x * y
        total += np.where(
            np.abs(product) < limit, 0, np.where(np.isnan(product), product, np.copysign(np.inf, product))
        )
    return total


def _tensor_core(work: Block, a: Array, b: Array, e_a: Array, e_b: Array, c: Array) -> Array:
    row = work.row
    field = work.largest(e_a, e_b)
    addend = work.addend_field(c)
    np.maximum(field, addend, out=field)
    total = work.gather(a, b, work.power(field, row.fraction), c)
    back = np.subtract(field, work.word.type(row.fraction << work.shift), out=field).view(work.real)
    if row.accumulate == "fp16":
        if work.rounding is not None:
            np.copyto(work.half, back)
            np.multiply(total, work.half, out=total)
            round_bounded(total, work.rounding, work.half, signed=False)
            np.copyto(c, work.half, casting="same_kind")
            return c
        np.multiply(total, back, out=total)
        rounded = round_(total, row.output_format)
        return np.add(rounded, 0.0).astype(work.real)  # a zero is +0
    if not work.near:
        return toward_zero(np.multiply(total, back, out=total), row.digits)
    code = total.view(np.int64)
    np.bitwise_and(code, np.int64(-1 << (53 - row.digits)), out=code)
    np.copyto(c, total, casting="same_kind")
    return np.multiply(c, back, out=c)


def toward_zero(x: Array, digits: int) -> Array:
    """``x`` cut to ``digits`` bits within float32's range, in float64: zeros are +0, 2**128 and above infinite."""
    code = x.view(np.int64)
    out = (code & np.int64(-1 << (53 - digits))).view(np.float64)
    tiny = np.abs(x) < 2.0**-126
    if tiny.any():
        grain = 2.0 ** (-125 - digits)
        np.copyto(out, np.trunc(x / grain) * grain, where=tiny)
    np.copyto(out, np.copysign(np.inf, x), where=np.abs(x) >= 2.0**128)
    return out + 0.0


def _floored(work: Block, a: Array, b: Array, e_a: Array, e_b: Array, c: Array) -> Array:
    """CDNA3's step: rounding down, not to zero, makes it asymmetric in the sign."""
    fraction = work.row.fraction
    ways = [slice(0, None, 2), slice(1, None, 2)] if work.row.interleaved and len(a) > 1 else [slice(None)]
    sums, exponents = [], []
    for way in ways:
        field = work.largest(e_a[way], e_b[way])
        exponents.append(work.top.astype(np.int64))
        sums.append(work.gather(a[way], b[way], work.power(field, fraction), None).copy())
    top = exponents[0] if len(ways) == 1 else np.maximum(*exponents)
    total = sums[0]
    if work.row.interleaved:
        total = np.zeros_like(total)
        for part, e in zip(sums, exponents, strict=True):
            total += np.floor(part * _two(e - top))
    wide = c.astype(np.float64)
    e_c = np.maximum(((wide.view(np.int64) & _FIELD) >> 52) - 1023, -126)
    e = np.maximum(top, e_c)
    if work.row.interleaved:
        wide[e_c < e - 25] = 0
    total = np.floor(total * _two(top - e + (32 - fraction)))
    total += np.floor(wide * _two(fraction - e)) * 2.0 ** (32 - fraction)
    value = total * _two(e - 32)
    grain = _two(np.maximum(((value.view(np.int64) & _FIELD) >> 52) - 1023, -126) - 31)
    value = np.floor(value / grain) * grain + 0.0
    return value.astype(np.float32).astype(work.real, copy=False)


def _two(exponent: Array) -> Array:
    """2**exponent, zero below float64's normal numbers."""
    power: Array = (np.maximum(exponent + 1023, 0) << 52).view(np.float64)
    return power
