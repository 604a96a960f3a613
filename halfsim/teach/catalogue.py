"""The lessons that there are: a file each in ``lessons/en`` and ``lessons/zh``, with its data in its header."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from halfsim.gallery.languages import language
from halfsim.teach.notebook import Cell, parse

_FOLDER = Path(__file__).parent / "lessons"


@dataclass(frozen=True)
class Lesson:
    """A lesson in a language: what its header says, and its cells, exercises and solutions among them.

    ``name`` is that of its files, as ``01_sixteen_bits``; ``plan`` has minutes and what they are for; ``mistakes`` is
    what pupils get wrong; ``needs`` the packages beside NumPy.
    """

    name: str
    lang: str
    title: str
    question: str
    needs: tuple[str, ...]
    goals: tuple[str, ...]
    plan: tuple[tuple[int, str], ...]
    mistakes: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def number(self) -> int:
        """Which of the lessons it is, from 1."""
        return int(self.name[:2])

    @property
    def subject(self) -> str:
        """Its name without the number, as its file in ``exercises/`` is called."""
        return self.name[3:]

    @property
    def minutes(self) -> int:
        """How long it takes in a class."""
        return sum(minutes for minutes, _ in self.plan)

    def to_dict(self) -> dict[str, Any]:
        """What the list of lessons says of it, as plain data."""
        names = ("number", "name", "title", "question", "minutes", "needs", "goals")
        return {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}


@cache
def lessons(lang: str = "en") -> tuple[Lesson, ...]:
    """All lessons in a language, "en" or "zh", in their order; ``ValueError`` for another.

    >>> lessons()[0].name, lessons("zh")[0].number
    ('01_sixteen_bits', 1)
    """
    return tuple(_read(path, lang) for path in sorted((_FOLDER / language(lang)).glob("*.md")))


def _read(path: Path, lang: str) -> Lesson:
    metadata, cells = parse(path.read_text(encoding="utf-8"))
    told = metadata["lesson"]
    plan = [item.partition(" ") for item in told["plan"]]
    title = cells[0].source.partition("\n")[0].lstrip("# ")
    return Lesson(
        path.stem, lang, title.partition(". ")[2], told["question"], tuple(told["needs"]), tuple(told["goals"]),
        tuple((int(minutes), what) for minutes, _, what in plan), tuple(told["mistakes"]), cells,
    )  # fmt: skip
