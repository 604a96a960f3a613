"""Random numbers: of `halfsim.manual_seed`, or of a seed that the file gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.random import Generator
from halfsim.onnx.operators.shape import cast_to
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import dtype_of, fitting, numbers


def _generator(seed: float | None) -> Generator | None:
    """A stream of its own for a seed of the file, which is a float there: its bits tell seeds apart."""
    return None if seed is None else Generator().manual_seed(int(np.float32(seed).view(np.uint32)))


def _normal(shape: Any, mean: float, scale: float, seed: float | None, element: int) -> Any:
    drawn = ops.randn(tuple(fitting(shape)), generator=_generator(seed), dtype="float32")
    return cast_to(ops.add(ops.mul(drawn, scale), mean), element)


def _uniform(shape: Any, low: float, high: float, seed: float | None, element: int) -> Any:
    drawn = ops.rand(tuple(fitting(shape)), generator=_generator(seed), dtype="float32")
    return cast_to(ops.add(ops.mul(drawn, high - low), low), element)


@row("RandomNormal", given="any")
def random_normal(*, mean: float, scale: float, shape: Any, seed: float | None = None, elements: Any) -> Any:
    """Numbers of a normal distribution."""
    return _normal(shape, mean, scale, seed, elements[0])


@row("RandomNormalLike", given="any")
def random_normal_like(x: Any, /, *, mean: float, scale: float, seed: float | None = None, elements: Any) -> Any:
    """Numbers of a normal distribution, as many as a tensor has."""
    return _normal(np.shape(numbers(x)), mean, scale, seed, elements[0])


@row("RandomUniform", given="any")
def random_uniform(*, low: float, high: float, shape: Any, seed: float | None = None, elements: Any) -> Any:
    """Numbers evenly distributed between two."""
    return _uniform(shape, low, high, seed, elements[0])


@row("RandomUniformLike", given="any")
def random_uniform_like(x: Any, /, *, low: float, high: float, seed: float | None = None, elements: Any) -> Any:
    """Numbers evenly distributed between two, as many as a tensor has."""
    return _uniform(np.shape(numbers(x)), low, high, seed, elements[0])


@row("Bernoulli")
def bernoulli(x: Any, /, *, seed: float | None = None, elements: Any) -> Any:
    """One with the chance that each element says, else zero."""
    drawn = ops.bernoulli(x, generator=_generator(seed))
    return cast_to(drawn, elements[0])


@row("Multinomial")
def multinomial(x: Any, /, *, sample_size: int = 1, seed: float | None = None, elements: Any) -> Any:
    """Classes drawn by unnormalized logarithms of their chances."""
    chances = ops.softmax(x, 1)
    drawn = ops.multinomial(chances, sample_size, True, generator=_generator(seed))
    return np.asarray(drawn.array).astype(dtype_of(elements[0]))
