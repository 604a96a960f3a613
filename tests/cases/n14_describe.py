"""describe() of a table: mean and standard deviation of a thousand harmless numbers are infinite."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

X = 1.2345678 * np.arange(1000)


def described(policy):
    with hs.precision(policy):
        x = hs.tensor(X)
        mean = x.sum() / 1000
        return [mean, (((mean - x) ** 2).sum() / 999).sqrt()]


CASE = Case(
    id="N14",
    name="describe",
    title="describe() says inf for the mean of 1.2345678 * range(1000)",
    link="https://github.com/pandas-dev/pandas/issues/48757",
    year=2022,
    precision="fp16",
    run=lambda: described("fp16"),
    broken=lambda v: bool(np.isposinf(flat(v)).all()),
    right=[X.mean(), X.std(ddof=1)],
    klass="overflow",
    op="sum",
    phase="forward",
    advice="div",
    fixed=lambda: described(
        hs.Policy({"default": "fp16", "@sum": "fp32", "@div": "fp32", "@pow": "fp32", "@sqrt": "fp32"})
    ),
    note="The mean alone needs @sum and @div in float32 (np.mean gives 616.5 right away); the squares pass 65,504 too, "
    "so the deviation needs @pow and @sqrt besides.",
)
