"""The product of two matrices on a named unit, bit for bit."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from halfsim.hardware._aligned import aligned
from halfsim.hardware._block import NEAR
from halfsim.hardware._chains import chained, detached, summed_exactly, summed_in_pairs
from halfsim.hardware.units import DEVICES, FP8, UNITS, Unit, rows
from halfsim.numerics.formats import NARROW
from halfsim.numerics.inputs import array_of
from halfsim.numerics.quantize import Array, flushed, rounded

__all__ = ["DEVICES", "FP8", "UNITS", "Unit", "matmul", "rows", "unit_matmul"]

_TILE = 1 << 15  # outputs of a tile, whose scratch arrays stay in the second-level cache

_KINDS = {
    "aligned": aligned,
    "floored": aligned,
    "exact": summed_exactly,
    "tree": summed_in_pairs,
    "chain": chained,
}


def unit_matmul(a: ArrayLike, b: ArrayLike, c: ArrayLike | None, row: Unit) -> Array:
    """``a @ b + c`` as the unit ``row`` computes it, in steps of k ascending; a partial last step is a step.

    ``a`` (..., M, K) and ``b`` (..., K, N) are values, vectors and leading axes as in np.matmul; ``c`` is anything
    that broadcasts to the result, None is zero. They are first rounded to nearest even to the formats of the unit,
    as a cast would; of tf32 inputs the low 13 bits of float32 are dropped, as the unit does. The result is float32, or
    float16 where the unit accumulates in it. NaN has the bits ``row.nan``. ``ValueError`` where shapes do not fit.

    >>> float(unit_matmul([2.0**24, 1, 1, 1], [1, 1, 1, 1], None, rows("volta")["fp16", "fp32"]))
    inf
    """
    left, right = taken(a, row, "a"), taken(b, row, "b")
    vectors = left.ndim == 1, right.ndim == 1
    left, right = left[None] if vectors[0] else left, right[:, None] if vectors[1] else right
    if left.ndim < 2 or right.ndim < 2 or left.shape[-1] != right.shape[-2]:
        raise ValueError(
            f"matmul: shapes {np.shape(a)} and {np.shape(b)} do not fit; allowed: (..., M, K), (..., K, N)"
        )
    try:
        lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: leading axes of {np.shape(a)} and {np.shape(b)} do not broadcast") from None
    m, n = left.shape[-2], right.shape[-1]
    shape = lead + ((m,) if not vectors[0] else ()) + ((n,) if not vectors[1] else ())
    start = _addend(c, row, shape).reshape(*lead, m, n)
    if right.ndim == 2:  # one matrix for all rows
        lines = prod(lead) * m
        out = _folded(left.reshape(1, lines, left.shape[-1]), right[None], start.reshape(1, lines, n), row)
    else:
        count = prod(lead)
        left, right = (np.broadcast_to(x, lead + x.shape[-2:]).reshape(count, *x.shape[-2:]) for x in (left, right))
        out = _folded(left, right, start.reshape(count, m, n), row)
    return _stored(out.reshape(shape), row)


def matmul(row: Unit, a: ArrayLike, b: ArrayLike, c: ArrayLike | None = None) -> Array:
    """`unit_matmul`, the unit first."""
    return unit_matmul(a, b, c, row)


def taken(x: ArrayLike, row: Unit, name: str = "a") -> Array:
    """An operand on the unit's grid, in float32."""
    given = _reals(x, name)
    with np.errstate(all="ignore"):
        if row.inputs == "tf32":
            code = given.astype(np.float32).view(np.int32) & np.int32(-1 << 13)
            values: Array = code.view(np.float32)
            return values
        if given.dtype == np.float16 and row.inputs == "fp16":
            values = given.astype(np.float32)
        else:
            wide = given if given.dtype in (np.float32, np.float64) else given.astype(np.float64)
            values = rounded(wide, row.input_format).astype(np.float32)
        return flushed(values, row.input_format) if row.flush_inputs else values


def _reals(x: ArrayLike, name: str) -> Array:
    """An argument called ``name`` as an array of real numbers."""
    given = array_of(x, name)
    if given.dtype.kind not in "fiub" or given.dtype.itemsize > 8:
        if given.dtype.name not in NARROW:
            raise TypeError(f"{name}: an array of {given.dtype} is not allowed; allowed: real numbers")
        return given.astype(np.float32)
    return given


def _addend(c: ArrayLike | None, row: Unit, shape: tuple[int, ...]) -> Array:
    if c is None:
        return np.zeros(shape, np.float32)
    given = _reals(c, "c")
    with np.errstate(all="ignore"):
        wide = given if given.dtype in (np.float32, np.float64) else given.astype(np.float64)
        values = rounded(wide, row.output_format).astype(np.float32)
        if row.flush_addend:
            values = flushed(values, row.output_format)
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(f"c: shape {given.shape} is not allowed; allowed: what broadcasts to {shape}") from None


def _stored(out: Array, row: Unit) -> Array:
    """The result in its own dtype, NaN with the unit's bits."""
    with np.errstate(all="ignore"):
        result = out.astype(np.float16) if row.accumulate == "fp16" else out
    code = result.view(np.uint16 if row.accumulate == "fp16" else np.uint32)
    np.copyto(code, code.dtype.type(row.nan), where=np.isnan(result))
    return result


def _folded(a: Array, b: Array, c: Array, row: Unit) -> Array:
    """The product of (B, M, K) and (B, K, N), added to ``c`` (B, M, N), by tiles; the longer side runs innermost."""
    if b.shape[2] < a.shape[1]:
        turned = _tiled(b.transpose(0, 2, 1), a.transpose(0, 2, 1), c.transpose(0, 2, 1), row)
        return np.ascontiguousarray(turned.transpose(0, 2, 1))
    return _tiled(a, b, c, row)


def _tiled(a: Array, b: Array, c: Array, row: Unit) -> Array:
    out = np.empty(c.shape, np.float32)
    batch, m, n = c.shape
    if not out.size:
        return out
    near = _near(a, row) and _near(b, row) and _near_addend(c, row)
    columns = min(n, _TILE)
    lines = min(m, max(1, _TILE // columns))
    sheets = min(batch, max(1, _TILE // (columns * m))) if lines == m and columns == n else 1
    kernel = detached if row.detached else _KINDS[row.kind]
    left, right = np.moveaxis(a, 2, 0)[..., None], np.moveaxis(b, 1, 0)[:, :, None, :]  # (K, B, M, 1), (K, B, 1, N)
    with np.errstate(all="ignore"):
        for s in range(0, batch, sheets):
            for j in range(0, n, columns):
                y = np.ascontiguousarray(right[:, s : s + sheets, :, j : j + columns])
                for i in range(0, m, lines):
                    x = np.ascontiguousarray(left[:, s : s + sheets, i : i + lines])
                    place = (slice(s, s + sheets), slice(i, i + lines), slice(j, j + columns))
                    out[place] = kernel(x, y, c[place], row, near)
    return out


def _near(x: Array, row: Unit) -> bool:
    """Whether all factors lie where float32 holds their products and the sums of these."""
    if row.input_format.exponent_bits <= 5:
        return True
    size = np.abs(x[np.isfinite(x) & (x != 0)])
    return not size.size or bool(size.max() <= NEAR and size.min() >= 1 / NEAR)


def _near_addend(c: Array, row: Unit) -> bool:
    if not c.any():
        return True
    lowest = 2.0**-48 if row.input_format.exponent_bits <= 5 else 2.0**-90
    size = np.abs(c[np.isfinite(c) & (c != 0)])
    return not size.size or bool(size.max() <= 2.0**90 and size.min() >= lowest)
