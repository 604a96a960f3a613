"""The words of the matrix in each language, and numbers as they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfsim.gallery import languages
from halfsim.text import number, percent

__all__ = ["change", "effect", "reason", "size", "texts"]


def texts(lang: str) -> dict[str, Any]:
    """All words of a language; ``ValueError`` for one that there is not."""
    return languages.texts(Path(__file__).parent, lang)


def reason(lang: str, problem: str, remedy: str, verdict: str, general: bool = True) -> str:
    """Why a remedy does to a problem what was measured, "" where nobody has written of that verdict.

    What is written of both goes before what holds of a problem with any remedy, and that before what holds of a remedy
    with any problem; without ``general`` nothing but the first counts.
    """
    rows = texts(lang)["why"]
    places = ((remedy, problem), ("any", problem), (remedy, "any"))
    found = (rows.get(row, {}).get(column, {}).get(verdict, "") for row, column in places[: 3 if general else 1])
    return next(filter(None, found), "")


def size(value: float, unit: str) -> str:
    """A measured value: a share in percent, decades and steps as numbers.

    >>> size(0.01489, "share"), size(4.8163, "decades"), size(7e-7, "share")
    ('1.5 %', '4.82', '<.01 %')
    """
    if unit == "share":
        return percent(max(value, 0.0)) if value < 0.995 else f"{100 * value:.0f} %"
    return f"{value:.2f}" if unit == "decades" else number(value)


def change(value: float, unit: str) -> str:
    """A difference with its sign: of shares in points.

    >>> change(-0.0081, "share"), change(0.25, "decades")
    ('-0.81', '+0.25')
    """
    value = 100 * value if unit == "share" else value
    return f"{value:+.3g}" if abs(value) > 1e-9 else "0"  # less is what float64 leaves of sums that cancel


def effect(before: float, after: float, unit: str) -> str:
    """What became of a trouble in few characters: a share of it, a factor where it grew; decades; steps.

    >>> effect(0.5, 0.1, "share"), effect(0.1, 0.14, "share"), effect(0.01, 0.2, "share"), effect(4.8, 1.9, "decades")
    ('-80 %', '+40 %', 'x20', '-2.9')
    """
    if unit != "share":
        return f"{after - before:+.1f}" if unit == "decades" else f"{after - before:+.0f}"
    share = after / before if before else 1.0
    if share >= 2:
        return f"x{share:.3g}" if share < 1000 else "x1000"
    return f"{100 * (share - 1):+.0f} %"
