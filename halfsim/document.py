"""What every result can do: plain data, JSON, a page of its own, and HTML in a notebook."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from html import escape
from typing import Any, ClassVar

import numpy as np

from halfsim.atomic import write_text
from halfsim.card import Card
from halfsim.markup import PAGE_STYLE, SORTING, document, fragment
from halfsim.options import guarded_class


class Document(Card, ABC):
    """A result that is shown as a page and kept as JSON.

    A subclass gives `to_dict`, a ``title`` and the parts of its page; where it wants styles, scripts or a heading of
    its own, it sets the attributes below.

    >>> class Sum(Document):
    ...     def to_dict(self): return {"sum": float("inf")}
    ...     title = "a sum"
    ...     def _body(self): return ["<p>infinite</p>"]
    >>> print(Sum().to_json().rstrip())
    {
     "sum": "inf"
    }
    >>> "<p>infinite</p>" in Sum().page()
    True
    """

    _style: ClassVar[str] = ""
    _script: ClassVar[str] = SORTING
    _indent: ClassVar[int | None] = 1  # of the JSON; None writes it without spaces
    _headed: ClassVar[bool] = True  # whether the page begins with the title
    _lang: str = "en"  # the page's language

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("halfsim."):
            guarded_class(cls)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, made of dict, list, str, int, float, bool and None."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the page is called."""

    @abstractmethod
    def _body(self) -> Iterable[str]:
        """The page's parts, as HTML."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"

    def page(self) -> str:
        """One self-contained HTML page, which loads nothing from elsewhere."""
        head = [f"<h1>{escape(self.title)}</h1>"] if self._headed else []
        return document(self.title, [*head, *self._body()], self._style, self._script, self._lang)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write `page` to ``path``, all at once; ``OSError`` where it cannot be written."""
        write_text(path, self.page())

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The facts of `to_dict` as JSON, which is also written to ``path`` if given.

        Numbers that are not finite are strings, "inf", "-inf" and "nan", as RFC 8259 has no others.
        """
        text = json_text(self.to_dict(), self._indent)
        if path is not None:
            write_text(path, text)
        return text

    def _repr_html_(self) -> str:
        return fragment(list(self._body()), PAGE_STYLE + self._style, self._script)


guarded_class(Document, ["to_html", "to_json"])


def attributes(x: Any, *without: str) -> dict[str, Any]:
    """The fields of a dataclass by name, as they are, but for those named in ``without``.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     y: float
    >>> attributes(Point(1.0, 2.0), "y")
    {'x': 1.0}
    """
    return {field.name: getattr(x, field.name) for field in fields(x) if field.name not in without}


def plain(value: Any, spell: Callable[[float], Any] = float) -> Any:
    """``value`` made of dict, list, str, int, float, bool and None; ``spell`` says what becomes of each float.

    Arrays and tensors become lists, keys and what is of no such kind the text that they print as.

    >>> plain({"a": np.float32(0.5), 1: (np.arange(2), None)})
    {'a': 0.5, '1': [[0, 1], None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, spell) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, spell) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and type(value) is not np.float64:
        return spell(value)
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return plain(array.tolist(), spell) if array.dtype.kind in "biuf" else str(value)
    return str(value)


def jsonable(value: Any) -> Any:
    """`plain` data whose numbers that are not finite are the strings "inf", "-inf" and "nan".

    >>> jsonable([0.5, np.float16("-inf")])
    [0.5, '-inf']
    """
    return plain(value, lambda x: x if math.isfinite(x) else str(x))


def json_text(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON, ended by a line feed; without ``indent`` on one line and without spaces."""
    separators = (",", ":") if indent is None else None
    return json.dumps(jsonable(value), indent=indent, separators=separators, allow_nan=False) + "\n"
