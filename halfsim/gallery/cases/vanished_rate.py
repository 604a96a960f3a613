"""A one-cycle schedule starts at max_lr / 1e16, which is zero in half, and ends at that times a factor: 0 by 0.

Written after tinygrad's scheduler of then, whose rates are tensors.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def one_cycle(tensor, div_factor, final_ratio=0.025):
    initial_lr, max_lr = tensor(0.1993 / div_factor), tensor(0.1993)
    min_lr = initial_lr / (1 / (div_factor * final_ratio))
    rise = [initial_lr + (max_lr - initial_lr) * (i / 5) for i in range(5)]
    return rise + [max_lr + (min_lr - max_lr) * (i / 15) for i in range(15)]


def run():
    return one_cycle(hs.tensor, 1e16)


def fixed():
    return one_cycle(hs.tensor, 1e3)


CASE = Case(
    id="B51",
    name="vanished-rate",
    link="https://github.com/tinygrad/tinygrad/pull/2981",
    year=2024,
    layer="Learning-rate schedule (OneCycleLR)",
    seen="NaN",
    klass="constant changed",
    op=("tensor", "div"),
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda rates: bool(flat(rates)[0] == 0 and np.isnan(flat(rates)[-1])),
    right=lambda: one_cycle(np.float64, 1e16),
    fixed=fixed,
    advice="larger constant",
    title="The first learning rate of a schedule is zero in half, and the last ones are NaN",
    title_zh="学习率计划的第一个值在半精度里是零，后面的是 NaN",
    symptom="the learning rate is 0 at the first step and NaN after the warm-up",
    symptom_zh="第一步的学习率是 0，预热之后成了 NaN",
    message="OneCycleLR nan learning rate half; lr nan after warmup",
    why="The schedule begins at the largest rate divided by `1e16`, {v[constant]:.2g}, and float16 makes "
    "{v[became]:g} of it. Its last rate is that one divided by a number which is zero in half as well: zero divided "
    "by zero. A learning rate is no tensor of the model; as a float of Python, or with a divisor of `1e3`, it is "
    "right.",
    why_zh="计划从最大学习率除以 `1e16` 开始，即 {v[constant]:.2g}，在 float16 里成了 {v[became]:g}。终值是它除以另"
    "一个在半精度里也是零的数：零除以零。学习率不是模型的张量；用 Python 的浮点数，或者把除数取为 `1e3`，就对了。",
)
