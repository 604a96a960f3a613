"""Steps of 6e-4 at weights of 1 are below half an ulp of bfloat16: after 100 of them no weight has moved.

kahan=True mends it as well; rounding="stochastic" on average, each weight being off by 1.5e-2.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    w = hs.nn.Parameter(hs.tensor(np.ones(768)))
    optimizer = hs.optim.AdamW([w], lr=6e-4, weight_decay=0.0)
    for _ in range(100):
        optimizer.zero_grad()
        (w * hs.tensor(np.linspace(0.5, 1.5, 768))).sum().backward()
        optimizer.step()
    return w


CASE = Case(
    id="B38",
    name="lost-updates",
    link="https://github.com/pytorch/ao/pull/1124",
    year=2024,
    layer="AdamW, SGD",
    seen="no change",
    klass="swamping",
    op="update",
    phase="optimizer",
    precision="bf16",
    run=run,
    broken=lambda w: int((flat(w) != 1).sum()) == 0,
    right=np.full(768, 1 - 0.06),
    facts=lambda: {"gap": float(hs.bfloat16.epsneg)},
    title="Updates smaller than half an ulp of the weight are rounded away, all of them",
    title_zh="小于权重半个 ulp 的更新全部被舍掉",
    symptom="training in pure bfloat16 or fp16 stalls at a small learning rate; a larger one learns",
    symptom_zh="纯 bfloat16 或 fp16 训练在小学习率下停滞，学习率大些反而能学",
    message="bf16 training loss plateau; weights do not change low precision optimizer",
    why="Just below one the numbers of bfloat16 lie {gap:.2g} apart. A step of `6e-4` is less than half of that, so "
    "each sum is rounded back to the weight. After all steps the weights are {observed[0]:g}, where {reference[0]:g} "
    "is right. Rounding is not noise that averages out: it is the same every time. Master weights in float32 keep "
    "the sum; Kahan's compensation and stochastic rounding help too.",
    why_zh="比一略小的 bfloat16 数间隔是 {gap:.2g}。`6e-4` 的一步不到它的一半，每次的和都舍入回原来的权重。走完所有步"
    "，权重仍是 {observed[0]:g}，正确的是 {reference[0]:g}。这种舍入不是会互相抵消的噪声，每次都一样。float32 的主权重"
    "能把更新攒下来；Kahan 补偿和随机舍入也有用。",
)
