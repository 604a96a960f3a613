"""Block formats: rounding a million numbers, and a product, beside the same in the format of their elements."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from benchmarks.harness import Make, Table, Work
from benchmarks.rounding import NORMAL, SIZE, does
from halfsim.numerics.blocks import as_block_format

NAMES = ("mxfp8_e4m3", "mxfp4", "nvfp4")


def _rounding() -> dict[str, Make]:
    rows: dict[str, Make] = {}
    for name in NAMES:
        element = as_block_format(name).element
        rows[f"round_to {element}"] = does(lambda element=element: hs.round_to(NORMAL, element))  # type: ignore[misc]
        rows[f"round_to {name}"] = does(lambda name=name: hs.round_to(NORMAL, name))  # type: ignore[misc]
    return rows


def _product(name: str) -> dict[str, Make]:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))

    def theirs() -> object:
        return hs.round_to(a, name) @ hs.round_to(b, name, axis=0)

    def ours() -> Work:
        x, y, rule = hs.tensor(a, "fp32"), hs.tensor(b, "fp32"), hs.Precision(f"storage=fp32, operands={name}")

        def work() -> object:
            with hs.precision(rule), hs.no_grad():
                return x @ y

        return work

    return {"both operands rounded, and sgemm": does(theirs), "halfsim": ours}


TABLES = [
    Table("1,000,000 float32 to block formats", "ns", 1e9 / SIZE, _rounding()),
    *(Table(f"256x256 product of operands in {name}", "ms", 1e3, _product(name), 21) for name in NAMES),
]
