"""Optimizers whose every step is an operation on the simulated unit, in the format of the parameter.

The sequence of operations is that of PyTorch's single-tensor kernels, so a parameter in float16 sees the roundings
it would see there: each kernel computes in the ``compute`` of the precision in force and stores in float16.
Hyper-parameters that PyTorch keeps as Python numbers (learning rate, bias corrections) are kept so here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

from halfsim.autograd.policy import resolve_for, scope, scoped
from halfsim.autograd.tape import SPECS, apply
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace import Event, LostConstant, active
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format


def kernel(name: str, *operands: Any, label: str = "", **options: Any) -> Tensor:
    """One operation off the tape, in the precision of tensors that stay in the first operand's format."""
    return apply(SPECS[name], operands, (), options, resolve_for(operands[0].format), label)


class Optimizer:
    """The base of all optimizers: parameter groups, per-parameter state, and the loop over both.

    ``params`` is an iterable of tensors that take gradients, or of dicts with key "params" and options of
    their own. ``ValueError`` for an empty list and for a tensor given twice, ``TypeError`` for other things.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        given = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError("params: an empty list is not allowed; allowed: tensors or groups of them")
        groups: list[Any] = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a dict with key "params" and options that replace the defaults."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError("params: a group is a dict with key 'params'")
        tensors = group["params"]
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        known = {id(p) for old in self.param_groups for p in old["params"]}
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"params: {type(p).__name__} is not allowed; allowed: Tensor")
            if not p.is_leaf:
                raise ValueError("params: the result of an operation is not allowed; allowed: leaf tensors")
            if id(p) in known:
                raise ValueError(f"params: {p.name or 'a tensor'} is given twice; allowed: once")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **group, "params": tensors})

    def zero_grad(self) -> None:
        """Forget every gradient: ``grad`` is None."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient, and begin the trace's next step."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.shape != p.shape:
                        raise ValueError(f"grad: shape {p.grad.shape} does not fit {p.name or 'a tensor'} of {p.shape}")
                    with scoped(phase="optimizer", path=p.name, gradients=False):
                        watch_constant(p, type(self).__name__, "lr", group["lr"], resolve_for(p.format).compute)
                        new, direction = self.update(p, p.grad, self.state.setdefault(p, {}), group)
                        _count_lost(p, new, direction)
                    p.data = new.data
        trace = active()
        if trace is not None:
            trace.advance()

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The new value of ``p``, and the direction that was meant to change it (zero where nothing was)."""
        raise NotImplementedError


def _count_lost(p: Tensor, new: Tensor, direction: Tensor) -> None:
    """Tell the trace how many finite weights a nonzero direction left as they were, with a gradient and in all."""
    trace = active()
    if trace is None or p.grad is None:
        return
    meant = (direction.data != 0) & np.isfinite(p.data)
    same, live = meant & (new.data == p.data), meant & (p.grad.data != 0)
    counts = FlagCounts(size=p.size, updates=int(np.count_nonzero(meant)), lost=int(np.count_nonzero(same)))
    counts.addends, counts.swamped = int(np.count_nonzero(live)), int(np.count_nonzero(same & live))
    counts.stalled = counts.swamped
    here = scope()
    trace.record(Event(trace.step, here.phase, here.path, "update", "", p.shape, counts))


def watch_constant(p: Tensor, op: str, name: str, value: float, fmt: Format | None = None) -> None:
    """Tell the trace if ``fmt`` (the format of ``p``) makes zero or infinity of a hyper-parameter."""
    trace = active()
    fmt = fmt or p.format
    small, large = 0 < value <= fmt.smallest_subnormal / 2, fmt.max * (1 + fmt.epsneg / 2) <= value
    if trace is not None and (small or large):
        here, counts = scope(), FlagCounts(size=1, nonzero=1, inexact=1)
        counts.underflow = counts.flushed = int(small)
        counts.overflow = int(large)
        lost = LostConstant(f"{name} =", float(value), fmt)
        trace.record(Event(trace.step, here.phase, here.path, op, name, (), counts, lost))


def checked(low: float = 0.0, high: float = math.inf, **values: Any) -> None:
    """``ValueError`` for a hyper-parameter that is not a number with low <= number < high."""
    for name, value in values.items():
        if not (isinstance(value, Real) and low <= float(value) < high):
            raise ValueError(f"{name}: {value!r} is not allowed; allowed: numbers from {low:g} to below {high:g}")
