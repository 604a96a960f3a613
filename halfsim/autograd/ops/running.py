"""Averages that layers keep from batch to batch, off the tape."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import active
from halfsim.autograd.policy import resolve_for
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array


@op()
def running_average(fp: Arithmetic, x: Array, /, batch: Array, momentum: float, factor: float = 1.0) -> Any:
    """``batch * factor * momentum + x * (1 - momentum)``: a step for every sign, none for a factor of 1.

    ``batch`` comes from inside another operation, in that one's ``compute``.
    """
    value = batch if factor == 1 else fp.mul(batch, fp.constant(factor))
    old, new = fp.mul(x, fp.constant(1 - momentum)), fp.mul(value, fp.constant(momentum))
    return fp.add(new, old), lambda fp, g: fp.mul(g, fp.constant(1 - momentum))


def update(running: Any, batch: Array, momentum: float, factor: float, label: str) -> None:
    """Move ``running`` (C,) towards ``batch`` (N, C): in its own format, each of the N alone, then their mean."""
    if not isinstance(running, Tensor):
        raise TypeError(f"{label}: {type(running).__name__} cannot be updated; allowed: Tensor, None")
    options = {"batch": batch, "momentum": momentum, "factor": factor}
    precision = resolve_for(running.format)
    new = apply(SPECS["running_average"], (running.detach(),), (), options, precision, label)
    if len(batch) > 1:
        new = apply(SPECS["mean"], (new,), (0,), None, precision, label)
    data = np.ascontiguousarray(new.data.reshape(running.shape))
    observer = active()
    if observer is not None:
        goal = batch.reshape(-1, running.size).mean(0) * factor
        observer.averaged(running.data, data, goal, running.format, label)
    running.data = data
