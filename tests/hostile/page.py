"""docs/reliability.md, made of parts: each command keeps what it counted as a record, and the page prints them all."""

from __future__ import annotations

import datetime
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.hostile import report

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
RECORDS = Path(__file__).with_name("records")
# The order of the page; a part without a record is not on it.
PARTS = ("mutation", "calls", "seeds", "kill", "truncation", "bit_flips", "soak", "same_bits")

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


def record_calls(found: dict[str, list[dict[str, Any]]], known: dict[str, Any], calls: int, seed: int) -> None:
    """Keep what came of the hostile calls of a whole run."""
    total, rooms = report.counts(found), report.by_room(found)
    worked = sum(any(r["kind"] == "result" for r in results) for results in found.values())
    judged = sum(total.values()) - total["unmade"]
    record(
        "calls",
        "Hostile calls",
        f"PYTHONPATH=$PWD python -m tests.hostile --calls {calls} --seed {seed} --write",
        [
            f"""{judged:,} calls of {len(found):,} public names: functions, constructors, methods and attributes of what
            they make, operators, and NumPy's functions on tensors. Each call begins as one that works, or nearly, and
            has one or two of its arguments replaced by what nobody should pass: None, text of a million characters,
            bytes, complex numbers, NaN and infinities, integers beyond 64 bits, masked, structured, strided and
            read-only arrays, dates, sets, functions, lists that hold themselves, objects that lie about their length
            or fail when they are asked. {worked:,} of the names gave a result at least once. The calls are the same for
            the same seed.""",
            """A call may give a result, or refuse: an error that halfsim itself raises, on one line of at most 300
            characters that names an argument or what is allowed, of a class that Python, NumPy or PyTorch have for
            arguments. Words of NumPy may stand in it where they are about shapes and axes; words about how Python came
            to fail may not. An error of the caller's own function or object comes out as it is, as does what Python
            says of arguments that a function does not have. Anything else is a failure: an internal error, bad words, a
            call that takes over 2 seconds of the processor or over 1 GB, one that ends the process, a warning of
            NumPy's or Python's, an argument that is changed (by what is not there to change it), something taken for a
            number that is none, something taken that PyTorch or NumPy refuse by its value, and a result of another
            shape or other values than theirs. What is taken on purpose, with reasons, stands in
            `tests/hostile/allowed.py`.""",
        ],
        ("", "results", "refusals", *report.FAILURES),
        [
            [room, *(f"{counts[kind]:,}" for kind in ("result", "refusal", *report.FAILURES))]
            for room, counts in [*rooms.items(), ("all", total)]
        ],
    )


def record_seed(found: dict[str, list[dict[str, Any]]], calls: int, seed: int) -> None:
    """Keep what came of a whole run with another seed, a row beside those of the seeds before."""
    path, total = RECORDS / "seeds.json", report.counts(found)
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    judged = sum(total.values()) - total["unmade"]
    row = [str(seed), f"{judged:,}", *(f"{total[kind]:,}" for kind in report.FAILURES)]
    record(
        "seeds",
        "Hostile calls of other seeds",
        f"PYTHONPATH=$PWD python -m tests.hostile --calls {calls} --seed {seed} --write",
        [
            """Another seed draws other calls, and what these find is not mended yet: so many of the calls that nobody
            has seen before end badly."""
        ],
        ("seed", "calls", *report.FAILURES),
        sorted([row, *(old for old in rows if old[0] != str(seed))], key=lambda one: int(one[0])),
    )


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
