"""How far values may be off after a cancellation, element by element, through what reads them.

A difference that lost its digits harms only if what is made of it is off too. Added to something larger it does not, as
in a shifted softmax or a compensated sum; under a root, a logarithm or a quotient it does. First-order bounds, in the
manner of a running error analysis (Higham 2002, section 3.3): exact for sums and products, by norms elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsim.numerics.quantize import Array

_SQUARED = 1e-140  # above, no square that counts is below float64's normal numbers
DISSOLVED = 0.01  # of the norm of the values: below this nothing is left of it

_MOVES = {"neg", "abs", "cast", "flip", "roll"}
_MEANS = {"mean", "sum", "cumsum"}


def norm(x: Array) -> float:
    """The 2-norm of the finite elements; that their squares leave float64's range does not matter.

    >>> norm(np.array([3.0, 4.0, np.inf])), norm(np.array([3.0, 4.0]) * 2.0**-1000) == 5 * 2.0**-1000
    (5.0, True)
    """
    flat = np.asarray(x, np.float64).reshape(-1)
    size = float(np.sqrt(np.vdot(flat, flat)))
    if _SQUARED < size < np.inf or not flat.any():
        return size
    finite = flat[np.isfinite(flat)]
    scale = np.frexp(np.abs(finite).max(initial=0.0))[1]
    finite = np.ldexp(finite, -scale)
    return float(np.ldexp(np.sqrt(np.vdot(finite, finite)), scale))


def remains(noise: Array, y: Array) -> bool:
    """Whether values are off by more than 1 % of their norm."""
    return norm(noise) > DISSOLVED * norm(y)


def carried(op: str, y: Array, operands: Sequence[Array | None], noises: Sequence[Array | None]) -> Array | None:
    """How far the result ``y`` of an operation may be off, its operands being off by ``noises`` (None: not at all)."""
    if all(n is None for n in noises):
        return None
    a, na = operands[0], noises[0]
    b, nb = (operands[1], noises[1]) if len(operands) > 1 and len(noises) > 1 else (None, None)
    if op in ("add", "sub", "accumulate"):
        return np.broadcast_to((0.0 if na is None else na) + (0.0 if nb is None else nb), y.shape)
    if op == "mul" and a is not None and b is not None:
        left = 0.0 if na is None else na * np.abs(b)
        right = 0.0 if nb is None else nb * np.abs(a)
        return np.broadcast_to(left + right, y.shape)
    if op == "div" and a is not None and b is not None:
        left = 0.0 if na is None else na / np.abs(b)
        right = 0.0 if nb is None else np.abs(y) * np.minimum(nb / np.abs(b), 1e30)
        return np.broadcast_to(left + right, y.shape)
    if na is not None and a is not None and na.shape == y.shape:
        if op in _MOVES:
            return na
        if op == "exp":
            return np.abs(y) * np.minimum(na, 1e30)
        if op == "log":
            return np.minimum(na / np.maximum(np.abs(a), 1e-300), 1e30)
        if op == "sqrt":
            return np.minimum(na / np.maximum(2 * np.abs(y), 1e-300), np.sqrt(na))
    if op in _MEANS and a is not None and na is not None:
        whole = norm(na) / np.sqrt(max(1, y.size))
        return np.full(y.shape, whole * y.size / max(1, a.size) if op == "mean" else whole)
    known = [(x, n) for x, n in zip(operands, noises, strict=False) if x is not None and n is not None]
    share = max((norm(n) / (norm(x) or norm(n)) for x, n in known), default=0.0)
    return np.abs(y) * min(share, 1.0)


def vanishes_unseen(op: str, y: Array, operands: Sequence[Array | None], least: float) -> bool:
    """Whether it does not show in a quotient ``y`` that its divisor was infinite, ``least`` or more in truth.

    The zeros that stand there would have been smaller than 1 % of the whole in any case.
    """
    divisor = operands[-1 if op == "div" else 0]
    above = operands[0] if op == "div" and len(operands) > 1 else None
    if divisor is None:
        return False
    size = 1 / np.sqrt(least) if op == "rsqrt" else 1 / least
    bound = np.where(np.isinf(divisor), size * (1.0 if above is None else np.abs(above)), 0.0)
    return norm(np.broadcast_to(bound, y.shape)) <= DISSOLVED * norm(y)
