"""A mask of -1e8 is minus infinity in half, and a row that is all padding becomes NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run(fill=-1e8):
    q, k = hs.tensor([[0.3, 1.1], [0.7, -0.2]]), hs.tensor([[1.0, 0.1], [0.2, 0.9], [0.4, 0.4], [-1.1, 0.6]])
    padding = np.array([[False, False, True, True], [True, True, True, True]])
    return (q @ k.T).masked_fill(padding, fill).softmax(-1)


s = np.array([[0.3, 1.1], [0.7, -0.2]]) @ np.array([[1.0, 0.1], [0.2, 0.9]]).T
e = np.exp(s)[0] / np.exp(s)[0].sum()

CASE = Case(
    id="B08",
    name="padded-row",
    title="A mask of -1e8 makes fully padded rows NaN",
    link="https://github.com/facebookresearch/fairseq/issues/3575",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[4:]).all()),
    right=[*e, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25],
    klass="constant changed",
    op="masked_fill",
    phase="forward",
    advice="constant that the format holds",
    fixed=lambda: run(-65504.0),
    note="@masked_fill and @softmax in float32 mend it too.",
)
