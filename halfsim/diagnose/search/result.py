"""What a search for a policy found, and the tries that show it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.policy import Policy
from halfsim.autograd.tensor import Tensor
from halfsim.text import columns

_WIDTH = 100
_SHOWN = 16  # tries in the printed table; values of an array that are kept


@dataclass(frozen=True)
class Try:
    """One run of the experiment: under which policy, whether it was accepted, and if not, why not.

    ``kept`` names what stayed in the fallback; ``value`` is what the experiment returned, as plain data, of large
    arrays only the shape.
    """

    kept: tuple[str, ...]
    policy: Policy
    accepted: bool
    reason: str
    value: Any
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**given, "kept": list(self.kept), "policy": str(self.policy), "value": _without_nan(self.value)}


@dataclass(frozen=True)
class PolicySearch:
    """What `search_policy` found: ``policy``, ready for use, and ``kept``, what it keeps in ``fallback``.

    ``found`` is false, and ``policy`` None, where not even the fallback everywhere was accepted; ``reason`` then says
    so. ``evidence`` holds every `Try` in order, ``without`` those that left out one of ``kept``, by name.
    ``complete`` is false where tries ran out, ``repeatable`` where the last policy, tried again, gave another value:
    then ``step`` does not start from the same state each time.
    """

    found: bool
    policy: Policy | None
    kept: tuple[str, ...]
    target: str
    fallback: str
    reason: str
    modules: int
    complete: bool
    repeatable: bool
    without: Mapping[str, Try] = field(repr=False)
    evidence: tuple[Try, ...] = field(repr=False)

    @property
    def evaluations(self) -> int:
        """How often the experiment ran."""
        return len(self.evidence)

    def __str__(self) -> str:
        blocks = [self._story(), self._proof(), self._policy(), self._tries()]
        return "\n\n".join(block for block in blocks if block)

    def _story(self) -> str:
        seconds = sum(one.seconds for one in self.evidence)
        cost = f"({self.evaluations} {'try' if self.evaluations == 1 else 'tries'}, {seconds:.1f} s)"
        if not self.found:
            text = f"No policy found: {self.reason} {cost}."
        elif not self.kept:
            text = f"Nothing must stay in {self.fallback}: everything runs in {self.target} {cost}."
        else:
            many = f", of {self.modules} modules" if self.modules > 1 else ""
            names = ", ".join(self.kept)
            text = f"Keep {names} in {self.fallback}{many}; the rest runs in {self.target} {cost}."
        if self.found and not self.complete:
            text += " The tries ran out: it may be possible to keep less."
        if "default" in self.kept:
            text += " 'default' stands for the tensors that the step makes: weights, data."
        if not self.repeatable:
            text += (
                " Caution: the same policy gave two values; the step does not start from the same state each time"
                " (pass model=, optimizer=, or make generators inside it)."
            )
        return textwrap.fill(text, _WIDTH)

    def _proof(self) -> str:
        rows = [("without it", "value", "what happens")]
        rows += [(_cut(name, 36), _value(one.value), _cut(one.reason, 44)) for name, one in self.without.items()]
        return columns(rows, left=3) if len(rows) > 1 else ""

    def _policy(self) -> str:
        return textwrap.fill(f"policy: {self.policy}", _WIDTH, subsequent_indent="  ") if self.kept else ""

    def _tries(self) -> str:
        rows = [("try", f"kept in {_cut(self.fallback, 12)}", "outcome", "value", "seconds")]
        for i, one in enumerate(self.evidence[:_SHOWN], 1):
            outcome = "accepted" if one.accepted else _cut(one.reason, 28)
            rows.append(
                (f"{i}", _cut(", ".join(one.kept) or "-", 34), outcome, _value(one.value), f"{one.seconds:.2f}")
            )
        more = self.evaluations - _SHOWN
        return columns(rows, left=4) + (f"\n... and {more} more, see evidence" if more > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **given,
            "policy": None if self.policy is None else str(self.policy),
            "kept": list(self.kept),
            "without": {name: one.to_dict() for name, one in self.without.items()},
            "evidence": [one.to_dict() for one in self.evidence],
        }


def plain(value: Any) -> Any:
    """``value`` as Python's own numbers, strings, lists and dicts; of what is large or foreign, a word."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        array = np.asarray(getattr(value, "data", value) if isinstance(value, Tensor) else value)
        if array.size == 1 and array.dtype.kind in "biuf":
            return array.reshape(-1)[0].item()
        return array.tolist() if array.size <= _SHOWN and array.dtype.kind in "biuf" else f"array of {array.shape}"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value[:_SHOWN]]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _cut(value, 80) if isinstance(value, str) else type(value).__name__


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else _cut(str(value), 14)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
