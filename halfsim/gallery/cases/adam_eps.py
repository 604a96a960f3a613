"""Adam's eps of 1e-8 is zero in half, so a gradient of zero divides zero by zero."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    w = hs.nn.Parameter(hs.tensor([1.0, 1.0], "fp16"))
    optimizer = hs.optim.Adam([w], lr=1e-3)  # eps=1e-8
    (w * hs.tensor([0.0, 0.5])).sum().backward()  # the first weight takes no part
    optimizer.step()
    return w


CASE = Case(
    id="B36",
    name="adam-eps",
    link="https://github.com/google-deepmind/optax/issues/1754",
    year=2026,
    layer="Adam",
    seen="NaN",
    klass="eps lost",
    op="Adam",
    phase="optimizer",
    precision="fp16",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)[0])),
    right=[1.0, 0.999],
    title="Adam's eps is zero in half",
    title_zh="Adam 的 eps 在半精度里是零",
    symptom="weights become NaN at the first step of Adam: those whose gradient is zero",
    symptom_zh="Adam 的第一步就让权重变成 NaN：正是梯度为零的那些",
    message="Adam fp16 nan after first step; optax adam float16 nan",
    why="The smallest positive float16 is {fp16.smallest_subnormal:.3g}; an eps of `1e-8` is below half of it and "
    "becomes {v[became]:g}. A weight without gradient has both moments zero, so its update is zero divided by zero. "
    "One NaN in the weights is everywhere after the next forward pass. float32 master weights mend it, for then the "
    "update is computed there; so does an eps of `1e-4`.",
    why_zh="float16 最小的正数是 {fp16.smallest_subnormal:.3g}；`1e-8` 不到它的一半，舍入成 {v[became]:g}。没有梯度"
    "的权重两个矩都是零，更新量就是零除以零。权重里有一个 NaN，下一次前向之后到处都是。用 float32 的主权重可以解决"
    "，因为更新在那里计算；eps 取 `1e-4` 也行。",
)
