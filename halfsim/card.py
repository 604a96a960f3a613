"""How a notebook shows a value: a small card of its text and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from itertools import chain, takewhile
from typing import Any, ClassVar, TypeVar

from halfsim.markup import Block, Figure, Lines, fragment, sections
from halfsim.text import columns, counted

_SHOWN = 50  # rows of a card
_WORDS = 8  # items of a cell
_T = TypeVar("_T")


class Card:
    """A value that a notebook shows as a card: as it prints, with the attributes that ``_listed`` names below.

    What needs more gives parts of its own by ``_card``: headings, each with a paragraph, `Lines`, a table, or facts by
    name. All of it is escaped, and no style of the page around reaches it, see `halfsim.markup.fragment`.

    >>> class Point(Card):
    ...     _listed = ("x",)
    ...     def __init__(self): self.x = 0.5
    ...     def __str__(self): return "<a point>"
    >>> "&lt;a point&gt;" in Point()._repr_html_(), "<dt>x</dt><dd>0.5</dd>" in Point()._repr_html_()
    (True, True)
    """

    __slots__ = ()
    _listed: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """IPython looks for both in one class at a time, and would take a dataclass's ``__repr__``."""
        super().__init_subclass__(**kwargs)
        cls._repr_pretty_ = Card._repr_pretty_  # type: ignore[method-assign]

    def _card(self) -> Sequence[tuple[str, Block | Mapping[str, object]]]:
        facts = {name.replace("_", " "): getattr(self, name) for name in self._listed}
        return [("", Lines(str(self))), ("", facts)]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """At IPython's prompt: as it prints; inside of something else as Python names it."""
        printer.text(repr(self) if cycle or len(printer.stack) > 1 else str(self))

    def _repr_html_(self) -> str:
        return fragment([*sections([(heading, _said(block)) for heading, block in self._card()], sort=False)])


class Record(Card):
    """A dataclass that a notebook shows as its fields by name: a row of a result, or one of its numbers.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point(Record):
    ...     x: float
    >>> "<dt>x</dt><dd>0.5</dd>" in Point(0.5)._repr_html_()
    True
    """

    __slots__ = ()

    def _card(self) -> Sequence[tuple[str, Block | Mapping[str, object]]]:
        return [(type(self).__name__, _facts(self))]


class Rows(Card, list[_T]):
    """Records in a list that prints, and that a notebook shows, as a table of their fields.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point(Record):
    ...     x: float
    ...     y: float
    >>> print(Rows([Point(0.5, 1.0), Point(0.25, 65504.0)]))
       x      y
     0.5      1
    0.25  65504
    """

    __slots__ = ()

    def __str__(self) -> str:
        table = self._table()
        words = sum(1 for _ in takewhile(lambda cell: not isinstance(cell, Figure), table[-1]))
        return columns(table, left=words) if self else "no rows"

    def _card(self) -> Sequence[tuple[str, Block | Mapping[str, object]]]:
        rest = len(self) - _SHOWN
        more = f"and {counted(rest, 'row')} more; print shows all" if rest > 0 else ""
        return [("", self._table()[: _SHOWN + 1] if self else "no rows"), ("", more)]

    def _table(self) -> list[tuple[str, ...]]:
        """A row of names, and one for each record, without records inside and what takes more than a few words."""
        rows = [_facts(row, inside=False) for row in self]
        names = [name for name in dict.fromkeys(chain(*rows)) if all(name in row for row in rows)]
        return [tuple(names), *(tuple(row[name] for name in names) for row in rows)]


def _facts(record: Any, inside: bool = True) -> dict[str, str]:
    """The public fields of a dataclass that can be told in a few words, those that are records only if ``inside``."""
    values = ((f.name.replace("_", " "), getattr(record, f.name)) for f in fields(record) if f.name[:1] != "_")
    told = ((name, _brief(value)) for name, value in values if inside or not isinstance(value, Record))
    return {name: words for name, words in told if words is not None}


def _brief(value: object) -> str | None:
    """A value in a few words; None for what takes more, as an array."""
    if value is None or isinstance(value, (bool, Enum)):
        return "-" if value is None else ("no", "yes")[value] if isinstance(value, bool) else _word(value)
    if isinstance(value, (int, float)):
        return Figure(_word(value), value)
    if isinstance(value, Record) and type(value).__str__ is object.__str__:
        value = {name: words for name, words in _facts(value).items() if words not in ("-", "0", "no")}
    if isinstance(value, Mapping):
        value = [f"{key}: {_brief(item)}" for key, item in value.items()]
    if isinstance(value, (tuple, list)):
        told = [_brief(item) for item in value]
        return None if None in told or len(told) > _WORDS else ", ".join(map(str, told)) or "-"
    if isinstance(value, (str, Card)):
        return None if "\n" in str(value) else str(value) or "-"
    return None


def _said(block: Any) -> Any:
    return {name: _word(value) for name, value in block.items()} if isinstance(block, Mapping) else block


def _word(value: object) -> str:
    value = value.value if isinstance(value, Enum) else value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Text(Card, str):
    """Text that shows as it prints, at a prompt and in a notebook too, without quotes and with its line feeds.

    >>> Text("a  b")
    a  b
    """

    def __repr__(self) -> str:
        return str(self)
