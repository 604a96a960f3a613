"""The optimizers whose trajectories are recorded: name, class, options."""

from __future__ import annotations

from typing import Any

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.125}),
    "sgd_momentum": ("SGD", {"lr": 0.125, "momentum": 0.875, "dampening": 0.25, "weight_decay": 2.0**-7}),
    "sgd_nesterov": ("SGD", {"lr": 0.0625, "momentum": 0.75, "nesterov": True, "weight_decay": 2.0**-6}),
    "adam": ("Adam", {"lr": 1e-3}),
    "adam_decay": ("Adam", {"lr": 2.0**-6, "betas": (0.375, 0.875), "eps": 2.0**-13, "weight_decay": 2.0**-7}),
}
