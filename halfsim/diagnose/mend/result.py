"""What trying fixes has shown: a table of what each did to the result."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from halfsim.autograd.trace.fix import Fix, keys
from halfsim.card import Record
from halfsim.diagnose.finding import Finding
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, Lines, sections
from halfsim.text import columns, filled, number, width

_CELLS = (26, 26, 14)  # of 100 columns, for a cell of words, which goes on in the next line


@dataclass(frozen=True)
class Tried(Record):
    """A fix, and what it did to the run."""

    fix: Fix
    applied: bool  # false where it needs a person, or where nothing in the run takes it
    mends: bool
    error: float  # of the result against the float64 run, relative; inf where it is not finite, NaN if not applied
    klass: str | None  # the class of the trouble that was left, None for none
    reason: str  # why it does not mend, empty if it does

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**attributes(self), "fix": self.fix.to_dict()}


@dataclass(frozen=True)
class Mended(Document):
    """What `mend` found. It prints as a table of the fixes; it is plain data.

    `best` is the first fix that mends, or None. Its policy, in ``hs.precision(best.policy)`` around the run, does what
    was measured; where ``override`` is true, write it in the place of the precisions that the run sets itself.
    """

    target: str  # the precision of the run
    finding: Finding | None  # the verdict on the run in ``target``
    error: float  # of that run's result against the float64 run, relative; inf where it raised or is not finite
    failure: str  # what that run raised, "" if nothing
    tried: tuple[Tried, ...]  # every fix, those that mend first
    override: bool  # whether the run sets precisions itself
    runs: int  # how often it ran in all
    notes: tuple[str, ...] = ()
    healthy: bool = False  # whether there was nothing to mend

    @property
    def best(self) -> Fix | None:
        """The first fix that mends."""
        return next((one.fix for one in self.tried if one.mends), None)

    def __str__(self) -> str:
        blocks = [filled(text) for text in self._story()]
        if self.tried:
            lines = [line for row in self._rows() for line in _wrapped(row)]
            blocks.append(columns([_HEAD, *lines], left=3))
        blocks += (filled(text, further=_indent(text)) for text in self._end())
        return "\n\n".join(blocks)

    def _story(self) -> Iterator[str]:
        if self.failure:
            yield f"{self._run} raised {self.failure}"
        if self.healthy:
            run = f"{self._run[0].lower()}{self._run[1:]}"
            agrees = "meets no trouble" if math.isnan(self.error) else f"agrees with float64 to {number(self.error)}"
            yield f"Nothing to mend: {run} {agrees}."
            return
        yield "No trouble was found." if self.finding is None else f"{self.finding.sentence}."
        if not self.failure and not math.isnan(self.error):
            off = "is not finite" if math.isinf(self.error) else f"differs by {number(self.error)} of its size"
            yield f"Held against the same run in float64, the result {off}."
        if any(one.applied for one in self.tried):
            measured = "" if math.isnan(self.error) else "; error is that of the result, before -> after"
            yield f"Each fix was tried on the run itself{measured}."

    @property
    def _run(self) -> str:
        return "The run" if self.target == "promote" else f"The run in {self.target}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                _applied(one.fix), _short(one.fix), _left(one),
                Figure("-" if math.isnan(one.error) else f"{self.error:.2g} -> {one.error:.2g}", one.error),
                "yes" if one.mends else "no" if one.applied else "not tried",
            )
            for one in self.tried
        ]  # fmt: skip

    def _end(self) -> Iterator[str]:
        best = self.best
        if best is not None:
            yield f"Best: {_applied(best)}."
            if best.policy is not None:
                beside = ", override=True" if self.override else ""
                yield f"    with hs.precision({keys(best.policy)!r}{beside}): ..."
            if best.option:
                op = "the operation" if self.finding is None else self.finding.op
                words = [_TYPED.get(name, "{name}={value!r}").format(name=name, value=value, op=op)
                         for name, value in best.option.items()]  # fmt: skip
                yield f"Type {', '.join(words)}."
        elif self.tried:
            some = any(one.applied for one in self.tried)
            yield "None of these mends." if some else "None of these can be tried by a machine."
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
        end = (Lines(text.strip()) if text.startswith(" ") else text for text in self._end())  # code as it is typed
        yield from sections([*blocks, *(("", text) for text in end)])


_HEAD = ("fix", "how", "trouble left", "error", "mends")
_TYPED = {  # what a person types for an option, where that is not its name alone
    **dict.fromkeys(("master_weights", "kahan", "rounding"), "{name}={value!r} where the optimizer is made"),
    "eps": "{name}={value!r} for {op}", "safe": "{name}={value!r} where gradients are clipped",
    "format": "{name}={value!r} where the average is made",
    "constant": "{value!r} in place of the number given to {op}",
    "loss_scale": "amp.GradScaler(init_scale={value!r}) around backward() and step()",
    "tensors": "{value!r} wherever the run asks for half",
}  # fmt: skip


def _indent(text: str) -> str:
    """That of further lines: of code the lines after the first stand further in."""
    return " " * 22 if text.startswith(" ") else ""


def _applied(fix: Fix) -> str:
    """What was done, without what a person might do instead."""
    return fix.text if fix.policy is None and not fix.option else fix.text.partition(";")[0]


def _left(one: Tried) -> str:
    return one.reason if not one.applied or one.reason.startswith("raised") else one.klass or "none"


def _short(fix: Fix) -> str:
    """What to type; of a policy what differs from the whole."""
    own = {} if fix.policy is None else keys(fix.policy)
    own = {pattern: word for pattern, word in own.items() if pattern != "default"} or own
    return ", ".join([*([repr(own)] if own else []), *fix.typed]) or "-"


def _wrapped(row: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A row as lines of cells no wider than they should be."""
    rooms = [most * width() // 100 for most in _CELLS]
    cells = [textwrap.wrap(cell, room) or [""] for cell, room in zip(row, rooms, strict=False)]
    cells += [[cell] for cell in row[len(_CELLS) :]]
    return [tuple(line) for line in zip_longest(*cells, fillvalue="")]
