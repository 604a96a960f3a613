"""gelu_accurate of 300: the forward is right, tanh(inf) being 1, but the gradient is 0 times an infinite square."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def gelu_accurate(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def run():
    x = hs.tensor([0.7, 300.0], requires_grad=True)
    gelu_accurate(x).sum().backward()
    return x.grad


CASE = Case(
    id="B11",
    name="gelu-accurate",
    link="https://github.com/facebookresearch/fairseq/issues/2235",
    year=2020,
    layer="GELU",
    seen="NaN",
    klass="overflow",
    op="pow",
    phase="backward",
    precision="pure_fp16",
    run=run,
    broken=lambda g: bool(np.isnan(flat(g)[1])),
    right=[0.9763, 1.0],
    facts=lambda: {"square": 300.0**2, "root": float(hs.float16.max) ** 0.5},
    title="The gradient of a hand-written GELU is zero times infinity",
    title_zh="手写 GELU 的梯度是零乘以无穷大",
    symptom="the loss is finite and right, yet gradients are NaN",
    symptom_zh="损失有限而且正确，梯度却是 NaN",
    message="gelu_accurate nan gradient fp16; Function 'PowBackward0' returned nan values",
    why="Forward, the cube of `300` is infinite, and tanh makes a harmless one of it. Backward, the slope of tanh "
    "is zero there, and it is multiplied by three times the square, {square:,.0f}, which is infinite in float16 "
    "too: zero times infinity is NaN. It begins at {root:.0f}. The right gradient is {reference[1]:g}.",
    why_zh="前向时 `300` 的立方是无穷大，tanh 把它变成无害的一。反向时 tanh 在那里的斜率为零，要乘以三倍的平方 "
    "{square:,.0f}，而它在 float16 里也是无穷大：零乘以无穷大是 NaN。从 {root:.0f} 起就会这样。正确的梯度是 "
    "{reference[1]:g}。",
)
