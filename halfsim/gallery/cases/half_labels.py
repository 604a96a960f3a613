"""Class labels kept in half: of 80,000 classes those above 2048 are mixed up and those above 65,519 infinite.

Without the classes from 65,520 up it is integer rounding, and as wrong. Losses take such labels silently.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    return hs.tensor(np.array([7, 2049, 30_001, 65_519, 70_000, 79_999]))


def fixed():
    return np.array([7, 2049, 30_001, 65_519, 70_000, 79_999])


CASE = Case(
    id="N25",
    name="half-labels",
    link="https://github.com/THUFutureLab/gluon-face/issues/28",
    year=2019,
    layer="Class labels",
    seen="infinity",
    klass="overflow",
    op="tensor",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda labels: bool(flat(labels)[1] == 2048 and np.isinf(flat(labels)[4:]).all()),
    right=[7, 2049, 30_001, 65_519, 70_000, 79_999],
    fixed=fixed,
    advice="integers",
    facts=lambda: {"edge": 2.0 ** (hs.float16.nmant + 1)},
    title="Labels in half precision: class 2049 is trained as class 2048, class 70,000 as infinity",
    title_zh="半精度的标签：第 2049 类当成第 2048 类训练，第 70,000 类成了无穷大",
    symptom="with many classes the accuracy stays low; labels were cast with the batch",
    symptom_zh="类别很多时准确率上不去；标签随着批数据一起被转换了",
    message="label float16 classes more than 2048 accuracy; batch.half() labels",
    why="Above {edge:,.0f} float16 has no odd numbers, and past {fp16.max:,.0f} nothing but infinity. Class "
    "{reference[1]:,.0f} becomes {observed[1]:,.0f}, class {reference[4]:,.0f} {observed[4]:g}. A label is an "
    "integer; cast the images to half and leave the labels alone.",
    why_zh="大于 {edge:,.0f} 的 float16 没有奇数，超过 {fp16.max:,.0f} 就只有无穷大。第 {reference[1]:,.0f} 类变成第"
    " {observed[1]:,.0f} 类，第 {reference[4]:,.0f} 类变成 {observed[4]:g}。标签是整数：只把图像转成半精度，标签不"
    "要动。",
)
