"""The record of the catalogue of bugs, and where the tool says something else than it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("catalogue.toml")


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
            pairs = (f"{' or '.join(_listed(bug[what])) or 'nothing'}, told as {told[what]}" for what in told)
            yield number, "; ".join(pairs), bug["because"]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
