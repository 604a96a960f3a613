"""What a product on each unit costs: one command, one process, one thread, medians of processor time.

    python benchmarks/hardware.py [--json PATH] [--large]

Every row is also given as a multiple of the time of NumPy's own float16 product of the same matrices, timed in turns
with it, since times on a shared machine drift. ``--large`` adds 1024 x 1024 x 1024 on A100.
"""

from __future__ import annotations

from harness import Row, medians, parser, show, write  # first: it sets the number of threads  # isort: skip

from collections.abc import Callable
from functools import partial

import numpy as np

import halfsim as hs
from halfsim.hardware.matrix_unit import rows, unit_matmul

UNITS = (
    ("V100", "volta", "fp16", "fp32"), ("V100", "volta", "fp16", "fp16"),
    ("A100", "ampere", "fp16", "fp32"), ("A100", "ampere", "fp16", "fp16"), ("A100", "ampere", "bf16", "fp32"),
    ("A100", "ampere", "tf32", "fp32"), ("H100", "hopper", "fp16", "fp32"), ("H100", "hopper", "fp16", "fp16"),
    ("H100", "hopper", "fp8_e4m3", "fp32"), ("MI100", "cdna1", "fp16", "fp32"), ("MI250X", "cdna2", "fp16", "fp32"),
    ("MI300X", "cdna3", "fp16", "fp32"), ("P100", "pascal", "fp16", "fp16"), ("AMX", "amx_fp16", "fp16", "fp32"),
)  # fmt: skip


def products(n: int, repeats: int) -> list[Row]:
    x, y = np.random.default_rng(0).standard_normal((2, n, n)).astype(np.float16)
    works: dict[str, Callable[[], object]] = {"NumPy float16 @ float16": lambda: x @ y}
    for device, architecture, inputs, accumulate in UNITS:
        unit = rows(architecture)[inputs, accumulate]
        works[f"{device}, {inputs} into {accumulate}"] = partial(unit_matmul, x, y, None, unit)
    measured = medians(works, repeats)
    base = next(iter(measured.values()))
    return [{"work": f"{n}^3", "name": name, "ms": 1e3 * s, "ratio": base / s} for name, s in measured.items()]


def step() -> list[Row]:
    """A training step of a 784-256-10 network on 128 examples."""
    rng = np.random.default_rng(0)
    x, y = hs.tensor(rng.standard_normal((128, 784))), rng.integers(0, 10, 128)
    model = hs.nn.Sequential(hs.nn.Linear(784, 256), hs.nn.ReLU(), hs.nn.Linear(256, 10))
    optimizer = hs.optim.SGD(model.parameters(), lr=0.01)

    def work(unit: str) -> None:
        with hs.precision(hs.Precision("fp16", accumulate=unit)):
            optimizer.zero_grad()
            hs.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    measured = medians({unit: partial(work, unit) for unit in ("fp32", "A100", "V100", "H100", "MI300X")}, 7)
    return [{"work": "training step", "name": name, "ms": 1e3 * s, "ratio": None} for name, s in measured.items()]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help="add 1024^3 on A100")
    arguments = options.parse_args()
    found = products(256, 7) + step()
    if arguments.large:
        x, y = np.random.default_rng(0).standard_normal((2, 1024, 1024)).astype(np.float16)
        s = medians({"A100": lambda: unit_matmul(x, y, None, rows("ampere")["fp16", "fp32"])}, 3)["A100"]
        found.append({"work": "1024^3", "name": "A100, fp16 into fp32", "ms": 1e3 * s, "ratio": None})
    lines = [("work", "unit", "ms", "times as fast as NumPy")]
    lines += [(r["work"], r["name"], f"{r['ms']:.1f}", f"{r['ratio']:.2f}" if r["ratio"] else "") for r in found]
    show(lines)
    write(arguments.json, found)


if __name__ == "__main__":
    main()
