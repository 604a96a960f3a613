"""The median of 65,521 numbers: the place of the quantile, (n - 1) * q, is formed in half, where 65520 is infinite.

numpy/numpy#22238 is its sibling: np.histogram's range -30000 to 35504 is infinite when subtracted.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    n = 65521
    data = np.arange(n) >= n - 10  # sorted already: zeros, and ten ones
    place = hs.tensor([0.5]) * (n - 1)
    below = np.floor(place)
    first = np.minimum(below.numpy(), n - 2).astype(int)
    low, high = hs.tensor(data[first] * 1.0), hs.tensor(data[first + 1] * 1.0)
    return low + (high - low) * (place - below)


CASE = Case(
    id="N15",
    name="quantile-index",
    link="https://github.com/numpy/numpy/issues/31487",
    year=2026,
    layer="quantile, percentile, median",
    seen="NaN",
    klass="constant changed",
    op="mul",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda q: bool(np.isnan(flat(q)).all()),
    right=[0.0],
    title="The quantile of a long float16 array is NaN, because its index overflows",
    title_zh="很长的 float16 数组的分位数是 NaN，因为下标上溢",
    symptom="np.quantile of float16 is NaN for arrays longer than 65,520, with no NaN in them",
    symptom_zh="长度超过 65,520 的 float16 数组，里面没有 NaN，np.quantile 却是 NaN",
    message="np.quantile float16 nan large array; np.median half overflow",
    why="The place of the quantile is `(n - 1) * q`, formed in the format of the data. `n - 1` is {v[constant]:,.0f}"
    ", which float16 rounds to {v[became]:g}; infinity minus its own floor is NaN. An index is no datum: it needs "
    "integers, float32 or float64. The median of these numbers is {reference[0]:g}.",
    why_zh="分位点的位置是 `(n - 1) * q`，用数据的格式计算。`n - 1` 是 {v[constant]:,.0f}，float16 把它舍入成 "
    "{v[became]:g}；无穷大减去自己的整数部分是 NaN。下标不是数据，要用整数、float32 或 float64。这些数的中位数是 "
    "{reference[0]:g}。",
)
