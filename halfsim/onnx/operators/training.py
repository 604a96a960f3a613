"""Steps of optimizers, and gradients inside a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.function import grad
from halfsim.autograd.scope import enable_grad
from halfsim.onnx.operators.table import TRAINING, row
from halfsim.onnx.values import numbers


def _groups(tensors: Any, kinds: int) -> list[tuple[Any, ...]]:
    """For each parameter what belongs to it: inputs come kind after kind."""
    count = len(tensors) // kinds
    return list(zip(*(tensors[k * count : (k + 1) * count] for k in range(kinds)), strict=True))


def _out(rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(x for kind in zip(*rows, strict=True) for x in kind)


def _number(x: Any) -> float:
    return float(np.asarray(numbers(x)).reshape(-1)[0])


@row("Adagrad", domain=TRAINING)
def adagrad(rate: Any, step: Any, *tensors: Any, decay_factor: float, epsilon: float, norm_coefficient: float) -> Any:
    """Each element by the root of the sum of its squared gradients."""
    r, rows = _number(rate) / (1 + _number(step) * decay_factor), []
    for x, g, h in _groups(tensors, 3):
        g = ops.add(g, ops.mul(x, norm_coefficient))
        h = ops.add(h, ops.mul(g, g))
        rows.append((ops.sub(x, ops.div(ops.mul(g, r), ops.add(ops.sqrt(h), epsilon))), h))
    return _out(rows)


@row("Adam", domain=TRAINING)
def adam(
    rate: Any, step: Any, *tensors: Any, alpha: float, beta: float, epsilon: float, norm_coefficient: float,
    norm_coefficient_post: float,
) -> Any:  # fmt: skip
    """Running means of gradients by the root of those of their squares."""
    r, t, rows = _number(rate), _number(step), []
    if t > 0:
        r *= (1 - beta**t) ** 0.5 / (1 - alpha**t)
    for x, g, v, h in _groups(tensors, 4):
        g = ops.add(g, ops.mul(x, norm_coefficient))
        v = ops.add(ops.mul(v, alpha), ops.mul(g, 1 - alpha))
        h = ops.add(ops.mul(h, beta), ops.mul(ops.mul(g, g), 1 - beta))
        x = ops.sub(x, ops.div(ops.mul(v, r), ops.add(ops.sqrt(h), epsilon)))
        rows.append((ops.mul(x, 1 - norm_coefficient_post), v, h))
    return _out(rows)


@row("Momentum", domain=TRAINING)
def momentum(rate: Any, step: Any, *tensors: Any, alpha: float, beta: float, mode: str, norm_coefficient: float) -> Any:
    """A running mean of gradients, plain or Nesterov's."""
    r, first, rows = _number(rate), 1.0 if _number(step) == 0 else beta, []
    for x, g, v in _groups(tensors, 3):
        g = ops.add(g, ops.mul(x, norm_coefficient))
        v = ops.add(ops.mul(v, alpha), ops.mul(g, first))
        way = ops.add(g, ops.mul(v, alpha)) if mode == "nesterov" else v
        rows.append((ops.sub(x, ops.mul(way, r)), v))
    return _out(rows)


@row("Gradient", given="any", domain=TRAINING)
def gradient(*inputs: Any, xs: Any, zs: Any = None, y: str, graph: Any) -> Any:
    """The gradient of a tensor of the graph with respect to others, computed again from the values given."""
    names = [*xs, *(zs or [])]
    leaves = [x.detach().requires_grad_() if i < len(xs) else x for i, x in enumerate(inputs)]
    with enable_grad():
        target = graph.recomputed(y, dict(zip(names, leaves, strict=True)))
        found = grad(ops.sum(target), leaves[: len(xs)])
    return tuple(found)
