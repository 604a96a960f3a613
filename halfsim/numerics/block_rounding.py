"""Arrays in a block format: what is cut into blocks, divided by scales and rounded, and the codes of that.

`halfsim.numerics.blocks` says what the formats are; the rounding of elements is that of `halfsim.numerics.quantize`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from halfsim.numerics import codec, quantize
from halfsim.numerics._grid import BLOCK, Array, target
from halfsim.numerics.blocks import DIRECTIONS, INT8, INT8_CODES, RULES, BlockFormat, as_grid
from halfsim.numerics.flags import Flag, FlagCounts, report_mask, watching
from halfsim.numerics.formats import Format, float32, shortened, whole
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.layout import codes as given_codes
from halfsim.numerics.rounding import Mode, Stochastic, as_rounding, source_of


class Blocks(NamedTuple):
    """Numbers in a block format: ``codes`` of the shape of the numbers, and ``scales``, codes too, one a block.

    ``scales`` has the shape of the numbers with as many elements along the blocks' axis as there are blocks;
    ``second_scale`` is the value of the scale of the whole array, 1.0 where the format has none.
    """

    codes: Array
    scales: Array
    second_scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """How an array is cut into blocks along ``axis``: rows of ``block`` numbers, the last of each line filled up."""

    shape: tuple[int, ...]  # with the axis last
    axis: int
    block: int

    @property
    def count(self) -> int:
        """Blocks along the axis."""
        return -(-self.shape[-1] // self.block)

    def rows(self, x: Array) -> Array:
        """Blocks, a row each, in an array that may share memory; what is missing from the last of a line is zero."""
        moved = np.moveaxis(x, self.axis, -1)
        missing = self.count * self.block - self.shape[-1]
        if missing:
            moved = np.concatenate([moved, np.zeros((*self.shape[:-1], missing), x.dtype)], -1)
        return np.ascontiguousarray(moved).reshape(-1, self.block)

    def lines(self, rows: Array) -> Array:
        """The array of which `rows` were cut; it may share their memory."""
        whole = rows.reshape(*self.shape[:-1], self.count * self.block)[..., : self.shape[-1]]
        return np.moveaxis(whole, -1, self.axis)

    def one_each(self, values: Array) -> Array:
        """What has a number a block, in the shape of the array."""
        return np.moveaxis(values.reshape(*self.shape[:-1], self.count), -1, self.axis)


def _layout(shape: tuple[int, ...], axis: object, block: int) -> Layout:
    along = whole("axis", axis)
    if not -len(shape) <= along < len(shape):
        raise ValueError(f"axis: {along} is not allowed; allowed: {-len(shape)} to {len(shape) - 1}")
    along %= len(shape)
    return Layout((*shape[:along], *shape[along + 1 :], shape[along]), along, block)


def scales_of(amax: Array, fmt: BlockFormat, second: float = 1.0) -> Array:
    """The scales of blocks by their largest magnitudes, in float64; NaN for a block with an infinity or a NaN.

    A block of zeros has the smallest scale, as in gfloat and torchao.
    """
    amax = np.asarray(amax, np.float64)
    special, scale = ~np.isfinite(amax), fmt.scale
    if scale.precision == 1:
        m, e = np.frexp(np.where(special, 1.0, amax))
        exponents = np.where(m == 0, scale.emin, RULES[fmt.rule](m, e, fmt))
        made = np.ldexp(1.0, np.clip(exponents, scale.emin, scale.emax))
    else:
        made = np.where(special, 0.0, amax) / (fmt.largest * second)
        made = np.asarray(quantize.round_to(made, scale, DIRECTIONS[fmt.rule], overflow="saturate"))
    return np.where(special, np.nan, made)


def second_scale(amax: Array, fmt: BlockFormat) -> float:
    """The scale of a whole array with those largest magnitudes: its blocks' scales then reach their largest number."""
    finite = amax[np.isfinite(amax)]
    if fmt.second_scale is None or not finite.size or not finite.max():
        return 1.0
    made = float(finite.max()) / (fmt.largest * fmt.scale.max)
    fitted = float(quantize.round_to(made, fmt.second_scale, overflow="saturate"))
    return fitted or fmt.second_scale.smallest_subnormal


def amax_of(rows: Array) -> Array:
    """The largest magnitude of every row; NaN where it has one."""
    width = rows.shape[1]
    out, step = np.empty(len(rows), rows.dtype), max(1, BLOCK // width)
    # Columns are quicker to compare than rows, and quicker to make of a few numbers at a time, as one of 16 bytes.
    few = math.gcd(width, 16 // rows.itemsize)
    words = rows.view({1: rows.dtype, 2: np.dtype(f"c{2 * rows.itemsize}"), 4: np.dtype(np.complex128)}[few])
    across = np.empty((width // few, min(step, len(rows))), words.dtype)
    for i in range(0, len(rows), step):
        part = words[i : i + step]
        columns = (
            across[:, : len(part)] if len(part) == across.shape[1] else np.empty((width // few, len(part)), words.dtype)
        )
        np.copyto(columns, part.T)
        numbers = columns.view(rows.dtype)
        largest = np.maximum.reduce(np.abs(numbers, out=numbers), axis=0)
        np.maximum.reduce(np.ascontiguousarray(largest.reshape(-1, few).T), axis=0, out=out[i : i + step])
    return out


def fit(
    rows: Array,
    scales: Array,
    second: float,
    fmt: BlockFormat,
    mode: Mode | None = None,
    flags: Array | None = None,
    times: Array | None = None,
) -> Array:
    """The elements of blocks, on the grid of ``fmt.element``: ``rows`` over its scales, rounded.

    A block whose scale is NaN or zero has zeros. ``mode`` rounds the elements, which saturate; ``flags``, of the shape
    of ``rows``, gains theirs, by which an overflow is an element clipped. ``times``, a number a block, multiplies them
    in the end.
    """
    rule = Mode() if mode is None else mode
    subnormals = "flush_outputs" if rule.flush_outputs else "keep"
    goal = target(_endless(fmt.element), as_rounding(rule.rounding), "saturate", subnormals)
    draw, step = source_of(rule.rounding), max(1, BLOCK // fmt.block)
    # A power of two divides exactly; what is lost below float32's range rounds to zero, to nearest at least.
    exact = fmt.scale.precision == 1 and second == 1.0
    narrow = rows.dtype == np.float32
    out, work = np.empty_like(rows), None
    if narrow and not (exact and rule.nearest):
        work = np.empty((min(step, len(rows)), rows.shape[1]), np.float64)
    # A tie times a scale is a float64 (`BlockFormat` sees to it), so a quotient of float64 is a tie only where that of
    # fractions is: the next float64 beside the product is more than half a unit of the quotient away.
    divide = np.multiply if exact else np.divide
    special = np.isnan(scales) | (scales == 0)
    with np.errstate(all="ignore"):
        by = np.where(special, 1.0, scales) * second
        held = out.dtype if work is None else work.dtype
        by = (1 / by if exact else by).astype(held)[:, None]
        back = None if times is None else times.astype(held)[:, None]
        for i in range(0, len(rows), step):
            part = slice(i, i + step)
            block = out[part] if work is None else work[: len(rows[part])]
            broken = np.isfinite(rows[part]) & np.isnan(scales[part])[:, None] if flags is not None else None
            divide(rows[part], by[part], out=block)
            if special[part].any():
                block[special[part]] = np.copysign(0.0, rows[part][special[part]])
            ends, seen = block.reshape(-1), None if flags is None else flags[part].reshape(-1)
            past = None if seen is None else np.abs(ends) > fmt.largest
            np.clip(ends, -fmt.largest, fmt.largest, out=ends)
            quantize._round_flat(ends, ends, goal, None, seen, draw)
            if seen is not None and broken is not None:
                seen[past] = Flag.OVERFLOW | Flag.INEXACT
                seen[broken.reshape(-1)] = Flag.INVALID
            if fmt.element == INT8:
                ends += 0.0  # two's complement has one zero
            if back is not None:
                np.multiply(block, back[part], out=out[part])
            elif work is not None:
                out[part] = block
    return out


@lru_cache(maxsize=64)
def _endless(fmt: Format) -> Format:
    """``fmt`` with larger numbers too, where that is quicker: at the end of a format rounding has more to look at."""
    return replace(fmt, exponent_bits=fmt.exponent_bits + 1, specials="none") if fmt.exponent_bits <= 6 else fmt


@dataclass(frozen=True)
class Fitted:
    """An array on the grid of a block format: its blocks, a row each, and their scales.

    A row has its elements, or the numbers that they stand for, with or without the second scale.
    """

    layout: Layout
    rows: Array
    scales: Array
    second: float
    size: int  # of the array along the axis, which what is turned may go beyond


def fitted(
    x: Array, fmt: BlockFormat, axis: int, mode: Mode | None = None, flags: bool = False, values: str = "blocks"
) -> tuple[Fitted, Array | None]:
    """``x``, float32 or float64 of at least one axis, on the grid of ``fmt``, in blocks along ``axis``; and flags.

    The rows are what ``values`` says: "elements", those times the scales of "blocks", or times that of "all" besides.
    """
    size = x.shape[axis] if -x.ndim <= axis < x.ndim else 0
    if fmt.hadamard and size:
        from halfsim.numerics.hadamard import turned  # which few formats ask for

        x = np.moveaxis(turned(np.moveaxis(x, axis, -1), fmt.hadamard, fmt.seed), -1, axis)
    layout = _layout(x.shape, axis, fmt.block)
    rows = layout.rows(x)
    amax = amax_of(rows)
    second = second_scale(amax, fmt)
    scales = scales_of(amax, fmt, second)
    seen = np.zeros(rows.shape, np.uint8) if flags else None
    times = {"elements": None, "blocks": scales, "all": scales * second}[values]
    made = fit(rows, scales, second, fmt, mode, seen, times)
    return Fitted(layout, made, scales, second, size), seen


def operand(
    x: Array, fmt: BlockFormat, axis: int, counts: FlagCounts | None = None, mode: Mode | None = None
) -> tuple[Array, float, Array]:
    """An operand of a matrix product that sums over ``axis``, on the grid of ``fmt``; and the second scale of it all.

    It stays turned where the format turns: the product of two operands is the same. The last is how many elements of
    each block were clipped, in the shape of the scales; none where nobody counts.
    """
    made, flags = fitted(x, fmt, axis, mode, counts is not None)
    values, clipped = made.layout.lines(made.rows), np.zeros(0, np.intp)
    if flags is not None and counts is not None:
        raised = made.layout.lines(flags)
        nonzero = int(np.count_nonzero(x))
        counts += FlagCounts(
            size=x.size,
            nonzero=nonzero,
            inexact=int(np.count_nonzero(raised & Flag.INEXACT)),
            underflow=int(np.count_nonzero(raised & Flag.UNDERFLOW)),
            overflow=int(np.count_nonzero(raised & Flag.OVERFLOW)),
            flushed=0 if fmt.hadamard else int(np.count_nonzero((values == 0) & (x != 0))),
        )
        clipped = made.layout.one_each(np.count_nonzero(flags & Flag.OVERFLOW, axis=1))
    return values.astype(x.dtype, copy=False), made.second, clipped


def round_to(
    x: object,
    format: object = "float16",
    rounding: object = "nearest_even",
    *,
    axis: int | None = None,
    overflow: str = "infinity",
    subnormals: str = "keep",
    out: Array | None = None,
    return_flags: bool = False,
) -> Any:
    """Round every element of ``x`` to a number of ``format``, once.

    ``x`` is an array-like of any shape; float16, float32 and float64 keep their dtype (a result past its range is
    infinite, or where overflow saturates the largest number that it has too), as do Python's floats, which are float64.
    What has no such dtype (integers, str, Decimal, Fraction) gives the one that carries ``format`` in a tensor: float32
    for float16, the 8-bit formats and float32, float64 for bfloat16 and what is wider. A longdouble gives float64.
    ``rounding`` is a `Rounding`, its name, or a `Stochastic`. NaN stays NaN with its sign and payload (a signaling one
    is quieted), infinities and both zeros stay, and a result that rounds to zero keeps its sign. Past the overflow
    threshold a number becomes infinity or, where the mode rounds it inward, the largest finite number, as it always
    does with ``overflow="saturate"``; with "saturate_inf" infinities become that too, and count as overflows, and with
    "saturate_nan", the mode of Ascend 910, NaN becomes 0 besides, and is invalid. Formats without infinities have NaN
    in their place; those without NaN either take the largest number for infinity and zero for NaN. What a format has
    nothing near for, a negative number without a sign or a zero where there is none, is NaN (for want of one the
    smallest number); where there is one zero, -0 is 0. ``subnormals`` is "keep", or flushes those of ``format`` to
    zeros of their sign: "flush_inputs" before rounding (unflagged), "flush_outputs" after it, "flush" both. Random
    numbers go to the elements in C order, whatever the memory layout of ``x``.
    A block format ("mxfp4", "nvfp4", a `BlockFormat`) rounds blocks of neighbours along ``axis``, None for the last;
    the last block may be a shorter one. Elements then saturate whatever ``overflow`` says, and an element larger than
    the largest is flagged as an overflow; a block with an infinity or a NaN becomes NaN, as a scale that is NaN makes
    it; random numbers go to the elements in the order of blocks. Inputs without a float dtype give float32.
    ``out``, which may be ``x``, is an array of the result's shape and dtype. With ``return_flags`` the result is
    ``(y, flags)``, the latter a uint8 mask of `Flag` for each element, tininess judged after rounding (before it
    for stochastic rounding). ``ValueError`` for unknown words and a mismatched ``out``, ``TypeError`` for what is
    no real number. The rules are those of IEEE 754-2019 clauses 4.3 and 7.

    >>> round_to([0.1, 65519.99, 65520.0, 2.0**-25], "float16")
    array([9.99755859e-02, 6.55040000e+04,            inf, 0.00000000e+00])
    >>> round_to([0.1, -0.1, 1e9], "float16", "upward")
    array([ 0.10003662, -0.09997559,         inf])
    >>> round_to([1.0, 2.5, 7.0], "mxfp4").tolist(), round_to([1.0, 2.5, 7.0], "mxfp4(rule=ceil)").tolist()
    ([1.0, 2.0, 6.0], [1.0, 2.0, 8.0])
    """
    fmt = _blocks(format, axis)
    if fmt is None:
        return quantize.round_to(
            x, format, rounding, overflow=overflow, subnormals=subnormals, out=out, return_flags=return_flags
        )
    array, source = _given(x)
    dtype = array.dtype if quantize.is_floats(x) else np.dtype(np.float32)
    if out is not None and (not isinstance(out, np.ndarray) or out.shape != array.shape or out.dtype != dtype):
        raise ValueError(f"out: allowed is an array of shape {array.shape} and dtype {dtype}")
    along = -1 if axis is None else axis
    with np.errstate(all="ignore"):
        mode = _mode(rounding, overflow, subnormals)
        made, flags = fitted(source, fmt, along, mode, return_flags or watching(), "all")
        result = _valued(made, fmt).reshape(array.shape).astype(dtype, copy=False)
    raised = None if flags is None else np.ascontiguousarray(_cut(made.layout.lines(flags), made)).reshape(array.shape)
    if raised is not None and watching():
        report_mask(raised, "round_to")
    if out is not None:
        out[...] = result
        result = out
    return (result, raised) if return_flags else result


def encode(
    x: object,
    format: object = "float16",
    rounding: object = "nearest_even",
    *,
    axis: int | None = None,
    overflow: str = "infinity",
    subnormals: str = "keep",
) -> Any:
    """The bit patterns of ``x`` in ``format``, rounded once.

    ``x`` is an array-like of any shape, of floats, integers of any size, str, Decimal or Fraction; the
    result has its shape and the smallest unsigned dtype that holds the format (uint16 for float16). ``rounding``,
    ``overflow`` and ``subnormals`` are those of `round_to`. NaN keeps its sign and the leading bits of its payload,
    a signaling one is quieted, infinities and both zeros keep their sign, and values below ``smallest_normal`` become
    subnormal codes or zeros. ``ValueError`` for unknown words or a string that is no number, ``TypeError`` for other
    kinds. The layout is IEEE 754-2019
    clause 3.4. A block format gives `Blocks`: codes of elements, codes of scales, and the scale of the whole array;
    blocks lie along ``axis``, None for the last.


    >>> [hex(code) for code in encode(["0.1", "-0.0", "65520", "1e-8"])]
    ['0x2e66', '0x8000', '0x7c00', '0x0']
    >>> encode([1.0, 2.5, 7.0], "mxfp4")
    Blocks(codes=array([2, 4, 7], dtype=uint8), scales=array([127], dtype=uint8), second_scale=1.0)
    """
    fmt = _blocks(format, axis)
    if fmt is None:
        return codec.encode(x, format, rounding, overflow=overflow, subnormals=subnormals)
    array, source = _given(x)
    made, _ = fitted(
        source, fmt, -1 if axis is None else axis, _mode(rounding, overflow, subnormals), values="elements"
    )
    elements = np.ascontiguousarray(made.layout.lines(made.rows))
    if fmt.element == INT8:
        codes = np.asarray(elements * 64, np.int8).view(np.uint8)
    else:
        codes = codec.encode(elements, fmt.element)
    return Blocks(
        codes if fmt.hadamard else codes.reshape(array.shape),
        codec.encode(np.ascontiguousarray(made.layout.one_each(made.scales)), fmt.scale),
        made.second,
    )


def decode(bits: Any, format: object = "float16", *, axis: int | None = None) -> Array:
    """The exact values of bit patterns of ``format``, as a float64 array of the same shape.

    ``bits`` is an array-like of non-negative integers below 2**format.bits. NaN keeps its sign, quiet bit
    and payload; infinities, both zeros and subnormals come out as such. ``ValueError`` for a code
    outside the format, ``TypeError`` for codes that are not integers. The layout is IEEE 754-2019
    clause 3.4. For a block format ``bits`` is what `encode` gave, `Blocks` or a tuple of codes and scales.


    >>> decode([0x2E66, 0x0001, 0xFC00, 0x7BFF]).tolist()
    [0.0999755859375, 5.960464477539063e-08, -inf, 65504.0]
    >>> decode(encode([1.0, 2.5, 7.0], "mxfp4"), "mxfp4").tolist()
    [1.0, 2.0, 6.0]
    """
    fmt = _blocks(format, axis)
    if fmt is None:
        return codec.decode(bits, format)
    if not isinstance(bits, tuple) or len(bits) not in (2, 3):
        raise TypeError(
            f"bits: {type(bits).__name__} is not allowed with {fmt}; allowed: (codes, scales), as encode gives"
        )
    given = Blocks(*bits)
    codes = np.asarray(given.codes)
    if fmt.element == INT8:
        elements = np.asarray(given_codes(codes, INT8_CODES), np.uint8).view(np.int8) / 64
    else:
        elements = codec.decode(codes, fmt.element)
    layout = _layout(np.atleast_1d(elements).shape, -1 if axis is None else axis, fmt.block)
    scales = codec.decode(given.scales, fmt.scale)
    shape = layout.one_each(np.empty(layout.count * (elements.size // max(1, layout.shape[-1])))).shape
    if scales.shape != shape:
        raise ValueError(f"bits: scales of shape {scales.shape} are not allowed; allowed: {shape}, one a block")
    with np.errstate(all="ignore"):
        by = np.moveaxis(scales, layout.axis, -1).reshape(-1, 1) * given.second_scale
        rows = layout.rows(np.atleast_1d(elements)) * by
    size = layout.shape[-1]
    return _valued(Fitted(layout, rows, scales, given.second_scale, size), fmt).reshape(elements.shape)


def _blocks(format: object, axis: object) -> BlockFormat | None:
    """The block format that is meant; None for another, which has no use for an axis."""
    found = as_grid(format)
    fmt = found if isinstance(found, BlockFormat) else None
    if fmt is None and axis is not None:
        raise ValueError(
            f"axis: {shortened(axis)} is not allowed with {shortened(format)}; allowed: with block formats"
        )
    return fmt


def _given(x: object) -> tuple[Array, Array]:
    """``x`` as floats, and the same in float32 or float64 with at least one axis."""
    array = as_floats(x, float32)
    return array, np.atleast_1d(array.astype(np.float32) if array.dtype == np.float16 else array)


def _mode(rounding: object, overflow: str, subnormals: str) -> Mode:
    """How elements are rounded: they saturate, whatever ``overflow`` says."""
    target(float32, as_rounding(rounding), overflow, subnormals)  # which refuses other words
    return Mode(rounding if isinstance(rounding, Stochastic) else as_rounding(rounding), "saturate", subnormals)


def _valued(made: Fitted, fmt: BlockFormat) -> Array:
    """The numbers that blocks stand for, in the shape of the array."""
    values = made.layout.lines(made.rows)
    if fmt.hadamard:
        from halfsim.numerics.hadamard import turned

        moved = turned(np.moveaxis(values, made.layout.axis, -1), fmt.hadamard, fmt.seed, back=True)
        values = np.moveaxis(moved, -1, made.layout.axis)
    return _cut(values, made)


def _cut(values: Array, made: Fitted) -> Array:
    """``values`` without what was added to fill up the last group that is turned together."""
    return (
        values if made.size == values.shape[made.layout.axis] else np.take(values, range(made.size), made.layout.axis)
    )
