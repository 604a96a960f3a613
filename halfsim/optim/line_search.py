"""How far to go along a direction: the line search of L-BFGS, PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Point(NamedTuple):
    """A step length, and loss, gradient and slope there."""

    t: float
    loss: float
    grad: Any
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """The step where the cubic through losses and slopes of two points is least, within ``bounds`` or between them.

    Their middle where the cubic has no minimum.
    """
    low, high = bounds or (min(a.t, b.t), max(a.t, b.t))
    with np.errstate(all="ignore"):
        d1 = a.slope + b.slope - 3 * np.divide(a.loss - b.loss, a.t - b.t)
        square = d1**2 - a.slope * b.slope
        if not square >= 0:
            return (low + high) / 2.0
        near, far = (a, b) if a.t <= b.t else (b, a)
        d2 = np.sqrt(square)
        share = np.divide(far.slope + d2 - d1, far.slope - near.slope + 2 * d2)
    return min(max(float(far.t - (far.t - near.t) * share), low), high)


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Any]],
    t: float,
    size: float,
    loss: float,
    grad: Any,
    slope: float,
    slope_of: Callable[[Any], float],
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    most: int = 25,
) -> tuple[float, Any, float, int]:
    """Loss, gradient and step that satisfy the strong Wolfe conditions, and how many evaluations it took.

    ``evaluate(t)`` gives loss and gradient at ``t``, ``slope_of`` the slope of a gradient along the direction, whose
    largest element is ``size``; ``loss``, ``grad`` and ``slope`` are those at 0. The loss must fall by ``c1`` of what
    the slope promises, and the slope to ``c2`` of what it was.
    """
    start = before = Point(0, loss, grad, slope)

    def at(t: float) -> Point:
        loss, grad = evaluate(t)
        return Point(t, loss, grad, slope_of(grad))

    def too_high(p: Point) -> bool:
        return p.loss > loss + c1 * p.t * slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -c2 * slope

    now, steps, done = at(t), 0, False
    bracket = [start, now]
    for steps in range(most):  # go on until a minimum lies between two points
        beyond = too_high(now) or (steps > 1 and now.loss >= before.loss)
        done = not beyond and flat(now)
        if beyond or done or now.slope >= 0:
            bracket = [now] if done else [before, now]
            break
        step = cubic_minimum(before, now, (now.t + 0.01 * (now.t - before.t), now.t * 10))
        before, now = now, at(step)
    else:
        steps, bracket = most, [start, now]
    calls, stuck = steps + 1, False
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    while not done and steps < most:  # narrow the bracket
        ends = sorted(p.t for p in bracket)
        if (ends[1] - ends[0]) * size < tolerance_change:
            break
        t, stuck = _inside(cubic_minimum(bracket[0], bracket[1]), ends, stuck)
        now, steps, calls = at(t), steps + 1, calls + 1
        if too_high(now) or now.loss >= bracket[low].loss:
            bracket[high] = now
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        done = flat(now)
        if not done and now.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
    best = bracket[low if len(bracket) > 1 else 0]
    return best.loss, best.grad, best.t, calls


def _inside(t: float, ends: list[float], stuck: bool) -> tuple[float, bool]:
    """A step that is not too near the ends of the bracket twice, and whether it is near now."""
    margin = 0.1 * (ends[1] - ends[0])
    if min(ends[1] - t, t - ends[0]) >= margin:
        return t, False
    if not (stuck or t >= ends[1] or t <= ends[0]):
        return t, True
    return (ends[1] - margin if abs(t - ends[1]) < abs(t - ends[0]) else ends[0] + margin), False
