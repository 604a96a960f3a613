"""What a reader types, against words in English and Chinese: which of many texts have most of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

_WORD = re.compile(r"[a-z0-9]+|[\u4e00-\u9fff]+")
_LONG = 3  # a longer word is found by its beginning, too

# What says nothing of a symptom; and that it happens in half goes for all of them.
IDLE = frozenset((
    *("a", "after", "all", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "does", "doesn", "don"),
    *("for", "from", "get", "gets", "goes", "has", "have", "i", "if", "in", "is", "isn", "it", "its", "keeps", "my"),
    *("no", "not", "of", "on", "or", "s", "so", "t", "that", "the", "then", "there", "this", "to", "up", "very"),
    *("was", "when", "while", "why", "with", "float16", "fp16", "half"),
))  # fmt: skip


class Searched(Protocol):
    """What has words to look in."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a title, then those that weigh less."""


T = TypeVar("T", bound=Searched)


def tokens(text: str) -> list[str]:
    """The words of a text in small letters, each once, and of Chinese every two characters that follow one another.

    >>> tokens("RuntimeWarning: overflow in exp"), tokens("损失是 NaN")
    (['runtimewarning', 'overflow', 'in', 'exp'], ['损失', '失是', 'nan'])
    """
    found: list[str] = []
    for word in _WORD.findall(text.casefold()):
        found += [word] if word < "z" else [word[i : i + 2] for i in range(len(word) - 1)]
    return list(dict.fromkeys(found))


def has(words: Sequence[str], token: str) -> bool:
    """Whether one of the words is this one, or the other begins so: "deploy" and "deployment".

    >>> has(["overflow", "eps"], "overflows"), has(["steps"], "step"), has(["steps"], "eps")
    (True, True, False)
    """
    long = len(token) > _LONG
    return any(
        one == token or (long and (one.startswith(token) or (len(one) > _LONG and token.startswith(one))))
        for one in words
    )


def searched(entries: Sequence[T], text: str) -> tuple[list[T], bool]:
    """The entries that have most of the words of ``text``, best first, and whether these are all of its words.

    A word counts once, where it weighs most; of entries with as many, those with the heavier come first. All entries
    for a text without words. Of Chinese, whose words are not told apart, two thirds of the most do, and are all. The
    page does the same, see `halfsim.gallery.page`.
    """
    asked = [token for token in tokens(text) if token not in IDLE]
    if not asked:
        return [*entries], True
    points = []
    for entry in entries:
        levels = [tokens(words) for words in reversed(entry.words)]
        weights = [max((i for i, words in enumerate(levels, 1) if has(words, token)), default=0) for token in asked]
        points.append((sum(map(bool, weights)), sum(weights), entry))
    most = max((hits for hits, _, _ in points), default=0)
    chinese = max(asked) > "z"
    best = [point for point in points if point[0] >= max(1, most - most // 3 * chinese)]
    best.sort(key=lambda point: point[:2], reverse=True)
    return [entry for _, _, entry in best], chinese or most == len(asked)
