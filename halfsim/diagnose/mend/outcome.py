"""What a run left, as arrays by name, and how far that is from what another run left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor, plain
from halfsim.diagnose.returned import numbers
from halfsim.nn.module import Module
from halfsim.numerics.quantize import Array
from halfsim.optim import EMA, Optimizer

Values = dict[str, Array]


def values_of(returned: Any, objects: Iterable[Any] = ()) -> Values:
    """The numbers in what a run returned, in float64, by name.

    Tensors, arrays, numbers, models (their parameters and buffers), and lists, tuples and dicts of them. Where there
    are none, those of ``objects``: models, optimizers' parameters, averages and tensors that it may have changed.
    """
    found = dict(_widened(returned))
    if found:
        return found
    for i, x in enumerate(objects):
        if isinstance(x, Optimizer):
            x = [p for group in x.param_groups for p in group["params"]]
        elif isinstance(x, EMA):
            x = x.averages
        elif not isinstance(x, (Module, Tensor)):
            continue
        found |= dict(_widened(x, f"{type(x).__name__.lower()} {i}"))
    return found


def _widened(value: Any, name: str = "") -> Iterator[tuple[str, Array]]:
    """The numbers in ``value`` in float64, without empty arrays, which have no error."""
    for own, x in numbers(value, name):
        array = np.asarray(plain(x), np.float64)
        if array.size or isinstance(x, Tensor):
            yield own, array


def distance(values: Values, reference: Values) -> float:
    """The relative error of a run's values in norm, of the worst of them by name.

    Infinite where a value is missing, has another shape or holds a NaN on either side, and where infinities stand in
    other places or nothing but infinities is there; a reference of zeros is held against the norm of all values
    together. NaN where there is nothing to compare.
    """
    if not reference:
        return float("nan")
    if values.keys() != reference.keys():
        return float("inf")
    with np.errstate(all="ignore"):
        whole = float(np.sqrt(sum(np.square(x[np.isfinite(x)]).sum() for x in reference.values())))
        return max(_relative(values[name], reference[name], whole) for name in reference)


def same(values: Values, others: Values) -> bool:
    """Whether two runs left the same numbers, NaN and infinities included."""
    if values.keys() != others.keys():
        return False
    return all(np.array_equal(values[name], others[name], equal_nan=True) for name in values)


def _relative(x: Array, reference: Array, whole: float) -> float:
    finite = np.isfinite(reference)
    if x.shape != reference.shape or not (x[~finite] == reference[~finite]).all() or not np.isfinite(x[finite]).all():
        return float("inf")
    if reference.size and not finite.any():
        return float("inf")
    x, reference = x[finite], reference[finite]
    largest = float(np.abs(reference).max(initial=0.0)) or 1.0  # squares of large numbers would overflow
    off = float(np.sqrt(np.square((x - reference) / largest).sum()))
    norm = float(np.sqrt(np.square(reference / largest).sum())) or whole
    return 0.0 if off == 0 else off / norm if norm else 1.0
