"""What a run left, as arrays by name, and how far that is from what another run left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module
from halfsim.numerics.quantize import Array
from halfsim.optim import EMA, Optimizer

Values = dict[str, Array]


def values_of(returned: Any, objects: Iterable[Any] = ()) -> Values:
    """The numbers in what a run returned, in float64, by name.

    Tensors, arrays, numbers, models (their parameters and buffers), and lists, tuples and dicts of them. Where there
    are none, those of ``objects``: models, optimizers' parameters, averages and tensors that it may have changed.
    """
    found = dict(_leaves(returned, ""))
    if found:
        return found
    for i, x in enumerate(objects):
        if isinstance(x, Optimizer):
            x = [p for group in x.param_groups for p in group["params"]]
        elif isinstance(x, EMA):
            x = x.averages
        elif not isinstance(x, (Module, Tensor)):
            continue
        found |= dict(_leaves(x, f"{type(x).__name__.lower()} {i}"))
    return found


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, Tensor):
        yield name or "result", value.data.astype(np.float64)
    elif isinstance(value, Module):
        parts = dict([*value.named_parameters(), *value.named_buffers()])
        yield from _leaves(parts, name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and not (value and all(isinstance(x, (int, float)) for x in value)):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{name}[{i}]")
    elif isinstance(value, (bool, int, float, np.ndarray, np.generic, list, tuple)):
        array = np.asarray(value)
        if array.dtype.kind in "biuf" and array.size:
            yield name or "result", array.astype(np.float64)


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
