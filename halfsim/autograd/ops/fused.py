"""What the fused operations share: a product kept in memory on the way, and a backward pass taken once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.quantize import Array

_Result = TypeVar("_Result")


def kept(fp: Arithmetic, x: Array) -> Array:
    """``x`` as memory keeps it between two kernels: rounded to ``storage``.

    What is flushed here is on the way to the result and is no zero of it, so it is not counted.
    """
    return fp.spilled(x)


def once(backward: Callable[[Arithmetic, Array], _Result]) -> Callable[[Arithmetic, Array], _Result]:
    """``backward`` for the pullbacks of several operands: run for the first of them, remembered for the others."""
    last: list[tuple[Array, _Result]] = []

    def shared(fp: Arithmetic, g: Array) -> _Result:
        if not last or last[0][0] is not g:
            last[:] = [(g, backward(fp, g))]
        return last[0][1]

    return shared
