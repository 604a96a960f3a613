"""The cases of the gallery: all of them as a list to search in, and one by its name."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from halfsim.card import Card
from halfsim.diagnose.finding import CLASSES
from halfsim.gallery import cases
from halfsim.gallery.case import SEEN, Case
from halfsim.gallery.exhibit import Exhibit
from halfsim.gallery.languages import language
from halfsim.gallery.page import ELSEWHERE, PARTLY, Exhibits, elsewhere
from halfsim.gallery.search import searched
from halfsim.gallery.words import said
from halfsim.names import near
from halfsim.numerics.formats import shortened, unknown
from halfsim.options import guarded_names
from halfsim.terminal import bar
from halfsim.text import filled, width

__all__ = ["Entries", "list", "run"]

_KINDS = {"klass": CLASSES, "phase": ("forward", "backward", "optimizer"), "seen": SEEN}
_NAMES, _WIDE = 25, 60  # columns of the names, and from how many on they stand beside their symptoms


class Entries(Card, builtins.list[Case]):
    """Cases of the gallery; printing them shows what is seen of each. `run` runs them all.

    ``whole`` is False where no case has all of the words that were searched for.

    >>> print(list(klass="accumulation order"))  # doctest: +ELLIPSIS
    wrong numbers (1)
    <BLANKLINE>
      sum-order              the same float16 column has two sums, ...
                             sum; accumulation order, forward
    <BLANKLINE>
    1 case. ...
    """

    def __init__(self, found: Iterable[Case] = (), lang: str = "en", whole: bool = True) -> None:
        super().__init__(found)
        self.lang, self.whole = lang, whole

    def __str__(self) -> str:
        lang, seen = self.lang, Counter(one.seen for one in self)
        blocks = [] if self.whole else [filled(said(PARTLY, lang))]
        for kind, n in seen.items():
            blocks.append(f"{said(kind, lang)} ({n})")
            blocks.append("\n".join(self._lines(one) for one in self if one.seen == kind))
        return "\n\n".join([*blocks, filled(self._end())])

    def _lines(self, one: Case) -> str:
        """The name beside what is seen, or above it where the terminal is narrow."""
        kinds = (said(kind, self.lang) for kind in (one.klass, one.phase))
        told = (one.told("symptom", self.lang), f"{one.layer}; {', '.join(kinds)}")
        wide = width() >= _WIDE
        first, *rest = (filled(text, " " * (_NAMES if wide else 4)) for text in told)
        head = f"  {one.name}"
        return "\n".join([f"{head:<{_NAMES}}{first.lstrip()}" if wide else f"{head}\n{first}", *rest])

    def _end(self) -> str:
        """How many there are, and what is elsewhere."""
        count = said("1 case." if len(self) == 1 else "{n} cases.", self.lang, n=len(self))
        return f"{count} {elsewhere(self.lang)}"

    def _card(self) -> Any:
        lang = self.lang
        head = tuple(said(word, lang) for word in ("case", "class", "phase", "symptom"))
        rows = [(c.name, said(c.klass, lang), said(c.phase, lang), c.told("symptom", lang)) for c in self]
        return [("", "" if self.whole else said(PARTLY, lang)), ("", [head, *rows]), ("", self._end())]

    __repr__ = __str__

    def run(self) -> Exhibits:
        """All of them, run, as a page to search in; a progress bar shows how far it is.

        >>> shown = list(search="adam eps").run()
        >>> shown["adam-eps"].klass
        'eps lost'
        """
        exhibits = []
        with bar("gallery", len(self), "cases") as progress:
            for done, one in enumerate(self, 1):
                exhibits.append(Exhibit.of(one, self.lang))
                progress(done)
        return Exhibits(tuple(exhibits), self.lang)

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
        f"name: {shortened(name)} is not allowed{hint}; allowed: a name that gallery.list() has, as adam-eps; "
        "by words of a symptom: gallery.list(search=...)"
    )


@cache
def every() -> tuple[Case, ...]:
    """All cases: the first catalogue, then the second."""
    return (*sorted((case(name) for name in _files()), key=lambda one: one.id),)


def list(
    klass: str | None = None,
    phase: str | None = None,
    search: str | None = None,
    lang: str = "en",
    seen: str | None = None,
) -> Entries:
    """The cases of the gallery, or those of a class, of a phase, or that have most of the words of ``search``.

    ``seen`` narrows by symptom: "NaN", "infinity", "zeros", "no change", "wrong numbers" or "an error". Words are
    looked for in the name, the symptom, the layer, the operation and the message, in English and Chinese, in any
    letters; those that fit best come first. ``ValueError`` for a class, a phase, a symptom or a language that there is
    not.

    >>> list(search="nan layernorm")[0].name, len(list()), len(list(klass="eps lost", phase="optimizer"))
    ('layer-norm-eps', 77, 2)
    """
    given = {"klass": klass, "phase": phase, "seen": seen}
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        if value not in _KINDS[name]:
            raise unknown(name, value, _KINDS[name])
    kept = [one for one in every() if all(getattr(one, name) == value for name, value in asked.items())]
    found, whole = searched(kept, search or "")
    return Entries(found, language(lang), whole)


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
