"""Scores masked with -inf and then divided by a learned temperature: only the temperature's gradient is NaN."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat

SCORES = np.array([[0.9, 0.3, -0.2], [0.1, 0.7, 0.2]])
PADDED = np.array([[False, False, True], [False, False, False]])


def run():
    temperature = hs.nn.Parameter(hs.tensor(0.5))
    scores = hs.tensor(SCORES).masked_fill(PADDED, -np.inf) / temperature
    hs.nn.functional.cross_entropy(scores, np.array([0, 1])).backward()
    return temperature.grad


def fixed():
    temperature = hs.nn.Parameter(hs.tensor(0.5))
    scores = (hs.tensor(SCORES) / temperature).masked_fill(PADDED, -np.inf)
    hs.nn.functional.cross_entropy(scores, np.array([0, 1])).backward()
    return temperature.grad


def right():
    z = np.where(PADDED, -np.inf, SCORES / 0.5)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[[0, 1], [0, 1]] -= 1
    return np.sum(p * -SCORES / 0.5**2) / 2


CASE = Case(
    id="N23",
    name="masked-too-soon",
    link="https://github.com/NVIDIA-NeMo/Automodel/pull/3850",
    year=2026,
    layer="Attention mask, learned temperature",
    seen="NaN",
    klass="NaN propagation",
    op="div",
    phase="backward",
    precision="bf16",
    run=run,
    broken=lambda g: bool(np.isnan(flat(g)).all()),
    right=right,
    fixed=fixed,
    advice="mask",
    title="A finite loss whose learned temperature has a NaN gradient: the -inf of the mask was divided by it",
    title_zh="损失有限，可学习温度的梯度却是 NaN：掩码的 -inf 除以了它",
    symptom="one parameter has a NaN gradient, all others and the loss are fine",
    symptom_zh="只有一个参数的梯度是 NaN，其他参数和损失都正常",
    message="learnable temperature nan gradient -inf mask; logit_scale grad nan",
    why="The gradient of a quotient in its divisor is the upstream gradient times the dividend. Where the mask is, "
    "the one is zero and the other minus infinity, and their product is NaN, in any format. Scale first and mask "
    "last: then the gradient is {fixed[0]:.3g}.",
    why_zh="商对除数的梯度，是上游梯度乘以被除数。在被遮住的地方，前者是零，后者是负无穷，乘积是 NaN，什么格式都一样"
    "。先缩放、最后再加掩码：梯度就是 {fixed[0]:.3g}。",
)
