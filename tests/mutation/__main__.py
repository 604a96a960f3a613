"""Do the tests fail when a line is broken? Mutants are planted over all rooms, and the nearest tests run.

PYTHONPATH=$PWD nice python -m tests.mutation                     300 mutants; goes on where it was interrupted
PYTHONPATH=$PWD nice python -m tests.mutation --minutes 20        ends after so long; the next call goes on
PYTHONPATH=$PWD nice python -m tests.mutation --again             those that survived, judged again on today's code
PYTHONPATH=$PWD python -m tests.mutation --check                  what killed them passes on the code as it is
PYTHONPATH=$PWD python -m tests.mutation --write                  the record's part of docs/reliability.md

mutmut and cosmic-ray were not tried: as far as we know the first puts a trampoline in the place of each function, whose
name and signature our doors are tested for, and runs the whole suite to begin with; the second runs it for each mutant.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutation import judge, plant
from tests.mutation.survivors import EQUIVALENT

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("record.json")
_UNJUDGED = {"result": "", "by": "", "test": "", "tests": ""}


def read(path: Path = RECORD) -> list[dict[str, Any]]:
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def _mutant(row: dict[str, Any]) -> plant.Mutant:
    return plant.Mutant(**{name: row[name] for name in plant.Mutant.__dataclass_fields__})


def _today(row: dict[str, Any], root: Path) -> plant.Mutant | None:
    """The mutant of a row in the file as it is now, on the line nearest to where it was; None where it went."""
    known = plant.mutants(row["file"], (root / row["file"]).read_bytes()) if (root / row["file"]).exists() else []
    same = [mutant for mutant in known if mutant.name == _mutant(row).name]
    return min(same, key=lambda mutant: abs(mutant.line - row["line"]), default=None)


@contextmanager
def _opened(record: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of the record, written back at the end; other parts wait for it."""
    folder = os.open(record.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        rows = read(record)
        yield rows
        record.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")
    finally:
        os.close(folder)


def go(asked: argparse.Namespace) -> None:
    """Judge what has not been judged: all by the nearest tests, then what survived by the rest of its room's."""
    end, record = time.monotonic() + 60 * asked.minutes, asked.record.absolute()
    part, parts = map(int, asked.part.split("/"))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        judge.prepare(ROOT, tree)
        with _opened(record) as rows:
            if not rows:
                planned = plant.sample(tree, asked.number, asked.seed)
                random.Random(asked.seed).shuffle(planned)  # so that each part, and each minute, has some of each room
                rows += [{**asdict(mutant), **_UNJUDGED} for mutant in planned]
            for row in rows:
                if asked.again and row["result"] == "survived":
                    row.update(_UNJUDGED)
        for choices in (("mirror", "named"), ("room",))[: 1 if asked.near else 2]:
            for i in range(part - 1, len(read(record)), parts):
                row = read(record)[i]
                if row["result"] not in ("", "survived") or choices[-1] in row["tests"]:
                    continue
                if time.monotonic() > end:
                    print("out of time; the same command goes on", flush=True)
                    return
                since, mutant = time.monotonic(), _today(row, tree)
                if mutant is None:
                    found = {"result": "gone", "by": "", "test": "", "tests": ""}
                else:
                    result, by, test = judge.judged(mutant, choices, i, tree)
                    tests = f"{row['tests']} {' '.join(choices)}".strip()
                    found = {**asdict(mutant), "result": result, "by": by, "test": test, "tests": tests}
                with _opened(record) as rows:
                    rows[i].update(found)
                change = f"{row['before']} -> {row['after']}".replace("\n", " ")
                seconds = time.monotonic() - since
                print(f"{i} {found['result']} {seconds:.1f} s {row['file']}:{row['line']} {change} {found['test']}")


def check(record: Path) -> None:
    """Run every test that killed a mutant on the code as it is: each must pass."""
    files = sorted({row["test"].partition("::")[0].partition(" (")[0] for row in read(record) if row["test"]})
    with tempfile.TemporaryDirectory() as folder:
        judge.prepare(ROOT, Path(folder))
        for file in files:
            found, first = judge.run([file], Path(folder))
            if found != "passed":
                print(f"{file}: {found}, {first}")
    print(f"{len(files)} files of tests checked")


def write(record: Path, number: int, seed: int) -> None:
    rows = [row for row in read(record) if row["result"] not in ("", "gone")]
    judgements = {entry[:4] for entry in EQUIVALENT}
    table = []
    for room in [*sorted({plant.room(row["file"]) for row in rows}), "all"]:
        mine = [row for row in rows if room in ("all", plant.room(row["file"]))]
        ends = Counter(row["result"] for row in mine)
        same = sum(row["result"] == "survived" and _mutant(row).name in judgements for row in mine)
        caught = ends["killed"] + ends["timeout"]
        share = f"{caught / len(mine):.1%}".replace("%", " %")
        table.append([room, len(mine), ends["killed"], ends["timeout"], ends["survived"], same, share])
    near = Counter(row["by"] for row in rows if row["result"] != "survived")
    from tests.hostile import page  # which imports halfsim, as those that judge must not

    page.record(
        "mutation", "Lines broken on purpose",
        f"PYTHONPATH=$PWD nice python -m tests.mutation --number {number} --seed {seed}",
        [f"""{len(rows)} changes of the code, planted one at a time over all rooms in proportion to what can be changed
         there: comparisons and arithmetic turned, constants changed, lines dropped, branches swapped. The tests that
         mirror the file run first ({near["mirror"]} fail there), then those that name the function ({near["named"]}),
         then the rest of the room's ({near["room"]}). A test that never ends counts as one that fails. A survivor is
         either no change that anybody would meet, for a reason that stands in `tests/mutation/survivors.py`, or a test
         is missing."""],
        ["room", "planted", "a test fails", "never ends", "survived", "of these judged equivalent", "caught"], table,
    )  # fmt: skip
    page.write()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--part", default="1/1", help="every so many-th: 1/2 here, 2/2 beside it")
    for option in ("again", "near", "check", "write"):
        parser.add_argument(f"--{option}", action="store_true")
    asked = parser.parse_args()
    if asked.check:
        check(asked.record.absolute())
    elif asked.write:
        write(asked.record.absolute(), asked.number, asked.seed)
    else:
        go(asked)


main()
