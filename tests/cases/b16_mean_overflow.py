"""The mean of three numbers of 40000 is infinite, because their sum is."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    return hs.tensor([40000.0, 40000.0, 40000.0]).mean()


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@mean": "fp32"})):
        return run()


CASE = Case(
    id="B16",
    name="mean-overflow",
    title="A mean that half holds is infinite, because its sum is",
    link="https://github.com/pytorch/pytorch/issues/44350",
    year=2020,
    precision="pure_fp16",
    run=run,
    broken=lambda mean: bool(np.isinf(flat(mean)[0])),
    right=40000.0,
    klass="overflow",
    op="mean",
    phase="forward",
    advice="float32",
    fixed=fixed,
)
