"""The median of 65,521 numbers: the place of the quantile, (n - 1) * q, is formed in half, where 65520 is infinite."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

N = 65_521


def quantile(policy):
    data = np.zeros(N)
    data[-10:] = 1.0  # sorted already
    with hs.precision(policy):
        place = hs.tensor([0.5]) * (N - 1)
        below = np.floor(place)
        share = place - below
        first = np.minimum(below.numpy(), N - 2).astype(int)
        low, high = hs.tensor(data[first]), hs.tensor(data[first + 1])
        return low + (high - low) * share


CASE = Case(
    id="N15",
    name="quantile-index",
    title="The quantile of a long float16 array is NaN, because its index overflows",
    link="https://github.com/numpy/numpy/issues/31487",
    year=2026,
    precision="pure_fp16",
    run=lambda: quantile("pure_fp16"),
    broken=lambda q: bool(np.isnan(flat(q)).all()),
    right=[0.0],
    klass="constant changed",
    op="mul",
    phase="forward",
    advice="float32",
    fixed=lambda: quantile(hs.Policy({"default": "pure_fp16", "@mul": "fp32", "@floor": "fp32", "@sub": "fp32"})),
    missing="np.quantile, np.percentile, np.median, np.histogram, sort, interp",
    note="@mul alone in float32 mends the NaN, but the index, 32760, is exact only if @floor stays there too. "
    "numpy/numpy#22238 is its sibling: np.histogram's range -30000 to 35504 is infinite when subtracted.",
)
