"""Means and spreads over seeds, and differences against a baseline that are paired by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.document import Document
from halfsim.markup import Figure, sections
from halfsim.text import columns, number


@dataclass(frozen=True)
class Group(Record):
    """One line of a summary: the rows that agree in ``by``, and one number of their results.

    ``n`` rows gave it, ``failed`` gave an error, and ``infinite`` of the ``n`` are infinite or NaN, which the mean then
    is too. ``std`` is the standard deviation over rows (n - 1), None of fewer than two. ``difference`` is the mean of
    this group's values minus the baseline's of the same seed and the same rest of the configuration, ``error`` its
    standard error, ``pairs`` how many there are; None without a baseline.
    """

    by: Mapping[str, Any]
    of: str
    n: int
    failed: int
    infinite: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    difference: float | None = None
    error: float | None = None
    pairs: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "by": dict(self.by)}


@dataclass(frozen=True)
class Summary(Document):
    """What `Results.summary` gives: a `Group` for each combination of ``by`` and each number of the results."""

    title = "halfsim sweep: summary"

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    baseline: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __str__(self) -> str:
        return columns(self.table(), left=len(self.by) + 1)

    def table(self) -> list[tuple[str, ...]]:
        """A head, and a line for each group."""
        paired = self.baseline is not None
        head = (*self.by, "of", "n", "failed", "mean", "std", *(("difference", "+-", "pairs") if paired else ()))
        return [head, *(self._line(group, paired) for group in self.groups)]

    def _line(self, group: Group, paired: bool) -> tuple[str, ...]:
        values: list[float | None] = [group.n, group.failed, group.mean, group.std]
        if paired:
            values += [group.difference, group.error, group.pairs]
        return (*(word(v) for v in group.by.values()), group.of, *(Figure(number(v), v) for v in values))

    def _body(self) -> Iterator[str]:
        yield from sections([("", self.table())])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "schema": 1, "kind": "summary of a sweep", "by": list(self.by), "baseline": self.baseline,
            "groups": [group.to_dict() for group in self.groups],
        }  # fmt: skip


def word(value: Any) -> str:
    """A value of a configuration in few characters, other ones for another value.

    >>> word(0.5), word(1e-5), word(0.12345678), word("fp16"), word(None)
    ('0.5', '1e-05', '0.12345678', 'fp16', 'null')
    """
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else str(value)
    return value if isinstance(value, str) else json.dumps(value)


def group(
    by: Mapping[str, Any], of: str, values: Sequence[float | None], pairs: Sequence[tuple[float, float]] | None
) -> Group:
    """The line of values of one group, None for a row that failed; ``pairs`` are of values and their baseline's."""
    found = np.array([v for v in values if v is not None], np.float64)
    mean, std = _moments(found)
    more: dict[str, Any] = {}
    if pairs is not None:
        with np.errstate(invalid="ignore"):
            apart = np.array([a - b for a, b in pairs], np.float64)
        difference, spread = _moments(apart)
        error = None if spread is None else spread / math.sqrt(len(apart))
        more = {"difference": difference, "error": error, "pairs": len(apart)}
    return Group(
        by, of, len(found), len(values) - len(found), int(np.count_nonzero(~np.isfinite(found))), mean, std,
        float(found.min()) if found.size else None, float(found.max()) if found.size else None, **more,
    )  # fmt: skip


def _moments(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float | None, float | None]:
    """Mean and standard deviation, None of too few."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(values.mean()) if values.size else None
        std = float(values.std(ddof=1)) if values.size > 1 else None
    return mean, std
