"""Seven ways to choose between the two neighbours of a number."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.formats import unknown, whole


class Rounding(enum.Enum):
    """The rounding-direction attributes of IEEE 754-2019 clause 4.3, rounding to odd, and stochastic rounding.

    >>> Rounding("upward")
    <Rounding.UPWARD: 'upward'>
    """

    NEAREST_EVEN = "nearest_even"
    NEAREST_AWAY = "nearest_away"
    TOWARD_ZERO = "toward_zero"
    UPWARD = "upward"
    DOWNWARD = "downward"
    TO_ODD = "to_odd"
    STOCHASTIC = "stochastic"


class Stochastic:
    """Stochastic rounding with a stream of random numbers of its own.

    A number between two neighbours goes up with a probability proportional to its distance from the lower
    one, truncated to a multiple of 2**-bits; subnormals and numbers below the smallest subnormal included.
    Elements draw independently, numbers on the grid stay. Each use goes on in the stream, so a fresh
    ``Stochastic`` of the same seed gives the same bits. ``ValueError`` unless seed >= 0 and 1 <= bits <= 32.

    >>> Stochastic(seed=1, bits=16)
    Stochastic(seed=1, bits=16)
    """

    def __init__(self, seed: int = 0, bits: int = 32) -> None:
        seed, bits = whole("seed", seed), whole("bits", bits)
        if seed < 0:
            raise ValueError(f"seed: {seed} is not allowed; allowed: integers from 0")
        if not 1 <= bits <= 32:
            raise ValueError(f"bits: {bits} is not allowed; allowed: integers from 1 to 32")
        self.seed, self.bits = seed, bits
        self._source = np.random.SFC64(seed)

    def draw(self, n: int) -> NDArray[np.uint32]:
        """The next ``n`` random integers below 2**bits."""
        words: NDArray[np.uint32] = self._source.random_raw(-(-n // 2)).view(np.uint32)[:n]
        return words if self.bits == 32 else words >> np.uint32(32 - self.bits)

    @property
    def state(self) -> list[int]:
        """Where the stream is, as four integers; assigned to another of the same bits, that goes on alike.

        >>> a, b = Stochastic(seed=1), Stochastic(seed=2)
        >>> b.state = a.state
        >>> int(a.draw(1)[0]) == int(b.draw(1)[0])
        True
        """
        return [int(word) for word in self._source.state["state"]["state"]]

    @state.setter
    def state(self, words: Sequence[int]) -> None:
        if len(words) != 4:
            raise ValueError(f"state: {len(words)} words are not allowed; allowed: the four of a Stochastic's state")
        whole_state = self._source.state
        whole_state["state"]["state"] = np.array([int(word) for word in words], np.uint64)
        self._source.state = whole_state

    def __repr__(self) -> str:
        return f"Stochastic(seed={self.seed}, bits={self.bits})"


def as_rounding(spec: object, argument: str = "rounding") -> Rounding:
    """The Rounding that ``spec`` names: a member, its name, or a Stochastic; ``ValueError`` for other words.

    >>> as_rounding("to_odd") is Rounding.TO_ODD
    True
    """
    if isinstance(spec, Rounding):
        return spec
    if isinstance(spec, Stochastic):
        return Rounding.STOCHASTIC
    if not isinstance(spec, str):
        raise TypeError(f"{argument}: expected a string, a Rounding or a Stochastic, got {type(spec).__name__}")
    names = {mode.value: mode for mode in Rounding}
    found = names.get(spec.strip().lower())
    if found is None:
        raise unknown(argument, spec, names)
    return found


def source_of(spec: object) -> Stochastic | None:
    """Where stochastic rounding draws from: ``spec`` itself, or a fresh default; None for other roundings."""
    if isinstance(spec, Stochastic):
        return spec
    return Stochastic() if as_rounding(spec) is Rounding.STOCHASTIC else None
