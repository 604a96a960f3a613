"""Infinities and NaN that a formula makes and takes away itself, so that none is in the result."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.healthy.material import normal, softmax
from tests.healthy.registry import Result, Use, healthy


def _gradient(x: hs.Tensor, y: hs.Tensor) -> Result:
    y.backward()
    assert x.grad is not None
    return {"value": y.detach().numpy(), "gradient": x.grad.numpy()}


@healthy("the norm at zero, whose gradient is 0", "fp32", "fp16", "amp",
         right=lambda: {"value": np.zeros(()), "gradient": np.zeros(4)})  # fmt: skip
def norm_at_zero(use: Use) -> Result:
    x = use.tensor(np.zeros(4), requires_grad=True)
    return _gradient(x, x.norm())


@healthy("standard deviations of which one is of constants", "fp32", "fp16", "bf16")
def std_of_constants(use: Use) -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.3
    fed = use.tensor(x)
    return {"std": ops.std(fed, 1).numpy()}


def _std_gradient() -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.3
    d = x - x.mean(1, keepdims=True)
    s = np.sqrt((d**2).sum(1, keepdims=True) / 7)
    return {"gradient": np.divide(d, 7 * s, out=np.zeros_like(d), where=s > 1e-9)}


@healthy("gradients of standard deviations of which one is of constants", "fp32", "fp16", right=_std_gradient)
def std_of_constants_gradient(use: Use) -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.25  # exactly held, so that its distances from the mean are exactly zero
    fed = use.tensor(x, requires_grad=True)
    ops.std(fed, 1).sum().backward()
    return {"gradient": fed.grad.numpy()}  # type: ignore[union-attr]


def _guarded() -> Result:
    x = np.linspace(-2, 2, 21)
    return {"root": np.sqrt(np.maximum(x, 0)), "log": np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0.0)}


@healthy("roots and logarithms of negative numbers, masked out by where()", "fp16", "fp32", right=_guarded)
def masked_branches(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21))
    root, log = ops.where(x > 0, ops.sqrt(x), 0.0), ops.where(x > 0, ops.log(x), 0.0)
    return {"root": root.numpy(), "log": log.numpy()}


@healthy("the same, with the operand made safe by another where()", "fp16", "bf16", right=_guarded)
def guarded_branches(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21))
    safe = ops.where(x > 0, x, 1.0)
    root, log = ops.where(x > 0, ops.sqrt(safe), 0.0), ops.where(x > 0, ops.log(safe), 0.0)
    return {"root": root.numpy(), "log": log.numpy()}


@healthy("gradients through an operand made safe by where()", "fp16", "bf16", "fp32", ulps=4)
def guarded_gradient(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21), requires_grad=True)
    ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0).sum().backward()
    return {"gradient": x.grad.numpy()}  # type: ignore[union-attr]


def _empty_rows() -> Result:
    x, open_ = normal(1, 6, 6), np.tri(6, dtype=bool) & (np.arange(6) > 1)
    return {"p": np.where(open_.any(1, keepdims=True), softmax(np.where(open_, x, -1e9)), 0)}


@healthy("softmax of rows of which some are masked wholly, their NaN taken away by where()", "fp16", "bf16", "fp32",
         right=_empty_rows)  # fmt: skip
def empty_rows(use: Use) -> Result:
    open_ = np.tri(6, dtype=bool) & (np.arange(6) > 1)
    p = ops.softmax(ops.where(open_, use.tensor(normal(1, 6, 6)), -math.inf), -1)
    return {"p": ops.where(open_.any(1, keepdims=True), p, 0.0).numpy()}


def _sigmoid() -> Result:
    return {"p": 1 / (1 + np.exp(-np.linspace(-30.3, 30.3, 40)))}


@healthy("sigmoid by hand, 1 / (1 + exp(-x)), whose exp is infinite where the result is 0", "fp16", right=_sigmoid)
def sigmoid_by_hand(use: Use) -> Result:
    return {"p": (1 / (1 + ops.exp(-use.tensor(np.linspace(-30.3, 30.3, 40))))).numpy()}


def _held() -> Result:
    x = np.array([0.0, 0.5, 0.03, 0.0, 3.0])
    return {"inverse": np.minimum(np.divide(1, x, out=np.full(5, 10.0), where=x != 0), 10)}


@healthy("reciprocals held below 10 by clamp, those of zero too", "fp16", "bf16", right=_held)
def held_poles(use: Use) -> Result:
    return {"inverse": ops.clamp(1 / use.tensor([0.0, 0.5, 0.03, 0.0, 3.0]), max=10.0).numpy()}


def _forbidden() -> Result:
    p = np.array([1.0, 0, 0, 0])
    moves, seen = _ladder(), np.exp(normal(3, 6, 4) / 2)
    for i in range(6):
        p = (p @ moves) * seen[i]
    return {"chance": np.log(p)}


def _ladder() -> np.ndarray:
    return np.array([[0.3, 0.7, 0, 0], [0, 0.4, 0.6, 0], [0, 0, 0.9, 0.1], [0, 0, 0, 1]])


@healthy("paths with forbidden moves, -inf in logarithms, as in CTC", "fp16", "bf16", right=_forbidden)
def forbidden_moves(use: Use) -> Result:
    moves = np.log(np.where(_ladder() > 0, _ladder(), 1)) + np.where(_ladder() > 0, 0, -np.inf)
    steps, alpha = use.tensor(moves), use.tensor([0.0, -np.inf, -np.inf, -np.inf])
    seen = use.tensor(normal(3, 6, 4) / 2)
    for i in range(6):
        alpha = ops.logsumexp(alpha[:, None] + steps, 0) + seen[i]
    return {"chance": alpha.numpy()}


def _reciprocals() -> Result:
    x = np.array([0.0, 0.5, -0.25, 0.0, 3.0])
    return {"inverse": np.divide(1, x, out=np.zeros(5), where=x != 0)}


@healthy("reciprocals, those of zero masked out by where()", "fp16", "bf16", "fp32", right=_reciprocals)
def masked_poles(use: Use) -> Result:
    x = use.tensor([0.0, 0.5, -0.25, 0.0, 3.0])
    return {"inverse": ops.where(x != 0, 1 / x, 0.0).numpy()}


def _softplus() -> Result:
    x = np.linspace(-20, 40, 61)
    return {"softplus": np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)}


@healthy("softplus by hand, its overflowing branch masked out by where()", "fp16", right=_softplus)
def masked_overflow(use: Use) -> Result:
    x = use.tensor(np.linspace(-20, 40, 61))
    return {"softplus": ops.where(x > 10, x, ops.log1p(ops.exp(x))).numpy()}


def _best() -> Result:
    x = normal(1, 6, 8)
    x[:, ::3] = -np.inf
    return {"best": x.max(1), "positive": np.maximum(x, 0)}


@healthy("the best of scores of which some are -inf; relu and clamp of -inf", "fp16", "bf16", right=_best)
def killed_infinities(use: Use) -> Result:
    x = ops.masked_fill(use.tensor(normal(1, 6, 8)), np.arange(8) % 3 == 0, -math.inf)
    return {"best": x.amax(1).numpy(), "positive": ops.clamp(ops.relu(x), 0.0, 8.0).numpy()}


def _logs_of_counts() -> Result:
    counts = np.array([[0, 3, 5, 0], [1, 0, 2, 9.0]])
    p = counts / counts.sum(1, keepdims=True)
    return {"best": np.log(p.max(1)), "entropy": -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), 1)}


@healthy("logarithms of shares of which some are zero: -inf that max and where() take away", "fp16", "bf16",
         right=_logs_of_counts)  # fmt: skip
def logs_of_counts(use: Use) -> Result:
    counts = use.tensor([[0, 3, 5, 0], [1, 0, 2, 9]])
    p = counts / counts.sum(1, keepdims=True)
    log = ops.log(p)
    return {"best": log.amax(1).numpy(), "entropy": -ops.where(p > 0, p * log, 0.0).sum(1).numpy()}


def _shortest() -> Result:
    lengths, far = _roads(), np.array([0, np.inf, np.inf, np.inf, np.inf])
    for _ in range(5):
        far = np.minimum(far, (far[:, None] + lengths).min(0))
    return {"far": far}


def _roads() -> np.ndarray:
    lengths = np.abs(normal(1, 5, 5)) * 10
    lengths[normal(2, 5, 5) > 0.4] = np.inf
    lengths[[0, 1, 2, 3], [1, 2, 3, 4]] = 7.3
    return lengths


@healthy("shortest paths, what is not reached yet being infinite", "fp16", "bf16", right=_shortest)
def shortest_paths(use: Use) -> Result:
    roads, far = use.tensor(_roads()), use.tensor([0.0, *[np.inf] * 4])
    for _ in range(5):
        far = ops.minimum(far, (far[:, None] + roads).amin(0))
    return {"far": far.numpy()}


def _present() -> Result:
    x = _with_gaps()
    return {"filled": np.where(np.isnan(x), 0, x), "mean": np.nanmean(x, 1)}


def _with_gaps() -> np.ndarray:
    x = normal(1, 8, 12)
    x[normal(2, 8, 12) > 1] = np.nan
    return x


@healthy("data with gaps, NaN that where() fills", "fp16", "bf16", "fp32", right=_present)
def missing_values(use: Use) -> Result:
    x, there = use.tensor(_with_gaps()), ~np.isnan(_with_gaps())
    filled = ops.where(there, x, 0.0)
    return {"filled": filled.numpy(), "mean": (filled.sum(1) / use.tensor(there.sum(1))).numpy()}


def _overlap() -> Result:
    a, b = _boxes()
    both, either = (a & b).sum(1), (a | b).sum(1)
    return {"iou": np.divide(both, either, out=np.ones(8), where=either > 0)}


def _boxes() -> tuple[np.ndarray, np.ndarray]:
    a, b = normal(1, 8, 30) > 0.3, normal(2, 8, 30) > 0.3
    a[[2, 5]] = b[[2, 5]] = False
    return a, b


@healthy("the overlap of masks of which some are empty, 0/0 that where() makes 1", "fp16", "bf16", right=_overlap)
def empty_masks(use: Use) -> Result:
    a, b = (use.tensor(m) for m in _boxes())
    both, either = (a * b).sum(1), ops.maximum(a, b).sum(1)
    return {"iou": ops.where(either > 0, both / either, 1.0).numpy()}


def _rays() -> tuple[np.ndarray, np.ndarray]:
    """Directions of 40 rays, and centres of six spheres of radius 1 in front of the eye."""
    d = np.stack([*np.meshgrid(np.linspace(-0.5, 0.5, 8), np.linspace(-0.5, 0.5, 5)), np.ones((5, 8))], -1)
    d = d.reshape(40, 3)
    return d / np.linalg.norm(d, axis=1, keepdims=True), normal(4, 6, 3) * np.array([1.5, 1.5, 0.7]) + [0, 0, 5]


def _seen() -> Result:
    d, c = _rays()
    along = d @ c.T
    inside = along**2 - (c**2).sum(1) + 1
    near = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0)), np.inf).min(1)
    return {"fog": np.exp(-near / 4)}


@healthy("spheres met by rays: roots of negative numbers for those that miss, infinity for what meets none", "fp16",
         "fp32", ulps=24, right=_seen)  # fmt: skip
def ray_spheres(use: Use) -> Result:
    d, c = (use.tensor(x) for x in _rays())
    along = d @ c.T
    inside = ops.square(along) - ops.square(c).sum(1) + 1
    near = ops.where(inside > 0, along - ops.sqrt(inside), math.inf).amin(1)
    return {"fog": ops.exp(-near / 4).numpy()}


def _escaped() -> Result:
    z = np.zeros((2, 9, 12))
    c, count = _plane(), np.zeros((9, 12))
    for _ in range(5):
        z = np.stack([z[0] ** 2 - z[1] ** 2, 2 * z[0] * z[1]]) + c
        count += (z**2).sum(0) < 4
    return {"count": count}


def _plane() -> np.ndarray:
    return np.stack(np.meshgrid(np.linspace(-2.3, 2.9, 12), np.linspace(-3.7, 3.9, 9)))


@healthy("the Mandelbrot set, whose points outside run to infinity and NaN and are no longer counted", "fp16",
         right=_escaped)  # fmt: skip
def mandelbrot(use: Use) -> Result:
    c = use.tensor(_plane())
    x, y, count = c[0] * 0, c[1] * 0, c[0] * 0
    for _ in range(5):
        x, y = ops.square(x) - ops.square(y) + c[0], 2 * x * y + c[1]
        count = count + ops.where(ops.square(x) + ops.square(y) < 4, use.tensor(1.0), 0.0)
    return {"count": count.numpy()}


def _added() -> Result:
    x = normal(1, 6, 6)
    return {"p": softmax(np.where(np.tri(6, dtype=bool), x, -np.inf))}


@healthy("scores to which the format's lowest number is added, as libraries of transformers do", "fp16", "bf16",
         right=_added)  # fmt: skip
def added_lowest(use: Use) -> Result:
    x = use.tensor(normal(1, 6, 6))
    closed = use.tensor(1 - np.tri(6)) * -x.format.max
    return {"p": ops.softmax(x + closed, -1).numpy()}


def _transport() -> Result:
    cost = np.abs(normal(1, 5)[:, None] - normal(2, 6))
    plan = np.exp(-cost / 0.5)
    for _ in range(10):
        plan = plan / plan.sum(1, keepdims=True) / 5
        plan = plan / plan.sum(0, keepdims=True) / 6
    return {"plan": plan}


@healthy("optimal transport by Sinkhorn's iteration in logarithms", "fp16", "bf16", right=_transport)
def sinkhorn(use: Use) -> Result:
    scores = ops.abs(use.tensor(normal(1, 5)[:, None]) - use.tensor(normal(2, 6))) / -0.5
    u, v = scores[:, 0] * 0, scores[0] * 0
    for _ in range(10):
        u = -math.log(5) - ops.logsumexp(scores + v, 1)
        v = -math.log(6) - ops.logsumexp(scores + u[:, None], 0)
    return {"plan": ops.exp(scores + u[:, None] + v).numpy()}
