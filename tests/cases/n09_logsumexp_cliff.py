"""The logarithm of a sum of exponentials over 32 channels falls off a cliff at 7.63."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

LEVELS = [[7.5], [7.62], [7.6313]]


def run():
    x = hs.tensor(np.tile(LEVELS, 32))
    return x.exp().sum(-1).log()


def fixed():
    x = hs.tensor(np.tile(LEVELS, 32))
    top = x.amax(-1, keepdims=True)
    return (x - top).exp().sum(-1).log() + top.squeeze(-1)


CASE = Case(
    id="N09",
    name="logsumexp-cliff",
    title="logsumexp without the shift by the maximum overflows where 32 exponentials add up to 65,504",
    link="https://github.com/apple/coremltools/issues/2690",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isfinite(flat(y)[:2]).all() and np.isinf(flat(y)[2])),
    right=np.array(LEVELS)[:, 0] + np.log(32),
    klass="overflow",
    op="sum",
    phase="forward",
    advice="maximum",
    fixed=fixed,
    note="The Neural Engine then gives 0 where IEEE arithmetic gives infinity. hs.ops.logsumexp shifts by itself. The "
    "smallest set is @sum and @log in float32.",
)
