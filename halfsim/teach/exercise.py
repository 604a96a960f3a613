"""What an exercise is: a right answer that is computed, and hints for the errors that pupils make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hint:
    """What to say of one known error, in English and Chinese.

    ``when`` gets the pupil's answer as it was read (a float, an array, a text; of a function the list of its results)
    and says whether it is that error: True, or the numbers for the fields of the text by name. ``{got}`` and
    ``{right}`` are fields too. What raises or gives something empty is not that error.

    >>> Hint(lambda x: x == 2049, "float16 has no {got}: look at hs.ulp(2048)", "float16 里没有 {got}").en
    'float16 has no {got}: look at hs.ulp(2048)'
    """

    when: Callable[[Any], object]
    en: str
    zh: str


@dataclass(frozen=True)
class Exercise:
    """An exercise: its key in ``check(key, answer)``, how its right answer is computed, hints for known errors.

    ``right`` gives the answer: a number, an array, a text or a bool; with ``cases`` the answer is a function, to be
    called with each of these tuples, and ``right`` is one that is right. ``close`` is the relative error that is let
    pass. Where many answers are right, ``accepts`` says of an answer (read as for a hint) whether it is, and
    ``right`` gives one of them.
    """

    key: str
    right: Callable[..., Any]
    hints: Sequence[Hint] = ()
    close: float = 0.0
    cases: Sequence[tuple[Any, ...]] = ()
    accepts: Callable[[Any], object] | None = None

    def fields(self, hint: Hint, got: Any) -> Mapping[str, Any] | None:
        """The numbers for a hint's text if the answer is that error, else None."""
        try:
            found = hint.when(got)
            if isinstance(found, Mapping):
                return found or None
            return {} if bool(found) else None
        except Exception:  # an answer of another shape or kind than the error has
            return None
