"""The words of the questions in each language, and how numbers are put into them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halfsim.gallery import languages
from halfsim.gallery.languages import LANGUAGES
from halfsim.gallery.search import has, tokens
from halfsim.numerics.formats import unknown


def texts(lang: str) -> dict[str, Any]:
    """All words of a language; ``ValueError`` for one that there is not."""
    return languages.texts(Path(__file__).parent, lang)


def told(template: str, numbers: Mapping[str, Any], lang: str) -> str:
    """``template`` with the numbers that it names; several names are listed as the language lists them.

    >>> told("{n:.1f} of {names}", {"n": 2.04, "names": ["A100", "H100"]}, "en")
    '2.0 of A100, H100'
    """
    return template.format_map(_Listed(numbers, texts(lang)["words"]))


class _Listed(Mapping[str, Any]):
    """Numbers whose lists are text. Values are looked up when they are asked for, and not before."""

    def __init__(self, numbers: Mapping[str, Any], words: Mapping[str, str]) -> None:
        self._numbers, self._words = numbers, words

    def __getitem__(self, key: str) -> Any:
        value = self._numbers[key]
        if isinstance(value, Mapping):
            return _Listed(value, self._words)
        return self._words["separator"].join(value) or self._words["none"] if isinstance(value, list) else value

    def __iter__(self) -> Any:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def found(question: object, numbers: Mapping[int, object]) -> int:
    """The number of a question that is asked for by its number or by words of it, in any language.

    The words that fewest questions have weigh most. ``ValueError`` where none has any of them.

    >>> found("which is faster?", dict.fromkeys(range(1, 10)))
    6
    """
    asked = str(question).strip().casefold()
    if asked.isdecimal() and asked.isascii() and len(asked) < 9 and int(asked) in numbers:
        return int(asked)
    each = {n: _tokens(" ".join(_said(texts(lang)[str(n)]) for lang in LANGUAGES)) for n in numbers}
    heads = {n: _tokens(" ".join(texts(lang)[str(n)]["question"] for lang in LANGUAGES)) for n in numbers}
    scores = dict.fromkeys(numbers, 0.0)
    for token in _tokens(asked):
        having = [n for n, words in each.items() if has(words, token)]
        for n in having:
            scores[n] += (1 + 2 * has(heads[n], token)) / len(having) ** 2
    best = max(scores, key=lambda n: scores[n])
    if not scores[best]:
        raise unknown("question", question, [*map(str, numbers), "all", "or words of a question"])
    return best


def _said(words: Mapping[str, Any]) -> str:
    claims = (entry["claim"] for entry in words.values() if isinstance(entry, Mapping))
    return " ".join([words["question"], *claims])


def _tokens(text: str) -> list[str]:
    return [token for token in tokens(text) if not token.isdecimal()]
