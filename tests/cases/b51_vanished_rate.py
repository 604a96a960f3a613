"""A one-cycle schedule starts at max_lr / 1e16, which is zero in half, and ends at that times a factor: 0 by 0."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

MAX_LR, FINAL_RATIO, STEPS = 0.1993, 0.025, 20


def one_cycle(tensor, div_factor):
    initial_lr, max_lr = tensor(MAX_LR / div_factor), tensor(MAX_LR)
    min_lr = initial_lr / (1 / (div_factor * FINAL_RATIO))
    rise = [initial_lr + (max_lr - initial_lr) * (i / 5) for i in range(5)]
    fall = [max_lr + (min_lr - max_lr) * (i / 15) for i in range(15)]
    return rise + fall


CASE = Case(
    id="B51",
    name="vanished-rate",
    title="The first learning rate of a schedule is zero in half, and the last ones are NaN",
    link="https://github.com/tinygrad/tinygrad/pull/2981",
    year=2024,
    precision="pure_fp16",
    run=lambda: one_cycle(hs.tensor, 1e16),
    broken=lambda rates: bool(flat(rates)[0] == 0 and np.isnan(flat(rates)[-1])),
    right=one_cycle(np.float64, 1e16),
    klass="constant changed",
    op=("tensor", "div"),
    phase="forward",
    advice="larger constant",
    fixed=lambda: one_cycle(hs.tensor, 1e3),
    note="written after tinygrad's scheduler of then, whose rates are tensors; no Policy mends it",
)
