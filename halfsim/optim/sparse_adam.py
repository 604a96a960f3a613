"""SparseAdam, which is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from halfsim.optim.optimizer import Optimizer


class SparseAdam(Optimizer):
    """PyTorch's Adam for sparse gradients, which are not simulated: it cannot be made, and says so.

    >>> SparseAdam([])
    Traceback (most recent call last):
    TypeError: SparseAdam: sparse gradients are not simulated; allowed: Adam, which takes dense ones
    """

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        raise TypeError("SparseAdam: sparse gradients are not simulated; allowed: Adam, which takes dense ones")
