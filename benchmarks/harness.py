"""What every benchmark shares: one thread, medians of processor time in turns, a table, and the numbers as JSON.

Import it before NumPy, whose BLAS reads the number of threads when it is loaded.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.text import columns

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)

__all__ = ["Row", "Work", "medians", "parser", "show", "torch", "write"]

Row = dict[str, Any]
Work = Callable[[], object]


def medians(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Median seconds of each, in turns, so that a drift of the machine meets all alike; each runs once before."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes, described by the first line of its docstring."""
    found = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    found.add_argument("--json", metavar="PATH", help="write the numbers here too")
    return found


def show(lines: Sequence[Sequence[str]], left: int = 2) -> None:
    """Print a table, its head first."""
    print(columns(lines, left=left))


def write(path: str | None, rows: list[Row], **more: Any) -> None:
    """Write the numbers, and what machine they are of, to ``path`` if there is one."""
    if path is None:
        return
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    machine["torch"] = "" if torch is None else torch.__version__
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "rows": rows, **more}, file, indent=2)
