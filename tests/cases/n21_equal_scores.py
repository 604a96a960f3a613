"""Scores scaled to 0 .. 1 by (s - min) / (max - min + 1e-8): four equal scores divide zero by zero."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

TEACHER = [0.4, 0.3, 0.2, 0.1]


def loss(epsilon):
    query = hs.nn.Parameter(hs.tensor(np.linspace(-0.3, 0.4, 8)))
    documents = hs.tensor(np.tile(np.linspace(0.1, 0.9, 8), (4, 1)))  # four copies of one document
    scores = documents @ query
    low, high = scores.min(), scores.max()
    scores = (scores - low) / (high - low + epsilon)
    out = hs.nn.functional.kl_div(scores.log_softmax(-1), hs.tensor(TEACHER), reduction="sum")
    out.backward()
    return out


CASE = Case(
    id="N21",
    name="equal-scores",
    title="Distillation loses all parameters to NaN as soon as a query's documents score the same",
    link="https://github.com/lightonai/pylate/issues/239",
    year=2026,
    precision="amp",
    run=lambda: loss(1e-8),
    broken=lambda out: bool(np.isnan(flat(out)).all()),
    right=float(np.sum(np.array(TEACHER) * np.log(4 * np.array(TEACHER)))),
    klass="eps lost",
    op="add",
    phase="forward",
    advice="1e-4",
    fixed=lambda: loss(1e-4),
    note="Fine in bfloat16, which has 1e-8. An epsilon of 1e-6 mends the loss and not the gradient, 1/eps = inf in "
    "backward; with 1e-5 both are finite. @add in float32 mends it too.",
)
