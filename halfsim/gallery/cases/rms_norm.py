"""An RMSNorm that squares in half, as PyTorch 2.4 composed it: past 256 the square is infinite, the output zeros."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor([[300.1, 3.2, 2.3, 1.1], [1.1, -0.3, 0.7, 2.2]])
    return x * hs.ops.rsqrt((x**2).mean(-1, keepdim=True) + 1e-6)


x = np.array([[300.1, 3.2, 2.3, 1.1], [1.1, -0.3, 0.7, 2.2]])

CASE = Case(
    id="B03",
    name="rms-norm",
    link="https://github.com/pytorch/pytorch/pull/133085",
    year=2024,
    layer="RMSNorm",
    seen="zeros",
    klass="overflow",
    op="pow",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool((flat(y)[:4] == 0).all()),
    right=x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6),
    facts=lambda: {"x": x.max(), "square": x.max() ** 2, "root": float(hs.float16.max) ** 0.5},
    title="RMSNorm squares in half and returns zeros",
    title_zh="RMSNorm 在半精度里平方，结果全是零",
    symptom="a layer's output is silently all zeros: no NaN, no inf, no warning",
    symptom_zh="某一层的输出悄悄变成全零：没有 NaN，没有 inf，也没有警告",
    message="RMSNorm fp16 output zeros; rms_norm half overflow",
    why="An activation of {x:g} has the square {square:,.0f}; everything above {root:.0f} has a square past "
    "{fp16.max:,.0f}. The mean of squares becomes infinite, one divided by its root is zero, and the row times zero "
    "is zero. Nothing in the output is infinite, so a watch for NaN and inf stays silent. The right first number is "
    "{reference[0]:.4g}.",
    why_zh="激活值 {x:g} 的平方是 {square:,.0f}；凡是大于 {root:.0f} 的数，平方都超过 {fp16.max:,.0f}。均方成了无穷"
    "大，它的平方根取倒数是零，整行乘以零还是零。输出里没有任何无穷大，只盯着 NaN 和 inf 的检查发现不了。第一个数本"
    "应是 {reference[0]:.4g}。",
)
