"""The applications; ``hs.gallery.applications`` runs them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from halfsim.gallery.languages import language
from halfsim.gallery.said import NOTHING
from halfsim.gallery.uses.result import Application, Applications
from halfsim.numerics.formats import unknown
from halfsim.options import shown

# By name, the file that has its ``TITLE`` and its ``application(small, lang)``.
APPLICATIONS = {
    "image": "image",
    "audio": "audio",
    "games": "games",
    "tables": "tables",
    "inference": "inference",
    "embedded": "embedded",
}


def measure(name: str, lang: str = "en", small: bool = False) -> Application:
    """One application; where its data is not installed, one without rows and with the line that says what brings it."""
    room = import_module(f"halfsim.gallery.uses.{APPLICATIONS[name]}")
    run: Callable[[bool, str], Application] = room.application
    try:
        return run(small, lang)
    except ModuleNotFoundError as error:
        return Application(name, room.TITLE, NOTHING, missing=(str(error),), lang=lang)


def applications(name: str | None = None, *, lang: str = "en") -> Application | Applications:
    """Half precision at work on real data: one application by its name, or all.

    "image" (a photograph), "audio" (a spoken sentence), "games" (positions, clocks, rotations, depth, terrain),
    "tables" (statistics of ten million rows), "inference" (digits, a detector of speech, a finder and a reader of text,
    converted to half), "embedded" (a touch pad's network and sensors' sums on small Arm cores). Every operation is
    computed on the simulated unit and compared with what is right; a row says how far off it is, where it breaks and
    the smallest fix that mends it, measured. Data and models come out of installed packages (``pip install
    'halfsim[gallery,speech,models]'``); what is not installed is named by a line of ``missing``, and the rest is
    measured. Nothing is downloaded. ``lang`` is "en" or "zh". ``ValueError`` for another name or language.

    >>> applications("photo")
    Traceback (most recent call last):
    ValueError: name: 'photo' is not allowed; allowed: image, audio, games, tables, inference, embedded
    """
    if not isinstance(name, (str, type(None))):
        raise TypeError(f"name: {shown(name)} is not allowed; allowed: None, a string")
    language(lang)
    if name is None:
        return Applications([measure(one, lang) for one in APPLICATIONS], lang)
    if name not in APPLICATIONS:
        raise unknown("name", name, APPLICATIONS)
    return measure(name, lang)
