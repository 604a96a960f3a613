"""The optimizers that step by gradients alone, and what they are given where all are asked for the same."""

from __future__ import annotations

from typing import Any

import numpy as np

KINDS = ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Lion", "Rprop"]
KINDS += ["Adafactor", "Muon"]

_NO_DECAY = {"Rprop"}
_NO_EPS = {"SGD", "Lion", "ASGD", "Rprop", "Adafactor", "Muon"}
_SMALL: dict[str, dict[str, Any]] = {"RMSprop": {"alpha": 0.5}, "Adadelta": {"eps": 0.1}}
_SMALL |= {"Rprop": {"etas": (0.5, 1.001), "step_sizes": (0, 1)}}


def decayed(kind: str, weight_decay: float) -> dict[str, Any]:
    return {} if kind in _NO_DECAY else {"weight_decay": weight_decay}


def small(kind: str, lr: float) -> dict[str, Any]:
    """Options under which a step is about ``lr`` large, and never loses itself in eps."""
    return {"lr": lr, **({} if kind in _NO_EPS else {"eps": 1e-3}), **_SMALL.get(kind, {})}


def shaped(kind: str, values: Any) -> np.ndarray:
    """Values in a shape that the optimizer takes."""
    return np.reshape(values, (-1, 4)) if kind == "Muon" else np.asarray(values)
