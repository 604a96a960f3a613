"""All healthy runs: importing this registers every file."""

from tests.healthy import (
    language,
    losses,
    masking,
    numerics,
    recurrent,
    simulation,
    statistics,
    training_loops,
    vision,
)
from tests.healthy.registry import RUNS, Healthy, listing

__all__ = [
    "RUNS",
    "Healthy",
    "language",
    "listing",
    "losses",
    "masking",
    "numerics",
    "recurrent",
    "simulation",
    "statistics",
    "training_loops",
    "vision",
]
