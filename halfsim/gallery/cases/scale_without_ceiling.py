"""While the loss is tiny the scale doubles at every step; real gradients then overflow for a hundred steps.

The thread's scale became infinite; since PyTorch's own fix, which halfsim follows, it stops at 2**127. The blank data
before the real is invented.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    teacher = np.array([[0.5], [-1.0], [0.25], [0.75], [-0.3]])
    w = hs.nn.Parameter(hs.tensor(np.zeros((1, 5)), "fp32"))
    optimizer, scaler = hs.optim.SGD([w], lr=0.1), hs.amp.GradScaler(growth_interval=1)
    rng = np.random.default_rng(0)
    for step in range(220):
        x = rng.normal(size=(8, 5)) * (step >= 120)  # blank at first
        optimizer.zero_grad()
        loss = ((hs.nn.functional.linear(hs.tensor(x), w) - hs.tensor(x @ teacher)) ** 2).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return w


CASE = Case(
    id="B34",
    name="scale-without-ceiling",
    link="https://github.com/pytorch/pytorch/issues/98828",
    year=2023,
    layer="GradScaler",
    seen="no change",
    klass="scaler",
    op=("sub", "GradScaler"),
    phase="backward",
    precision="amp",
    run=run,
    broken=lambda w: bool((flat(w) == 0).all()),
    right=[0.5, -1.0, 0.25, 0.75, -0.3],
    facts=lambda: {"ceiling": 2.0**127},
    title="A loss scale without a ceiling grows to the largest float32 and cannot come back in time",
    title_zh="没有上限的损失缩放涨到 float32 的最大值，来不及降回来",
    symptom="after a stretch of tiny losses every step is skipped; the scale is 1e38 or inf",
    symptom_zh="一段极小的损失之后，每一步都被跳过；缩放是 1e38 或 inf",
    message="GradScaler scale inf; loss scale grows to infinity",
    why="Every good step doubles the scale, and while the loss is zero every step is good: it grows up to "
    "{ceiling:.2g}. When data come, {v[skipped]:,} steps in a row are skipped, each halving it, and the training "
    "ends before it is small enough: no weight moved from {observed[0]:g}. A ceiling, `max_scale=2.0**16`, costs "
    "nothing.",
    why_zh="每个成功的步都让缩放加倍，而损失为零时每一步都成功：它一直涨到 {ceiling:.2g}。等真数据到来，连续 "
    "{v[skipped]:,} 步被跳过，每步减半，还没降下来训练就结束了：权重仍是 {observed[0]:g}。给它一个上限 "
    "`max_scale=2.0**16`，没有任何代价。",
)
