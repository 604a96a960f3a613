"""What is measured: a function for each kind of trouble, from a run that has not begun to one number, lower is better.

Each takes the run through its steps. What is infinite or NaN counts as the worst that the measure knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import no_grad, precision
from halfsim.gallery.matrix.training import Training, take, twin, weights
from halfsim.numerics.formats import float16
from halfsim.numerics.quantize import Array

LARGE = {"rnn": 10.0, "lstm": 3.0}  # norms that are an explosion, some ten times those of a calm run
_LOOKS = 6  # how often a run is compared with float64 on its way


def drift(run: Training) -> float:
    """How far the weights end from where float64 would have brought them, as a share of the way."""
    other = twin(run)
    run.run()
    other.run()
    ours, theirs = weights(run), weights(other)
    apart = _length([ours[name] - theirs[name] for name in ours])
    return _share(apart, _length([theirs[name] - run.first[name] for name in ours]))


def depth_error(run: Training) -> float:
    """The relative error of what the last layer gives, against float64 with the same weights and pictures."""
    run.run()
    other = twin(run)
    take(other, weights(run))
    scores = []
    for one in (run, other):
        with precision(one.setup.rule), no_grad():
            scores.append(one.model(tensor(run.data.x_test, one.setup.weights)).array.astype(np.float64))
    with np.errstate(all="ignore"):
        return _share(_length([scores[0] - scores[1]]), _length([scores[1]]))


def imbalance(run: Training) -> float:
    """How many decades lie between the gradients of the first layer and the last one, in the median step."""
    found = [_decades(norms[0]) - _decades(norms[-2]) for norms in run.run().norms]  # the last is a bias
    return float(np.median(np.abs(found))) if found else _decades(float16.max) - _decades(0)


def exploded(run: Training) -> float:
    """The share of steps in which the norm of all gradients is above `LARGE`, infinite or NaN."""
    found = [not _length([np.array(norms)]) <= LARGE[run.setup.network] for norms in run.run().norms]
    return float(np.mean(found)) if found else 1.0


def broken(run: Training) -> float:
    """The share of steps whose loss is infinite or NaN, or whose gradients are and reach the weights."""
    seen = run.run()
    return seen.broken / seen.taken


def stuck(run: Training) -> float:
    """The share of the updates' sum that did not arrive in the weights."""
    meant, ended = run.run().meant, weights(run)
    with np.errstate(all="ignore"):
        arrived = sum(float(np.sum((ended[name] - run.first[name]) * move)) for name, move in meant.items())
        whole = sum(float(np.sum(move * move)) for move in meant.values())
    return _share(whole - arrived, whole) if whole else 1.0


def flushed(run: Training) -> float:
    """The share of the gradients of weights that are zero where float64, at the same weights, has none."""
    other = twin(run)
    counts = np.zeros(2, np.int64)

    def look(run: Training, grads: list[Array]) -> None:
        if run.at % max(1, run.setup.steps // _LOOKS) == 0:
            take(other, weights(run))
            with precision("fp64", override=True):
                _, exact = other.backward(run.order[run.at])
            live = [g != 0 for g in exact]
            gone = sum(int(np.count_nonzero(a & (g == 0))) for a, g in zip(live, grads, strict=True))
            counts[:] += gone, sum(int(np.count_nonzero(a)) for a in live)

    run.run(look)
    return _share(float(counts[0]), float(counts[1]))


def undone(run: Training) -> float:
    """How many steps were taken more than once, since an interruption had undone them."""
    return float(run.run().taken - run.setup.steps)


def errors(run: Training) -> float:
    """The share of the test pictures that are named wrongly."""
    run.run()
    return 1 - run.accuracy()


def _length(parts: Sequence[Array]) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(sum(float(np.sum(part * part)) for part in parts)))


def _share(error: float, whole: float) -> float:
    """An error as a share of the whole; 1 where it is larger, or one of them is no number."""
    found = error / whole if whole else 0.0
    return min(found, 1.0) if np.isfinite(found) else 1.0


def _decades(norm: float) -> float:
    """The decimal logarithm of a norm, within half's range: zero is its smallest number, NaN its largest."""
    return log10(float16.max if norm != norm else min(max(norm, float16.smallest_subnormal), float16.max))
