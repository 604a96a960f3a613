"""An angular margin: the sine of an angle of zero is a square root of zero, whose slope is infinite.

What stopped the reporter first was the weight that he had halved by hand: 'Attempting to unscale FP16 gradients.'
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def slopes(floor):
    features = hs.tensor([[0.0, 3.1], [2.0, 2.0]])
    centre = hs.nn.Parameter(hs.tensor([[0.0, 0.7]]))  # the first face lies on its own centre
    cosine = hs.nn.functional.linear(hs.ops.normalize(features), hs.ops.normalize(centre))
    cosine.retain_grad()
    sine = (1.0 - cosine**2).clamp(min=floor).sqrt()
    (cosine * np.cos(0.5) - sine * np.sin(0.5)).sum().backward()  # the margin
    return cosine.grad


def run():
    return slopes(0.0)


def fixed():
    return slopes(1e-4)


CASE = Case(
    id="N17",
    name="arc-margin",
    link="https://github.com/Lightning-AI/pytorch-lightning/issues/7078",
    year=2021,
    layer="ArcFace margin, sqrt",
    seen="infinity",
    klass="overflow",
    op="sqrt",
    phase="backward",
    precision="amp",
    run=run,
    broken=lambda g: bool(np.isinf(flat(g)[0]) and np.isfinite(flat(g)[1])),
    right=[np.cos(0.5), np.cos(0.5) + np.sin(0.5)],
    fixed=fixed,
    advice="clamp",
    title="The gradient of an angular margin is infinite for a face that lies on its own centre",
    title_zh="人脸恰好落在自己的中心上时，角度间隔的梯度是无穷大",
    symptom="the gradient of an ArcFace head is inf although loss and output are finite",
    symptom_zh="ArcFace 头的输出和损失都有限，梯度却是 inf",
    message="ArcMarginProduct nan AMP; Attempting to unscale FP16 gradients.",
    why="The sine is the root of `1 - cosine**2`, and the slope of a root at zero is one divided by zero, in any "
    "format. In half more faces come there: every cosine that rounds to one. A smaller loss scale cannot help, a "
    "floor of `1e-4` under the root does: the gradient is {fixed[0]:.3g}.",
    why_zh="正弦是 `1 - cosine**2` 的平方根，而开方在零处的斜率是一除以零，什么格式都一样。半精度里落到那里的样本更"
    "多：凡是舍入成一的余弦都算。减小损失缩放没有用，给根号下加一个下限 `1e-4` 才行：梯度是 {fixed[0]:.3g}。",
)
