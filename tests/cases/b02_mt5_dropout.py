"""A feed-forward output of 62700 is finite; dropout divides it by 0.9, and it is not."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    hs.manual_seed(3)
    dense = hs.nn.Linear(4, 4, bias=False)
    dense.load_state_dict({"weight": np.diag([209.0, 0.5, -1.3, 2.0])})
    return hs.nn.Dropout(0.1)(dense(hs.tensor([[300.0, 10.1, 4.3, 700.7]])))  # 300 * 209 = 62700


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@dropout": "fp32"})):
        return run()


CASE = Case(
    id="B02",
    name="mt5-dropout",
    title="Dropout's factor of 1 / 0.9 carries a finite number past 65504",
    link="https://github.com/huggingface/transformers/pull/11274",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isinf(flat(y)[0])),
    right=np.array([[62700.0, 5.05, -5.59, 1401.4]]) / 0.9,
    klass="overflow",
    op="dropout",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="The thread has 6.27e4. The seed is one that drops nothing; whatever reads the result must read float32 too.",
)
