"""Steps of 6e-4 at weights of 1 are below half an ulp of bfloat16: after 100 of them no weight has moved."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def train(**remedy):
    w = hs.nn.Parameter(hs.tensor(np.ones(768)))
    optimizer = hs.optim.AdamW([w], lr=6e-4, weight_decay=0.0, **remedy)
    for _ in range(100):
        optimizer.zero_grad()
        (w * hs.tensor(np.linspace(0.5, 1.5, 768))).sum().backward()
        optimizer.step()
    return w


CASE = Case(
    id="B38",
    name="lost-updates",
    title="Updates smaller than half an ulp of the weight are rounded away, all of them",
    link="https://github.com/pytorch/ao/pull/1124",
    year=2024,
    precision="bf16",
    run=train,
    broken=lambda w: int((flat(w) != 1).sum()) == 0,
    right=np.full(768, 1 - 0.06),
    klass="swamping",
    op="update",
    phase="optimizer",
    advice="master_weights=True",
    fixed=lambda: train(master_weights=True),
    note="kahan=True mends it as well; rounding='stochastic' on average, each weight being off by 1.5e-2",
)
