"""The model and the batch that are to be priced, and how to run them at another size."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.costs.measure import Loss, Pass, measured
from halfsim.costs.presets import preset
from halfsim.nn import Module
from halfsim.numerics.formats import whole
from halfsim.numerics.inputs import unmasked

Run = Callable[[int, str, bool], Pass]  # of a batch size, a recipe, in training or not


def example(
    model: Any, batch: Any, axis: int, batch_size: int | None, width: int | None, loss: Loss | None
) -> tuple[Module, Run, tuple[int, int], int, str]:
    """The module, how to run it, two batch sizes to measure at, the size asked for, and a description.

    See `halfsim.cost`. Models of one's own are measured at the size asked for and another, presets at two small ones.
    """
    number = isinstance(batch, (int, np.integer)) and not isinstance(batch, bool)
    if batch_size is not None and whole("batch_size", batch_size) < 1:
        raise ValueError(f"batch_size: {batch_size} is not allowed; allowed: integers from 1")
    if isinstance(model, str):
        if batch_size is not None:
            raise TypeError(f"batch_size: not for the preset {model!r}, whose batch is a size; allowed: None")
        return _preset(model, batch, number, width, loss)
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module or a preset's name, got {type(model).__name__}")
    if number or batch is None:
        raise TypeError("batch: a model of your own needs an example; allowed: an input, or (input, target)")
    x, y = batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)
    x = x if isinstance(x, Tensor) else np.asarray(unmasked(x, "batch"))
    y = y if y is None or isinstance(y, Tensor) else np.asarray(unmasked(y, "batch"))
    if not x.ndim or not -x.ndim <= axis < x.ndim or not x.shape[axis]:
        raise ValueError(f"batch: shape {x.shape} has no batch along axis {axis}; allowed: at least one example there")
    n = x.shape[axis]
    run = partial(_pass, model, lambda size: (_sized(x, size, axis), _sized(y, size, 0)), loss)
    sizes = (n, n // 2 if n >= 4 else 2 * n)
    return model, run, sizes, n if batch_size is None else int(batch_size), type(model).__name__


def _preset(
    name: str, batch: Any, number: bool, width: int | None, loss: Loss | None
) -> tuple[Module, Run, tuple[int, int], int, str]:
    if width is not None and whole("width", width) < 1:
        raise ValueError(f"width: {width} is not allowed; allowed: integers from 1")
    net, make, told = preset(name, width)
    if not number:
        raise TypeError(f"batch: {type(batch).__name__} for the preset {name!r}; allowed: a batch size")
    if batch < 1:
        raise ValueError(f"batch: {batch} is not allowed; allowed: integers from 1")
    run = partial(_preset_pass, name, width) if loss is None else partial(_pass, net, make, loss)
    return net, run, (2, 4), int(batch), f"{name}: {told}"


def _sized(v: Any, size: int, axis: int) -> Any:
    """``v``, or the part or the repetition of it that has ``size`` examples."""
    if v is None or v.ndim == 0 or v.shape[axis] == size:
        return v
    data = v.array if isinstance(v, Tensor) else v
    data = np.take(data, np.arange(size) % data.shape[axis], axis)
    return Tensor(data, v.format) if isinstance(v, Tensor) else data


def _pass(
    net: Module, make: Callable[[int], tuple[Any, Any]], loss: Loss | None, size: int, recipe: str, training: bool
) -> Pass:
    return measured(net, make(size), recipe, training, loss)


@lru_cache(maxsize=128)  # what a preset takes is the same for every device and batch size
def _preset_pass(name: str, width: int | None, size: int, recipe: str, training: bool) -> Pass:
    net, make, _ = preset(name, width)
    return measured(net, make(size), recipe, training)
