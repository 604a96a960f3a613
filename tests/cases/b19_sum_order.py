"""One column of ones, two answers: added up one after another it stops at 2048, pairwise it is 3000."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

PAIRWISE = "storage=fp16, compute=fp16, accumulate=fp16:pairwise"


def run():
    a = hs.tensor(np.ones((3000, 4)))
    down = a.sum(axis=0)[0]
    with hs.precision(PAIRWISE):
        return [down, a[:, 0].sum()]


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@sum": "fp32"})):
        return run()


CASE = Case(
    id="B19",
    name="sum-order",
    title="The order of a sum decides between 2048 and 3000",
    link="https://github.com/numpy/numpy/issues/15785",
    year=2020,
    precision="pure_fp16",
    run=run,
    broken=lambda sums: list(flat(sums)) == [2048, 3000],
    right=[3000.0, 3000.0],
    klass="accumulation order",
    op="sum",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="NumPy adds rows one by one and a contiguous column pairwise. Swamping is true as well: from 2048 on "
    "each 1 changes nothing, 952 of 3000.",
)
