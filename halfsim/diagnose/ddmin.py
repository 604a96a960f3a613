"""Delta debugging: the few elements of many that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_Element = TypeVar("_Element")
Holds = Callable[[list[_Element]], bool]


class SpentError(Exception):
    """No tries are left; raised by a ``holds`` to end a search from inside."""


def sufficient(elements: Sequence[_Element], holds: Holds[_Element], base: Sequence[_Element] = ()) -> list[_Element]:
    """Some of ``elements`` that with ``base`` are enough for ``holds``, given that all of them are.

    By halves, as QuickXplain does it (Junker 2004): k culprits among n take about 2 k log2(n / k) + 2 k calls. Where
    more elements never hurt, none of the result can be left out; in any case it is enough. That ``base`` alone is
    not enough is taken for granted.
    """

    def search(around: list[_Element], added: bool, among: Sequence[_Element]) -> list[_Element]:
        if added and holds(around):
            return []
        if len(among) <= 1:
            return list(among)
        first, second = among[: len(among) // 2], among[len(among) // 2 :]
        later = search([*around, *first], True, second)
        return [*search([*around, *later], bool(later), first), *later]

    return search(list(base), False, elements)
