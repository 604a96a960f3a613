"""Which floats are meant as integers: positions, counts and labels, which a format loses above its last odd integer."""

from __future__ import annotations

import numpy as np

from halfsim.numerics.quantize import Array


def counting_numbers(x: Array) -> bool:
    """Whether all elements are integers from 0 on, as positions, counts and labels are; sounds are measures."""
    return bool(np.min(x, initial=0) >= 0 and np.array_equal(x, np.rint(x)))


def positions(x: Array) -> bool:
    """Whether these integers from 0 on go up or down throughout, as positions and time steps do and features do not."""
    if not counting_numbers(x):
        return False
    steps = np.diff(x.reshape(-1))
    return bool(((steps >= 0).all() or (steps <= 0).all()) and steps.any())
