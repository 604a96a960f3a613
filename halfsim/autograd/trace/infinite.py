"""How large numbers that became infinite are at least, which may be enough to say that no harm came of them.

``exp(-inf)`` is 0, and so is ``exp(-65504)``: a square that overflowed does no harm there, unless it was made smaller
on the way, which an infinity does not show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsim.numerics.quantize import Array

VANISHES = 104.0  # exp(-104) is zero in every narrow format
_MOVES = {
    "neg", "abs", "cast", "getitem", "reshape", "transpose", "permute", "where", "masked_fill", "maximum", "minimum",
    "max", "min", "amax", "amin", "clamp", "stack", "cat", "broadcast_to", "flip", "index_select", "gather",
}  # fmt: skip
_FORMS = {"add", "sub", "mul", "div"}


def least(op: str, operands: Sequence[Array], bounds: Sequence[float]) -> float:
    """The least magnitude of a result's infinities that its operands' explain; ``bounds`` holds those, 0 if unknown.

    The bound of an operand without infinities is infinite.
    """
    known = min(bounds, default=0.0)
    if op in _MOVES:
        return known
    if op == "sum":  # what may take away from infinities of one sign
        a, up = operands[0], bool((operands[0] == np.inf).any())
        return 0.0 if up and (a == -np.inf).any() else max(0.0, known - _whole(a[a < 0] if up else a[a > 0]))
    if op not in _FORMS or len(operands) < 2:
        return 0.0
    a, b = (np.abs(x) for x in operands[:2])
    if op in ("add", "sub"):
        finite = max((float(x[np.isfinite(x)].max(initial=0.0)) for x in (a, b)), default=0.0)
        return max(0.0, known - finite)
    if op == "div":
        return float(known / b[np.isfinite(b)].max(initial=0.0)) if np.isinf(a).any() and not np.isinf(b).any() else 0.0
    return min(
        (
            bound * float(x[x > 0].min(initial=np.inf))
            for bound, x in ((bounds[0], b), (bounds[1], a))
            if bound < np.inf
        ),
        default=0.0,
    )


def _whole(x: Array) -> float:
    return float(np.abs(x[np.isfinite(x)]).sum())


def out_of_sight(op: str, x: Array, least: float) -> bool:
    """Whether an exponential of ``x`` is right though some are minus infinity, which stands for ``least`` or more.

    Where it is one among others, as in a softmax, it must be out of their sight.
    """
    finite = 0.0 if op in ("exp", "exp2") else float(np.abs(x[np.isfinite(x)]).max(initial=0.0))
    return not bool((x == np.inf).any()) and least - finite > VANISHES
