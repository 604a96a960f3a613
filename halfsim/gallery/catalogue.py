"""The cases of the gallery: all of them as a list to search in, and one by its name."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from halfsim.card import Card
from halfsim.diagnose.finding import CLASSES
from halfsim.gallery import cases
from halfsim.gallery.case import Case
from halfsim.gallery.exhibit import Exhibit
from halfsim.gallery.languages import language
from halfsim.gallery.words import said
from halfsim.names import near
from halfsim.numerics.formats import shortened, unknown
from halfsim.options import guarded_names
from halfsim.text import columns, counted

__all__ = ["Entries", "list", "run"]

PHASES = ("forward", "backward", "optimizer")
# A story with a page of its own, as it needs files that a package ships.
ELSEWHERE = {"ocr-variance": "docs/onnx_ocr.md (it needs the extra onnx, and the models of a package)"}


class Entries(Card, builtins.list[Case]):
    """Cases of the gallery, in the order of their catalogue; printing them shows a table of the symptoms.

    >>> print(list(klass="accumulation order"))  # doctest: +ELLIPSIS
    case       class               phase    symptom
    sum-order  accumulation order  forward  ...
    <BLANKLINE>
    1 case
    """

    def __init__(self, found: Iterable[Case] = (), lang: str = "en") -> None:
        super().__init__(found)
        self.lang = lang

    def __str__(self) -> str:
        return f"{columns(self._rows(), left=4)}\n\n{counted(len(self), 'case')}"

    def _rows(self) -> builtins.list[tuple[str, ...]]:
        lang = self.lang
        head = tuple(said(word, lang) for word in ("case", "class", "phase", "symptom"))
        return [head, *((c.name, said(c.klass, lang), said(c.phase, lang), c.told("symptom", lang)) for c in self)]

    def _card(self) -> Any:
        return [("", self._rows()), ("", counted(len(self), "case"))]

    __repr__ = __str__

    def to_dict(self) -> builtins.list[dict[str, Any]]:
        """What is said of each case, as plain data."""
        return [case.to_dict() for case in self]


def _files() -> dict[str, str]:
    """The file of each case by its name, without reading any."""
    return {found.name.replace("_", "-"): found.name for found in iter_modules(cases.__path__)}


@cache
def case(name: str) -> Case:
    """The case of that name in any letters, or of that number in the catalogue, as B36.

    ``ValueError`` names the nearest for a typo, and the page of a story that is told elsewhere.
    """
    files, word = _files(), name.strip().replace("_", "-").replace(" ", "-").casefold()
    if word in files:
        found: Case = import_module(f"{cases.__name__}.{files[word]}").CASE
        return found
    for one in every():
        if one.id.casefold() == word:
            return one
    if word in ELSEWHERE:
        raise ValueError(f"name: {word} is told on a page of its own; allowed: see {ELSEWHERE[word]}")
    nearest = near(word, files)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise ValueError(
        f"name: {shortened(name)} is not allowed{hint}; allowed: a name that gallery.list() has, as adam-eps"
    )


@cache
def every() -> tuple[Case, ...]:
    """All cases: the first catalogue, then the second."""
    return (*sorted((case(name) for name in _files()), key=lambda one: one.id),)


def list(klass: str | None = None, phase: str | None = None, search: str | None = None, lang: str = "en") -> Entries:
    """The cases of the gallery, or those of a class, of a phase, or in which every word of ``search`` occurs.

    Words are looked for in the name, the symptom, the layer, the operation and the message, in English and
    Chinese, in any letters. ``ValueError`` for a class, a phase or a language that there is not.

    >>> list(search="nan layernorm")[0].name, len(list())
    ('layer-norm-eps', 77)
    """
    for name, given, allowed in (("klass", klass, CLASSES), ("phase", phase, PHASES)):
        if given is not None and given not in allowed:
            raise unknown(name, given, allowed)
    words = (search or "").casefold().split()
    found = (
        one
        for one in every()
        if klass in (None, one.klass) and phase in (None, one.phase) and all(word in one.words for word in words)
    )
    return Entries(found, language(lang))


def run(name: str, lang: str = "en") -> Exhibit:
    """Run a case: broken, and mended; it prints what happened beside what should have, the code, and why.

    ``name`` is that of `list`, or the number in the catalogue; ``ValueError`` names the nearest for a typo. ``lang`` is
    "en" or "zh". Precisions, traces and random numbers of the caller are neither used nor changed.

    >>> shown = run("adam-eps")
    >>> shown.observed, shown.reference, shown.klass
    (array([       nan, 0.99902344]), array([1.   , 0.999]), 'eps lost')
    """
    return Exhibit.of(case(name), language(lang))


guarded_names(globals(), ["list", "run"])
