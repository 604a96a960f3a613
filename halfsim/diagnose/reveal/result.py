"""What was found out of a black box that adds, as text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from halfsim.diagnose.reveal.candidates import UnitClass
from halfsim.diagnose.reveal.measure import Kept, Taken, given_format, lowest, sum_format
from halfsim.diagnose.reveal.picture import picture
from halfsim.diagnose.reveal.tree import Node, drawn
from halfsim.document import Document, attributes
from halfsim.markup import Lines, sections
from halfsim.numerics.formats import Format
from halfsim.text import filled


@dataclass(frozen=True)
class Revealed(Document):
    """How a product or a sum is formed, as far as its outputs tell; printed, the whole of it.

    ``shape`` is that of the products that were asked for, None for a sum. ``order`` has the words for ``tree``, the
    order of sums of ``length`` terms; both are empty where no order shows.
    ``kept`` are the accumulator's bits, ``taken`` the operands', ``fused`` says whether products join
    sums unrounded, None where outputs cannot tell. ``unit`` is the class of described units that give the same bits,
    None where there is none; ``accumulators`` are the words that do. ``checked`` counts the random sums that the
    tree, run in float32, gave bit for bit, and how many there were; None where it was not run. ``notes`` say what
    could not be found out.
    """

    title = "halfsim: how it adds"

    product: bool
    shape: tuple[int, int] | None
    length: int
    order: str
    tree: Node | None
    kept: Kept
    taken: Taken
    fused: bool | None
    unit: UnitClass | None
    accumulators: tuple[str, ...]
    checked: tuple[int, int] | None
    calls: int
    notes: tuple[str, ...] = ()

    @property
    def format(self) -> Format | None:
        """The format of the running sum, None where it has none that has a name here."""
        return sum_format(self.kept)

    @property
    def extra_bits(self) -> int:
        """How many more bits survive where terms are added at once than between such steps."""
        return (self.kept.inside or 0) - (self.kept.stored or 0)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose unit gives these bits."""
        return self.unit.devices if self.unit else ()

    def facts(self) -> dict[str, str]:
        """What was found, by name, in words."""
        told = {"order": self.order or "not to be seen", "accumulator": self._accumulator()}
        if self.extra_bits > 0:
            told["added at once"] = f"{self.kept.inside} bits after the leading one survive: {self.extra_bits} more"
        given = given_format(self.kept)
        if given:
            told["result"] = f"rounded to {given} in the end"
        told["subnormal sums"] = self._small(given or self.format)
        told["operands" if self.product else "terms"] = self._operands(self.taken)
        if self.product:
            told["products"] = {
                True: "join a sum unrounded (fused)",
                False: "are rounded before they are added",
                None: "fit the accumulator: fused or not cannot be told apart",
            }[self.fused]
            if self.unit:
                told["units"] = ", ".join(self.unit.names)
                told["devices"] = ", ".join(self.unit.devices) or "none in the catalogue"
            else:
                told["units"] = "none that is described gives these bits"
        told["accumulators"] = ", ".join(self.accumulators) or "no word of a Precision gives these bits"
        if self.checked:
            told["checked"] = f"{self.checked[0]} of {self.checked[1]} random sums are those of this order, bit for bit"
        return told

    def _accumulator(self) -> str:
        kept = self.kept
        if kept.stored is None:
            return "no term was ever lost"
        name = f"{self.format}, " if self.format else ""
        return f"{name}{kept.stored + 1} significant bits, rounded {kept.rounding}"

    def _small(self, fmt: Format | None) -> str:
        if fmt is None:
            return f"seen down to 2^{self.kept.bottom}"
        if self.kept.bottom <= lowest(fmt):
            return "kept"
        if self.kept.bottom == fmt.emin:
            return "zeros"
        return f"out of reach: the smallest {'product' if self.product else 'term'} is 2^{self.kept.bottom}"

    @staticmethod
    def _operands(taken: Taken) -> str:
        fmt = taken.format
        if fmt is None:
            return f"at least {taken.digits} significant bits, from 2^{taken.bottom} to 2^{taken.top}"
        words = f"{fmt}, subnormal ones {'are zeros' if taken.flushes else 'kept'}"
        return f"{words}, rounded {taken.rounding}" if taken.rounding else words

    def _head(self) -> str:
        kind = "a product of {} x {}".format(*self.shape) if self.shape else "a sum"
        return f"{kind}, {self.length} terms, {self.calls} calls"

    def __str__(self) -> str:
        facts = self.facts()
        room = max(map(len, facts)) + 2
        lines = [self._head()]
        lines += [filled(words, f"{name:<{room}}", whole=True) for name, words in facts.items()]
        lines += [filled(note, f"{'note':<{room}}", whole=True) for note in self.notes]
        return "\n".join([*lines, *([drawn(self.tree)] if self.tree else [])])

    def _body(self) -> Iterator[str]:
        facts = self.facts() | ({"notes": "; ".join(self.notes)} if self.notes else {})
        yield from sections([("", f"{self._head()}."), ("", facts)], sort=False)
        if self.tree:
            yield "<h2>The tree</h2>"
            yield picture(self.tree)
            yield from sections([("", Lines(drawn(self.tree, 200)))])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; the tree as its sums, each by its parts: `Node.steps`."""
        return {
            **attributes(self, "shape", "tree", "kept", "taken", "unit", "accumulators", "checked", "notes"),
            "shape": self.shape and list(self.shape),
            "tree": None if self.tree is None else self.tree.steps(),
            "kept": attributes(self.kept),
            "format": self.format and self.format.name,
            "taken": attributes(self.taken),
            "unit": None if self.unit is None else {k: list(v) if isinstance(v, tuple) else v
                                                    for k, v in attributes(self.unit).items()},
            "accumulators": list(self.accumulators),
            "checked": self.checked and list(self.checked),
            "notes": list(self.notes),
        }  # fmt: skip


def side_by_side(results: dict[str, Revealed]) -> list[str]:
    """The parts of a page of several."""
    return [part for name, result in results.items() for part in (f"<h1>{escape(name)}</h1>", *result._body())]
