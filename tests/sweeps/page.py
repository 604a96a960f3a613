"""docs/scale.md: what was measured is kept as records, and the tables and figures of the page are printed from them."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from halfsim.text import size
from tests.marks import put

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
RECORDS = Path(__file__).with_name("records")
PARTS = ("rates", "local", "dask", "many")
CORES = (1, 64, 10_000)
STUDY = 1_000_000  # runs


def record(part: str, found: dict[str, Any]) -> None:
    """Keep what was measured."""
    RECORDS.mkdir(exist_ok=True)
    kept = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        **found,
    }
    (RECORDS / f"{part}.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def records() -> dict[str, dict[str, Any]]:
    return {part: json.loads((RECORDS / f"{part}.json").read_text("utf-8")) for part in PARTS}


def write() -> None:
    """Print all that is marked on the page, if everything is measured."""
    if all((RECORDS / f"{part}.json").exists() for part in PARTS):
        for mark, text in marks(records()).items():
            put(PAGE, mark, text)


def marks(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The marked parts of the page, by name."""
    return {
        "rates": _rates(found["rates"]), "rows": _rows(found), "many": _many(found["many"]),
        "cores": _cores(found), "limits": _limits(found), "seeds": _seeds(),
    }  # fmt: skip


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n"


JOBS = {
    "round": "every float32 rounded to float16, and compared with NumPy", "add": "every sum of two halves",
    "mul": "every product of two halves", "div": "every quotient of two halves",
    "training": "20 steps of a network of 64-32-10 in fp16, batches of 32", "verdict": "one case of the verdict table",
}  # fmt: skip


def _rates(found: dict[str, Any]) -> str:
    lines = []
    for name, seconds in found["seconds"].items():
        exhaustive = name not in ("training", "verdict")
        rate = f"{found['block'] / seconds / 1e6:,.1f} million cases" if exhaustive else f"{1 / seconds:,.2f} runs"
        lines.append((JOBS[name], f"{1e3 * seconds:,.0f} ms a {'block' if exhaustive else 'run'}", rate))
    told = _table(("job", "processor time of one row", "a second and core"), lines)
    blocks = f"a block is {found['block']:,} cases, and 2<sup>32</sup> are {found['blocks']:,} blocks"
    return f"{told}Measured on {found['date']}; {blocks}.\n"


NAMES = {"local": '"local:2"', "dask": "Dask, two workers"}


def _rows(found: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, words in NAMES.items():
        one, every = found[name], found[name]["all"]
        parts = (every[0], every[-1], max(every), _mean(one["driver"]), _mean(one["scheduler"]))
        lines.append((words, f"{one['rows']:,}", *(f"{x:.2f}" if x else "-" for x in parts)))
    head = (
        "executor",
        "rows",
        "ms a row, first tenth",
        "last tenth",
        "worst tenth",
        "of it the driver",
        "the scheduler",
    )
    told = "Milliseconds of processor time of the driver, the scheduler and the workers together"
    return f"{_table(head, lines)}{told}; measured on {found['local']['date']}.\n"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _many(found: dict[str, Any]) -> str:
    every, memory = found["driver"], found["memory"]
    lines = [
        ("processor time a row, first and last tenth", f"{every[0]:.3f} ms and {every[-1]:.3f} ms"),
        ("memory of the driver after the first row and the last", f"{memory[0]:.0f} MiB and {memory[-1]:.0f} MiB"),
        ("the file", f"{size(found['bytes'])}, {found['bytes'] / found['rows']:.0f} bytes a row"),
        (
            "to go on with the finished file",
            f"{found['resumed']:.1f} s; {size(max(found['held'], 0) * 2**20)} more held",
        ),
        ("to read it into `Results`", f"{found['indexed']:.1f} s"),
    ]
    return _table((f"of {found['rows']:,} rows", "measured"), lines) + f"Measured on {found['date']}.\n"


def rate(found: dict[str, dict[str, Any]], name: str) -> float:
    """Rows a second that one driver, with the scheduler beside it, can hand out and write down."""
    return 1e3 / max(_mean(found[name]["driver"]), _mean(found[name]["scheduler"]))


def simulated(tasks: int, seconds: float, cores: int, rate: float) -> float:
    """Seconds that so many tasks take where a driver sends one after the other, at so many a second.

    A core takes the next task as soon as it has it, and since all take as long, the cores do so in turns: task ``i``
    starts a gap after the one before it, and not before the task ``cores`` before it is done.
    """
    gap = 1 / rate
    rounds, place = divmod(tasks - 1, cores)
    return max(tasks * gap, (place + 1) * gap + rounds * seconds) + seconds


def _time(seconds: float) -> str:
    for most, unit, one in ((90, "s", 1), (5400, "min", 60), (172_800, "h", 3600), (math.inf, "days", 86_400)):
        if seconds < most:
            return f"{seconds / one:,.1f} {unit}"
    return ""


def _cores(found: dict[str, dict[str, Any]]) -> str:
    lines, rates = [], found["rates"]
    for name, seconds in rates["seconds"].items():
        exhaustive = name not in ("training", "verdict")
        tasks = rates["blocks"] if exhaustive else STUDY
        job = f"all 2<sup>32</sup>: {JOBS[name]}" if exhaustive else f"{STUDY:,} times: {JOBS[name]}"
        times = []
        for cores in CORES:
            taken = simulated(tasks, seconds, cores, rate(found, "local" if cores <= 64 else "dask"))
            times.append(f"{_time(taken)} ({100 * tasks * seconds / cores / taken:.0f} %)")
        lines.append((job, *times))
    tiny = [_time(simulated(STUDY, 1e-3, n, rate(found, "local" if n <= 64 else "dask"))) for n in CORES]
    lines.append((f"{STUDY:,} times: a row of one millisecond", *tiny))
    return _table(("job", *(f"{n:,} core{'s' * (n > 1)}" for n in CORES)), lines)


def _limits(found: dict[str, dict[str, Any]]) -> str:
    many = found["many"]
    file = 1e3 / max(many["driver"])
    lines = [
        (name, carried, *(f"{n / one:.2g} s" for n in CORES[1:]))
        for name, carried, one in (
            ("one driver and Dask's scheduler", f"{rate(found, 'dask'):,.0f} rows a second", rate(found, "dask")),
            ("one driver and its processes", f"{rate(found, 'local'):,.0f} rows a second", rate(found, "local")),
            ("the file alone", f"{file:,.0f} rows, {size(file * many['bytes'] / many['rows'])} a second", file),
        )
    ]
    return _table(("what", "carries", "64 cores need rows of", "10,000 cores need rows of"), lines)


def _seeds() -> str:
    lines = []
    for runs in (1000, 100_000, STUDY):
        chance = [-math.expm1(-runs * (runs - 1) / 2 / 2.0**bits) for bits in (32, 63)]
        pairs = runs * (runs - 1) / 2 / 2.0**32
        lines.append((f"{runs:,}", f"{100 * chance[0]:.3g} %, {pairs:.3g} pairs", f"{100 * chance[1]:.2g} %"))
    return _table(("runs", "two of 32 random bits alike", "two of 63 random bits alike"), lines)
