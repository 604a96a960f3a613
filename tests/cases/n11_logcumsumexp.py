"""A running logsumexp made of exp, cumsum and log: everything above 11.09 is infinite."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

X = [1.0, 5.0, 10.0, 12.0, 15.0, 20.0, 50.0]


def run():
    return hs.tensor(X).exp().cumsum(-1).log()


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@exp": "fp32", "@cumsum": "fp32", "@log": "fp32"})):
        return run()


CASE = Case(
    id="N11",
    name="logcumsumexp",
    title="logcumsumexp without a shift is infinite for inputs above 11.09",
    link="https://github.com/apple/coremltools/issues/2729",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isfinite(flat(y)[:3]).all() and np.isposinf(flat(y)[3:]).all()),
    right=np.logaddexp.accumulate(X),
    klass="overflow",
    op="exp",
    phase="forward",
    advice="@exp",
    fixed=fixed,
    missing="logcumsumexp, logaddexp, cummax",
    note="A shift by the one maximum, as the thread proposes, makes -inf of the first elements in half; a shift by the "
    "running maximum would do. In float32 all three operations must stay.",
)
