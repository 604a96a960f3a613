"""Operands that find out a unit: ordinary, of few exponents, with cancellations, subnormals, zeros and specials."""

from __future__ import annotations

import numpy as np

from halfsim.hardware.matrix_unit import taken
from halfsim.hardware.units import Unit
from halfsim.numerics.quantize import rounded

KINDS = ("normal", "narrow", "wide", "subnormal", "cancel", "zeros", "special")


def operands(row: Unit, kind: str, count: int, depth: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A (count, depth), B (count, depth) and C (count,), on the unit's grids, in float32."""
    fmt = row.input_format
    low, high = max(fmt.emin, -126) - 3, fmt.emax
    a, b = rng.standard_normal((2, count, depth))
    c = rng.standard_normal(count)
    if kind in ("narrow", "special"):
        a, b = a * 2.0 ** rng.integers(-4, 5, a.shape), b * 2.0 ** rng.integers(-4, 5, b.shape)
        c *= 2.0 ** rng.integers(-12, 12, count)
    if kind == "wide":
        a, b = (x * 2.0 ** rng.integers(low // 2, high // 2 + 1, x.shape) for x in (a, b))
        c *= 2.0 ** rng.integers(-40, 12, count)
        a[::3] *= 2.0 ** min(high // 2 - 2, 60)
    if kind == "subnormal":
        a, b = a * 2.0 ** rng.integers(low, low + 8, a.shape), b * 2.0 ** rng.integers(-8, high - 2, b.shape)
        c *= 2.0 ** rng.integers(-150, -10, count)
    if kind == "cancel":
        half = depth // 2
        a[:, half : 2 * half], b[:, half : 2 * half] = -a[:, :half], b[:, :half]
        a[:, -1] *= 2.0**-9
        c *= 2.0 ** rng.integers(-24, 0, count)
    if kind == "zeros":
        a[rng.random(a.shape) < 0.7] = 0.0
        b[rng.random(b.shape) < 0.3] = -0.0
        b *= 2.0 ** rng.integers(low + 3, 0, b.shape)
        c[rng.random(count) < 0.7] = -0.0
    with np.errstate(all="ignore"):
        a, b = taken(a, row), taken(b, row)
        c = rounded(c, row.output_format).astype(np.float32)
    if kind == "special":
        for x in (a, b):
            values = [0.0, -0.0, np.nan] + ([np.inf, -np.inf] if fmt.specials == "ieee" else [])
            chosen = rng.choice(np.float32(values), x.shape)
            np.copyto(x, chosen, where=rng.random(x.shape) < 0.06)
        c[::7] = np.inf
        c[1::7] = -np.inf
    return a, b, c
