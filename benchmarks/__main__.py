"""Measure everything, in parts: ``python -m benchmarks [--only PART ...] [--quick] [--resume] [--write]``.

Each part writes ``recorded/PART.json`` when it is done; ``--resume`` leaves out those that were recorded today, in the
same way, so that a run that was broken off goes on. ``--write`` makes docs/benchmarks.md, and the figures of other
pages, of what is recorded; with ``--only`` and no part it measures nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from typing import Any

from benchmarks import page
from benchmarks.harness import Record, facts


def measured(part: str, quick: bool) -> Record:
    """The tables of a part, printed as they come."""
    module: Any = importlib.import_module(f"benchmarks.{part}")
    record: Record = {"part": part, "quick": quick, "facts": facts(), "tables": []}
    for table in module.TABLES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers
            found = table.run(quick)
        record["tables"].append(found)
        print(page.shown(found), end="\n\n", flush=True)
    return record


def _known(part: str, quick: bool) -> bool:
    record = page.recorded(part)
    return record is not None and (record["facts"]["date"], record["quick"]) == (facts()["date"], quick)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory beside peers.")
    parser.add_argument("--only", nargs="*", choices=page.PARTS, metavar="PART", help=", ".join(page.PARTS))
    parser.add_argument("--quick", action="store_true", help="three turns each, and slow work once")
    parser.add_argument("--resume", action="store_true", help="leave out parts that were recorded today")
    parser.add_argument("--write", action="store_true", help="make docs/benchmarks.md of what is recorded")
    arguments = parser.parse_args()
    for part in page.PARTS if arguments.only is None else arguments.only:
        if arguments.resume and _known(part, arguments.quick):
            continue
        page.RECORDED.mkdir(exist_ok=True)
        text = json.dumps(measured(part, arguments.quick), indent=1)
        (page.RECORDED / f"{part}.json").write_text(text + "\n", encoding="utf-8")
    if arguments.write:
        records = {part: record for part in page.PARTS if (record := page.recorded(part)) is not None}
        for path, told in page.pages(records).items():
            path.write_text(told, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
