"""A mask constant of 1e10 is infinite in half, and the visible tokens get infinity times zero."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run(big=1e10):
    w = hs.tensor([[2.1, 5.1, 1.3], [0.3, 0.1, -0.7]])
    b = hs.tensor([1.0, 1.0, 0.0])
    w = w * b - hs.tensor(big) * (1 - b)
    return w.softmax(-1)


e = np.exp([[2.1, 5.1, -np.inf], [0.3, 0.1, -np.inf]])

CASE = Case(
    id="B07",
    name="gpt2-mask",
    title="A mask constant of 1e10 makes the visible tokens NaN",
    link="https://github.com/openai/gpt-2/pull/122",
    year=2019,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)).all()),
    right=e / e.sum(1, keepdims=True),
    klass="constant changed",
    op=("tensor", "mul"),
    phase="forward",
    advice="constant that the format holds",
    fixed=lambda: run(1e4),
    note="The model itself casts 1e10 to the weights' format; a Python number would stay float32 until it is "
    "multiplied.",
)
