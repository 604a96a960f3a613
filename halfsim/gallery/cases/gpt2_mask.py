"""A mask constant of 1e10, cast to the weights' format, is infinite in half; visible tokens get infinity times zero."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def masked(big):
    w = hs.tensor([[2.1, 5.1, 1.3], [0.3, 0.1, -0.7]])
    b = hs.tensor([1.0, 1.0, 0.0])  # 1 where a token is seen
    w = w * b - hs.tensor(big) * (1 - b)
    return w.softmax(-1)


def run():
    return masked(1e10)


def fixed():
    return masked(1e4)


e = np.exp([[2.1, 5.1, -np.inf], [0.3, 0.1, -np.inf]])

CASE = Case(
    id="B07",
    name="gpt2-mask",
    link="https://github.com/openai/gpt-2/pull/122",
    year=2019,
    layer="Attention mask (GPT-2)",
    seen="NaN",
    klass="constant changed",
    op=("tensor", "mul"),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)).all()),
    right=e / e.sum(1, keepdims=True),
    fixed=fixed,
    advice="constant that the format holds",
    title="A mask constant of 1e10 makes the visible tokens NaN",
    title_zh="掩码常数 1e10 让可见的 token 变成 NaN",
    symptom="every attention weight is NaN, those of visible tokens too",
    symptom_zh="所有注意力权重都是 NaN，可见的 token 也不例外",
    message="gpt-2 mixed precision nan attention mask 1e10",
    why="The mask is added as `w * b - big * (1 - b)`. In float16 `1e10` is {v[became]:g}. Where a token is "
    "visible, `1 - b` is zero, and infinity times zero is NaN: the mask spoils exactly what it should leave alone. "
    "`1e4` is large enough for a softmax, and float16 holds it.",
    why_zh="掩码写成 `w * b - big * (1 - b)`。在 float16 里 `1e10` 变成 {v[became]:g}。可见的 token 处 `1 - b` 为零"
    "，无穷大乘以零是 NaN：掩码毁掉的恰恰是它本不该碰的。`1e4` 对 softmax 已经足够大，float16 也装得下。",
)
