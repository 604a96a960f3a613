"""What operations share that are several kernels, or one: steps kept in memory, and a backward pass taken once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, rounded

_Result = TypeVar("_Result")


def kept(fp: Arithmetic, x: Array) -> Array:
    """``x`` as memory keeps it between two kernels: rounded to ``storage``.

    What is flushed here is on the way to the result and is no zero of it, so it is not counted.
    """
    return fp.spill(x)


class Stepwise:
    """A unit whose every step is a kernel of its own, or rounds like one: its result goes through memory.

    So PyTorch computes what it composes of other functions (most losses, and nearly all gradients of elementary
    functions), on every device. Under ``compute=fp16`` or ``storage=fp32`` that is what ``fp`` does anyway.
    """

    __slots__ = ("fp",)

    def __init__(self, fp: Arithmetic) -> None:
        self.fp = fp

    def __getattr__(self, name: str) -> Callable[..., Array]:
        step, spill = getattr(self.fp, name), self.fp.spill
        return lambda *operands: spill(step(*operands))

    def constant(self, value: float) -> Any:
        """A Python number, which stays in ``compute``."""
        return self.fp.constant(value)


def steps(fp: Arithmetic, wide: Format) -> Any:
    """A unit whose every step is stored, but for the format ``wide``, for which PyTorch's CPU kernel stores none.

    Its CUDA kernels store each step in either format. Results differ by units in the last place.
    """
    return fp if fp.precision.storage == wide else Stepwise(fp)


def bound(fp: Arithmetic, x: Any) -> Any:
    """A number as a kernel takes it whose parameters have the format of its operands: in ``storage``; arrays as read.

    This rounding is no result's, so it is not counted.
    """
    storage = fp.precision.storage
    x = x if isinstance(x, (np.generic, np.ndarray)) else fp.constant(x)
    if isinstance(x, np.ndarray) or storage.contains(fp.precision.compute):
        return x
    return rounded(np.asarray(x), storage, None, fp.precision.mode).astype(fp.dtype)[()]


def once(backward: Callable[[Arithmetic, Array], _Result]) -> Callable[[Arithmetic, Array], _Result]:
    """``backward`` for the pullbacks of several operands: run for the first of them, remembered for the others."""
    last: list[tuple[Array, Precision, _Result]] = []

    def shared(fp: Arithmetic, g: Array) -> _Result:
        if not last or last[0][0] is not g or last[0][1] != fp.precision:
            last[:] = [(g, fp.precision, backward(fp, g))]
        return last[0][2]

    return shared
