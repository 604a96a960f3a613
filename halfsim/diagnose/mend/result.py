"""What trying fixes has shown: a table of what each did to the result."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from halfsim.autograd.trace.fix import Fix, keys
from halfsim.diagnose.finding import Finding
from halfsim.document import Document, jsonable
from halfsim.markup import Block, Figure, sections
from halfsim.text import columns, number

_WIDTH = 100
_CELLS = (24, 30, 17)  # characters of a cell of words, which goes on in the next line


@dataclass(frozen=True)
class Tried:
    """A fix, and what it did.

    ``applied`` is false where it needs a person, or where nothing in the run takes it; ``error`` is then NaN, else the
    relative error of the result against the float64 run, infinite where it is not finite. ``klass`` is the class of
    the trouble that was left, None for none, ``reason`` why it does not mend, empty if it does.
    """

    fix: Fix
    applied: bool
    mends: bool
    error: float
    klass: str | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**own, "fix": self.fix.to_dict()}


@dataclass(frozen=True)
class Mended(Document):
    """What `mend` found: the ``finding`` of the run in ``target``, and every fix ``tried``, those that mend first.

    ``error`` is that of the broken run, ``failure`` what it raised, ``runs`` how often it ran. ``best`` is the first
    fix that mends, or None; its policy, in ``hs.precision(best.policy)`` around the run, does what was measured. Where
    ``override`` is true the run sets precisions itself: write the policy in their place, or override them.
    """

    target: str
    finding: Finding | None
    error: float
    failure: str
    tried: tuple[Tried, ...]
    override: bool
    runs: int
    notes: tuple[str, ...] = ()
    healthy: bool = False

    @property
    def best(self) -> Fix | None:
        """The first fix that mends."""
        return next((one.fix for one in self.tried if one.mends), None)

    def __str__(self) -> str:
        blocks = [textwrap.fill(text, _WIDTH) for text in self._story()]
        if self.tried:
            lines = [line for row in self._rows() for line in _wrapped(row)]
            blocks.append(columns([_HEAD, *lines], left=3))
        return "\n\n".join([*blocks, *(textwrap.fill(text, _WIDTH) for text in self._end())])

    def _story(self) -> Iterator[str]:
        if self.failure:
            yield f"{self._run} raised {self.failure}"
        if self.healthy:
            yield f"Nothing to mend: {self._run[0].lower()}{self._run[1:]} agrees with float64 to {number(self.error)}."
            return
        yield "No trouble was found." if self.finding is None else str(self.finding)
        if not self.failure and not math.isnan(self.error):
            off = "is not finite" if math.isinf(self.error) else f"is off by {number(self.error)} of its norm"
            yield f"The result {off}, against float64."

    @property
    def _run(self) -> str:
        return "The run" if self.target == "promote" else f"The run in {self.target}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.fix.text, _short(one.fix), _left(one),
                Figure(f"{self.error:.2g} -> {one.error:.2g}" if one.applied else "-", one.error),
                "yes" if one.mends else "no" if one.applied else "not tried",
            )
            for one in self.tried
        ]  # fmt: skip

    def _end(self) -> Iterator[str]:
        best = self.best
        if best is not None:
            words = f"Best: {best.text}."
            if best.policy is not None:
                beside = ", override=True" if self.override else ""
                words += f" with hs.precision({keys(best.policy)!r}{beside}): ..."
            if best.option:
                words += f" Give {', '.join(best.typed)}."
            yield words
        elif self.tried:
            yield "None of these mends."
        yield from self.notes

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        best = self.best
        own = {name: getattr(self, name) for name in ("target", "error", "failure", "override", "runs", "healthy")}
        return jsonable(
            {
                "schema": 1,
                "kind": "mended",
                **own,
                "finding": None if self.finding is None else self.finding.to_dict(),
                "tried": [one.to_dict() for one in self.tried],
                "best": None if best is None else best.to_dict(),
                "notes": list(self.notes),
            }
        )

    @property
    def title(self) -> str:
        return f"halfsim: fixes in {self.target}"

    def _body(self) -> Iterator[str]:
        blocks: list[tuple[str, Block]] = [("", text) for text in self._story()]
        if self.tried:
            blocks.append(("Fixes", [_HEAD, *self._rows()]))
        yield from sections([*blocks, *(("", text) for text in self._end())])


_HEAD = ("fix", "how", "trouble left", "error before -> after", "mends")


def _left(one: Tried) -> str:
    return one.reason if not one.applied or one.reason.startswith("raised") else one.klass or "none"


def _short(fix: Fix) -> str:
    """What to type; of a policy what differs from the whole."""
    own = {} if fix.policy is None else keys(fix.policy)
    own = {pattern: word for pattern, word in own.items() if pattern != "default"} or own
    return ", ".join([*([repr(own)] if own else []), *fix.typed]) or "-"


def _wrapped(row: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A row as lines of cells no wider than they should be."""
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, _CELLS, strict=False)]
    cells += [[cell] for cell in row[len(_CELLS) :]]
    return [tuple(line) for line in zip_longest(*cells, fillvalue="")]
