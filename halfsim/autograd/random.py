"""Random numbers: PyTorch's CPU generator, and what it draws of it, number by number the same for the same seed.

One generator a context is in force; `manual_seed` seeds it, and layers, dropout and shuffling draw from it. Every
function here takes it unless a `Generator` is given, and gives a NumPy array.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from halfsim.autograd.box_muller import box_muller, fused, pairs
from halfsim.autograd.policy import PROMOTE
from halfsim.autograd.scope import scope
from halfsim.card import Card
from halfsim.numerics.formats import Format, bfloat16, float16, float32, float64, whole
from halfsim.numerics.quantize import Array, round_to
from halfsim.options import guarded_class

_FIRST_SEED = 67280421310721  # of a Generator that nobody seeded, as in PyTorch
_WIDE = 1 << 28  # from how many integers on PyTorch draws one by 64 bits
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "spare", "has_spare"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


@guarded_class
class Generator(Card):
    """A source of random numbers of its own, PyTorch's for the CPU: the Mersenne Twister.

    Its seed is PyTorch's first one until `manual_seed` or `seed` gives another. ``device`` changes nothing here.

    >>> from halfsim.autograd.random import permutation
    >>> permutation(5, Generator().manual_seed(0)).tolist()
    [4, 0, 1, 3, 2]
    """

    __slots__ = ("__weakref__", "_engine", "_seed", "_spare", "device")
    __argument__ = "a Generator"

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self._engine = np.random.MT19937()
        self.manual_seed(_FIRST_SEED)

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"

    def manual_seed(self, seed: int) -> Generator:
        """Begin the stream of ``seed``, -2**63 to 2**64 - 1 (a negative one counts from 2**64); returns itself.

        As in PyTorch only the low 32 bits tell streams apart. ``ValueError`` for a seed out of range.
        """
        given = whole("seed", seed)
        if not -(2**63) <= given < 2**64:
            raise ValueError(f"seed: {'more' if given > 0 else 'less'} is not allowed; allowed: -2**63 to 2**64 - 1")
        self._seed = given % 2**64
        self._engine._legacy_seeding(self._seed & 0xFFFFFFFF)
        self._spare: float | None = None  # normal numbers come in pairs
        return self

    def seed(self) -> int:
        """Begin at a seed that the system chooses, and return it."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 11).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the stream began at."""
        return self._seed

    def get_state(self) -> Array:
        """Where the stream is, as 5056 bytes in the layout of ``torch.Generator.get_state``."""
        state = np.zeros((), _STATE)
        inner: Any = self._engine.state["state"]
        position, spare = inner["pos"], self._spare
        state["seed"], state["left"], state["seeded"], state["next"] = self._seed, 625 - position, 1, position
        state["words"], state["has_spare"] = inner["key"], spare is not None
        state["spare"] = 0.0 if spare is None else spare
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, new_state: Any) -> Generator:
        """Go on from a state of `get_state`, PyTorch's too; returns itself. ``ValueError`` for anything else."""
        state = parsed_state(new_state)
        words = np.asarray(state["words"], np.uint32)
        position = 625 - int(state["left"])  # a fresh one has "next" 0, but nothing left either
        self._engine.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": position}}
        self._seed = int(state["seed"])
        self._spare = float(state["spare"]) if state["has_spare"] else None
        return self

    def words(self, count: int) -> Array:
        """The next ``count`` numbers of 32 bits, as uint64."""
        return self._engine.random_raw(count)

    def long_words(self, count: int) -> Array:
        """The next ``count`` numbers of 64 bits, each of two of 32, the high one first."""
        words = self._engine.random_raw(2 * count).reshape(count, 2)
        return (words[:, 0] << np.uint64(32)) | words[:, 1]

    def pair(self, count: int) -> Array:
        """The next ``count`` normal numbers of float64, of which one may be kept for the next call."""
        kept = [] if self._spare is None or not count else [self._spare]
        missing = count - len(kept)
        fresh = pairs(_fractions(self, 2 * ((missing + 1) // 2), float64).reshape(-1, 2))
        if count:
            self._spare = float(fresh[-1]) if missing % 2 else None
        return np.concatenate([kept, fresh[:missing]])


def parsed_state(state: Any) -> Any:
    """The fields of a generator's state; ``TypeError`` or ``ValueError`` for anything else."""
    given = np.asarray(state.numpy() if hasattr(state, "numpy") else state)
    if given.dtype != np.uint8:
        raise TypeError(f"state: dtype {given.dtype} is not allowed; allowed: uint8")
    if given.shape != (_STATE.itemsize,):
        raise ValueError(f"state: shape {given.shape} is not allowed; allowed: ({_STATE.itemsize},)")
    fields = np.frombuffer(given.tobytes(), _STATE)[0]
    if not (fields["seeded"] and 1 <= fields["left"] <= 624 and (fields["words"] < 2**32).all()):
        raise ValueError("state: these bytes are no state of a generator; allowed: what get_state gave")
    return fields


_GENERATOR: ContextVar[Generator | None] = ContextVar("halfsim_generator", default=None)


def manual_seed(seed: int) -> Generator:
    """Seed the generator in force, from which layers draw their weights, and return it.

    Weights, dropout masks and the order of batches are those of PyTorch on the CPU for the same seed; see
    `Generator.manual_seed` for which seeds there are.

    >>> manual_seed(0).initial_seed()
    0
    """
    fresh = Generator().manual_seed(seed)
    _GENERATOR.set(fresh)
    return fresh


def generator() -> Generator:
    """The generator in force; seeded from the system on first use if nobody seeded it."""
    found = _GENERATOR.get()
    if found is None:
        found = Generator()
        found.seed()
        _GENERATOR.set(found)
    return found


def seed() -> int:
    """Seed the generator in force from the system, and return the seed."""
    return generator().seed()


def initial_seed() -> int:
    """The seed of the generator in force."""
    return generator().initial_seed()


def get_rng_state() -> Array:
    """Where the generator in force is; see `Generator.get_state`."""
    return generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """Let the generator in force go on from ``new_state``; see `Generator.set_state`."""
    generator().set_state(new_state)


def drawn_in(fmt: Format) -> Format:
    """The format in which numbers for a tensor of ``fmt`` are drawn.

    That is ``fmt`` as in PyTorch, but float32, its default, where a precision is in force or a reference is carried: a
    run draws the same numbers in each, to be rounded to what each has.
    """
    here = scope()
    return fmt if here.rule is PROMOTE and here.carry is None else float32


_Shape = int | tuple[int, ...]


def _count(shape: _Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _source(given: Any) -> Generator:
    if given is not None and not isinstance(given, Generator):
        kind = type(given)
        raise TypeError(f"generator: {kind.__name__} of {kind.__module__} is not allowed; allowed: Generator, None")
    return generator() if given is None else given


def _fractions(source: Generator, count: int, fmt: Format) -> Array:
    """Numbers from 0 below 1: multiples of 2**-53 for float64, of 2**-24 for every other format."""
    if fmt == float64:
        return (source.long_words(count) & np.uint64(2**53 - 1)) * 2.0**-53
    return (source.words(count) & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2.0**-24)


def _narrowed(values: Array, fmt: Format) -> Array:
    with np.errstate(over="ignore"):
        drawn = values.astype(np.float64 if fmt == float64 else np.float32, copy=False)
    return drawn if fmt in (float32, float64) else round_to(drawn, fmt)


def uniform(
    shape: _Shape,
    low: float = 0.0,
    high: float = 1.0,
    generator: Generator | None = None,
    format: Format = float32,
) -> Array:
    """Numbers from ``low`` below ``high`` on the grid of ``format``.

    In float16 and bfloat16 they are the rounded ones of float32, and what rounds to ``high`` is ``low``.
    """
    drawn = _fractions(_source(generator), _count(shape), format)
    with np.errstate(all="ignore"):
        least, most = drawn.dtype.type(low), drawn.dtype.type(high)
        if (least, most) != (0, 1):
            drawn = fused(drawn, most - least, least)
    if format in (float16, bfloat16):
        drawn = round_to(drawn, format)
        drawn[drawn == round_to(most, format)] = round_to(least, format)
    return _narrowed(drawn, format).reshape(shape)


def normal(
    shape: _Shape,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
    format: Format = float32,
) -> Array:
    """Normal numbers about ``mean``, of deviation ``std``, on the grid of ``format``: those of float32, or of float64.

    Sixteen and more come in float32 to PyTorch's bits, fewer are computed in float64 and rounded; float64 depends on
    the last digit of the machine's logarithm, sine and cosine.
    """
    source, count = _source(generator), _count(shape)
    if count < 16:
        return _narrowed(_spread(source.pair(count), mean, std), format).reshape(shape)
    rest = count % 16
    drawn = np.resize(box_muller(_fractions(source, count - rest, format).reshape(count // 16, 16)), count)
    if rest:  # the last sixteen are made anew
        if format not in (float16, bfloat16):
            _fractions(source, rest, format)
        drawn[-16:] = box_muller(_fractions(source, 16, format).reshape(1, 16))[0]
    return _narrowed(_spread(drawn, mean, std), format).reshape(shape)


def _spread(drawn: Array, mean: float, std: float) -> Array:
    kind = drawn.dtype.type
    with np.errstate(all="ignore"):
        return drawn if (mean, std) == (0, 1) else fused(drawn, kind(std), kind(mean))


def exponential(
    shape: _Shape, rate: float = 1.0, generator: Generator | None = None, format: Format = float32
) -> Array:
    """Exponential numbers of ``rate``, computed in float64."""
    drawn = -1 / rate * np.log1p(-_fractions(_source(generator), _count(shape), float64))
    return _narrowed(drawn, format).reshape(shape)


def cauchy(
    shape: _Shape,
    median: float = 0.0,
    sigma: float = 1.0,
    generator: Generator | None = None,
    format: Format = float32,
) -> Array:
    """Numbers of Cauchy's distribution about ``median``, computed in float64."""
    drawn = median + sigma * np.tan(math.pi * (_fractions(_source(generator), _count(shape), float64) - 0.5))
    return _narrowed(drawn, format).reshape(shape)


def log_normal(
    shape: _Shape, mean: float = 1.0, std: float = 2.0, generator: Generator | None = None, format: Format = float32
) -> Array:
    """Exponentials of normal numbers about ``mean``, computed in float64."""
    with np.errstate(all="ignore"):
        drawn = np.exp(_source(generator).pair(_count(shape)) * std + mean)
    return _narrowed(drawn, format).reshape(shape)


def geometric(shape: _Shape, p: float, generator: Generator | None = None) -> Array:
    """How many trials the first success takes, each a success with probability ``p``; as float64."""
    fractions = _fractions(_source(generator), _count(shape), float64)
    with np.errstate(divide="ignore", over="ignore"):
        return np.ceil(np.log(fractions) / np.log1p(-p)).reshape(shape)


def integers(shape: _Shape, low: int, high: int, generator: Generator | None = None, wide: bool | None = None) -> Array:
    """Integers from ``low`` below ``high``, as int64; of 64 bits each if ``wide``, by default from 2**28 of them on."""
    source, width = _source(generator), high - low
    if not 0 < width < 2**64:
        raise ValueError(f"high: {high} is not allowed; allowed: more than low {low}, by less than 2**64")
    wide = width >= _WIDE if wide is None else wide
    drawn = source.long_words(_count(shape)) if wide else source.words(_count(shape))
    return ((drawn % np.uint64(width)).astype(np.int64) + np.int64(low)).reshape(shape)


def permutation(n: int, generator: Generator | None = None) -> Array:
    """The integers below ``n`` in random order, as int64."""
    drawn = _source(generator).words(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint64)
    order = list(range(n))
    for i, step in enumerate(drawn.tolist()):
        order[i], order[i + step] = order[i + step], order[i]
    return np.array(order, np.int64)


def bernoulli(shape: _Shape, p: float, generator: Generator | None = None) -> Array:
    """True with probability ``p``. (PyTorch gives these where it does not use Intel's library for it.)"""
    return (_fractions(_source(generator), _count(shape), float64) < p).reshape(shape)


def bernoulli_each(p: Array, generator: Generator | None = None, format: Format = float32) -> Array:
    """True with the probability that stands at each place of ``p``, numbers of ``format``."""
    return _fractions(_source(generator), p.size, format).reshape(p.shape) < p


def multinomial(weights: Array, count: int, replacement: bool = False, generator: Generator | None = None) -> Array:
    """``count`` indices into ``weights`` (n,) or (rows, n) of float32 or float64, by weight, as int64.

    ``ValueError`` for weights that are negative, not finite or all zero, and for more than there are.
    """
    rows, source = np.atleast_2d(weights), _source(generator)
    if not (np.isfinite(rows).all() and (rows >= 0).all() and rows.any(-1).all()):
        raise ValueError("weights: negative, infinite, NaN or all zero is not allowed; allowed: finite from 0")
    if count > rows.shape[-1] and not replacement:
        raise ValueError(f"count: {count} is not allowed; allowed: up to {rows.shape[-1]} without replacement")
    if not replacement or count == 1:  # whose exponential time comes first
        format = float64 if rows.dtype == np.float64 else float32
        with np.errstate(all="ignore"):
            score = rows / exponential(rows.shape, 1.0, source, format)
        chosen = np.argsort(-score, -1, kind="stable")[:, :count]
    else:
        sums = np.cumsum(rows, -1)
        sums /= sums[:, -1:]
        drawn = _fractions(source, len(rows) * count, float64).reshape(-1, count)
        chosen = np.stack([np.searchsorted(s, u) for s, u in zip(sums, drawn, strict=True)])
    return chosen.astype(np.int64).reshape(*weights.shape[:-1], count)


def poisson(rates: Array, generator: Generator | None = None) -> Array:
    """Counts of Poisson distributions of ``rates``, as float64."""
    source = _source(generator)

    def uniform() -> float:
        return float(_fractions(source, 1, float64)[0])

    counts = [_poisson(rate, uniform) for rate in rates.reshape(-1).tolist()]
    return np.array(counts, np.float64).reshape(rates.shape)


def _poisson(rate: float, uniform: Callable[[], float]) -> float:
    """One count: by products of uniform numbers, from a rate of 10 on by rejection (Hoermann 1993)."""
    if rate < 10:
        least, product, count = math.exp(-rate), 1.0, 0
        while rate and (product := product * uniform()) > least:
            count += 1
        return count
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    while True:
        u, v = uniform() - 0.5, uniform()
        us = 0.5 - abs(u)
        count = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
            return count
        if count < 0 or (us < 0.013 and v > us):
            continue
        sides = math.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b)), math.log(rate)
        if sides[0] <= count * sides[1] - rate - math.lgamma(count + 1):
            return count
