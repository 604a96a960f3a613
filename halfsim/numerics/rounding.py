"""Seven ways to choose between the two neighbours of a number."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.card import Card, Record
from halfsim.numerics.formats import unknown, whole
from halfsim.options import guarded_class


class Rounding(Card, enum.Enum):
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


def _cases(rule: Callable[[int, int, int, int], int]) -> NDArray[np.bool_]:
    return np.array([bool(rule(*bits)) for bits in product((0, 1), repeat=4)], np.bool_)


# Whether a mode takes the larger of the two magnitudes around a number, by four bits: its sign, whether the smaller
# one is odd, whether half of their distance is reached, and whether there is more than that (or than nothing). The
# case is the number sign * 8 + odd * 4 + half * 2 + rest. This is what everything that rounds bits or fractions reads.
AWAY: dict[Rounding, NDArray[np.bool_]] = {
    Rounding.NEAREST_EVEN: _cases(lambda sign, odd, half, rest: half and (rest or odd)),
    Rounding.NEAREST_AWAY: _cases(lambda sign, odd, half, rest: half),
    Rounding.TOWARD_ZERO: _cases(lambda sign, odd, half, rest: 0),
    Rounding.UPWARD: _cases(lambda sign, odd, half, rest: not sign and (half or rest)),
    Rounding.DOWNWARD: _cases(lambda sign, odd, half, rest: sign and (half or rest)),
    Rounding.TO_ODD: _cases(lambda sign, odd, half, rest: not odd and (half or rest)),
}

# What a number past the largest one becomes: infinity, or (what "saturate" does to numbers, "saturate_inf" to
# infinities as well) the largest number. Without infinities NaN takes their place, without NaN the largest number does.
# By "saturate_nan", the mode of Huawei's Ascend 910, NaN becomes 0 besides.
OVERFLOWS = ("infinity", "saturate", "saturate_inf", "saturate_nan")
CLIPS_INFINITIES = OVERFLOWS[2:]
ZEROES_NAN = OVERFLOWS[3:]
SUBNORMALS = ("keep", "flush_inputs", "flush_outputs", "flush")


def outward(rounding: Rounding, negative: Any, overflow: str = "infinity") -> Any:
    """Whether a number past the largest one, or an array of them by sign, becomes infinite (IEEE 754-2019 7.4).

    That is where the mode rounds it away from zero, unless ``overflow`` saturates.

    >>> bool(outward(Rounding.UPWARD, False)), bool(outward(Rounding.UPWARD, True))
    (True, False)
    """
    if overflow != "infinity" or rounding is Rounding.STOCHASTIC:
        return np.full(np.shape(negative), overflow == "infinity")
    return AWAY[rounding][np.where(negative, 15, 7)]  # far past it, whose last bit counts as one


def cancels_below(rounding: Rounding | Stochastic) -> bool:
    """Whether terms that cancel make -0, as they do downward, and not +0 (IEEE 754-2019 clause 6.3).

    >>> cancels_below(Rounding.DOWNWARD), cancels_below(Rounding.NEAREST_EVEN)
    (True, False)
    """
    return rounding is Rounding.DOWNWARD


def goes_away(rounding: Rounding, sign: int, odd: int) -> str:
    """From where on a mode takes the larger magnitude: "any" distance, the "half" of it, "more" than that, or "none".

    >>> goes_away(Rounding.NEAREST_EVEN, sign=0, odd=0), goes_away(Rounding.NEAREST_EVEN, sign=0, odd=1)
    ('more', 'half')
    """
    first = 8 * sign + 4 * odd
    _, less, half, more = AWAY[rounding][first : first + 4]
    return "any" if less else "half" if half else "more" if more else "none"


@guarded_class
class Stochastic(Card):
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

    def restarted(self) -> Stochastic:
        """The same seed and bits, at the beginning of the stream."""
        return Stochastic(self.seed, self.bits)

    def get_state(self) -> list[int]:
        """Where the stream is, as integers for `set_state`."""
        return [int(word) for word in self._source.state["state"]["state"]]

    def set_state(self, state: list[int]) -> None:
        """Go on from where `get_state` was taken; ``TypeError`` for anything but a list of four integers."""
        if not isinstance(state, (list, tuple)) or len(state) != 4 or not all(isinstance(n, int) for n in state):
            raise TypeError("state: it is no list of four integers; allowed: what get_state gave")
        self._source.state = {**self._source.state, "state": {"state": np.array(state, np.uint64)}}

    def __eq__(self, other: object) -> bool:
        """Equal seed and bits, wherever the two streams are."""
        return isinstance(other, Stochastic) and (self.seed, self.bits) == (other.seed, other.bits)

    def __hash__(self) -> int:
        return hash((self.seed, self.bits))

    def __str__(self) -> str:
        return f"stochastic(seed={self.seed}, bits={self.bits})"

    def __repr__(self) -> str:
        return f"Stochastic(seed={self.seed}, bits={self.bits})"


@dataclass(frozen=True)
class Mode(Record):
    """How values reach a grid: the rounding, what overflow becomes, and which subnormal numbers are flushed.

    The words of ``overflow`` and ``subnormals`` are those of `halfsim.round_to`.
    """

    rounding: Rounding | Stochastic = Rounding.NEAREST_EVEN
    overflow: str = "infinity"
    subnormals: str = "keep"

    @property
    def nearest(self) -> bool:
        """Whether results are the nearest numbers, ties to even, so that a wider sum may be rounded to them."""
        return self.rounding is Rounding.NEAREST_EVEN

    @property
    def clips(self) -> bool:
        """Whether what is past the largest number becomes that number."""
        return self.overflow != "infinity"

    @property
    def flush_inputs(self) -> bool:
        return self.subnormals in ("flush_inputs", "flush")

    @property
    def flush_outputs(self) -> bool:
        return self.subnormals in ("flush_outputs", "flush")


def parsed(spec: object, argument: str = "rounding") -> Rounding | Stochastic:
    """The Rounding or Stochastic that ``spec`` names; "stochastic(seed=1, bits=16)" has a stream of its own.

    >>> parsed("stochastic(seed=1)"), parsed("upward").value
    (Stochastic(seed=1, bits=32), 'upward')
    """
    if isinstance(spec, Stochastic):
        return spec
    call = re.fullmatch(r"\s*stochastic\s*\((.*)\)\s*", spec, re.I) if isinstance(spec, str) else None
    if call is None:
        found = as_rounding(spec, argument)
        return Stochastic() if found is Rounding.STOCHASTIC else found
    given = {}
    for pair in filter(None, (part.strip() for part in call[1].split(","))):
        match = re.fullmatch(r"(seed|bits)\s*=\s*(\d+)", pair)
        if match is None:
            raise ValueError(f"{argument}: {pair!r} is not allowed; allowed: as 'stochastic(seed=1, bits=16)'")
        given[match[1]] = int(match[2])
    return Stochastic(**given)


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
    found = _NAMES.get(spec) or _NAMES.get(spec.strip().lower())
    if found is None:
        raise unknown(argument, spec, _NAMES)
    return found


_NAMES = {mode.value: mode for mode in Rounding}


def source_of(spec: object) -> Stochastic | None:
    """Where stochastic rounding draws from: ``spec`` itself, or a fresh default; None for other roundings."""
    if isinstance(spec, Stochastic):
        return spec
    return Stochastic() if as_rounding(spec) is Rounding.STOCHASTIC else None
