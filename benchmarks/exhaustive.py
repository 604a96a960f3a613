"""Sweeps over everything there is, against NumPy's own float16: minutes on one core, a study of `halfsim.sweep`.

    python -m benchmarks.exhaustive [round | add | mul | div | all] [--executor local:4] [--out PATH]

`round` compares `round_to` with NumPy's conversion on all 2**32 float32 patterns: numbers, signs of zero and infinities
bit for bit; a NaN, which NumPy narrows to the payload of a half, must keep its own sign and payload, quieted. `add`,
`mul` and `div` compare the simulated unit under ``pure_fp16`` with NumPy's float16 arithmetic on all 2**32 pairs of
halves, any NaN being as good as another. Each block is a row of the results file, and a later run goes on from there,
on this machine or on a cluster. The last result stands in docs/numerics.md.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.autograd.arithmetic import Arithmetic

BLOCK = 1 << 22
BLOCKS = 2**32 // BLOCK
WHATS = ("round", "add", "mul", "div")


def run(what: str, block: int, seed: int = 0) -> dict[str, int]:
    """How many of a block's cases come out wrong; nothing here is random."""
    wrong = wrong_roundings(block) if what == "round" else wrong_results(what, block)
    return {"cases": BLOCK, "wrong": wrong}


def wrong_roundings(block: int) -> int:
    """The number of float32 patterns of a block that come out wrong."""
    codes = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.uint64).astype(np.uint32)
    x = codes.view(np.float32)
    with np.errstate(all="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    got = hs.round_to(x, "float16")
    bad = got.view(np.uint32) != expected.view(np.uint32)
    nan = np.isnan(x)
    if nan.any():
        quiet = codes | np.uint32(0x00400000)
        bad = np.where(nan, got.view(np.uint32) != quiet, bad)
    return int(np.count_nonzero(bad))


@cache
def halves() -> Any:
    """All halves, by their bits."""
    return np.arange(65536, dtype=np.uint16).view(np.float16)


def wrong_results(name: str, block: int) -> int:
    """The same for the results of an operation on the pairs of a block of left operands with all right ones."""
    ufunc = {"add": np.add, "mul": np.multiply, "div": np.divide}[name]
    unit = Arithmetic(hs.PURE_FP16)
    rows = BLOCK // len(halves())
    left = halves()[block * rows : (block + 1) * rows, None]
    with np.errstate(all="ignore"):
        right = halves().astype(np.float32)[None, :]
        expected = ufunc(left, halves()[None, :]).astype(np.float32)
        got = getattr(unit, name)(left.astype(np.float32), right)
    both = np.isnan(expected) & np.isnan(got)
    return int(np.count_nonzero((expected.view(np.uint32) != got.view(np.uint32)) & ~both))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=(*WHATS, "all"))
    parser.add_argument("--executor", help="as hs.sweep takes it; by default every processor of this machine")
    parser.add_argument("--out", type=Path, default=Path("exhaustive.jsonl"), metavar="PATH", help="the results file")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help=f"only the first so many of {BLOCKS}")
    parser.add_argument("--version", default="", help="of halfsim's source, as a commit: rows of another are refused")
    parser.add_argument("--fresh", action="store_true", help="begin the results file anew")
    asked = parser.parse_args()
    chosen = WHATS if asked.what == "all" else (asked.what,)
    grid = {"what": list(chosen), "block": list(range(asked.blocks))}
    found = hs.sweep(run, grid, 1, asked.executor, asked.out, fresh=asked.fresh, version=asked.version)
    wrong = 0
    for what in chosen:
        rows = [row for row in found if row["config"]["what"] == what]
        good = [row["result"] for row in rows if "result" in row]
        wrong += sum(result["wrong"] for result in good) + len(rows) - len(good)
        cases = sum(result["cases"] for result in good)
        seconds = sum(row["duration"] for row in rows)
        failed = f", {len(rows) - len(good)} blocks failed" if len(good) < len(rows) else ""
        print(f"{what}: {cases:,} cases, {sum(r['wrong'] for r in good)} wrong, {seconds:.0f} s{failed}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
