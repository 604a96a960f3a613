"""Whether outputs hold: how far they are from those in float32, and what a try of a set of kept names gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.diagnose.returned import accepted
from halfsim.document import attributes
from halfsim.numerics.formats import Format
from halfsim.onnx.conversion.converted import Outputs
from halfsim.options import shown
from halfsim.text import number

Accept = Callable[[Outputs, Outputs], Any]
TOLERANCE, EPSES = 0.05, 8  # where none is given: a share of the norm, or so many eps of the target if that is more
_FEW = 16  # smallest numbers of the target: below that it has no four bits for an output


def least(target: Format) -> float:
    """The magnitude that an output is measured against where it is smaller: the target has hardly a bit for it."""
    return float(_FEW * target.smallest_subnormal)


def error_of(found: Any, reference: Any, least: float = 0.0) -> float:
    """How far an output is from its reference: the norm of the difference over that of the reference.

    Where the root mean square of the reference is below ``least``, that stands for it. NaN and infinities that both
    have are no difference; one that only one of the two has makes it infinite, as another shape does. Of integers and
    bools it is the share of those that differ.

    >>> error_of(np.array([1.0, 1.0]), np.array([1.0, 2.0])), error_of(np.array([1, 2]), np.array([1, 3]))
    (0.4472135954999579, 0.5)
    """
    x, y = np.asarray(found), np.asarray(reference)
    if x.shape != y.shape:
        return inf
    if y.dtype.kind in "biu":
        return float(np.mean(x != y)) if y.size else 0.0
    a, b = x.astype(np.float64), y.astype(np.float64)
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not apart.any():
        return 0.0
    if not (np.isfinite(a[apart]).all() and np.isfinite(b[apart]).all()):
        return inf
    whole = max(float(np.linalg.norm(b[np.isfinite(b)])), least * float(np.sqrt(b.size)))
    return float(np.linalg.norm(a[apart] - b[apart])) / whole if whole else inf


def off(name: str, error: float) -> str:
    """How far an output is off, in words.

    >>> off("y", 0.125)
    'y is off by 0.125 of its norm'
    """
    if error == inf:
        return f"{name} has NaN, infinities or a shape that it has not in float32"
    return f"{name} is off by {number(error)} of its norm"


@dataclass(frozen=True)
class Judge:
    """Says whether outputs hold: each within its tolerance, or what ``accept`` says of all of them."""

    tolerance: Mapping[str, float]
    default: float
    accept: Accept | None
    least: float

    def allowed(self, name: str) -> float:
        """The tolerance of an output; one of a sequence has that of the sequence."""
        return self.tolerance.get(name, self.tolerance.get(name.partition("[")[0], self.default))

    def limit(self, name: str) -> float | None:
        """The tolerance that decides on an output, None where a function does."""
        return None if self.accept is not None else self.allowed(name)

    def errors(self, found: Outputs, reference: Outputs) -> dict[str, float]:
        """The error of each output of the reference."""
        return {name: error_of(found[name], y, self.least) if name in found else inf for name, y in reference.items()}

    def holds(self, found: Outputs, reference: Outputs, errors: Mapping[str, float]) -> bool:
        """Whether these outputs hold."""
        if self.accept is not None:
            accept = self.accept
            return accepted(lambda both: accept(*both), (found, reference))
        return all(error <= self.allowed(name) for name, error in errors.items())


def judge(tolerance: Any, accept: Any, names: list[str], target: Format) -> Judge:
    """The judge of outputs ``names``; ``TypeError`` and ``ValueError`` for what is no tolerance."""
    if accept is not None and not callable(accept):
        raise TypeError(f"accept: {shown(accept)} is not allowed; allowed: a function of outputs and reference, None")
    each = dict(tolerance) if isinstance(tolerance, Mapping) else {}
    for name in each:
        if name not in names:
            raise ValueError(f"tolerance: output {shown(name)} is not there; allowed: {', '.join(map(str, names))}")
    usual = max(TOLERANCE, EPSES * target.eps)
    default = usual if tolerance is None or isinstance(tolerance, Mapping) else tolerance
    for one in (default, *each.values()):
        if isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, float, np.number)):
            raise TypeError(f"tolerance: {shown(one)} is not allowed; allowed: a number, a dict of numbers by output")
        if not one > 0:
            raise ValueError(f"tolerance: {one} is not allowed; allowed: numbers above 0")
    return Judge({name: float(x) for name, x in each.items()}, float(default), accept, least(target))


@dataclass(frozen=True)
class Tried(Record):
    """One set of names kept in float32, and what came of it: the largest ``error`` of each output so far.

    ``reason`` is empty where all outputs held.
    """

    kept: tuple[str, ...]
    holds: bool
    errors: Mapping[str, float]
    reason: str = ""

    @property
    def worst(self) -> tuple[str, float]:
        """The output that is farthest off, and by how much."""
        return max(self.errors.items(), key=lambda pair: pair[1], default=("", 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**attributes(self), "kept": list(self.kept), "errors": dict(self.errors)}
