"""Diffusion time steps cast to bfloat16, where integers from 512 on lie 4 apart, before their embedding."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

STEPS = [999.0, 937.0, 833.0, 625.0]


def run(fmt=None):
    t = hs.tensor(STEPS, fmt)
    with hs.precision("fp32"):
        angles = t[:, None] * hs.tensor(10000.0 ** (-np.arange(8) / 8))
        embedding = hs.ops.cat([angles.cos(), angles.sin()], dim=-1)
    return [t, embedding]


angles = np.array(STEPS)[:, None] * 10000.0 ** (-np.arange(8) / 8)

CASE = Case(
    id="B25",
    name="timesteps",
    title="Time steps change when they are cast to bfloat16",
    link="https://github.com/utensils/mold/issues/786",
    year=2026,
    precision="bf16",
    run=run,
    broken=lambda value: list(flat(value)[:4]) == [1000, 936, 832, 624],
    right=[*STEPS, *np.concatenate([np.cos(angles), np.sin(angles)], axis=1).ravel()],
    klass="integer rounding",
    op="tensor",
    phase="forward",
    advice="float32",
    fixed=lambda: run("fp32"),
    tolerance=1e-4,
    note="Upstream computes the embedding in float32 already; only the cast before it is wrong. No @tensor rule helps.",
)
