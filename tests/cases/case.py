"""A real precision bug, rebuilt as its reporter would write it, and what a good answer says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import halfsim as hs


@dataclass(frozen=True)
class Case:
    """One report, rebuilt.

    ``run`` takes nothing, makes all that it needs and returns the value (or several, as a list of arrays, tensors or
    numbers); it is called in the scope of ``precision``. ``broken`` says of that value whether the reported symptom is
    there, ``right`` is what it should have been. ``klass``, ``op`` (any of them) and ``phase`` are what a verdict must
    name. ``fixed`` is the run with the advice typed in, where only a person can do that, and ``advice`` a word that the
    recommended fix must then contain. ``missing`` names what halfsim lacks to express the case, ``note`` what a reader
    of the table must know: a mechanism that is inferred, a value that differs from the thread's.
    """

    id: str
    name: str
    title: str
    link: str
    year: int
    precision: str
    run: Callable[[], Any]
    broken: Callable[[Any], bool]
    right: Any
    klass: str
    op: str | tuple[str, ...]
    phase: str
    advice: str = ""
    fixed: Callable[[], Any] | None = None
    tolerance: float = 1e-2
    missing: str = ""
    note: str = ""

    @property
    def ops(self) -> tuple[str, ...]:
        """The operations any of which may be named."""
        return (self.op,) if isinstance(self.op, str) else self.op


def flat(value: Any) -> np.ndarray:
    """All numbers of a value in one float64 array."""
    if isinstance(value, hs.Tensor):
        return value.array.astype(np.float64).reshape(-1)
    if isinstance(value, (list, tuple)):
        return np.concatenate([flat(item) for item in value]) if value else np.empty(0)
    return np.asarray(value, np.float64).reshape(-1)


def off(value: Any, right: Any) -> float:
    """How far a value is from the right one, relative to its norm; infinite where one of them is not finite."""
    a, b = flat(value), flat(right)
    if a.shape != b.shape or not np.isfinite(a).all():
        return 0.0 if a.shape == b.shape and np.array_equal(a, b, equal_nan=True) else np.inf
    norm = float(np.sqrt(np.vdot(b, b)))
    return float(np.sqrt(np.vdot(a - b, a - b))) / (norm or 1.0)
