"""Products and sums of matrices without error: slices so short that a float64 BLAS cannot round.

Ozaki, Ogita, Oishi and Rump (Numerical Algorithms 59, 2012) split each operand into slices that are integers of
few bits times a common power of two. An element of the product of two slices is a sum of K integers; where the
sum of their magnitudes is at most 2**53, so is that of every part of it, and float64 forms it without rounding
in any order, with or without fused operations, on any number of threads. What remains is to add a few integers
of different weight, which error-free transformations do (Knuth 1969; Boldo and Melquiond 2008).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from halfsim.numerics.inputs import _fraction_to_float as as_float
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Mode, cancels_below

_CHUNK = 8192  # doubles: the dozen temporaries below stay in the second-level cache
_ROOM = 52  # bits of an integer in float64, less one for a carry
_TILE = 1 << 20  # doubles of all slices and levels together


@dataclass(frozen=True)
class _Plan:
    """How to cut the operands of a product into pieces so short that float64 multiplies and adds them exactly.

    Each number of ``a`` becomes a sum of ``left`` integers of ``a_bits`` bits each, from the leading bits down, each of
    ``b`` one of ``right`` integers of ``b_bits``. Products of pieces with the same total weight are added to one level;
    two neighbouring levels are ``bits`` bits apart.
    """

    left: int
    right: int
    a_bits: int
    b_bits: int

    @property
    def levels(self) -> int:
        return self.left + self.right - 1

    @property
    def bits(self) -> int:
        return self.b_bits if self.right > 1 else self.a_bits

    @property
    def unit(self) -> int:
        """Minus the exponent of the unit of the lowest level."""
        return self.left * self.a_bits + self.right * self.b_bits


def _plan(a_width: int, b_width: int, depth: int) -> _Plan:
    """The fewest products of slices whose sums over ``depth`` stay below 2**52.

    A first slice of w bits is at most 2**w, a later one, being a remainder of rounding to nearest, 2**(w - 1).
    So level l of two sliced operands, a sum over s + t = l, is at most depth * 2**(2 w) * (s + 2) / 4 for
    s >= 2 slices each; with one operand whole it is a single product.
    """
    room = _ROOM - (depth - 1).bit_length()
    plans = []
    if a_width + b_width <= room:
        plans.append(_Plan(1, 1, a_width, b_width))
    if a_width < room:
        right = -(-b_width // (room - a_width))
        plans.append(_Plan(1, right, a_width, -(-b_width // right)))
    if b_width < room:
        left = -(-a_width // (room - b_width))
        plans.append(_Plan(left, 1, -(-a_width // left), b_width))
    for bits in range(room // 2, 0, -1):
        left, right = -(-a_width // bits), -(-b_width // bits)
        if 2 * bits + math.ceil(math.log2(max(4, max(left, right) + 2) / 4)) <= room:
            plans.append(_Plan(left, right, bits, bits))
            break
    return min(plans, key=lambda plan: plan.left * plan.right)


def grains(x: Array) -> Array:
    """The value of the lowest set bit of each element of a float64 array; infinity for zeros, 0 for subnormals."""
    code = x.view(np.int64)
    significand = code & ((1 << 52) - 1)
    significand |= 1 << 52  # the leading bit, which the encoding leaves out
    significand &= -significand  # two's complement: the lowest set bit alone
    grain = significand.astype(np.float64)
    grain *= (code & (0x7FF << 52)).view(np.float64)  # 2**exponent; 0 for subnormals
    grain *= 2.0**-52
    np.copyto(grain, np.inf, where=np.equal(x, 0))
    return grain


def _extents(x: Array) -> tuple[Array, int]:
    """For the rows of ``x``: exponents with |x| < 2**top, and the bits between the largest top and lowest set bit.

    The width is 0 where a subnormal float64 has no grain.
    """
    rows, depth = x.shape
    largest, finest = np.zeros(rows), np.full(rows, np.inf)
    wide = min(depth, _CHUNK)
    step = max(1, _CHUNK // wide)
    for i in range(0, rows, step):
        for k in range(0, depth, wide):
            part = x[i : i + step, k : k + wide].astype(np.float64)
            np.minimum(finest[i : i + step], grains(part).min(1), out=finest[i : i + step])
            np.maximum(largest[i : i + step], np.abs(part, out=part).max(1), out=largest[i : i + step])
    top, low = np.frexp(largest)[1], np.frexp(finest)[1] - 1
    width = np.where(largest == 0, 1, top - low)
    return top, 0 if (finest == 0).any() else int(width.max())


def _slice(x: Array, scale: Array, count: int, bits: int, out: Array) -> None:
    """``x`` as sums of integers: out[0] of weight 2**-bits, out[1] of weight 2**-2bits, ...; every step is exact."""
    rest = np.multiply(x, scale, out=out[count - 1], dtype=np.float64)
    for s in range(count):
        rest *= 2.0**bits
        if s < count - 1:
            np.rint(rest, out=out[s])
            rest -= out[s]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error, exactly (Knuth 1969)."""
    s = np.asarray(a + b)  # of two scalars and arrays of shape () NumPy makes scalars
    t = np.asarray(s - a)
    e = np.asarray(s - t)
    np.subtract(a, e, out=e)
    np.subtract(b, t, out=t)
    e += t
    return s, e


def to_odd(head: Array, tail: Array) -> Array:
    """``head`` + ``tail`` rounded to odd, where head is the sum rounded to nearest and tail its error; changes head.

    Where head is inexact and even, its odd neighbour on the side of the tail is the answer. NaN and infinite
    heads, whose tails are NaN, stay.
    """
    code, other = head.view(np.int64), tail.view(np.int64)
    step = (code ^ other) >> 63  # -1 where the tail points towards zero
    step |= 1
    step *= ~code & 1
    step *= np.abs(tail) > 0
    code += step
    return head


def add_odd(a: Array, b: Array) -> Array:
    """``a`` + ``b`` in float64, rounded to odd."""
    return to_odd(*two_sum(a, b))


def add_in(a: Array, b: Array, mode: Mode | None) -> Array:
    """``a + b`` in float64, rounded to odd; where opposite terms cancel, downward rounding makes -0 (clause 6.3)."""
    total = add_odd(a, b)
    if mode is not None and cancels_below(mode.rounding):
        total = np.where((total == 0) & (np.signbit(a) | np.signbit(b)), -0.0, total)
    return total


def _joined(levels: list[Array], bits: int) -> tuple[Array, Array]:
    """Add up the levels, each an exact integer, highest first: the sum as a head plus a tail.

    The head is the sum rounded to nearest. The tail is what is missing, itself rounded to odd: its last bit is set
    where anything was dropped, so that a later rounding still sees on which side of a midpoint the sum lies. By
    Horner's scheme: (head + tail) * 2**bits + level, where the tail's own sum rounds to odd. Up to three levels this is
    exact as it stands: a tail is nonzero only below a head of 2**53 units, so that what an odd rounding drops, at most
    one unit, lies far below half an ulp of the next head. With more, a level could reach into what was dropped; so
    carries leave digits in [0, 2**bits), less than one unit of the level above.
    """
    scale = 2.0**bits
    if len(levels) > 3:
        levels = [level.copy() for level in levels]
        for lower, upper in zip(levels[:0:-1], levels[-2::-1], strict=True):
            carry = np.floor(lower * (1 / scale))
            upper += carry
            lower -= carry * scale
    head, tail = levels[0], None
    for level in levels[1:]:
        head, tail = two_sum(head * scale, level if tail is None else add_odd(tail * scale, level))
    return (head.copy(), np.zeros_like(head)) if tail is None else (head, tail)


def matmul_exact(a: Array, b: Array, nearest: bool) -> Array:
    """The product of ``a`` (M, K) and ``b`` (K, N), each element exact but for one rounding to float64.

    Operands are float32 or float64; the result (M, N) is float64, rounded to nearest even, or where ``nearest`` is
    false to odd, so that rounding it once more, to a format of at most 51 bits, is as good as rounding the exact
    sum (Boldo and Melquiond 2008). Infinities and NaN follow IEEE 754; a sum that is zero is +0. Subnormals are
    numbers like others. The bits do not depend on the machine, the layout or the number of threads.

    >>> int(matmul_exact(np.float32([[2.0**24, 1, -(2.0**24)]]), np.ones((3, 1), np.float32), True)[0, 0])
    1
    """
    with np.errstate(all="ignore"):
        (m, depth), n = a.shape, b.shape[1]
        if not (m and n and depth):
            return np.zeros((m, n))
        if all(math.isfinite(x.max()) and math.isfinite(x.min()) for x in (a, b)):
            return _finite(a, b, nearest)
        left, right = (np.where(np.isfinite(x), x, np.zeros_like(x)) for x in (a, b))
        return _special(a, b, _finite(left, right, nearest))


def _special(a: Array, b: Array, out: Array) -> Array:
    """Put infinities and NaN where IEEE 754 has them: counted as integers, since a BLAS may skip a zero times them."""

    def parts(x: Array) -> tuple[Array, Array, Array]:
        sign = np.where(np.isnan(x), 0, np.sign(x)).astype(np.float64)
        return sign, np.where(np.isinf(x), sign, 0), (x == 0).astype(np.float64)

    (a_sign, a_inf, a_zero), (b_sign, b_inf, b_zero) = parts(a), parts(b)
    a_finite = a_sign - a_inf
    net = a_inf @ b_sign + a_finite @ b_inf
    number = np.abs(a_inf) @ np.abs(b_sign) + np.abs(a_finite) @ np.abs(b_inf)
    nan_row, nan_column = np.isnan(a).max(1), np.isnan(b).max(0)
    zeros: Array = np.abs(a_inf) @ b_zero + a_zero @ np.abs(b_inf)
    undefined = (zeros > 0) | nan_row[:, None] | nan_column | ((number > 0) & (np.abs(net) < number))
    np.copyto(out, np.copysign(np.inf, net), where=np.greater(number, 0))
    out[undefined] = np.nan
    return out


def _finite(a: Array, b: Array, nearest: bool) -> Array:
    (m, depth), n = a.shape, b.shape[1]
    (a_top, a_width), (b_top, b_width) = _extents(a), _extents(b.T)
    plan = _plan(max(a_width, 1), max(b_width, 1), depth)
    far = max(int(np.abs(top).max()) for top in (a_top, b_top))
    # Scales, their inverses, and a sum times 2**-unit and two scales have to be normal numbers: not so for float64
    # operands near the ends of its range, or with bits that lie far apart.
    if not (a_width and b_width) or far > 300 or plan.unit > 340:
        return _by_fractions(a, b, nearest)
    a_scale, b_scale = np.ldexp(1.0, a_top)[:, None], np.ldexp(1.0, b_top)
    room = max(_TILE // (plan.left + plan.right + 1), 1 << 14)  # doubles of one slice or level
    deep = min(depth, max(1024, room // max(min(m, 256), min(n, 256))))
    columns = min(n, max(1, room // deep))
    rows = min(m, max(1, room // max(deep, columns)))
    out = np.empty((m, n))
    left, right = np.empty((plan.left, rows, deep)), np.empty((plan.right, deep, columns))
    work = np.empty((plan.levels + 1) * rows * columns)
    for j in range(0, n, columns):
        for i in range(0, m, rows):
            shape = (plan.levels + 1, min(rows, m - i), min(columns, n - j))
            levels = work[: math.prod(shape)].reshape(shape)
            for k in range(0, depth, deep):
                some = min(deep, depth - k)
                x, y = left[:, : shape[1], :some], right[:, :some, : shape[2]]
                if i == 0 or deep < depth:
                    part = b[k : k + some, j : j + columns]
                    _slice(part, 1 / b_scale[j : j + columns], plan.right, plan.b_bits, y)
                _slice(a[i : i + rows, k : k + some], 1 / a_scale[i : i + rows], plan.left, plan.a_bits, x)
                _multiply(x, y, levels, first=k == 0)
            tile = _rounded_sum(levels[:-1], plan, nearest)
            tile *= a_scale[i : i + rows]
            np.multiply(tile, b_scale[j : j + columns], out=out[i : i + rows, j : j + columns])
    return out


def _multiply(left: Array, right: Array, levels: Array, first: bool) -> None:
    """Add every product of slices to its level, the last being scratch: integers below 2**53, so without error."""
    fresh = [first] * len(levels)
    for s, x in enumerate(left):
        for t, y in enumerate(right):
            np.matmul(x, y, out=levels[s + t] if fresh[s + t] else levels[-1])
            if not fresh[s + t]:
                levels[s + t] += levels[-1]
            fresh[s + t] = False


def _rounded_sum(levels: Array, plan: _Plan, nearest: bool) -> Array:
    out: Array = levels[0]
    flat = levels.reshape(len(levels), -1)
    for i in range(0, flat.shape[1], _CHUNK):
        head, tail = _joined([level[i : i + _CHUNK] for level in flat], plan.bits)
        head = head if nearest else to_odd(head, tail)
        head *= 2.0**-plan.unit
        np.add(head, 0.0, out=flat[0, i : i + _CHUNK])  # a zero becomes +0
    return out


def _by_fractions(a: Array, b: Array, nearest: bool) -> Array:
    """`_finite` in rational arithmetic, for float64 operands that slices cannot hold; slow, and rarely needed."""
    left = [[Fraction(v) for v in row] for row in a.tolist()]
    right = [[Fraction(v) for v in column] for column in b.T.tolist()]
    out = [
        [as_float(sum((x * y for x, y in zip(r, c, strict=True)), Fraction(0)), not nearest) for c in right]
        for r in left
    ]
    return np.array(out, np.float64).reshape(a.shape[0], b.shape[1])


def block_extents(x: Array, size: int, rows: int) -> tuple[Array, Array]:
    """For tiles of ``rows`` rows and blocks of ``size`` columns: the lowest set bit, and the largest norm of a row.

    All products of a block of two such matrices are multiples of the product of their lowest set bits, and by
    Cauchy's inequality no part of their sum exceeds the product of the norms of row and column: where that is at
    most 2**53 such multiples, float64 sums without error in any order, a BLAS included.
    """
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


def block_sums(a: Array, b: Array, size: int, nearest: bool, exact: list[bool]) -> Iterator[Array]:
    """The sums of each block of ``size`` products, in float64; zeros of either sign, since a BLAS may make them.

    Where ``exact`` says that float64 sums a block without error it does; others are rounded as `matmul_exact` does.
    The array handed out is the caller's until the next one.
    """
    sums = np.empty((a.shape[0], b.shape[1]))
    for block, k in enumerate(range(0, a.shape[1], size)):
        x, y = a[:, k : k + size], b[k : k + size]
        if exact[block]:
            yield np.matmul(x.astype(np.float64), y.astype(np.float64), out=sums)
        else:
            yield matmul_exact(x, y, nearest)
