"""Where gradients enter and leave a module: what backward hooks see and change.

The tensors that go into a module, or come out of it, pass a gate: one operation for each, whose gradients meet in one
more, so that the hooks are called once, with all of them. Gates round nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import scope, scoped
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import float64
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array

Gradients = tuple[Tensor | None, ...]
Change = Callable[[Gradients], Gradients]


def module_gate(fp: Arithmetic, /, *arrays: Array, meeting: Meeting) -> Any:
    """A number, whose gradient is none: it only brings together what the passages receive."""
    return np.zeros((), fp.dtype), tuple(meeting.pull(i) for i in range(len(arrays)))


def module_passage(fp: Arithmetic, gate: Array, x: Array, /, index: int, meeting: Meeting) -> Any:
    """``x``, whose gradient goes to the gate."""

    def pullback(fp: Arithmetic, g: Array) -> Array:
        meeting.received.setdefault(index, g)  # a reference asks again, with its own
        return np.zeros((), g.dtype)

    return x, pullback


op(exact=True)(module_gate)
op(exact=True)(module_passage)


class Meeting:
    """The gradients of all tensors at one gate, and what ``change`` makes of them."""

    def __init__(self, tensors: list[Tensor], change: Change) -> None:
        self.tensors, self.change = tensors, change
        self.received: dict[int, Array] = {}
        self.left: dict[int, Array] = {}

    def pull(self, index: int) -> Callable[[Arithmetic, Array], Array]:
        """The gradient of one tensor: the hooks run for the first that is asked for."""

        def pullback(fp: Arithmetic, g: Array) -> Array:
            if self.received:
                self._meet()
            return self.left[index].astype(fp.dtype, copy=False)

        return pullback

    def _meet(self) -> None:
        found = [self.received.get(i) for i in range(len(self.tensors))]
        self.received = {}
        given = tuple(None if g is None else tensor(g, x.format) for g, x in zip(found, self.tensors, strict=True))
        with scoped(phase="backward", gradients=False):
            changed = self.change(given)
        for i, (g, x) in enumerate(zip(changed, self.tensors, strict=True)):
            self.left[i] = np.zeros(x.shape) if g is None else _fitting(g, x)


def _fitting(g: Any, x: Tensor) -> Array:
    made = tensor(g, x.format)
    if made.shape != x.shape:
        raise RuntimeError(f"hook: returned shape {made.shape} for a gradient of {x.shape}; allowed: the same shape")
    return made.array


def pass_through(values: tuple[Any, ...], change: Change) -> tuple[Any, ...] | None:
    """``values`` with every tensor that takes a gradient behind one gate; None if there is none."""
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    if not places or not scope().gradients:
        return None
    tensors = [values[i] for i in places]

    def spread(gradients: Gradients) -> Gradients:
        """The hooks see a gradient, or None, for each value."""
        given: list[Any] = [None] * len(values)
        for i, g in zip(places, gradients, strict=True):
            given[i] = g
        changed = change(tuple(given))
        return tuple(changed[i] for i in places)

    meeting = Meeting(tensors, spread)
    gate = apply(SPECS["module_gate"], tensors, keywords={"meeting": meeting}, precision=native(float64))
    out = list(values)
    for k, (i, x) in enumerate(zip(places, tensors, strict=True)):
        options = {"index": k, "meeting": meeting}
        out[i] = apply(SPECS["module_passage"], (gate, x), keywords=options, precision=native(x.format))
    return tuple(out)


def watched(module: Any, hooks: Any, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Callable[[Any], Any]]:
    """The arguments of ``forward`` behind a gate, and what puts its results behind another."""
    if not ("backward" in hooks or "backward before" in hooks):
        return args, lambda output: output
    last: list[Gradients] = [()]

    def entering(gradients: Gradients) -> Gradients:
        for hook in list(hooks.get("backward before", {}).values()):
            gradients = _changed(hook.function(module, gradients), gradients)
        last[0] = gradients
        if inner is None:  # no argument takes a gradient, so nothing comes out again
            leaving((None,) * len(args))
        return gradients

    def leaving(gradients: Gradients) -> Gradients:
        for hook in list(hooks.get("backward", {}).values()):
            gradients = _changed(hook.function(module, gradients, last[0]), gradients)
        return gradients

    inner = pass_through(args, leaving) if "backward" in hooks else args

    def leave(output: Any) -> Any:
        single = not isinstance(output, tuple)
        passed = pass_through((output,) if single else output, entering)
        if passed is None:
            return output
        if single:
            return passed[0]
        return type(output)(*passed) if hasattr(output, "_fields") else passed

    return (args if inner is None else inner), leave


def _changed(result: Any, gradients: Gradients) -> Gradients:
    """What a hook returned in the place of gradients, or those where it returned None."""
    if result is None:
        return gradients
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(gradients):
        raise RuntimeError(f"hook: returned {len(result)} gradients, not {len(gradients)}; allowed: as many")
    return result


for _name in ("module_gate", "module_passage"):  # no operations of `halfsim.ops`
    OPS.pop(_name, None)
