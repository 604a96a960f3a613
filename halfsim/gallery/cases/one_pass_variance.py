"""A variance as E[x^2] - E[x]^2 of channels around 5: 25.01 - 25 in half is 0 or negative, its root NaN.

A deviation of 0.12 in place of the thread's 0.1, at which rounding the inputs alone costs 1.1e-2.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor(5 + 0.12 * np.random.RandomState(0).randn(2048, 64))
    mean = x.mean(axis=0)
    variance = (x * x).mean(axis=0) - mean * mean
    return (x - mean) / np.sqrt(variance + 1e-5)


def right():
    x = 5 + 0.12 * np.random.RandomState(0).randn(2048, 64)
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


CASE = Case(
    id="B48",
    name="one-pass-variance",
    link="https://github.com/tenstorrent/tt-metal/issues/45968",
    year=2026,
    layer="BatchNorm",
    seen="NaN",
    klass="cancellation",
    op="sub",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)).any()),
    right=right,
    facts=lambda: {"square": 5.0**2, "gap": float(hs.spacing(25.0, "float16")), "variance": 0.12**2},
    title="A one-pass variance cancels, and whole channels of a batch norm are NaN",
    title_zh="一遍算出的方差发生相消，整个通道成了 NaN",
    symptom="some channels of a BatchNorm are NaN, those with a large mean and a small spread",
    symptom_zh="BatchNorm 的某些通道是 NaN：均值大、离散小的那些",
    message="batch_norm nan bf16 negative variance E[x^2]-E[x]^2",
    why="The mean of the squares and the square of the mean are both near {square:g}, where the numbers of float16 "
    "lie {gap:.2g} apart. Their difference, the variance, is {variance:.2g}: it is known to one digit at best, and "
    "sometimes negative, and the root of that is NaN. Subtract the mean first (two passes, or Welford's), or keep "
    "the three steps in float32.",
    why_zh="平方的均值与均值的平方都接近 {square:g}，那里 float16 的数间隔是 {gap:.2g}。两者之差就是方差 "
    "{variance:.2g}：至多有一位可信，有时还是负数，开方就是 NaN。应当先减均值（两遍算法，或 Welford 算法），或者把"
    "这三步留在 float32。",
)
