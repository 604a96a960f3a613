"""What a trace costs: steps in float16 plain, traced, and traced with a float64 reference.

A measurement is 32 steps in one trace, for every 32nd with a reference measures local errors too.
"""

from __future__ import annotations

from benchmarks.harness import Table
from benchmarks.models import MODELS, ours

STEPS = 32
TRACED, REFERENCE = "halfsim fp16, traced", "halfsim fp16, traced with a reference"
TABLES = [
    Table(f"traced, {MODELS[name].title}", "ms", 1e3 / STEPS, {
        "halfsim fp16": ours(name, "fp16", STEPS),
        TRACED: ours(name, "fp16", STEPS, reference=None),
        REFERENCE: ours(name, "fp16", STEPS, reference="fp64"),
    }, 5) for name in ("MLP", "CNN", "LSTM", "transformer")
]  # fmt: skip
