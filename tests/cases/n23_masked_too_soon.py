"""Scores masked with -inf and then divided by a learned temperature: only the temperature's gradient is NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

SCORES, PADDED = np.array([[0.9, 0.3, -0.2], [0.1, 0.7, 0.2]]), np.array([[False, False, True], [False, False, False]])


def gradient(mask_first):
    temperature = hs.nn.Parameter(hs.tensor(0.5))
    scores = hs.tensor(SCORES)
    if mask_first:
        scores = scores.masked_fill(PADDED, -np.inf) / temperature
    else:
        scores = (scores / temperature).masked_fill(PADDED, -np.inf)
    hs.nn.functional.cross_entropy(scores, np.array([0, 1])).backward()
    return temperature.grad


def exact():
    z = np.where(PADDED, -np.inf, SCORES / 0.5)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[[0, 1], [0, 1]] -= 1
    return np.sum(p * -SCORES / 0.5**2) / 2


CASE = Case(
    id="N23",
    name="masked-too-soon",
    title="A finite loss whose learned temperature has a NaN gradient: the -inf of the mask was divided by it",
    link="https://github.com/NVIDIA-NeMo/Automodel/pull/3850",
    year=2026,
    precision="bf16",
    run=lambda: gradient(True),
    broken=lambda g: bool(np.isnan(flat(g)).all()),
    right=exact(),
    klass="NaN propagation",
    op="div",
    phase="backward",
    advice="mask",
    fixed=lambda: gradient(False),
    note="0 * inf, in any format. Scale first, mask last.",
)
