"""New tensors: constant, counted, or random values. Each value is rounded once, to the format that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd import random
from halfsim.autograd.making import foreign, made_in, tensor
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import Format, Integer, as_dtype, float32, int64, whole
from halfsim.numerics.quantize import Array
from halfsim.options import refused, shown

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "drawn",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "range_",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def _shape(name: str, given: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as a tuple, or as several integers."""
    sizes = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    try:
        shape = tuple(n.__index__() for n in sizes)
    except AttributeError:
        raise refused(name, sizes, "integers from 0") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: {shape} is not allowed; allowed: integers from 0")
    return shape


def _made(values: Array, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor of floats, in the format that is asked for or in force."""
    return tensor(values, made_in(None) if dtype is None else dtype, requires_grad)


def zeros(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Zeros of the shape ``size``, given as a tuple or as integers.

    >>> zeros(2, 3).shape, zeros((2,), dtype="int64")
    ((2, 3), tensor([0, 0], int64))
    """
    size = size or (_asked(ignored),)
    return _made(np.zeros(_shape("size", size), np.float32), dtype, requires_grad)


def _asked(options: dict[str, Any]) -> Any:
    """A shape that is given by name."""
    return options.get("size", options.get("shape", ()))


def ones(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Ones of the shape ``size``, given as a tuple or as integers."""
    size = size or (_asked(ignored),)
    return _made(np.ones(_shape("size", size), np.float32), dtype, requires_grad)


def empty(
    *size: Any, dtype: object = None, device: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Zeros of the shape ``size``, where PyTorch leaves what is in memory."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad, **ignored)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``fill_value`` everywhere in the shape ``size``; of its own kind (float, integer, bool) without ``dtype``.

    >>> full((2,), 0.1, dtype="float16"), full((2,), 3)
    (tensor([0.1, 0.1], float16), tensor([3, 3], int64))
    """
    value = numbers(fill_value)
    if value.dtype.kind == "c":
        raise TypeError("fill_value: complex is not allowed; allowed: numbers")
    if value.ndim:
        raise ValueError(f"fill_value: shape {value.shape} is not allowed; allowed: a number")
    kept = value if value.dtype.kind in "biu" else value.astype(np.float64)
    values = np.full(_shape("size", (size,)), kept)
    if dtype is None and value.dtype.kind in "biu":
        return tensor(values, values.dtype)
    return _made(values, dtype, requires_grad)


def _like(input: Any, dtype: object) -> Any:
    return dtype if dtype is not None else input.dtype if isinstance(input, (Tensor, np.ndarray)) else None


def zeros_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Zeros of the shape and the format of ``input``."""
    return zeros(numbers(input).shape, dtype=_like(input, dtype), requires_grad=requires_grad)


def ones_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Ones of the shape and the format of ``input``."""
    return ones(numbers(input).shape, dtype=_like(input, dtype), requires_grad=requires_grad)


def empty_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Zeros of the shape and the format of ``input``, where PyTorch leaves what is in memory."""
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``fill_value`` everywhere in the shape and the format of ``input``."""
    return full(numbers(input).shape, fill_value, dtype=_like(input, dtype), requires_grad=requires_grad)


def scalar_tensor(s: float, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """A tensor without axes."""
    return _made(np.asarray(float(s), np.float64), dtype, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``start`` (0 if one number is given), and on by ``step`` while it is short of ``end``.

    Integers where all three are, else floats, each ``start + i * step`` rounded once. ``ValueError`` for a step of 0
    and for bounds that a step leads away from.

    >>> arange(3), arange(0, 1, 0.5)
    (tensor([0, 1, 2], int64), tensor([0. , 0.5], float32))
    """
    if end is None:
        start, end = 0, start
    first, last, by = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    for name, x in (("start", first), ("end", last), ("step", by)):
        if not isinstance(x, (int, float)) or not math.isfinite(x):
            raise refused(name, x, "finite numbers")
    fmt = None if dtype is None else as_dtype(dtype)
    if isinstance(fmt, Integer):  # which bounds and step are cut to
        first, by, last = int(first), int(by), int(last) if fmt is int64 else last
    if by == 0 or (last - first) / by < 0:
        raise ValueError(f"step: {by} from {first} to {last} is not allowed; allowed: steps towards the end, not 0")
    if all(isinstance(x, int) for x in (first, last, by)):
        counted = np.arange(int(first), int(last), int(by), dtype=np.int64)
        return tensor(counted, "int64" if dtype is None else dtype, requires_grad)
    values = first + np.arange(max(math.ceil((last - first) / by), 0)) * by
    return _made(np.asarray(values, np.float64), dtype, requires_grad)


def range_(start: float = 0, end: float = 0, step: float = 1, **options: Any) -> Tensor:
    """PyTorch's old ``range``: floats from ``start`` to ``end``, which is included."""
    if not math.isfinite(step) or not step:
        raise ValueError(f"step: {step} is not allowed; allowed: finite numbers other than 0")
    start, end, step = float(start), float(end), float(step)
    return _made(start + np.arange(math.floor((end - start) / step) + 1) * step, **options)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """``steps`` values from ``start`` to ``end``, both included, evenly spaced; each rounded once from float64."""
    first, last = _ends(start, end, steps, dtype)
    return _made(_spaced(first, last, steps), dtype, requires_grad)


def _ends(start: Any, end: Any, steps: int, dtype: object) -> tuple[Array, Array]:
    """The first number and the last, cut to integers where these are asked for."""
    for name, x in (("start", start), ("end", end)):
        if np.ndim(plain(x)):
            raise ValueError(f"{name}: shape {np.shape(plain(x))} is not allowed; allowed: a number")
    if steps < 0:
        raise ValueError(f"steps: {steps} is not allowed; allowed: integers from 0")
    ends = (numbers(x, np.float64) for x in (start, end))
    first, last = map(np.trunc, ends) if dtype is not None and isinstance(as_dtype(dtype), Integer) else ends
    return first, last


def _spaced(first: Array, last: Array, steps: int) -> Array:
    """By halves from either end, as in PyTorch."""
    with np.errstate(all="ignore"):
        by, i = (last - first) / max(steps - 1, 1), np.arange(steps).reshape(-1, *[1] * np.ndim(first - last))
        return np.where(i < steps // 2, first + i * by, last - (steps - i - 1) * by) if steps != 1 else first + 0 * i


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: object = None,
    requires_grad: bool = False,
    **ignored: Any,
) -> Tensor:
    """``base`` to the powers from ``start`` to ``end``, evenly spaced; each rounded once from float64."""
    first, last = _ends(start, end, steps, dtype)
    with np.errstate(all="ignore"):
        return _made(np.power(float(base), _spaced(first, last, steps)), dtype, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """Ones on the diagonal of a matrix (n, m), zeros elsewhere; m is n if it is missing."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"n, m: {n}, {m} are not allowed; allowed: integers from 0")
    return _made(np.eye(n, m, dtype=np.float32), dtype, requires_grad)


def as_tensor(data: Any, dtype: object = None, device: object = None) -> Tensor:
    """``data`` as a tensor: itself if it is one of that format, else `halfsim.tensor`, which copies."""
    data = foreign(data)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    kept = isinstance(data, np.ndarray) and data.dtype.kind in "biu"
    return tensor(data, data.dtype if dtype is None and kept else dtype)


def asarray(
    obj: Any, *, dtype: object = None, device: object = None, copy: bool | None = None, **ignored: Any
) -> Tensor:
    """``obj`` as a tensor, a copy of its own with ``copy``."""
    made = as_tensor(obj, dtype)
    return made.clone() if copy and made is obj else made


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor of the values and the dtype of an array; a copy, where PyTorch shares memory."""
    if not isinstance(ndarray, np.ndarray):
        raise refused("ndarray", type(ndarray).__name__, "numpy.ndarray")
    return tensor(ndarray, ndarray.dtype)


def tril_indices(row: int, col: int, offset: int = 0, **ignored: Any) -> Tensor:
    """The rows and columns (2, N) of the elements on and below a diagonal."""
    return integer_tensor(np.asarray(np.tril_indices(row, offset, col), np.int64))


def triu_indices(row: int, col: int, offset: int = 0, **ignored: Any) -> Tensor:
    """The rows and columns (2, N) of the elements on and above a diagonal."""
    return integer_tensor(np.asarray(np.triu_indices(row, offset, col), np.int64))


# Random values, of the generator that `halfsim.manual_seed` seeds or of one that is given.


def _drawn_for(dtype: object) -> Format:
    """The format that numbers for a tensor of ``dtype``, or of the format in force, are drawn in."""
    fmt = made_in(None) if dtype is None else as_dtype(dtype)
    return float32 if fmt is None or isinstance(fmt, Integer) else random.drawn_in(fmt)


def rand(
    *size: Any, generator: Any = None, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Random values from 0 up to 1, evenly distributed."""
    shape = _shape("size", size or (_asked(ignored),))
    return _made(random.uniform(shape, generator=generator, format=_drawn_for(dtype)), dtype, requires_grad)


def randn(
    *size: Any, generator: Any = None, dtype: object = None, requires_grad: bool = False, **ignored: Any
) -> Tensor:
    """Random values of the standard normal distribution."""
    shape = _shape("size", size or (_asked(ignored),))
    return _made(random.normal(shape, generator=generator, format=_drawn_for(dtype)), dtype, requires_grad)


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
    drawn = random.integers(_shape("size", (size,)), low, high, generator)
    return tensor(drawn, "int64" if dtype is None else dtype)


def randperm(n: int, *, generator: Any = None, dtype: object = None, **ignored: Any) -> Tensor:
    """The integers from 0 to n - 1 in random order."""
    return tensor(random.permutation(n, generator), "int64" if dtype is None else dtype)


def rand_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """`rand` of the shape and the format of ``input``."""
    return rand(numbers(input).shape, dtype=_like(input, dtype), requires_grad=requires_grad)


def randn_like(input: Any, *, dtype: object = None, requires_grad: bool = False, **ignored: Any) -> Tensor:
    """`randn` of the shape and the format of ``input``."""
    return randn(numbers(input).shape, dtype=_like(input, dtype), requires_grad=requires_grad)


def randint_like(input: Any, low: Any, high: Any = None, *, dtype: object = None, **ignored: Any) -> Tensor:
    """`randint` of the shape and the format of ``input``."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, numbers(input).shape, dtype=_like(input, dtype))


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that ``input`` (or ``p``) gives, else 0, in the format of ``input``."""
    chances = numbers(input) if p is None else np.full(numbers(input).shape, p)
    if not ((chances >= 0) & (chances <= 1)).all() or not (p is None or 0 <= p <= 1):
        raise ValueError("input: probabilities outside 0 to 1 are not allowed; allowed: numbers from 0 to 1")
    if p is None:
        kept = random.bernoulli_each(chances, generator, _drawn_for(_like(input, None)))
    else:
        kept = random.bernoulli(chances.shape, p, generator)
    return tensor(kept.astype(np.float32), _like(input, None))


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: object = None, **ignored: Any
) -> Tensor:
    """Random values of normal distributions of the given means and deviations (numbers or tensors)."""
    dtype = next((x.dtype for x in (mean, std) if isinstance(x, Tensor)), None) if dtype is None else dtype
    fmt, m, s = _drawn_for(dtype), numbers(mean), numbers(std)
    shape = np.broadcast_shapes(m.shape, s.shape) if size is None else _shape("size", (size,))
    alone = not (m.ndim or s.ndim)
    drawn = random.normal(shape, float(m) if alone else 0.0, 1.0 if s.ndim else float(s), generator, fmt)
    with np.errstate(all="ignore"):
        if s.ndim:
            drawn = drawn * s.astype(drawn.dtype)
        return _made(np.asarray(drawn if alone else drawn + m.astype(drawn.dtype)), dtype)


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Random counts of Poisson distributions of the given rates, in the format of ``input``.

    ``ValueError`` for rates that are negative or NaN.
    """
    rates = numbers(input, np.float64)
    if not (rates >= 0).all():
        raise ValueError("input: negative rates and NaN are not allowed; allowed: numbers from 0")
    return tensor(random.poisson(rates, generator), _like(input, None))


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
        numbers(p)  # which refuses what is none

    def chance(p: Any) -> Array:
        chances = numbers(p)
        if not ((chances >= 0) & (chances <= 1)).all():
            raise ValueError(f"p: {shown(p)} is not allowed; allowed: numbers from 0 to 1")
        if not chances.ndim:
            return random.bernoulli(shape, float(p), generator)
        return random.bernoulli_each(np.broadcast_to(plain(p), shape), generator, _drawn_for(_like(p, None)))

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
