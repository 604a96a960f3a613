"""A softmax without the subtraction of the maximum: exp(12) is past 65504."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def logits():
    return hs.tensor([[12.0, 11.0, 10.0], [0.3, 0.1, -0.2]])


def run():
    e = np.exp(logits())
    return e / e.sum(-1, keepdim=True)


def fixed():
    e = np.exp(logits() - logits().amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


e = np.exp([[12.0, 11.0, 10.0], [0.3, 0.1, -0.2]])

CASE = Case(
    id="B10",
    name="softmax-by-hand",
    title="A softmax that does not subtract the maximum",
    link="https://github.com/NVIDIA/DeepLearningExamples/issues/169",
    year=2019,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[0])),
    right=e / e.sum(1, keepdims=True),
    klass="overflow",
    op="exp",
    phase="forward",
    advice="maximum",
    fixed=fixed,
    note="@exp, @sum and @div in float32 mend these logits too, but only up to 88.",
)
