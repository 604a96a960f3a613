"""The record of the catalogue of bugs, and where the tool says something else than it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("catalogue.toml")
_WORDS = {"klass": "class", "phase": "phase", "op": "operation"}


def bugs() -> dict[str, dict[str, Any]]:
    """Every entry by its number."""
    return tomllib.loads(RECORD.read_text(encoding="utf-8"))


def expected(bug: dict[str, Any], what: str) -> list[str]:
    """What the tool says of an entry's "klass", "phase" or "op", any of these; none where the entry names nothing."""
    value = bug.get("told", {}).get(what, bug.get(what, []))
    return [value] if isinstance(value, str) else [*value]


def parted() -> Iterator[tuple[str, str, str]]:
    """Number, what the catalogue and the tool say, and why, of every entry on which the two part."""
    for number, bug in bugs().items():
        if told := bug.get("told"):
            known = {**bug, "klass": bug.get("said", bug.get("klass"))}
            pairs = (f"{_WORDS[key]} {' or '.join(_listed(known[key]))}, told {told[key]}" for key in told)
            yield number, "; ".join(pairs), bug["because"].strip()


def notes() -> Iterator[tuple[str, str]]:
    """Number and note of every entry that has one."""
    return ((number, bug["note"].strip()) for number, bug in bugs().items() if "note" in bug)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
