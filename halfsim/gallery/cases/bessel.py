"""Bessel's correction N / (N - 1) of a batch of 100352 pixels: N itself is infinite in half."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def variance(format=None):
    pixels = np.random.default_rng(0).normal(size=(32, 56, 56))
    x, n = hs.tensor(pixels), hs.tensor(float(pixels.size), format)
    return x.var(correction=0) * (n / (n - 1))


def run():
    return variance()


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@sub": "fp32", "@div": "fp32"})):
        return variance("fp32")


CASE = Case(
    id="B43",
    name="bessel",
    link="https://github.com/tensorflow/tensorflow/pull/30230",
    year=2019,
    layer="BatchNorm",
    seen="NaN",
    klass="constant changed",
    op="tensor",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda variance: bool(np.isnan(flat(variance)).all()),
    right=lambda: [np.random.default_rng(0).normal(size=(32, 56, 56)).var(ddof=1)],
    fixed=fixed,
    advice="float32",
    title="The number of pixels of a batch is infinite in half, and infinity over infinity is NaN",
    title_zh="一批图像的像素个数在半精度里是无穷大，无穷大除以无穷大是 NaN",
    symptom="BatchNorm's running variance is NaN for large batches of large images only",
    symptom_zh="只有大批量大图像时，BatchNorm 的滑动方差才是 NaN",
    message="batch norm running_variance nan fp16 XLA",
    why="Bessel's correction multiplies the variance by `n / (n - 1)`, with n the {v[constant]:,.0f} numbers of a "
    "channel. In float16 n is {v[became]:g}, and infinity divided by infinity is NaN, though the factor is very "
    "nearly one. A count is no activation: make it in float32, or as an integer.",
    why_zh="贝塞尔校正把方差乘以 `n / (n - 1)`，n 是一个通道里数的个数 {v[constant]:,.0f}。在 float16 里 n 是 "
    "{v[became]:g}，无穷大除以无穷大是 NaN，而这个因子其实几乎就是一。个数不是激活值：要用 float32 或整数。",
)
