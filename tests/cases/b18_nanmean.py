"""nanmean of 4,350 temperatures near 270 K in float16: the sum is infinite before it is divided."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def temperatures():
    a = np.random.default_rng(18).normal(270, 9, (4350, 3))
    a[100:140, 1] = np.nan
    return a


def run():
    a = hs.tensor(temperatures())
    missing = np.isnan(a)
    return np.where(missing, 0.0, a).sum(axis=0) / (~missing).sum(axis=0)


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@sum": "fp32", "@div": "fp32"})):
        return run()


CASE = Case(
    id="B18",
    name="nanmean",
    title="nanmean sums in half and overflows",
    link="https://github.com/numpy/numpy/issues/23075",
    year=2023,
    precision="pure_fp16",
    run=run,
    broken=lambda mean: bool(np.isinf(flat(mean)).all()),
    right=np.nanmean(temperatures(), axis=0),
    klass="overflow",
    op="sum",
    phase="forward",
    advice="float32",
    fixed=fixed,
    missing="np.nanmean",
    note="Written out as NumPy computes it: zeros for the NaN, a sum in float16, a division by the count.",
)
