"""docs/reliability.md, made of parts: each command keeps what it counted as a record, and the page prints them all."""

from __future__ import annotations

import datetime
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
RECORDS = Path(__file__).with_name("records")
# The order of the page; a part without a record is not on it.
PARTS = ("calls", "kill", "truncation", "bit_flips", "soak", "same_bits")

_HEAD = """halfsim is attacked on purpose: with arguments that nobody should pass, with damaged files, with power cuts,
for hours, on other machines. Each table below was printed by the command beside it, on the day that stands there."""


def record(part: str, title: str, command: str, text: Sequence[str], head: Sequence[str], rows: Sequence[Any]) -> None:
    """Keep what ``command`` counted: paragraphs, and a table of ``head`` and ``rows``; `write` prints it."""
    if part not in PARTS:
        raise ValueError(f"part: {part!r} is not allowed; allowed: {', '.join(PARTS)}")
    kept = {
        "title": title, "command": command, "date": datetime.date.today().isoformat(), "text": list(text),
        "head": list(head), "rows": [list(map(str, row)) for row in rows],
    }  # fmt: skip
    RECORDS.mkdir(exist_ok=True)
    (RECORDS / f"{part}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write() -> None:
    PAGE.write_text(text(), encoding="utf-8")


def text() -> str:
    """The page, of all records."""
    records = (RECORDS / f"{part}.json" for part in PARTS)
    parts = [_part(json.loads(path.read_text("utf-8"))) for path in records if path.exists()]
    return "\n\n".join(["# Reliability", paragraph(_HEAD), *parts]) + "\n"


def _part(kept: dict[str, Any]) -> str:
    lines = [kept["head"], ["---"] * len(kept["head"]), *kept["rows"]]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    command = f"```sh\n{kept['command']}\n```"
    return "\n\n".join([f"## {kept['title']}", *map(paragraph, kept["text"]), command, f"On {kept['date']}:", table])


def paragraph(words: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(words.split()), 120, break_long_words=False, break_on_hyphens=False))
