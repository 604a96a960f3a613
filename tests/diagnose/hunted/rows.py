"""Where the programs are registered, and what they share."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.diagnose.inputs import Rows

ROWS = Rows()
told, calm = ROWS.told, ROWS.calm


def noise(*shape: int, seed: int = 0) -> Any:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)
