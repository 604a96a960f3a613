"""The exercises: a file a lesson, each with a list ``EXERCISES``, in the order of the lesson."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from halfsim.teach.catalogue import lessons
from halfsim.teach.exercise import Exercise


def of(subject: str) -> tuple[Exercise, ...]:
    """The exercises of a lesson by its name without the number."""
    found: list[Exercise] = import_module(f"halfsim.teach.exercises.{subject}").EXERCISES
    return tuple(found)


@cache
def by_key() -> dict[str, Exercise]:
    """Every exercise by its key, which no other has."""
    return {one.key: one for lesson in lessons() for one in of(lesson.subject)}
