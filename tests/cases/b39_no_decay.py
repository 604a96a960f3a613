"""Decoupled weight decay multiplies by 1 - 1e-4, which in bfloat16 leaves every weight as it is."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def train(**remedy):
    w = hs.nn.Parameter(hs.tensor([1.0, 0.7, -0.3]))
    optimizer = hs.optim.AdamW([w], lr=1e-3, weight_decay=0.1, **remedy)
    for _ in range(1000):
        optimizer.zero_grad()
        (w * 0).sum().backward()
        optimizer.step()
    return w


CASE = Case(
    id="B39",
    name="no-decay",
    title="Weight decay in bfloat16 decays nothing",
    link="https://github.com/Nerogar/OneTrainer/issues/996",
    year=2025,
    precision="bf16",
    run=train,
    broken=lambda w: np.array_equal(flat(w), flat(hs.tensor([1.0, 0.7, -0.3], "bf16"))),
    right=np.array([1.0, 0.7, -0.3]) * (1 - 1e-4) ** 1000,
    klass="swamping",
    op="decay",
    phase="optimizer",
    advice="master_weights=True",
    fixed=lambda: train(master_weights=True),
    note="rates ten times those of the thread, in a tenth of the steps; kahan=True mends it as well",
)
