"""What a search for a policy found, and the tries that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.policy import Policy
from halfsim.autograd.tensor import Tensor
from halfsim.card import Record
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, sections
from halfsim.text import clipped, columns, filled

_SHOWN = 16  # tries in the printed table; values of an array that are kept


@dataclass(frozen=True)
class Try(Record):
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
        return {**attributes(self), "kept": list(self.kept), "policy": str(self.policy), "value": jsonable(self.value)}


@dataclass(frozen=True)
class PolicySearch(Document):
    """What `search_policy` found: ``policy``, ready for use, and ``kept``, what it keeps in ``fallback``.

    ``found`` is false, and ``policy`` None, where not even the fallback everywhere was accepted; ``reason`` then says
    so. ``evidence`` holds every `Try` in order, ``without`` those that left out one of ``kept``, by name.
    ``complete`` is false where tries ran out, ``repeatable`` where the last policy, tried again, gave another value:
    then ``step`` does not start from the same state each time.
    """

    title = "halfsim: what must stay in a wider precision"

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
        blocks = [filled(self._story())]
        proof, tries = self._proof(), self._tries(_SHOWN)
        if len(proof) > 1:
            blocks.append(columns(_narrowed(proof, (36, 14, 44)), left=3))
        if self.kept:
            blocks.append(filled(f"policy: {self.policy}", further="  "))
        more = self.evaluations - _SHOWN
        rest = f"\n... and {more} more, see evidence" if more > 0 else ""
        blocks.append(columns(_narrowed(tries, (None, 34, 28, 14, None)), left=4) + rest)
        return "\n\n".join(blocks)

    def _body(self) -> Iterator[str]:
        blocks: list[tuple[str, Block]] = [("", self._story())]
        if len(self._proof()) > 1:
            blocks.append(("What happens without", self._proof()))
        if self.kept:
            blocks.append(("Policy", str(self.policy)))
        yield from sections([*blocks, ("Tries", self._tries())])

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
        return text

    def _proof(self) -> list[tuple[str, ...]]:
        """What happens where one of those kept is left out: a head, and a line for each."""
        rows = ((name, _value(one.value), one.reason) for name, one in self.without.items())
        return [("without it", "value", "what happens"), *rows]

    def _tries(self, most: int | None = None) -> list[tuple[str, ...]]:
        """A head, and a line for each of the tries."""
        head = ("try", f"kept in {clipped(self.fallback, 12, 'start')}", "outcome", "value", "seconds")
        lines = (
            (
                Figure(f"{i}", i), ", ".join(one.kept) or "-", "accepted" if one.accepted else one.reason,
                _value(one.value), Figure(f"{one.seconds:.2f}", one.seconds),
            )
            for i, one in enumerate(self.evidence[:most], 1)
        )  # fmt: skip
        return [head, *lines]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        return {
            "schema": 1,
            "kind": "policy search",
            **attributes(self),
            "policy": None if self.policy is None else str(self.policy),
            "kept": list(self.kept),
            "without": {name: one.to_dict() for name, one in self.without.items()},
            "evidence": [one.to_dict() for one in self.evidence],
        }


def summarized(value: Any) -> Any:
    """``value`` as Python's own numbers, strings, lists and dicts; of what is large or foreign, a word."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        array = np.asarray(getattr(value, "array", value) if isinstance(value, Tensor) else value)
        if array.size == 1 and array.dtype.kind in "biuf":
            return array.reshape(-1)[0].item()
        return array.tolist() if array.size <= _SHOWN and array.dtype.kind in "biuf" else f"array of {array.shape}"
    if isinstance(value, Mapping):
        return {str(key): summarized(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [summarized(item) for item in value[:_SHOWN]]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clipped(value, 80, "start") if isinstance(value, str) else type(value).__name__


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _narrowed(table: list[tuple[str, ...]], widths: tuple[int | None, ...]) -> list[tuple[str, ...]]:
    """A table whose columns are no wider than that; None leaves a column as it is."""
    return [tuple(clipped(cell, width, "start") for cell, width in zip(row, widths, strict=True)) for row in table]
