"""What is said to help: a row for each remedy, with what it changes in the run of a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from halfsim.gallery.matrix.problems import Problem
from halfsim.gallery.matrix.setup import Setup

NONE = "none"  # the run of a problem as it is
_GAINS = {"relu": sqrt(2), "tanh": 1.0, "sigmoid": 4.0}  # that keep the size of signals, of He, Glorot and LeCun
_OTHER = {"relu": "tanh", "tanh": "relu", "sigmoid": "relu"}


@dataclass(frozen=True)
class Cure:
    """A remedy: its name, and which fields of a problem's `Setup` it changes, to what."""

    name: str
    change: Callable[[Problem], dict[str, Any]]

    def setup(self, problem: Problem) -> Setup:
        """The run of a problem with this remedy."""
        return replace(problem.setup, **self.change(problem))


def _activation(problem: Problem) -> dict[str, Any]:
    """The LSTM's are part of it, and stay."""
    other = _OTHER[problem.setup.activation]
    return {} if problem.setup.network == "lstm" else {"activation": other}


def _initialisation(problem: Problem) -> dict[str, Any]:
    """Orthogonal, with the gain of the activation; of what is applied again and again, 1."""
    again = problem.setup.network != "mlp"
    return {"orthogonal": True, "gain": 1.0 if again else _GAINS[problem.setup.activation]}


_ROWS = (
    Cure("clip-norm", lambda p: {"clip_norm": p.limit}),
    Cure("clip-value", lambda p: {"clip_value": p.limit / 20}),
    Cure("activation", _activation),
    Cure("initialisation", _initialisation),
    Cure("smaller-lr", lambda p: {"lr": p.setup.lr / 10}),
    Cure("larger-lr", lambda p: {"lr": p.setup.lr * 10}),
    Cure("mixed-precision", lambda p: {"rule": "amp", "weights": "fp32"}),
    Cure("loss-scaling", lambda p: {"scale": 1024.0}),
    Cure("mixed-and-scaled", lambda p: {"rule": "amp", "weights": "fp32", "scale": 0.0}),
    Cure("master-weights", lambda p: {"update": "master_weights"}),
    Cure("kahan", lambda p: {"update": "kahan"}),
    Cure("stochastic-rounding", lambda p: {"update": "rounding"}),
    Cure("normalisation", lambda p: {"norm": True}),
    Cure("residual", lambda p: {"residual": True}),
    Cure("wider", lambda p: {"width": 4 * p.setup.width}),
    Cure("deeper", lambda p: {"depth": 2 * p.setup.depth}),
    Cure("shallower", lambda p: {"depth": p.setup.depth // 2}),
    Cure("stable-formula", lambda p: {"stable": True}),
    Cure("checkpoints", lambda p: {"kept": 10}),
    Cure("float32", lambda p: {"rule": "fp32", "weights": "fp32"}),
)
CURES = {row.name: row for row in _ROWS}
