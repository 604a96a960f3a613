"""What a step in half cannot go below: its products and roundings alone, replayed without the engine around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.harness import Make, Work
from benchmarks.models import ours
from halfsim.numerics import accumulate, quantize

FLOOR = "halfsim fp16, its products and roundings alone"


def floor(name: str) -> Make:
    """The products and roundings of one step of a network, each on the arrays that it had.

    Element by element arithmetic, sums, gathers and the tape are left out, so no engine that rounds by these kernels
    can be faster.
    """

    def make() -> Work:
        step = ours(name, "fp16")()
        step()
        calls: list[Callable[[], Any]] = []
        with (
            patch.object(quantize, "_round_flat", _noted(quantize._round_flat, calls)),
            patch.object(accumulate, "matmul", _noted(accumulate.matmul, calls)),
        ):
            step()

        def work() -> None:
            for call in calls:
                call()

        return work

    return make


def _noted(function: Callable[..., Any], calls: list[Callable[[], Any]]) -> Callable[..., Any]:
    """``function``, which notes every outer call of it as one that can be made again."""
    within = [False]

    def noting(*args: Any, **options: Any) -> Any:
        if within[0]:
            return function(*args, **options)
        kept = [arg.copy("A") if isinstance(arg, np.ndarray) else arg for arg in args]
        calls.append(lambda: function(*kept, **options))
        within[0] = True
        try:
            return function(*args, **options)
        finally:
            within[0] = False

    return noting
