"""Every test starts from the same random state, and hypothesis draws the same examples everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

import halfsim as hs

settings.register_profile("halfsim", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("halfsim")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    hs.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)
