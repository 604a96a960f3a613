"""How a notebook shows a value: a small card of its text and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

from halfsim.markup import Block, Lines, fragment, sections


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
