"""New tensors of random values, of the generator that `halfsim.manual_seed` seeds or of one that is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd import random
from halfsim.autograd.making import made_in, tensor
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.ops.creation import floats, format_like, shape_given, shape_named
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import Format, Integer, as_dtype, float32, whole
from halfsim.numerics.quantize import Array
from halfsim.options import shown

__all__ = [
    "bernoulli",
    "drawn",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


def _drawn_for(dtype: object) -> Format:
    """The format that numbers for a tensor of ``dtype``, or of the format in force, are drawn in."""
    fmt = made_in(None) if dtype is None else as_dtype(dtype)
    return float32 if fmt is None or isinstance(fmt, Integer) else random.drawn_in(fmt)


def rand(
    *size: Any, generator: Any = None, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Random values from 0 up to 1, evenly distributed."""
    shape = shape_given("size", size or (shape_named(ignored),))
    return floats(random.uniform(shape, generator=generator, format=_drawn_for(dtype)), dtype, requires_grad)


def randn(
    *size: Any, generator: Any = None, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Random values of the standard normal distribution."""
    shape = shape_given("size", size or (shape_named(ignored),))
    return floats(random.normal(shape, generator=generator, format=_drawn_for(dtype)), dtype, requires_grad)


def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Any = None, dtype: object = None, **ignored: Any
) -> Tensor:
    """Random integers from ``low`` (0 if one bound is given) up to, but not including, ``high``."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("size: it is missing; allowed: a tuple of integers")
    low, high = whole("low", low), whole("high", high)
    if not low < high:
        raise ValueError(f"low, high: {low}, {high} are not allowed; allowed: low < high")
    drawn = random.integers(shape_given("size", (size,)), low, high, generator)
    return tensor(drawn, "int64" if dtype is None else dtype)


def randperm(n: int, *, generator: Any = None, dtype: object = None, **ignored: Any) -> Tensor:
    """The integers from 0 to n - 1 in random order."""
    return tensor(random.permutation(n, generator), "int64" if dtype is None else dtype)


def rand_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """`rand` of the shape and the format of ``input``."""
    return rand(numbers(input).shape, dtype=format_like(input, dtype), requires_grad=requires_grad)


def randn_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """`randn` of the shape and the format of ``input``."""
    return randn(numbers(input).shape, dtype=format_like(input, dtype), requires_grad=requires_grad)


def randint_like(input: Any, low: Any, high: Any = None, *, dtype: object = None, **ignored: Any) -> Tensor:
    """`randint` of the shape and the format of ``input``."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, numbers(input).shape, dtype=format_like(input, dtype))


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that ``input`` (or ``p``) gives, else 0, in the format of ``input``."""
    chances = numbers(input) if p is None else np.full(numbers(input).shape, p)
    if not ((chances >= 0) & (chances <= 1)).all() or not (p is None or 0 <= p <= 1):
        raise ValueError("input: probabilities outside 0 to 1 are not allowed; allowed: numbers from 0 to 1")
    if p is None:
        kept = random.bernoulli_each(chances, generator, _drawn_for(format_like(input, None)))
    else:
        kept = random.bernoulli(chances.shape, p, generator)
    return tensor(kept.astype(np.float32), format_like(input, None))


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: object = None, **ignored: Any
) -> Tensor:
    """Random values of normal distributions of the given means and deviations (numbers or tensors)."""
    dtype = next((x.dtype for x in (mean, std) if isinstance(x, Tensor)), None) if dtype is None else dtype
    fmt, m, s = _drawn_for(dtype), numbers(mean), numbers(std)
    shape = np.broadcast_shapes(m.shape, s.shape) if size is None else shape_given("size", (size,))
    alone = not (m.ndim or s.ndim)
    drawn = random.normal(shape, float(m) if alone else 0.0, 1.0 if s.ndim else float(s), generator, fmt)
    with np.errstate(all="ignore"):
        if s.ndim:
            drawn = drawn * s.astype(drawn.dtype)
        return floats(np.asarray(drawn if alone else drawn + m.astype(drawn.dtype)), dtype)


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Random counts of Poisson distributions of the given rates, in the format of ``input``.

    ``ValueError`` for rates that are negative or NaN.
    """
    rates = numbers(input, np.float64)
    if not (rates >= 0).all():
        raise ValueError("input: negative rates and NaN are not allowed; allowed: numbers from 0")
    return tensor(random.poisson(rates, generator), format_like(input, None))


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """``num_samples`` indices for each row of weights (..., N), each drawn with a chance in proportion to its weight.

    ``ValueError`` for weights that are negative, not finite or all zero, and for more samples than weights that are
    not zero without ``replacement``.
    """
    weights = numbers(input)
    if isinstance(input, Tensor) and isinstance(input.format, Integer):
        raise TypeError(f"input: {input.format} is not allowed; allowed: floating-point formats")
    if weights.ndim not in (1, 2) or not weights.shape[-1]:
        raise ValueError(f"input: shape {weights.shape} is not allowed; allowed: (N,), (M, N)")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(-1) <= 0).any():
        raise ValueError("input: weights below 0, not finite or all 0 are not allowed; allowed: positive sums")
    positive = np.count_nonzero(weights.reshape(-1, weights.shape[-1]), 1)
    if num_samples < 1 or (not replacement and num_samples > positive.min()):
        raise ValueError(
            f"num_samples: {num_samples} of {weights.shape[-1]} is not allowed; allowed: from 1 to the weights"
        )
    wide = np.float64 if weights.dtype == np.float64 else np.float32
    return integer_tensor(random.multinomial(weights.astype(wide), num_samples, replacement, generator))


def drawn(input: Tensor, distribution: str, *parameters: Any, generator: Any = None) -> Tensor:
    """Let ``input`` hold random values of a distribution, as its methods ``uniform_``, ``normal_`` and others do."""
    shape, fmt = input.shape, _drawn_for(input.dtype)
    for p in parameters:
        numbers(p)  # which refuses anything else

    def chance(p: Any) -> Array:
        chances = numbers(p)
        if not ((chances >= 0) & (chances <= 1)).all():
            raise ValueError(f"p: {shown(p)} is not allowed; allowed: numbers from 0 to 1")
        if not chances.ndim:
            return random.bernoulli(shape, float(p), generator)
        return random.bernoulli_each(np.broadcast_to(plain(p), shape), generator, _drawn_for(format_like(p, None)))

    def integers(*given: Any) -> Array:
        bounds = [whole("bounds", bound) for bound in given]
        low, high = _bounds(input, bounds)
        return random.integers(shape, low, high, generator, _wide(input, bounds))

    draws: dict[str, Any] = {
        "uniform": lambda a, b: random.uniform(shape, a, b, generator, fmt),
        "normal": lambda mean, std: random.normal(shape, mean, std, generator, fmt),
        "bernoulli": chance,
        "exponential": lambda rate: random.exponential(shape, rate, generator, fmt),
        "integers": integers,
        "cauchy": lambda median, sigma: random.cauchy(shape, median, sigma, generator, fmt),
        "log_normal": lambda mean, std: random.log_normal(shape, mean, std, generator, fmt),
        "geometric": lambda p: random.geometric(shape, p, generator),
    }
    _check_drawn(distribution, parameters)
    return input.copy_(tensor(np.asarray(draws[distribution](*parameters)), input.dtype))


# What PyTorch asks of the parameters of a distribution, and how an error says it.
_NEEDS: dict[str, tuple[Callable[..., Any], str]] = {
    "uniform": (lambda a, b: a <= b, "from, to in order"),
    "normal": (lambda mean, std: std >= 0, "std from 0"),
    "exponential": (lambda rate: rate > 0, "lambd above 0"),
    "cauchy": (lambda median, sigma: sigma > 0, "sigma above 0"),
    "log_normal": (lambda mean, std: std > 0, "std above 0"),
    "geometric": (lambda p: 0 < p < 1, "p above 0 and below 1"),
}


def _check_drawn(distribution: str, parameters: Sequence[Any]) -> None:
    holds, words = _NEEDS.get(distribution, (None, ""))
    if holds is not None and not holds(*parameters):
        raise ValueError(f"{distribution}: {', '.join(map(str, parameters))} is not allowed; allowed: {words}")


def _bounds(x: Tensor, given: Sequence[int]) -> tuple[int, int]:
    if given:
        return (0, given[0]) if len(given) == 1 else (given[0], given[1])
    dtype = as_dtype(x.dtype)
    return 0, (dtype.max if isinstance(dtype, Integer) else 2**dtype.precision) + 1


def _wide(x: Tensor, given: Sequence[int]) -> bool | None:
    """Whether PyTorch draws 64 bits for each integer: where no bounds are given, for types of so many."""
    return None if given else as_dtype(x.dtype).bits == 64
