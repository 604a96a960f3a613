"""The mean of three numbers of 40000 is infinite, because their sum is."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    return hs.tensor([40000.0, 40000.0, 40000.0]).mean()


CASE = Case(
    id="B16",
    name="mean-overflow",
    link="https://github.com/pytorch/pytorch/issues/44350",
    year=2020,
    layer="mean, var",
    seen="infinity",
    klass="overflow",
    op="mean",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda mean: bool(np.isinf(flat(mean)[0])),
    right=40000.0,
    facts=lambda: {"sum": 3 * 40000.0},
    title="A mean that half holds is infinite, because its sum is",
    title_zh="半精度装得下的均值却是无穷大，因为和装不下",
    symptom="mean() or var() of ordinary numbers is inf",
    symptom_zh="普通的数求 mean() 或 var() 得到 inf",
    message="mean and var overflow on CPU and GPU half",
    why="The mean of three numbers is {reference[0]:,.0f}, the same as each of them. But the kernel adds first, and "
    "{sum:,.0f} is past {fp16.max:,.0f}. A sum kept in float32 until the division is enough: only the result is "
    "rounded to half.",
    why_zh="三个数的均值是 {reference[0]:,.0f}，与每个数相同。但内核先求和，{sum:,.0f} 超过 {fp16.max:,.0f}。把和留"
    "在 float32 里直到相除就够了：只有结果才舍入到半精度。",
)
