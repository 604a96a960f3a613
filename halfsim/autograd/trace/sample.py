"""What is looked at of a large array: a sample of it, by exponents."""

from __future__ import annotations

import numpy as np

from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array

SAMPLE = 4096


def sample(x: Array) -> Array:
    """``x`` in one dimension, and of more than 4,096 elements only every so many-th, in memory order."""
    flat = x.ravel(order="K")
    return flat if flat.size <= SAMPLE else flat[:: -(-flat.size // SAMPLE)]


def exponents(y: Array) -> Array:
    """How many elements of ``y`` have which exponent: bin e + 127 counts the numbers with floor(log2 |y|) = e.

    Bin 0 counts zeros and magnitudes below 2**-126, bin 255 NaN, infinities and magnitudes from 2**128 on. Of more than
    4,096 elements every so many-th is looked at, see `sample`.
    """
    few = sample(y)
    if few.dtype != np.float32:
        with np.errstate(all="ignore"):
            few = few.astype(np.float32)
    counts = np.bincount(np.ascontiguousarray(few).view(np.uint32) >> 23, minlength=512)  # by sign and exponent
    return counts[:256] + counts[256:]


def magnitude(y: Array) -> float:
    """The sum of the magnitudes in ``y``, if those in its `sample` are like the others."""
    few = sample(y)
    return float(np.abs(few).sum(dtype=np.float64)) * y.size / few.size


def subnormals(y: Array, seen: Array, fmt: Format) -> int:
    """How many numbers of ``y``, of which `exponents` are ``seen``, are subnormal in ``fmt``.

    Of more than 4,096 elements the share among those looked at. None in float64, whose range is beyond a float32's.
    """
    if not 0 < fmt.emin + 127 < 256:
        return 0
    count = int(seen[1 : fmt.emin + 127].sum())
    if seen[0] and fmt.emin == -126:
        few = sample(y)
        count += int(np.count_nonzero((few != 0) & (np.abs(few) < 2.0**-126)))
    return count if y.size <= SAMPLE else round(count * y.size / int(seen.sum()))
