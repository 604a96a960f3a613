"""What additions that swallowed an addend left out of a value, and what a tensor's format left out of numbers given.

Either is followed to first order, as values are: a product takes it times the other factor, a root over twice itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array

WRONG = 0.05  # what a quotient lacks that makes a zero of it wrong
DIM = 0.01  # how far a subnormal number is off, as a share of it, that matters in a divisor
_MOVES = {"neg": -1.0, "cast": 1.0}


def through(op: str, y: Array, operands: Sequence[Array], missing: Sequence[Array | None]) -> Array | None:
    """What the result ``y`` of an operation that is no addition lacks, its operands lacking ``missing``."""
    a, lacking = operands[0], missing[0]
    other = missing[1] if len(missing) > 1 else None
    if op in ("mul", "div") and len(operands) > 1:
        b = operands[1]
        if op == "mul":
            parts = [d * x for d, x in ((lacking, b), (other, a)) if d is not None]
            return sum(parts[1:], parts[0])
        if other is not None:
            return None if lacking is not None else -other * y / b
        assert lacking is not None
        return lacking / b
    if lacking is None or lacking.shape != y.shape:
        return None
    if op in _MOVES:
        return _MOVES[op] * lacking
    if op == "sqrt":  # of the sum with what is missing, which is right at zero too
        return np.sqrt(np.maximum(a + lacking, 0)) - np.sqrt(np.maximum(a, 0))
    if op == "log":
        return lacking / a
    return None


def faint(y: Array, values: Array, fmt: Format) -> dict[str, float] | None:
    """How many of ``y`` are subnormal in ``fmt`` and off by more than 1 % of the number given for them; None for none.

    Zeros are not among them.
    """
    small = (y != 0) & (np.abs(y) < fmt.smallest_normal)
    off = np.abs(y[small] / values[small] - 1) if small.any() else np.empty(0)
    return {"faint": int(np.count_nonzero(off > DIM)), "off": float(off.max())} if (off > DIM).any() else None


def vanished(y: Array, lacking: Array, least: float = 0.0) -> bool:
    """Whether most of ``y`` is zero and should be more than ``least``."""
    return 2 * int(np.count_nonzero((y == 0) & (np.abs(lacking) > least))) > y.size


def collapsed(y: Array, a: Array, b: Array, sign: int) -> bool:
    """Whether most of ``y``, a sum or difference, has less than four good bits of that of the numbers as given."""
    true = a + sign * b
    return 2 * int(np.count_nonzero(np.abs(y - true) > 2.0**-4 * np.abs(true))) > y.size
