"""Every float32 there is: `round_to` against NumPy's own conversion to float16 and back, all 2**32 patterns.

    python benchmarks/exhaustive.py [--blocks N]

Compares numbers, signs of zero and infinities bit for bit with NumPy; a NaN, which NumPy narrows to the payload of a
half, must keep its own sign and payload, quieted. Takes some minutes on one core; the last result stands in
docs/numerics.md.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import halfsim as hs

BLOCK = 1 << 22


def wrong(first: int) -> int:
    """The number of patterns from ``first`` on, a block of them, that come out wrong."""
    codes = np.arange(first, first + BLOCK, dtype=np.uint64).astype(np.uint32)
    x = codes.view(np.float32)
    with np.errstate(all="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    got = hs.round_to(x, "float16")
    bad = got.view(np.uint32) != expected.view(np.uint32)
    nan = np.isnan(x)
    if nan.any():
        quiet = codes | np.uint32(0x00400000)  # rounding quiets a signaling NaN and keeps all of its payload
        bad = np.where(nan, got.view(np.uint32) != quiet, bad)
    return int(np.count_nonzero(bad))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=2**32 // BLOCK, help="how many blocks of 2**22 patterns")
    arguments = parser.parse_args()
    start, total = time.perf_counter(), 0
    for i in range(arguments.blocks):
        total += wrong(i * BLOCK)
        if sys.stderr.isatty():
            print(f"\r{i + 1}/{arguments.blocks} blocks, {total} wrong", end="", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    print(f"{arguments.blocks * BLOCK:,} float32 patterns, {total} wrong, {seconds:.0f} s")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
