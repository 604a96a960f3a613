"""The logarithm of a softmax: one logit of 50 makes zeros of the other probabilities, whose logarithm is -inf."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

LOGITS = [0.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0]


def run():
    return hs.tensor(LOGITS).softmax(-1).log()


CASE = Case(
    id="N10",
    name="log-of-softmax",
    title="log(softmax(x)) is -inf for all classes but the winner",
    link="https://github.com/apple/coremltools/issues/2728",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isneginf(flat(y)).sum() == 7),
    right=np.array(LOGITS) - 50.0,
    klass="underflow",
    op="softmax",
    phase="forward",
    advice="log_softmax",
    fixed=lambda: hs.tensor(LOGITS).log_softmax(-1),
    note="The smallest set is @softmax and @log in float32: one of them alone mends nothing.",
)
