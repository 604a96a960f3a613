"""The arithmetic of IEEE 754 on blocks of unpacked numbers: exact up to a sticky bit, then rounded once by `pack`.

Operands that are NaN are left to `arithmetic`; here their fields are numbers without meaning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsim.numerics.flags import Flag
from halfsim.numerics.ieee.unpacked import WINDOW, Array, Number, Pair, Unit, absent, bit_length, choose, jam, pack
from halfsim.numerics.rounding import CLIPS_INFINITIES, ZEROES_NAN, cancels_below

Triple = tuple[Array, Array, Array]  # sign, exponent, significand

_NOWHERE = -(1 << 16)  # an exponent below all others, for a zero that must not be the larger of two addends
_DIRECT = 28  # up to this precision an aligned product has spare bits below, which `_sum` needs


def _settle(to: Unit, result: Pair, sign: Array, infinite: Array, invalid: Array, pole: Array | None = None) -> Pair:
    """Put in what rounding does not give: exact infinities, the poles of division, and the invalid operations."""
    code, flags = result
    lay = to.layout
    if infinite.any():
        np.copyto(code, lay.code(lay.infinity, sign), where=infinite)
        np.copyto(flags, np.uint8(0), where=infinite)
        if not lay.format.signed:
            absent(code, flags, lay, infinite & (sign == 1))
    if pole is not None and pole.any():
        np.copyto(code, lay.code(lay.beyond, sign), where=pole)
        np.copyto(flags, np.uint8(Flag.DIVIDE_BY_ZERO), where=pole)
        if not lay.format.signed:
            absent(code, flags, lay, pole & (sign == 1))
    if invalid.any():
        absent(code, flags, lay, invalid)
    return code, flags


def _sum(to: Unit, x: Triple, y: Triple) -> Triple:
    """The sum. The smaller operand is shifted right with a sticky bit, so both have room for that below their last bit.

    Bits are lost only where the exponents differ by more than three, and then at most two leading bits cancel.
    """
    (sx, ex, mx), (sy, ey, my) = x, y
    ex, ey = np.where(mx == 0, _NOWHERE, ex), np.where(my == 0, _NOWHERE, ey)
    swap = ey > ex
    larger, smaller = np.where(swap, my, mx), np.where(swap, mx, my)
    smaller = jam(smaller, np.abs(ex - ey))
    total = larger * (1 - 2 * np.where(swap, sy, sx)) + smaller * (1 - 2 * np.where(swap, sx, sy))
    minus = int(cancels_below(to.rounding))
    sign = np.where(total == 0, np.where(sx == sy, sx, minus), total < 0)  # x - x is +0, or -0 downward
    return sign.astype(np.int64), np.maximum(ex, ey), np.abs(total)


def _product(a: Number, b: Number) -> tuple[Array, Array]:
    """Exponent and significand of a * b: exact up to precision 30, above that at least p + 2 bits and sticky."""
    exponent, x, y = a.exponent + b.exponent, a.significand, b.significand
    if 2 * a.layout.format.precision <= WINDOW:
        return exponent, x * y
    low = (1 << 27) - 1
    x1, x0, y1, y0 = x >> 27, x & low, y >> 27, y & low
    tail = x0 * y0
    middle = x1 * y0 + x0 * y1 + (tail >> 27)
    drop = max(27, 2 * a.layout.format.precision - WINDOW + 2)
    keep = 54 - drop  # bits kept below the high part
    lost = (middle & ((1 << (27 - keep)) - 1)) | (tail & low)
    return exponent + drop, ((x1 * y1) << keep) + (middle >> (27 - keep)) | (lost != 0)


def add(to: Unit, a: Number, b: Number) -> Pair:
    lift = WINDOW - to.format.precision
    x = a.sign, a.exponent - lift, a.significand << lift
    y = b.sign, b.exponent - lift, b.significand << lift
    invalid = a.infinite & b.infinite & (a.sign != b.sign)
    infinite = a.infinite | b.infinite
    return _settle(to, pack(to, *_sum(to, x, y)), np.where(a.infinite, a.sign, b.sign), infinite, invalid)


def sub(to: Unit, a: Number, b: Number) -> Pair:
    return add(to, a, replace(b, sign=b.sign ^ 1))


def mul(to: Unit, a: Number, b: Number) -> Pair:
    sign = a.sign ^ b.sign
    exponent, significand = _product(a, b)
    invalid = (a.infinite & b.zero) | (a.zero & b.infinite)
    return _settle(to, pack(to, sign, exponent, significand), sign, a.infinite | b.infinite, invalid)


def fma(to: Unit, a: Number, b: Number, c: Number) -> Pair:
    p, sign = to.format.precision, a.sign ^ b.sign
    if p <= _DIRECT:
        high, x, y, z = WINDOW, a.significand, b.significand, c.significand
    else:  # Python's integers: exact at any width, some microseconds an element
        high = 3 * p
        x, y, z = (n.significand.astype(object) for n in (a, b, c))
    ex, ez = a.exponent + b.exponent - (high - 2 * p), c.exponent - (high - p)
    total, exponent, significand = _sum(to, (sign, ex, (x * y) << (high - 2 * p)), (c.sign, ez, z << (high - p)))
    if significand.dtype == object:
        excess = np.maximum(bit_length(significand) - (WINDOW - 1), 0)
        exponent, significand = exponent + excess.astype(np.int64), jam(significand, excess).astype(np.int64)
    infinite = a.infinite | b.infinite
    invalid = (
        (a.infinite & b.zero) | (a.zero & b.infinite) | (infinite & c.infinite & (sign != c.sign) & ~a.nan & ~b.nan)
    )
    result = pack(to, total, exponent, significand)
    return _settle(to, result, np.where(infinite, sign, c.sign), infinite | c.infinite, invalid)


def div(to: Unit, a: Number, b: Number) -> Pair:
    """A quotient of p + 2 bits from float64, mended by its remainder, which is small and so exact modulo 2**64."""
    sign, extra = a.sign ^ b.sign, to.format.precision + 2
    x, y = a.significand, np.maximum(b.significand, 1 << (to.format.precision - 1))
    quotient = np.floor(x.astype(np.float64) / y * 2.0**extra).astype(np.int64)
    rest = (x << extra) - quotient * y
    while (wrong := (rest >= y).astype(np.int64) - (rest < 0)).any():
        quotient += wrong
        rest -= wrong * y
    result = pack(to, sign, a.exponent - b.exponent - extra, quotient | (rest != 0))
    invalid = (a.infinite & b.infinite) | (a.zero & b.zero)
    result = _settle(to, result, sign, a.infinite, invalid, b.zero & ~a.infinite & ~a.nan)
    return _zero(to, result, sign, b.infinite & ~a.infinite)


def _zero(to: Unit, result: Pair, sign: Array, where: Array) -> Pair:
    """Put in exact zeros."""
    code, flags = result
    np.copyto(code, to.layout.code(np.zeros_like(sign), sign), where=where)
    np.copyto(flags, np.uint8(0), where=where)
    if not to.layout.zeros:
        absent(code, flags, to.layout, where, sign)
    return result


def sqrt(to: Unit, a: Number) -> Pair:
    """A root of p + 2 bits from float64, mended like the quotient."""
    least = to.format.precision + 3
    odd = (a.exponent - least) & 1
    shift = least + odd
    radicand = a.significand << shift  # modulo 2**64
    scaled = (a.significand << odd).astype(np.float64) * 2.0**least
    root = np.floor(np.sqrt(scaled)).astype(np.int64)
    rest = radicand - root * root
    while (wrong := (rest > 2 * root).astype(np.int64) - (rest < 0)).any():
        root += wrong
        rest = radicand - root * root
    result = pack(to, a.sign, (a.exponent - shift) >> 1, root | (rest != 0))
    invalid = (a.sign == 1) & ~a.zero & ~a.nan
    return _settle(to, result, a.sign, a.infinite, invalid)


def rem(to: Unit, a: Number, b: Number) -> Pair:
    """Long division, as many quotient bits at a time as the window has room for; exact, so `pack` never rounds."""
    step = 62 - to.format.precision
    regular = ~(a.nan | b.nan | a.infinite | b.infinite | a.zero | b.zero)
    below = a.exponent - b.exponent
    work = np.flatnonzero(regular & (below >= -1))  # otherwise |a| < |b| / 2, and the remainder is a
    x, left = a.significand[work], below[work]
    y = b.significand[work] << (left < 0)
    left = np.maximum(left, 0)
    quotient, x = np.divmod(x, y)
    while (left > 0).any():
        now = np.minimum(left, step)
        q, x = np.divmod(x << now, y)
        quotient, left = np.where(now > 0, q, quotient), left - now  # only its last bit is of interest
    up = (2 * x > y) | ((2 * x == y) & (quotient & 1 == 1))
    x = np.where(up, x - y, x)
    sign, exponent, significand = a.sign.copy(), a.exponent.copy(), a.significand.copy()
    sign[work] ^= x < 0  # a remainder of zero keeps the sign of a
    exponent[work], significand[work] = np.minimum(a.exponent, b.exponent)[work], np.abs(x)
    nan = a.nan | b.nan
    invalid = (a.infinite | b.zero) & ~nan
    nothing = np.zeros_like(nan)
    return _settle(to, pack(to, sign, exponent, significand), sign, nothing, invalid)


def round_to_integral(to: Unit, a: Number, exact: bool) -> Pair:
    whole = a.exponent >= 0
    kept, inexact = choose(a.significand, np.clip(-a.exponent, 0, None), a.sign, to.rounding)
    code, flags = pack(to, a.sign, np.where(whole, a.exponent, 0), np.where(whole, a.significand, kept))
    flags |= (inexact & ~whole) * np.uint8(exact)
    return _settle(to, (code, flags), a.sign, a.infinite, np.zeros_like(a.nan))


def scaleb(to: Unit, a: Number, n: Array) -> Pair:
    if n.dtype.kind == "u":
        n = np.minimum(n, 1 << min(62, 8 * n.itemsize - 1))
    far = 3 << (to.format.exponent_bits + 6)  # from anywhere in the range to far outside it
    result = pack(to, a.sign, a.exponent + np.clip(n.astype(np.int64), -far, far), a.significand)
    return _settle(to, result, a.sign, a.infinite, np.zeros_like(a.nan))


def logb(to: Unit, a: Number) -> Pair:
    value = a.exponent + (a.layout.format.precision - 1)
    result = pack(to, (value < 0).astype(np.int64), np.zeros_like(value), np.abs(value))
    nothing = np.zeros_like(a.nan)
    result = _settle(to, result, np.zeros_like(a.sign), a.infinite, nothing)
    return _settle(to, result, np.ones_like(a.sign), nothing, nothing, a.zero)


def convert(to: Unit, a: Number) -> Pair:
    """Rounding; of a NaN the sign and the leading bits of the payload stay."""
    lay, source = to.layout, a.layout
    code, flags = _settle(to, pack(to, a.sign, a.exponent, a.significand), a.sign, a.infinite, np.zeros_like(a.nan))
    clips = to.overflow in CLIPS_INFINITIES
    if (lay.infinity < 0 or clips) and a.infinite.any():
        lost = Flag(lay.overflow) if clips else Flag.INVALID
        np.copyto(code, lay.code(lay.largest if clips else lay.beyond, a.sign), where=a.infinite)
        np.copyto(flags, np.uint8(lost), where=a.infinite)
        if not lay.format.signed:
            absent(code, flags, lay, a.infinite & (a.sign == 1))
    if a.nan.any():
        drop = source.format.nmant - lay.format.nmant
        payload = a.magnitude & source.payload
        payload = payload >> drop if drop >= 0 else payload << -drop
        np.copyto(code, lay.code(lay.nan | (payload & lay.payload), a.sign), where=a.nan)
        flag = Flag(0) if lay.format.has_nan else Flag.INVALID
        np.copyto(flags, np.where(a.signaling, np.uint8(Flag.INVALID), np.uint8(flag)), where=a.nan)
        if to.overflow in ZEROES_NAN and lay.format.zero_field != "normal":
            np.copyto(code, lay.code(0, 0), where=a.nan)
            np.copyto(flags, np.uint8(Flag.INVALID), where=a.nan)
    return code, flags


def to_int(to: Unit, a: Number, low: int, high: int, exact: bool) -> Pair:
    """The magnitude in uint64, against the bounds; the two's complement of it, as int64 or uint64 bits."""
    magnitude, inexact = choose(a.significand, np.clip(-a.exponent, 0, None), a.sign, to.rounding)
    whole = a.exponent >= 0
    size = magnitude.astype(np.uint64)
    lifted = a.significand.astype(np.uint64) << np.clip(a.exponent, 0, 63).astype(np.uint64)
    size = np.where(whole, lifted, size)
    huge = (a.exponent + bit_length(a.significand) > 64) & ~a.zero | a.infinite
    minus = a.sign == 1
    out = huge | (size > np.where(minus, np.uint64(-low), np.uint64(high)))
    value = np.where(minus, np.uint64(0) - size, size)
    edge = np.where(minus, np.uint64(low & (2**64 - 1)), np.uint64(high))
    value = np.where(a.nan, np.uint64(0), np.where(out, edge, value))
    flags = (inexact & ~whole).astype(np.uint8) * np.uint8(exact)
    np.copyto(flags, np.uint8(Flag.INVALID), where=out | a.nan)
    return value, flags


def from_int(to: Unit, n: Array) -> Pair:
    sign = (n < 0).astype(np.int64)
    size = n.astype(np.uint64)
    size = np.where(n < 0, np.uint64(0) - size, size)
    drop = np.uint64(64 - WINDOW)
    long = size >> np.uint64(WINDOW) != 0
    kept = size >> drop
    short = np.where(long, kept | ((kept << drop) != size), size).astype(np.int64)
    return pack(to, sign, np.where(long, 64 - WINDOW, 0), short)
