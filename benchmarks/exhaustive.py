"""Sweeps over everything there is, against NumPy's own float16: minutes on one core, resumable.

    python benchmarks/exhaustive.py [round | add | mul | div | all] [--state PATH]

`round` compares `round_to` with NumPy's conversion on all 2**32 float32 patterns: numbers, signs of zero and infinities
bit for bit; a NaN, which NumPy narrows to the payload of a half, must keep its own sign and payload, quieted. `add`,
`mul` and `div` compare the simulated unit under ``pure_fp16`` with NumPy's float16 arithmetic on all 2**32 pairs of
halves, any NaN being as good as another. With --state, what is done is written there after each block, and a later run
goes on from it. The last result stands in docs/numerics.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import halfsim as hs
from halfsim.autograd.arithmetic import Arithmetic

BLOCK = 1 << 22
BLOCKS = 2**32 // BLOCK
HALVES = np.arange(65536, dtype=np.uint16).view(np.float16)


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


def wrong_results(name: str) -> Callable[[int], int]:
    """The same for the results of an operation on the pairs of a block of left operands with all right ones."""
    ufunc = {"add": np.add, "mul": np.multiply, "div": np.divide}[name]
    unit = Arithmetic(hs.PURE_FP16)
    rows = BLOCK // len(HALVES)
    with np.errstate(all="ignore"):
        right = HALVES.astype(np.float32)[None, :]

    def wrong(block: int) -> int:
        left = HALVES[block * rows : (block + 1) * rows, None]
        with np.errstate(all="ignore"):
            expected = ufunc(left, HALVES[None, :]).astype(np.float32)
            got = getattr(unit, name)(left.astype(np.float32), right)
        both = np.isnan(expected) & np.isnan(got)
        return int(np.count_nonzero((expected.view(np.uint32) != got.view(np.uint32)) & ~both))

    return wrong


def sweep(name: str, state: Path | None) -> int:
    """Go through all blocks, from where ``state`` says an earlier run stopped; returns the number of wrong results."""
    wrong = wrong_roundings if name == "round" else wrong_results(name)
    known = json.loads(state.read_text()) if state is not None and state.exists() else {}
    done, total, seconds = known.get(name, [0, 0, 0.0])
    for block in range(done, BLOCKS):
        start = time.perf_counter()
        total += wrong(block)
        seconds += time.perf_counter() - start
        if state is not None:
            known[name] = [block + 1, total, seconds]
            state.write_text(json.dumps(known))
        if sys.stderr.isatty():
            print(f"\r{name}: {block + 1}/{BLOCKS} blocks, {total} wrong ", end="", file=sys.stderr, flush=True)
    print(f"{name}: {2**32:,} cases, {total} wrong, {seconds:.0f} s", flush=True)
    return int(total)


def main() -> int:
    names = ("round", "add", "mul", "div")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=(*names, "all"))
    parser.add_argument("--state", type=Path, metavar="PATH", help="where to note what is done")
    arguments = parser.parse_args()
    chosen = names if arguments.what == "all" else (arguments.what,)
    return 1 if sum(sweep(name, arguments.state) for name in chosen) else 0


if __name__ == "__main__":
    raise SystemExit(main())
