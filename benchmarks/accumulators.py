"""What each accumulator costs: one command, one process, one thread, medians.

    python benchmarks/accumulators.py [--json PATH]

Prints a table and, with --json, writes the same numbers. Every row is also given as a multiple of the time of NumPy's
float32 product of the same matrices, timed in turns with it, since times on a shared machine drift. They are times of
the processor, which leave out what other processes take.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy loads its BLAS

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.numerics.accumulate import accumulator, matmul, sum_
from halfsim.numerics.quantize import round_
from halfsim.text import columns

Row = dict[str, Any]
Work = Callable[[], object]

SMALL = (
    "fp16:sequential", "fp16:sequential+fma", "fp32:sequential+fma", "fp16:pairwise", "fp16:blocked(4)",
    "fp16:blocked(16)", "fp32:blocked(16)", "fp16:kahan", "fp16:neumaier", "exact",
)  # fmt: skip
LARGE = ("fp16:blocked(16)", "fp32:blocked(16)", "exact")


def medians(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns so that a drift of the machine meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def rows_of(group: str, works: dict[str, Work], repeats: int, terms: int) -> list[Row]:
    measured = medians(works, repeats)
    base = next(iter(measured.values()))
    return [
        {"group": group, "name": name, "ns": 1e9 * s / terms, "ms": 1e3 * s, "ratio": s / base}
        for name, s in measured.items()
    ]


def products(n: int, specs: tuple[str, ...], repeats: int, wide: bool = False) -> list[Row]:
    """Products of n x n halves: normally distributed, or spread over the whole range of the format."""
    rng = np.random.default_rng(0)
    values = np.exp2(rng.uniform(-24, 8, (2, n, n))) if wide else rng.standard_normal((2, n, n))
    x, y = values.astype(np.float16).astype(np.float32)
    works: dict[str, Work] = {"limit: sgemm": lambda: x @ y}
    if not wide:
        works["fp32, stored in float16"] = lambda: round_(matmul(x, y, accumulator("fp32")), hs.float16)
    for spec in specs:
        works[spec] = partial(matmul, x, y, accumulator(spec))
    return rows_of(f"{n}x{n} product{', full range' if wide else ''}", works, repeats, n**3)


def sums(size: int) -> list[Row]:
    """Sums of one long vector of halves."""
    x = np.random.default_rng(0).standard_normal(size).astype(np.float16).astype(np.float32)
    works: dict[str, Work] = {"limit: np.sum": lambda: x.sum()}
    for spec in ("fp16:sequential", "fp16:pairwise", "exact"):
        works[spec] = partial(sum_, x, None, False, accumulator(spec))
    return rows_of(f"sum of {size:,}", works, 9, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", metavar="PATH", help="write the numbers here too")
    arguments = parser.parse_args()
    rows = products(256, SMALL, 11) + products(1024, LARGE, 5)
    rows += products(1024, ("exact",), 5, wide=True) + sums(1_000_000)
    lines = [("work", "accumulator", "ns per term", "ms", "times the first's time")]
    lines += [(r["group"], r["name"], f"{r['ns']:.3f}", f"{r['ms']:.2f}", f"{r['ratio']:.2f}") for r in rows]
    print(columns(lines, left=2))
    if arguments.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
