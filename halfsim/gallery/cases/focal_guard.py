"""Focal loss: max(1 - p, FLT_MIN) guards a logarithm with a number that half does not have."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    logits, target = hs.tensor([9.3906, -4.2344]), hs.tensor([1.0, 0.0])
    p = logits.sigmoid()
    hit = (1 - p) ** 2 * p.clamp(min=1.17549435e-38).log()
    miss = p**2 * (1 - p).clamp(min=1.17549435e-38).log()
    return -0.25 * target * hit - 0.75 * (1 - target) * miss


def right():
    p = 1 / (1 + np.exp(-np.array([9.3906, -4.2344])))
    return [-0.25 * (1 - p[0]) ** 2 * np.log(p[0]), -0.75 * p[1] ** 2 * np.log(1 - p[1])]


CASE = Case(
    id="N16",
    name="focal-guard",
    link="https://github.com/open-mmlab/mmcv/issues/1488",
    year=2021,
    layer="Focal loss",
    seen="NaN",
    klass="eps lost",
    op="clamp",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isnan(flat(loss)[0])),
    right=right,
    title="A focal loss is NaN where the classifier is sure: its guard of 1e-38 is zero in half",
    title_zh="分类器很确信时 focal loss 是 NaN：保护用的 1e-38 在半精度里是零",
    symptom="the focal loss is NaN once a detector becomes good, not at the start",
    symptom_zh="focal loss 一开始正常，检测器变好之后才出现 NaN",
    message="sigmoid_focal_loss nan fp16; mmcv focal loss nan",
    why="The guard, the smallest normal float32, keeps a logarithm from zero; in float16 it is {v[became]:g} "
    "itself. A sigmoid of `9.3906` is one in half, `1 - p` is zero, its logarithm minus infinity, and times a zero "
    "it is NaN. The guard must be a number that the format holds: `1e-4`.",
    why_zh="这个保护值是 float32 最小的正规数，用来防止对零取对数；在 float16 里它自己就是 {v[became]:g}。`9.3906` "
    "的 sigmoid 在半精度里是一，`1 - p` 是零，对数是负无穷，再乘以零得 NaN。保护值必须是格式装得下的数：`1e-4`。",
)
