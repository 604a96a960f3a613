"""Standardizing a column: its sum passes 65,504, so the mean is infinite and all that is left is NaN.

A million rows here, ten million in the report. In pure_fp16 the sum stops at 32768: swamping.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor(np.full(1_000_000, 10.0))
    mean = np.sum(x) / x.size
    deviation = np.sqrt(np.sum((x - mean) ** 2) / x.size)
    return ((x - mean) / np.where(deviation == 0, 1.0, deviation))[:4]


CASE = Case(
    id="N13",
    name="standard-scaler",
    link="https://github.com/scikit-learn/scikit-learn/issues/13007",
    year=2019,
    layer="StandardScaler (data preparation)",
    seen="NaN",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda z: bool(np.isnan(flat(z)).all()),
    right=np.zeros(4),
    facts=lambda: {"rows": 1_000_000, "each": 10.0, "sum": 1e7, "most": int(float(hs.float16.max) // 10)},
    title="A column of a million tens cannot be standardized in half: its sum is infinite",
    title_zh="一百万个 10 组成的列在半精度里无法标准化：和是无穷大",
    symptom="StandardScaler turns a float16 column into NaN",
    symptom_zh="StandardScaler 把 float16 的列变成 NaN",
    message="StandardScaler float16 nan; RuntimeWarning: overflow encountered in reduce",
    why="The sum of {rows:,} numbers of {each:g} is {sum:,.0f}; float16 is at its end after {most:,} of them. The "
    "mean is infinite, and x minus infinity, divided by infinity, is NaN, where {reference[0]:g} is right. Sums over "
    "rows belong in float32 or float64, whatever the column is stored in.",
    why_zh="{rows:,} 个 {each:g} 之和是 {sum:,.0f}；float16 加到 {most:,} 个就到头了。均值是无穷大，x 减无穷大再除以"
    "无穷大是 NaN，而正确的是 {reference[0]:g}。不管列用什么格式存储，对行求和都应当用 float32 或 float64。",
)
