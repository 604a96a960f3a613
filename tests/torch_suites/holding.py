"""What tests ask of a name: no trouble that the table of deviations does not allow, and no sample lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.torch_suites import record
from tests.torch_suites.cuda_steps import EXCUSES, Excuse
from tests.torch_suites.deviations import allowed, needless
from tests.torch_suites.judging import OUTCOMES
from tests.torch_suites.ops import Entry

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

NO_TORCH = "PyTorch is not installed; its recorded samples are tested"


def troubles(entry: Entry) -> list[str]:
    """What a name does that the table does not allow, with its smallest sample, and rows that it needs no more."""
    rows = [*needless(entry.name, _seen(entry)), *_unused(entry)]
    return [*_beyond(entry), *(f"no longer needed: {row}" for row in rows)]


def _unused(entry: Entry) -> Iterator[Excuse]:
    for (name, suite), row in EXCUSES.items():
        if name == entry.name and not any(entry.tally(suite).excused.values()):
            yield row


def _beyond(entry: Entry) -> Iterator[str]:
    for suite, kind in _seen(entry):
        tally, most = entry.suites[suite], allowed(entry.name, suite, kind)
        if tally.counts[kind] > most:
            yield f"{suite}: {tally.counts[kind]} samples {kind}, {most} allowed"
            yield from (f"    {one.why}\n        {one.call}" for one in tally.troubles((kind,)))


def _seen(entry: Entry) -> Iterator[tuple[str, str]]:
    for suite, tally in entry.suites.items():
        yield from ((suite, kind) for kind in OUTCOMES[:-2] if tally.counts[kind])


def unheld(entry: Entry, line: dict[str, Any]) -> list[str]:
    """Suites that have fewer samples than were recorded of this version of PyTorch, or skip more."""
    if torch.__version__.split("+")[0] != record.read(record.OPS)["torch"]:
        return []
    lost = []
    for suite, counts in line["suites"].items():
        found = entry.suites[suite].counts
        if sum(found.values()) < sum(counts.values()) or found["skipped"] > counts.get("skipped", 0):
            lost.append(f"{suite}: {dict(found)}, recorded {counts}")
    return lost
