"""What each accumulator costs: one command, one process, one thread, medians.

    python benchmarks/accumulators.py [--json PATH]

Prints a table and, with --json, writes the same numbers. Every row is also given as a multiple of the time of NumPy's
float32 product of the same matrices, timed in turns with it, since times on a shared machine drift. They are times of
the processor, which leave out what other processes take.
"""

from __future__ import annotations

from harness import Row, Work, medians, parser, show, write  # first: it sets the number of threads  # isort: skip

from functools import partial

import numpy as np

import halfsim as hs
from halfsim.numerics.accumulate import accumulator, matmul, sum_
from halfsim.numerics.quantize import round_

SMALL = (
    "fp16:sequential", "fp16:sequential+fma", "fp32:sequential+fma", "fp16:pairwise", "fp16:blocked(4)",
    "fp16:blocked(16)", "fp32:blocked(16)", "fp16:kahan", "fp16:neumaier", "exact",
)  # fmt: skip
LARGE = ("fp16:blocked(16)", "fp32:blocked(16)", "exact")


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
    options = parser(__doc__)
    arguments = options.parse_args()
    rows = products(256, SMALL, 11) + products(1024, LARGE, 5)
    rows += products(1024, ("exact",), 5, wide=True) + sums(1_000_000)
    lines = [("work", "accumulator", "ns per term", "ms", "times the first's time")]
    lines += [(r["group"], r["name"], f"{r['ns']:.3f}", f"{r['ms']:.2f}", f"{r['ratio']:.2f}") for r in rows]
    show(lines)
    write(arguments.json, rows)


if __name__ == "__main__":
    main()
