"""The random numbers of layers: one generator a context, seeded by `manual_seed`."""

from __future__ import annotations

from contextvars import ContextVar

import numpy as np

from halfsim.numerics.formats import whole

_GENERATOR: ContextVar[np.random.Generator | None] = ContextVar("halfsim_generator", default=None)


def manual_seed(seed: int) -> None:
    """Seed the generator from which layers draw their weights; ``ValueError`` for a negative seed.

    >>> manual_seed(0)
    """
    seed = whole("seed", seed)
    if seed < 0:
        raise ValueError(f"seed: {seed} is not allowed; allowed: integers from 0")
    _GENERATOR.set(np.random.default_rng(seed))


def generator() -> np.random.Generator:
    """The generator in force; seeded from the system on first use if nobody seeded it."""
    found = _GENERATOR.get()
    if found is None:
        found = np.random.default_rng()
        _GENERATOR.set(found)
    return found
