"""Results of one kind, told one after another: all applications, all papers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any, Generic, Protocol, Self, TypeVar

from halfsim.card import Text
from halfsim.gallery.languages import Told, language
from halfsim.numerics.formats import unknown


class Named(Protocol):
    """One of several results."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def translated(self, lang: str) -> Self: ...

    def table(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...

    def _body(self) -> Iterable[str]: ...


_One = TypeVar("_One", bound=Named)


class Several(Told, Generic[_One]):
    """Results in order; one of them by its name or place. A subclass says what one and all of them are called."""

    _script = ""
    _kind: tuple[str, str]  # of one, and of all, in the plain data

    def __init__(self, found: Sequence[_One], lang: str = "en") -> None:
        self._found, self.lang = tuple(found), lang

    @property
    @abstractmethod
    def title(self) -> str: ...

    def __iter__(self) -> Iterator[_One]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, name: str | int) -> _One:
        if isinstance(name, int):
            return self._found[name]
        for one in self._found:
            if one.name == name:
                return one
        raise unknown(self._kind[0], name, [one.name for one in self._found])

    def translated(self, lang: str) -> Self:
        """The same in another language; nothing is measured again."""
        return type(self)([one.translated(lang) for one in self], language(lang))

    def table(self) -> str:
        """The tables of all, each below its title."""
        return Text("\n\n".join(f"{one.title}\n\n{one.table()}" for one in self))

    def __str__(self) -> str:
        return "\n\n\n".join(map(str, self))

    def to_dict(self) -> dict[str, Any]:
        """Everything but pictures as plain data."""
        several = self._kind[1]
        return {"schema": 1, "kind": several, several: [found.to_dict() for found in self]}

    def _body(self) -> Iterator[str]:
        for one in self:
            yield f"<h2>{escape(one.title)}</h2>"
            yield from one._body()
