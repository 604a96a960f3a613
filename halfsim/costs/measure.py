"""One forward pass of a copy of a model under a recipe, and what it took and left in memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.observer import observing
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import precision, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.costs.flops import Ledger, Work, gradients
from halfsim.costs.memory import backward_bytes, held_bytes
from halfsim.costs.recipes import RECIPES
from halfsim.nn import Module
from halfsim.numerics.formats import Format, Integer

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Pass:
    """What one run of a model through its layers, forward and (in training) back, computes and holds in memory.

    ``works`` is the work of each operation. ``held`` are the bytes that the forward part leaves for the backward part,
    and ``during`` those in use at each operation on the way back; it is empty where there is none.
    """

    works: tuple[Work, ...]
    held: float
    during: tuple[float, ...] = ()

    @property
    def live(self) -> float:
        """The most that one operation reads and writes, parameters apart."""
        return max((w.live for w in self.works), default=0.0)

    @property
    def peak(self) -> float:
        """The most bytes in use at one time, parameters and their gradients apart."""
        return max((self.held, *self.during)) if self.during else self.live


def measured(
    model: Module, example: tuple[Any, Any], recipe: str, training: bool, loss: Loss | None = None,
    computes: bool = True,
) -> Pass:  # fmt: skip
    """Run a copy of ``model`` on ``example``, an input and a target or None; without ``computes`` for its shapes alone.

    It runs out of all scopes and traces, with a random stream of its own.
    """
    return Context().run(_measured, model, *example, recipe, training, loss, computes)


def _measured(model: Module, x: Any, y: Any, recipe: str, training: bool, loss: Loss | None, computes: bool) -> Pass:
    manual_seed(0)
    rule, fmt = RECIPES[recipe].rule, RECIPES[recipe].weights
    net = copy.deepcopy(model)
    held = (x for x in (*net.parameters(), *net.buffers()) if isinstance(x, Tensor) and x.is_floating_point())
    if any(x.format != fmt for x in held):
        net.to(fmt)
    net.train(training)
    parameters = list(net.parameters())
    ledger = Ledger([p.array for p in parameters], training, computes)
    with observing(ledger), precision(rule):
        root = _first(net(_given(x, fmt)))
        if training and y is not None:
            with scoped(path="(loss)"):
                root = (loss or _loss(y))(root, y)
    if not training:
        return Pass(tuple(ledger.works), 0.0)
    works = (*ledger.works, *gradients(root))
    return Pass(works, held_bytes(root, parameters), tuple(map(float, backward_bytes(root, parameters))))


def _given(x: Any, fmt: Format) -> Any:
    """An input in the format of the weights; integers, such as the indices of an embedding, as they are."""
    if not isinstance(x, Tensor):
        return tensor(x, fmt) if np.asarray(x).dtype.kind == "f" else x
    if isinstance(x.format, Integer):
        return x
    half = tensor(x, fmt)
    return x if np.array_equal(np.rint(x.array), x.array) and not np.array_equal(half.array, x.array) else half


def _first(found: Any) -> Tensor:
    """The tensor of a model's result, or the first of several."""
    while isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise TypeError(f"model: returned {type(found).__name__}; allowed: a Tensor, or a tuple that begins with one")
    return found


def _loss(y: Any) -> Loss:
    kind = np.asarray(y).dtype.kind
    return ops.cross_entropy if kind in "iu" else ops.mse_loss


def alike(low: Pass, high: Pass) -> bool:
    """Whether two passes run the same operations."""
    each = [(w.phase, w.path, w.op, w.steps) for w in low.works]
    return each == [(w.phase, w.path, w.op, w.steps) for w in high.works] and len(low.during) == len(high.during)


def between(low: Pass, high: Pass, share: float) -> Pass:
    """Estimate a pass of a batch size between two that were measured, ``share`` of the way from ``low`` to ``high``.

    By a straight line, which is exact: what an operation computes and moves grows with the batch, or stays as it is.
    """

    def line(a: float, b: float) -> float:
        return a + (b - a) * share

    works = (
        replace(a, flops=line(a.flops, b.flops), bytes=line(a.bytes, b.bytes), live=line(a.live, b.live))
        for a, b in zip(low.works, high.works, strict=True)
    )
    during = map(line, low.during, high.during)
    return Pass(tuple(works), line(low.held, high.held), tuple(during))


def largest(low: Pass, high: Pass, sizes: tuple[int, int], room: float, training: bool) -> int | None:
    """The largest batch whose activations take no more than ``room`` bytes; None where they do not grow."""
    pairs = [(low.peak, high.peak)]
    if alike(low, high):  # each grows in proportion; which is most may change
        each = zip(low.works, high.works, strict=True)
        lines = zip((low.held, *low.during), (high.held, *high.during), strict=True)
        pairs = list(lines) if training else [(a.live, b.live) for a, b in each]
    found = []
    for a, b in pairs:
        slope = (b - a) / (sizes[1] - sizes[0])
        if slope > 0:
            found.append(max(0, math.floor((room - a) / slope + sizes[0])))
    return min(found, default=None)
