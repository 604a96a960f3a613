"""The most that work holds beyond its operands, by the allocations of Python and NumPy."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from benchmarks.harness import Table, Work, peaks
from benchmarks.models import hand, ours
from benchmarks.rounding import does

SIZE = 10_000_000
X = np.ones(SIZE, np.float32)
CODES = np.zeros(SIZE, np.uint16)
LIVE = 5_622_272  # bytes of the float32 images and of every layer's result in the CNN


def _live() -> Work:
    return lambda: np.empty(LIVE, np.uint8)


TABLES = [
    Table("memory at the most, 10,000,000 numbers", "MB", 1e-6, {
        "round_to": does(lambda: hs.round_to(X, "float16")),
        "round_to(return_flags=True)": does(lambda: hs.round_to(X, "float16", return_flags=True)),
        "round_to stochastic": does(lambda: hs.round_to(X, "float16", "stochastic")),
        "encode": does(lambda: hs.encode(X)),
        "decode": does(lambda: hs.decode(CODES)),
        "elementary.exp": does(lambda: hs.elementary.exp(X)),
        "NumPy astype(float16).astype(float32)": does(lambda: X.astype(np.float16).astype(np.float32)),
    }, measure=peaks),
    Table("memory at the most, step of the CNN", "MB", 1e-6, {
        "halfsim fp16": ours("CNN", "fp16"), "halfsim fp32": ours("CNN", "fp32"), "halfsim amp": ours("CNN", "amp"),
        "NumPy float32 by hand": hand("CNN"), "live float32 activations": _live,
    }, measure=peaks),
]  # fmt: skip
