"""The notebooks written into a folder, with the solutions and the teacher's page in one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halfsim.atomic import write_text
from halfsim.card import Record
from halfsim.teach.catalogue import lessons
from halfsim.teach.notebook import ipynb, pupils, solved
from halfsim.teach.teacher import page

SOLUTIONS = "solutions"


@dataclass(frozen=True)
class Written(Record):
    """What became of the files of a folder, by their names in it: those written, and those left as they were."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def files(lang: str = "en") -> Iterator[tuple[str, str]]:
    """Every file by its name in the folder, and its text; each notebook first for the pupils, then with solutions."""
    for lesson in lessons(lang):
        title, prefix = f"{lesson.number}. {lesson.title}", f"lesson-{lesson.number:02}"
        yield f"{lesson.name}.ipynb", ipynb(pupils(lesson.cells), title, prefix)
        yield f"{SOLUTIONS}/{lesson.name}.ipynb", ipynb(solved(lesson.cells), title, prefix)
    yield f"{SOLUTIONS}/teacher.md", page(lang)


def write(folder: str | os.PathLike[str] = "lessons", lang: str = "en", force: bool = False) -> Written:
    """Write the lessons of a language ("en" or "zh") into ``folder``, as notebooks for Jupyter.

    A file that is there already is left as it is, since a pupil may have worked in it; ``force`` writes it anew.
    ``OSError`` where it cannot be written, ``ValueError`` for another language.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = write(folder), write(folder)
    >>> first.written[:2], first.kept == second.written == ()
    (('01_sixteen_bits.ipynb', 'solutions/01_sixteen_bits.ipynb'), True)
    """
    root, written, kept = Path(folder), [], []
    made = list(files(lang))
    (root / SOLUTIONS).mkdir(parents=True, exist_ok=True)
    for name, text in made:
        path = root / name
        if path.exists() and not force:
            kept.append(name)
        else:
            write_text(path, text)
            written.append(name)
    return Written(root, tuple(written), tuple(kept))
