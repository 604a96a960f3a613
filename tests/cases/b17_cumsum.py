"""A running sum of 20,000 numbers below 1 stops at 2048, where the numbers of half lie 2 apart."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def uniforms():
    return np.random.RandomState(1).uniform(0, 1, 20000)


def run():
    return np.cumsum(hs.tensor(uniforms()))


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@cumsum": "fp32"})):
        return run()


CASE = Case(
    id="B17",
    name="cumsum",
    title="A cumulative sum stops at 2048",
    link="https://github.com/numpy/numpy/issues/24443",
    year=2023,
    precision="pure_fp16",
    run=run,
    broken=lambda total: flat(total)[-1] == 2048,
    right=np.cumsum(uniforms()),
    klass="swamping",
    op="cumsum",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="20,000 numbers instead of the thread's 100,000, the sum stops at the same 2048.",
)
