"""What each rule of a scale costs on normal data: ``python -m tests.numerics.block_table --write`` writes the table.

It stands in docs/formats.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import halfsim as hs
from halfsim.numerics.blocks import NAMES, RULES, as_block_format
from tests import marks

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
SIZE, SEED = 1 << 20, 0


def row(name: str, rule: str, x: np.ndarray) -> str:
    """The signal over the error in dB, and the share of elements clipped."""
    spec = f"{name}(rule={rule})"
    y, flags = hs.round_to(x, spec, return_flags=True)
    noise = float(np.sum((y.astype(np.float64) - x) ** 2))
    signal = 10 * np.log10(float(np.sum(x.astype(np.float64) ** 2)) / noise)
    clipped = np.count_nonzero(flags & hs.Flag.OVERFLOW) / x.size
    return f"| `{as_block_format(spec)}` | {rule} | {as_block_format(spec).bits:g} | {signal:.2f} | {clipped:.2%} |"


def table() -> str:
    x = np.random.default_rng(SEED).standard_normal(SIZE).astype(np.float32)
    rules = {name: [r for r in RULES if name != "nvfp4" or r in ("ceil", "nearest")] for name in NAMES}
    rows = [row(name, rule, x) for name, its in rules.items() for rule in its]
    head = "| format | rule | bits a number | signal over error, dB | clipped |\n| --- | --- | ---: | ---: | ---: |"
    return "\n".join([head, *rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.numerics.block_table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/formats.md")
    if parser.parse_args().write:
        marks.put(DOCS, "blocks", table())
    else:
        print(table())


if __name__ == "__main__":
    main()
