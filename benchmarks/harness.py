"""The one harness: work in turns, in processor time of one thread, as quartiles; peers that may be missing or crash.

Processor time leaves out what other processes take; turns let a drift of the machine meet all alike; the lower quartile
is the least disturbed that repeats. Every ratio says how many times *ours*, the first row of its table, a row takes.
"""

from __future__ import annotations

import datetime
import importlib
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

Work = Callable[[], object]
Make = Callable[[], Work]  # what a work needs is made when its table is measured, and let go of afterwards
Record = dict[str, Any]

PEERS = ("torch", "ml_dtypes", "gfloat", "apytypes", "pychop", "autograd", "mmasim")
_LEAST = 0.002  # seconds: shorter work is repeated within its turn
_SLOW = 1.0  # seconds: longer work gets fewer turns


def in_turns(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of each work, once in each round; work of over a second in a few rounds alone."""
    found: dict[str, list[float]] = {}
    repeats, turns = {}, {}
    for name, work in works.items():
        taken = _seconds(work, 1)
        repeats[name] = max(1, math.ceil(_LEAST / max(taken, 1e-7)))
        turns[name] = rounds if taken < _SLOW else min(rounds // 4, 3)
        found[name] = [] if turns[name] else [taken]
    for i in range(rounds):
        for name, work in works.items():
            if i < turns[name]:
                found[name].append(_seconds(work, repeats[name]))
    return found


def _seconds(work: Work, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def peaks(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Bytes that each work holds at the most beyond what was there before, after a first run."""
    found = {}
    for name, work in works.items():
        work()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        found[name] = [float(tracemalloc.get_traced_memory()[1] - before)]
        tracemalloc.stop()
    return found


def program(*arguments: str) -> Work:
    """A run of Python, compiled before the first that counts; `programs` measures what it takes of the processor."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def programs(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of programs, their start included."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            work()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return found


@dataclass(frozen=True)
class Table:
    """Rows that are measured in turns, ours first; ``scale`` makes the numbers of a row ``unit``."""

    title: str
    unit: str
    scale: float
    rows: Mapping[str, Make]
    rounds: int = 15
    measure: Callable[[Mapping[str, Work], int], dict[str, list[float]]] = in_turns

    def run(self, quick: bool) -> Record:
        """What came of it: quartiles and the ratio to ours of each row, or why it is missing."""
        works: dict[str, Work] = {}
        notes: dict[str, str] = {}
        for name, make in self.rows.items():
            try:
                work = make()
                work()  # tables are built, caches filled
                works[name] = work
            except ImportError as error:
                notes[name] = f"not installed: {error.name or 'a part of it'}"
            except Exception as error:
                notes[name] = f"crashed: {type(error).__name__}"
        measured = self.measure(works, 3 if quick else self.rounds)
        rows: list[Record] = []
        ours = next(iter(self.rows))
        for name in self.rows:
            if name in notes:
                rows.append({"name": name, "note": notes[name]})
                continue
            low, middle, high = (float(f"{self.scale * q:.4g}") for q in quartiles(measured[name]))
            ratio = float(f"{quartiles(measured[name])[0] / quartiles(measured[ours])[0]:.4g}")
            rows.append({"name": name, "low": low, "median": middle, "high": high, "ratio": ratio})
        return {"title": self.title, "unit": self.unit, "rows": rows}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The quartiles of a few measurements.

    >>> quartiles([4.0, 1.0, 2.0, 3.0, 5.0]), quartiles([7.0])
    ((2.0, 3.0, 4.0), (7.0, 7.0, 7.0))
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def peer(name: str) -> Any:
    """A package that we are measured beside; ``ImportError`` where it is not installed."""
    found = importlib.import_module(name)
    if name == "torch":
        found.set_num_threads(1)
    return found


def facts() -> dict[str, Any]:
    """What the numbers are of: the processor by its features, versions, the day."""
    versions = {}
    for name in PEERS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": f"{platform.machine()}, {_features()}", "python": platform.python_version(),
        "numpy": np.__version__, "blas": _blas(), "peers": versions,
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip


def _features() -> str:
    words = ("AVX2", "FMA3", "F16C", "AVX512F", "AVX512FP16", "NEON", "ASIMDHP")
    known: Mapping[str, bool] = getattr(np._core._multiarray_umath, "__cpu_features__", {})  # type: ignore[attr-defined]
    found = [word for word in words if known.get(word)]
    if known and platform.machine() == "x86_64" and "AVX512F" not in found:
        found.append("no AVX-512")
    return ", ".join(found)


def _blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"
