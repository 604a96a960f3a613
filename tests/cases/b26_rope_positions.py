"""Rotary angles are a matrix product, which autocast computes in bfloat16: of 8,192 positions 897 are left."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

FREQUENCIES = 10000.0 ** (-np.arange(0, 8, 2) / 8)


def run():
    inv_freq, positions = hs.tensor(FREQUENCIES), hs.tensor(np.arange(8192))
    freqs = inv_freq[:, None] @ positions[None, :]
    return freqs.cos()


def fixed():
    with hs.precision(hs.Policy({"default": "amp_bf16", "@matmul": "fp32"})):
        return run()


right = np.cos(FREQUENCIES[:, None] * np.arange(8192))

CASE = Case(
    id="B26",
    name="rope-positions",
    title="Rotary positions collapse under a bfloat16 autocast",
    link="https://github.com/huggingface/transformers/pull/29285",
    year=2024,
    precision="amp_bf16",
    run=run,
    broken=lambda cos: bool(np.unique(flat(cos)[:8192]).size <= 897 and abs(flat(cos) - right.ravel()).max() > 1.9),
    right=right,
    klass="integer rounding",
    op="matmul",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="As under autocast, positions are float32 and the product casts them. The 897 are counted here.",
)
