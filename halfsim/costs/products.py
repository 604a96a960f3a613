"""FLOPs of what matrix units can do, from the shapes of operands and result."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from halfsim.costs.kernels import CELLS

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]

ATTENTION = ("scaled_dot_product_attention", "flash_attention")
CONVOLUTIONS = (*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3)))


def product(op: str, shapes: Shapes, out: Shape) -> tuple[float, dict[int, float]] | None:
    """FLOPs of a matrix product, and of the gradient of each operand by its position; None if ``op`` is no product."""
    s = [shape or () for shape in shapes]
    if op in ("matmul", "linear"):
        flops = 2.0 * prod(out) * s[0][-1]
    elif op == "dot":
        flops = 2.0 * prod(s[0])
    elif op in CONVOLUTIONS[:3]:
        flops = 2.0 * prod(out) * prod(s[1][1:])
    elif op in CONVOLUTIONS[3:]:
        flops = 2.0 * prod(s[0]) * prod(s[1][1:])
    elif op in ("addmm", "baddbmm"):
        flops = 2.0 * prod(out) * s[1][-1]
        return flops, {1: flops, 2: flops}
    elif op == "bilinear":
        flops = 2.0 * prod(out[:-1]) * prod(s[2]) + 2.0 * prod(out) * s[2][-1]
        return flops, {0: flops, 1: flops, 2: flops}
    elif op in ATTENTION:
        return _attention(shapes)
    elif op in CELLS:
        steps = 2.0 * prod(s[0][:-1])
        inner, recurrent = steps * prod(s[1]), steps * prod(s[2])
        return inner + recurrent, {0: inner, 1: inner, 2: 2 * recurrent}  # through time, and that of the weight
    else:
        return None
    return flops, {0: flops, 1: flops}


def _attention(shapes: Shapes) -> tuple[float, dict[int, float]]:
    packed = len(shapes) < 3 or shapes[1] is None
    q = (shapes[0] or ())[1:] if packed else shapes[0] or ()
    k, v = (q, q) if packed else (shapes[1] or (), shapes[2] or ())
    scores = 2.0 * prod(q[:-1]) * k[-2]
    flops = scores * (q[-1] + v[-1])
    if packed:
        return flops, {0: 2 * flops}
    return flops, {0: scores * (q[-1] + v[-1]), 1: scores * q[-1], 2: scores * v[-1]}  # the scores' with the query's
