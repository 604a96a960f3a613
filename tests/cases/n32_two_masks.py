"""Two attention masks of the most negative bfloat16 are added: -inf, and a row of them is NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

MIN = -3.3895313892515355e38  # torch.finfo(torch.bfloat16).min
CAUSAL = np.array([[False, True, True], [False, False, True], [True, True, True]])  # the third position is padding
PADDING = np.array([[False, False, True], [False, False, True], [True, True, True]])
SCORES = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])


def run():
    mask = hs.ops.where(CAUSAL, MIN, hs.tensor(0.0)) + hs.ops.where(PADDING, MIN, hs.tensor(0.0))
    return (hs.tensor(SCORES) + mask).softmax(-1)


def fixed():
    mask = hs.ops.where(CAUSAL | PADDING, MIN, hs.tensor(0.0))
    return (hs.tensor(SCORES) + mask).softmax(-1)


def exact():
    z = np.where(CAUSAL | PADDING, MIN, SCORES)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASE = Case(
    id="N32",
    name="two-masks",
    title="Two masks of the most negative number add up to minus infinity",
    link="https://github.com/NVIDIA-NeMo/Automodel/pull/2658",
    year=2026,
    precision="bf16",
    run=run,
    broken=lambda p: bool(np.isnan(flat(p)).any()),
    right=exact(),
    klass="overflow",
    op="add",
    phase="forward",
    advice="where",
    fixed=fixed,
    note="bfloat16 has float32's range, so a wider format is no cure.",
)
